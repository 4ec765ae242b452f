//! The copy's hot paths, below SeaORM: the cells of a row, `INSERT` on SQLite, and PostgreSQL's `COPY`.
//!
//! This module alone uses SQLx. SeaORM reads every cell into a value of its own and formats an error for
//! each NULL, and writes every cell from such a value; it has no `COPY`, which takes a fraction of the time
//! of an `INSERT`. Everything else about a copy goes through SeaORM.

use std::sync::Arc;

use sea_orm::prelude::Uuid;
use sea_orm::sea_query::Value;
use sea_orm::sqlx::sqlite::SqliteArguments;
use sea_orm::sqlx::{self, Arguments, ColumnIndex, Decode, Executor, Row, Type};
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

/// The values of an `INSERT` into SQLite.
#[derive(Debug)]
pub(super) struct InsertData(SqliteArguments);

impl InsertData {
    pub(super) fn new(cells: usize) -> Self {
        let mut arguments = SqliteArguments::default();
        arguments.reserve(cells, 0);
        Self(arguments)
    }

    pub(super) fn cell(&mut self, cell: Cell<'_>) -> Result<(), DbErr> {
        let added = match cell {
            Cell::Text(text) => Arguments::add(&mut self.0, text),
            Cell::Bytes(bytes) => Arguments::add(&mut self.0, bytes),
            Cell::Uuid(id) => Arguments::add(&mut self.0, id),
            Cell::Small(number) => Arguments::add(&mut self.0, number),
            Cell::Integer(number) => Arguments::add(&mut self.0, number),
            Cell::Big(number) => Arguments::add(&mut self.0, number),
        };
        added.map_err(|error| DbErr::Exec(RuntimeErr::Internal(error.to_string())))
    }

    /// Adds NULL so many times.
    pub(super) fn nulls(&mut self, count: usize) -> Result<(), DbErr> {
        (0..count).try_for_each(|_| self.cell(Cell::Big(None)))
    }

    /// Runs some statements, each with its values, in one transaction.
    pub(super) async fn send(statements: Vec<(Arc<str>, Self)>, pool: &Pool) -> Result<(), DbErr> {
        let sent = async {
            let pool = pool.db.get_sqlite_connection_pool();
            let mut txn = pool.begin_with("BEGIN IMMEDIATE").await?;
            for (statement, Self(values)) in statements {
                let query = sqlx::query_with(sqlx::AssertSqlSafe(statement), values);
                query.execute(&mut *txn).await?;
            }
            txn.commit().await
        };
        sent.await.map_err(|error: sqlx::Error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))
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
            // A crash of PostgreSQL may then lose the last pages, as if the copy had been interrupted
            // before them; the record of its end is written to the disk after all of them.
            let settings =
                [pool.prologue().unwrap_or_default(), "SET LOCAL synchronous_commit = off"];
            Executor::execute(&mut *txn, sqlx::AssertSqlSafe(settings.join("; "))).await?;
            let mut rows = txn.copy_in_raw(copy).await?;
            rows.send(self.0).await?;
            rows.finish().await?;
            txn.commit().await
        };
        sent.await.map_err(|error: sqlx::Error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))
    }
}
