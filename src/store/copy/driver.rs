//! The copy's hot paths, below SeaORM: reading the cells of a row, and PostgreSQL's `COPY`.
//!
//! This module alone uses SQLx. SeaORM reads every cell into a value of its own and formats an error for
//! each NULL, of which most rows have a dozen; it has no `COPY`, which takes a fraction of the time of
//! an `INSERT`. Everything else about a copy goes through SeaORM.

use sea_orm::prelude::Uuid;
use sea_orm::sea_query::Value;
use sea_orm::sqlx::{self, ColumnIndex, Decode, Executor, Row, Type};
use sea_orm::{DbErr, QueryResult, RuntimeErr};

use super::table::CellType;
use crate::store::pool::Pool;

/// A value of a row, borrowed from it; `None` for NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell<'r> {
    Text(Option<&'r str>),
    Bytes(Option<&'r [u8]>),
    Uuid(Option<Uuid>),
    Small(Option<i16>),
    Integer(Option<i32>),
    Big(Option<i64>),
}

impl<'r> Cell<'r> {
    /// Reads a cell, which must be of the type of its column.
    pub(super) fn read(
        row: &'r QueryResult,
        place: usize,
        cell_type: CellType,
    ) -> Result<Self, DbErr> {
        let cell = match (row.try_as_sqlite_row(), row.try_as_pg_row()) {
            (Some(row), _) => Self::read_from(row, place, cell_type),
            (_, Some(row)) => Self::read_from(row, place, cell_type),
            (None, None) => return Err(DbErr::Type("a row of an unknown database".to_owned())),
        };
        cell.map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error.into())))
    }

    fn read_from<R>(row: &'r R, place: usize, cell_type: CellType) -> Result<Self, sqlx::Error>
    where
        R: Row,
        usize: ColumnIndex<R>,
        &'r str: Decode<'r, R::Database> + Type<R::Database>,
        &'r [u8]: Decode<'r, R::Database> + Type<R::Database>,
        Uuid: Decode<'r, R::Database> + Type<R::Database>,
        i16: Decode<'r, R::Database> + Type<R::Database>,
        i32: Decode<'r, R::Database> + Type<R::Database>,
        i64: Decode<'r, R::Database> + Type<R::Database>,
    {
        Ok(match cell_type {
            CellType::Text => Self::Text(row.try_get(place)?),
            CellType::Bytes => Self::Bytes(row.try_get(place)?),
            CellType::Uuid => Self::Uuid(row.try_get(place)?),
            CellType::Small => Self::Small(row.try_get(place)?),
            CellType::Integer => Self::Integer(row.try_get(place)?),
            CellType::Big => Self::Big(row.try_get(place)?),
        })
    }
}

impl From<Cell<'_>> for Value {
    fn from(cell: Cell<'_>) -> Self {
        match cell {
            Cell::Text(text) => text.map(str::to_owned).into(),
            Cell::Bytes(bytes) => bytes.map(<[u8]>::to_vec).into(),
            Cell::Uuid(id) => id.into(),
            Cell::Small(number) => number.into(),
            Cell::Integer(number) => number.into(),
            Cell::Big(number) => number.into(),
        }
    }
}

/// Rows in the binary format of PostgreSQL's `COPY`.
#[derive(Debug)]
pub(super) struct CopyData(Vec<u8>);

impl CopyData {
    pub(super) fn new() -> Self {
        // The signature, no flags, no extension.
        Self(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec())
    }

    /// Begins a row of so many cells.
    pub(super) fn row(&mut self, cells: usize) {
        self.0.extend(i16::try_from(cells).unwrap_or(i16::MAX).to_be_bytes());
    }

    /// Adds a cell to the row.
    pub(super) fn cell(&mut self, cell: Cell<'_>) -> Result<(), DbErr> {
        match cell {
            Cell::Text(text) => self.bytes(text),
            Cell::Bytes(bytes) => self.bytes(bytes),
            Cell::Uuid(id) => self.bytes(id.map(Uuid::into_bytes)),
            Cell::Small(number) => self.bytes(number.map(i16::to_be_bytes)),
            Cell::Integer(number) => self.bytes(number.map(i32::to_be_bytes)),
            Cell::Big(number) => self.bytes(number.map(i64::to_be_bytes)),
        }
    }

    /// Adds the length of a value, and the value; -1 for NULL.
    fn bytes(&mut self, bytes: Option<impl AsRef<[u8]>>) -> Result<(), DbErr> {
        let Some(bytes) = bytes else {
            self.0.extend((-1_i32).to_be_bytes());
            return Ok(());
        };
        let bytes = bytes.as_ref();
        let length = i32::try_from(bytes.len());
        let length = length.map_err(|_| DbErr::Type("a value of 2 GiB or more".to_owned()))?;
        self.0.extend(length.to_be_bytes());
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    /// Sends the rows to a table in PostgreSQL, in one transaction.
    pub(super) async fn send(mut self, pool: &Pool, copy: &str) -> Result<(), DbErr> {
        self.0.extend((-1_i16).to_be_bytes());
        let sent = async {
            let mut txn = pool.db.get_postgres_connection_pool().begin().await?;
            if let Some(prologue) = pool.prologue() {
                Executor::execute(&mut *txn, sqlx::AssertSqlSafe(prologue)).await?;
            }
            let mut rows = txn.copy_in_raw(copy).await?;
            rows.send(self.0).await?;
            rows.finish().await?;
            txn.commit().await
        };
        sent.await.map_err(|error: sqlx::Error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))
    }
}
