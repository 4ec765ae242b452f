//! The tables as a copy sees them: rows of plain values, read and written in key order.
//!
//! Columns and keys come from the entities, so that a new column is copied without a change here.

use sea_orm::sea_query::{Alias, Expr, ExprTrait, Func, Query, SelectStatement, SimpleExpr, Value};
use sea_orm::{
    ColumnTrait, ColumnType, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, IdenStatic,
    Iterable, Order, PrimaryKeyTrait, QueryResult, Statement,
};

use super::driver::{Cell, CopyData};
use super::in_transaction;
use crate::store::db_error::is_duplicate;
use crate::store::entity::{
    conversation, delivery_report, event, idempotency_key, message, opt_out,
};
use crate::store::reader::Reader;

/// What is copied, each table after those that its rows refer to.
pub(in crate::store) const TABLES: [&str; 6] =
    ["conversations", "messages", "delivery_reports", "events", "idempotency_keys", "opt_outs"];

/// The most rows in a page.
const PAGE_ROWS: u64 = 2_000;
/// The most bytes in a page of more than one row. An event may have a megabyte.
const PAGE_BYTES: i64 = 4 << 20;
/// The rows of an `INSERT`. The text of the statement is then always the same, and prepared once.
const INSERT_ROWS: usize = 100;

#[derive(Debug)]
pub(super) struct CopyTable {
    pub(super) name: &'static str,
    columns: Vec<(&'static str, CellType)>,
    keys: Vec<&'static str>,
    /// Whether the database numbers new rows.
    is_numbered: bool,
}

/// The type of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CellType {
    Text,
    Bytes,
    Uuid,
    Small,
    Integer,
    Big,
}

/// The values of a key, in the order of its columns.
pub(super) type CopyKey = Vec<Value>;

/// The tables to copy, in the order of [`TABLES`].
pub(super) fn tables() -> Result<[CopyTable; 6], DbErr> {
    Ok([
        CopyTable::from_entity::<conversation::Entity>(TABLES[0])?,
        CopyTable::from_entity::<message::Entity>(TABLES[1])?,
        CopyTable::from_entity::<delivery_report::Entity>(TABLES[2])?,
        CopyTable::from_entity::<event::Entity>(TABLES[3])?,
        CopyTable::from_entity::<idempotency_key::Entity>(TABLES[4])?,
        CopyTable::from_entity::<opt_out::Entity>(TABLES[5])?,
    ])
}

impl CopyTable {
    fn from_entity<E: EntityTrait>(name: &'static str) -> Result<Self, DbErr> {
        let column =
            |column: E::Column| Ok((column.as_str(), CellType::from_column(&column.def())?));
        Ok(Self {
            name,
            columns: E::Column::iter().map(column).collect::<Result<_, DbErr>>()?,
            keys: E::PrimaryKey::iter().map(|key| key.as_str()).collect(),
            is_numbered: E::PrimaryKey::auto_increment(),
        })
    }

