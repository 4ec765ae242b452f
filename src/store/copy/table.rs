//! The tables as a copy sees them: rows of plain values, read and written in key order.
//!
//! Columns and keys come from the entities, so that a new column is copied without a change here.

use sea_orm::sea_query::{Alias, Expr, ExprTrait, Func, Query, SelectStatement, SimpleExpr, Value};
use sea_orm::{
    ColumnTrait, ColumnType, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, IdenStatic,
    Iterable, Order, PrimaryKeyTrait, QueryResult,
};

use tokio::sync::mpsc;

use super::driver::Cell;
use super::page::RowPage;
use crate::store::entity::{
    batch, batch_row, contact_name, conversation, delivery_report, event, feed, forgotten, forward,
    forward_range, idempotency_key, media, media_garbage, media_progress, merged_message, message,
    opt_out, sync_source,
};

/// What is copied, each table after those that its rows refer to.
pub(in crate::store) const TABLES: [&str; 18] = [
    "conversations",
    "messages",
    "delivery_reports",
    "events",
    "idempotency_keys",
    "opt_outs",
    "merged_messages",
    "forwards",
    "forward_ranges",
    "sync_sources",
    "media",
    "media_progress",
    "media_garbage",
    "forgotten",
    "contact_names",
    "batches",
    "batch_rows",
    FEED,
];
/// The only table that has a row in every new database.
pub(super) const FEED: &str = "feed";

/// The most rows in a page.
const PAGE_ROWS: u64 = 2_000;
/// The most bytes in a page of more than one row. An event may have a megabyte.
const PAGE_BYTES: i64 = 4 << 20;