    pub(super) fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|(name, _)| *name)
    }

    pub(super) async fn count(&self, db: &impl ConnectionTrait) -> Result<u64, DbErr> {
        let mut query = Query::select();
        query.expr(Func::count(Expr::val(1))).from(self.name);
        let row = db.query_one(&query).await?;
        let count: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// The highest key.
    pub(super) async fn last_key(
        &self,
        db: &impl ConnectionTrait,
    ) -> Result<Option<CopyKey>, DbErr> {
        let mut query = Query::select();
        query.columns(self.keys.iter().map(|key| Alias::new(*key))).from(self.name).limit(1);
        for key in &self.keys {
            query.order_by(Alias::new(*key), Order::Desc);
        }
        let row = db.query_one(&query).await?;
        row.map(|row| self.read_key(&row)).transpose()
    }

    /// The next page of rows after a key.
    pub(super) async fn page(
        &self,
        db: &impl ConnectionTrait,
        after: Option<&CopyKey>,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let mut query = self.rows_after(after);
        query.columns(self.columns().map(Alias::new)).limit(PAGE_ROWS);
        if self.is_heavy(db, after).await? {
            let Some(end) = self.end_of_page(db, after).await? else { return Ok(Vec::new()) };
            query.and_where(self.key().lte(values(&end)));
        }
        db.query_all(&query).await
    }

    /// Rows after a key, in key order.
    fn rows_after(&self, after: Option<&CopyKey>) -> SelectStatement {
        let mut query = Query::select();
        query.from(self.name);
        if let Some(after) = after {
            query.and_where(self.key().gt(values(after)));
        }
        for key in &self.keys {
            query.order_by(Alias::new(*key), Order::Asc);
        }
        query
    }

    /// Whether the next rows have too many bytes for a page. The database adds them up: to fetch the
    /// size of every row would take as long as to fetch the rows.
    async fn is_heavy(
        &self,
        db: &impl ConnectionTrait,
        after: Option<&CopyKey>,
    ) -> Result<bool, DbErr> {
        let mut rows = self.rows_after(after);
        rows.expr_as(self.size(), "size").limit(PAGE_ROWS);
        let mut query = Query::select();
        query.expr(Expr::cust("CAST(coalesce(sum(size), 0) AS bigint)"));
        query.from_subquery(rows, "page");
        let row = db.query_one(&query).await?;
        let bytes: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
        Ok(bytes > PAGE_BYTES)
    }

    /// The key of the last row of the next page, found by reading only keys and lengths.
    async fn end_of_page(
        &self,
        db: &impl ConnectionTrait,
        after: Option<&CopyKey>,
    ) -> Result<Option<CopyKey>, DbErr> {
        let mut query = self.rows_after(after);
        query.columns(self.keys.iter().map(|key| Alias::new(*key)));
        query.expr(self.size()).limit(PAGE_ROWS);
        let mut end = None;
        let mut bytes = 0_i64;
        for row in db.query_all(&query).await? {
            bytes += row.try_get_by_index::<i64>(self.keys.len())?;
            if end.is_some() && bytes > PAGE_BYTES {
                break;
            }
            end = Some(row);
        }
        end.map(|row| self.read_key(&row)).transpose()
    }

    /// The bytes in a row's columns of variable length.
    fn size(&self) -> SimpleExpr {
        let is_long = |cell_type: CellType| matches!(cell_type, CellType::Text | CellType::Bytes);
        let long = self.columns.iter().filter(|(_, cell_type)| is_long(*cell_type));
        let sum: Vec<_> =
            long.map(|(name, _)| format!("coalesce(octet_length({name}), 0)")).collect();
        Expr::cust(format!("CAST({} AS bigint)", sum.join(" + ")))
    }

    /// The cells of a row of a page.
    pub(super) fn cells<'r>(
        &self,
        row: &'r QueryResult,
    ) -> impl Iterator<Item = Result<Cell<'r>, DbErr>> {
        let columns = self.columns.iter().enumerate();
        columns.map(|(place, (_, cell_type))| Cell::read(row, place, *cell_type))
    }

    /// Writes rows in one transaction, skipping those whose key exists.
    pub(super) async fn write(&self, target: &Reader, rows: &[QueryResult]) -> Result<(), DbErr> {
        let pool = target.pool()?;
        if !pool.is_sqlite() {
            let columns: Vec<_> = self.columns().collect();
            let columns = columns.join(", ");
            let copy = format!("COPY {} ({columns}) FROM STDIN (FORMAT binary)", self.name);
            match self.copy_data(rows)?.send(&pool, &copy).await {
                // Another process is making the same copy.
                Err(error) if is_duplicate(&error) => {}
                done => return done,
            }
        }
        in_transaction(target, async |txn| self.insert(txn, rows).await).await
    }

    fn copy_data(&self, rows: &[QueryResult]) -> Result<CopyData, DbErr> {
        let mut data = CopyData::new();
        for row in rows {
            data.row(self.columns.len());
            for cell in self.cells(row) {
                data.cell(cell?)?;
            }
        }
        Ok(data)
    }

    async fn insert(&self, db: &impl ConnectionTrait, rows: &[QueryResult]) -> Result<(), DbErr> {
        let backend = db.get_database_backend();
        let whole = self.insert_statement(backend, INSERT_ROWS);
        for chunk in rows.chunks(INSERT_ROWS) {
            let mut values = Vec::with_capacity(chunk.len() * self.columns.len());
            for cell in chunk.iter().flat_map(|row| self.cells(row)) {
                values.push(cell?.into());
            }
            let statement = match chunk.len() {
                INSERT_ROWS => whole.clone(),
                rows => self.insert_statement(backend, rows),
            };
            db.execute_raw(Statement::from_sql_and_values(backend, statement, values)).await?;
        }
        Ok(())
    }

    fn insert_statement(&self, backend: DatabaseBackend, rows: usize) -> String {
        let columns: Vec<_> = self.columns().collect();
        let parameter = |number: usize| match backend {
            DatabaseBackend::Sqlite => "?".to_owned(),
            _ => format!("${}", number + 1),
        };
        let row = |row: usize| {
            let first = row * columns.len();
            let row: Vec<_> = (first..first + columns.len()).map(parameter).collect();
            format!("({})", row.join(", "))
        };
        let rows: Vec<_> = (0..rows).map(row).collect();
        let (columns, rows, keys) = (columns.join(", "), rows.join(", "), self.keys.join(", "));
        format!(
            "INSERT INTO {} ({columns}) VALUES {rows} ON CONFLICT ({keys}) DO NOTHING",
            self.name
        )
    }

    /// Makes PostgreSQL number new rows after the copied ones, if it numbers them.
    pub(super) async fn renumber(&self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        if !self.is_numbered || db.get_database_backend() == DatabaseBackend::Sqlite {
            return Ok(());
        }
        let (name, key) = (self.name, self.keys.join(""));
        let sequence = format!("pg_get_serial_sequence('{name}', '{key}')");
        let next = format!("(SELECT coalesce(max({key}), 0) + 1 FROM {name})");
        db.execute_unprepared(&format!("SELECT setval({sequence}, {next}, false)")).await.map(drop)
    }

    /// The key of a row of a page.
    pub(super) fn key_of(&self, row: &QueryResult) -> Result<CopyKey, DbErr> {
        let is_key = |name: &str| self.keys.contains(&name);
        let columns = self.columns.iter().enumerate().filter(|(_, (name, _))| is_key(name));
        columns
            .map(|(place, (_, cell_type))| Ok(Cell::read(row, place, *cell_type)?.into()))
            .collect()
    }

    /// Reads a row that has the columns of the key before all others.
    fn read_key(&self, row: &QueryResult) -> Result<CopyKey, DbErr> {
        let cell_type = |key| self.columns.iter().find(|(name, _)| *name == key);
        let types = self.keys.iter().filter_map(|key| cell_type(*key)).enumerate();
        types
            .map(|(place, (_, cell_type))| Ok(Cell::read(row, place, *cell_type)?.into()))
            .collect()
    }

    fn key(&self) -> SimpleExpr {
        Expr::tuple(self.keys.iter().map(|key| Expr::col(Alias::new(*key))))
    }
}

fn values(key: &CopyKey) -> SimpleExpr {
    Expr::tuple(key.iter().cloned().map(Expr::val))
}

impl CellType {
    fn from_column(column: &sea_orm::ColumnDef) -> Result<Self, DbErr> {
        Ok(match column.get_column_type() {
            ColumnType::Text | ColumnType::String(_) | ColumnType::Char(_) => Self::Text,
            ColumnType::Blob | ColumnType::VarBinary(_) => Self::Bytes,
            ColumnType::Uuid => Self::Uuid,
            ColumnType::SmallInteger => Self::Small,
            ColumnType::Integer => Self::Integer,
            ColumnType::BigInteger => Self::Big,
            other => return Err(DbErr::Type(format!("cannot copy a column of type {other:?}"))),
        })
    }
}