#[derive(Debug)]
pub(super) struct CopyTable {
    pub(super) name: &'static str,
    columns: Vec<CopyColumn>,
    pub(super) keys: Vec<&'static str>,
    /// Whether the database numbers new rows.
    is_numbered: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct CopyColumn {
    pub(super) name: &'static str,
    pub(super) cell_type: CellType,
    is_nullable: bool,
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
pub(super) fn tables() -> Result<[CopyTable; 18], DbErr> {
    Ok([
        CopyTable::from_entity::<conversation::Entity>(TABLES[0])?,
        CopyTable::from_entity::<message::Entity>(TABLES[1])?,
        CopyTable::from_entity::<delivery_report::Entity>(TABLES[2])?,
        CopyTable::from_entity::<event::Entity>(TABLES[3])?,
        CopyTable::from_entity::<idempotency_key::Entity>(TABLES[4])?,
        CopyTable::from_entity::<opt_out::Entity>(TABLES[5])?,
        CopyTable::from_entity::<merged_message::Entity>(TABLES[6])?,
        CopyTable::from_entity::<forward::Entity>(TABLES[7])?,
        CopyTable::from_entity::<forward_range::Entity>(TABLES[8])?,
        CopyTable::from_entity::<sync_source::Entity>(TABLES[9])?,
        CopyTable::from_entity::<media::Entity>(TABLES[10])?,
        CopyTable::from_entity::<media_progress::Entity>(TABLES[11])?,
        CopyTable::from_entity::<media_garbage::Entity>(TABLES[12])?,
        CopyTable::from_entity::<forgotten::Entity>(TABLES[13])?,
        CopyTable::from_entity::<contact_name::Entity>(TABLES[14])?,
        CopyTable::from_entity::<batch::Entity>(TABLES[15])?,
        CopyTable::from_entity::<batch_row::Entity>(TABLES[16])?,
        CopyTable::from_entity::<feed::Entity>(TABLES[17])?,
    ])
}

impl CopyTable {
    fn from_entity<E: EntityTrait>(name: &'static str) -> Result<Self, DbErr> {
        let column = |column: E::Column| {
            let def = column.def();
            let cell_type = CellType::from_column(&def)?;
            Ok(CopyColumn { name: column.as_str(), cell_type, is_nullable: def.is_null() })
        };
        Ok(Self {
            name,
            columns: E::Column::iter().map(column).collect::<Result<_, DbErr>>()?,
            keys: E::PrimaryKey::iter().map(|key| key.as_str()).collect(),
            is_numbered: E::PrimaryKey::auto_increment(),
        })
    }

    pub(super) fn columns(&self) -> &[CopyColumn] {
        &self.columns
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

    /// The next page of rows after a key, without the columns that are NULL in all of them: every value
    /// that is read costs time, and most columns of most messages have none.
    async fn page(
        &self,
        db: &impl ConnectionTrait,
        after: Option<&CopyKey>,
    ) -> Result<RowPage, DbErr> {
        let Survey { rows, bytes, columns } = self.survey(db, after).await?;
        if rows == 0 {
            return Ok(RowPage::default());
        }
        let mut query = self.rows_after(after);
        query.columns(columns.iter().map(|place| Alias::new(self.columns[*place].name)));
        query.limit(PAGE_ROWS);
        if bytes > PAGE_BYTES {
            let Some(end) = self.end_of_page(db, after).await? else {
                return Ok(RowPage::default());
            };
            query.and_where(self.key().lte(values(&end)));
        }
        Ok(RowPage { rows: db.query_all(&query).await?, columns })
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

    /// Reads all rows after a key, page by page.
    pub(super) async fn read(
        &self,
        db: &impl ConnectionTrait,
        mut after: Option<CopyKey>,
        pages: mpsc::Sender<RowPage>,
    ) -> Result<(), DbErr> {
        loop {
            let page = self.page(db, after.as_ref()).await?;
            after = self.end_of(&page)?;
            // Nobody waits for more once one of them is refused.
            if after.is_none() || pages.send(page).await.is_err() {
                return Ok(());
            }
        }
    }

    /// What the next page would have. The database adds it up: to fetch the size of every row would take
    /// as long as to fetch the rows.
    async fn survey(
        &self,
        db: &impl ConnectionTrait,
        after: Option<&CopyKey>,
    ) -> Result<Survey, DbErr> {
        let nullable = || self.columns.iter().filter(|column| column.is_nullable);
        let mut rows = self.rows_after(after);
        rows.expr_as(self.size(), "size").limit(PAGE_ROWS);
        rows.columns(nullable().map(|column| Alias::new(column.name)));
        let mut query = Query::select();
        query.expr(Func::count(Expr::val(1)));
        query.expr(Expr::cust("CAST(coalesce(sum(size), 0) AS bigint)"));
        query.exprs(nullable().map(|column| Func::count(Expr::col(Alias::new(column.name)))));
        query.from_subquery(rows, "page");
        let row = db.query_one(&query).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("the sums of a page".to_owned()))?;
        let (mut columns, mut place) = (Vec::with_capacity(self.columns.len()), 2);
        for (column, CopyColumn { is_nullable, .. }) in self.columns.iter().enumerate() {
            if !is_nullable || row.try_get_by_index::<i64>(place)? > 0 {
                columns.push(column);
            }
            place += usize::from(*is_nullable);
        }
        Ok(Survey { rows: row.try_get_by_index(0)?, bytes: row.try_get_by_index(1)?, columns })
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
        let long = self.columns.iter().filter(|column| is_long(column.cell_type));
        let length = |column: &CopyColumn| match column.is_nullable {
            true => format!("coalesce(octet_length({}), 0)", column.name),
            false => format!("octet_length({})", column.name),
        };
        let sum: String = long.map(|column| format!(" + {}", length(column))).collect();
        Expr::cust(format!("CAST(0{sum} AS bigint)"))
    }

    /// Makes PostgreSQL number new rows after the copied ones, if it numbers them.
    pub(super) async fn renumber(&self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        let (name, key) = (self.name, self.keys.join(""));
        let sequence = match name {
            _ if db.get_database_backend() == DatabaseBackend::Sqlite => return Ok(()),
            _ if self.is_numbered => format!("pg_get_serial_sequence('{name}', '{key}')"),
            _ => return Ok(()),
        };
        let next = format!("(SELECT coalesce(max({key}), 0) + 1 FROM {name})");
        db.execute_unprepared(&format!("SELECT setval({sequence}, {next}, false)")).await.map(drop)
    }

    /// The key of the last row of a page.
    fn end_of(&self, page: &RowPage) -> Result<Option<CopyKey>, DbErr> {
        let Some(row) = page.rows.last() else { return Ok(None) };
        let is_key = |column: &CopyColumn| self.keys.contains(&column.name);
        let columns = page.columns.iter().map(|column| &self.columns[*column]).enumerate();
        let keys = columns.filter(|(_, column)| is_key(column));
        keys.map(|(place, column)| Ok(Cell::read(row, place, column.cell_type)?.into()))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// Reads a row that has the columns of the key before all others.
    fn read_key(&self, row: &QueryResult) -> Result<CopyKey, DbErr> {
        let column = |key| self.columns.iter().find(|column| column.name == key);
        let keys = self.keys.iter().filter_map(|key| column(*key)).enumerate();
        keys.map(|(place, column)| Ok(Cell::read(row, place, column.cell_type)?.into())).collect()
    }

    fn key(&self) -> SimpleExpr {
        Expr::tuple(self.keys.iter().map(|key| Expr::col(Alias::new(*key))))
    }
}

/// What the rows of the next page have in common.
struct Survey {
    rows: i64,
    bytes: i64,
    /// The places of the columns that have values.
    columns: Vec<usize>,
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
