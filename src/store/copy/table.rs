//! The tables as a copy sees them: rows of plain values, read in the order of their keys.
//!
//! Columns and keys come from the entities, so that a new column is copied without a word here.

use sea_orm::sea_query::{Alias, Expr, ExprTrait, Func, OnConflict, Query, SimpleExpr, Value};
use sea_orm::{
    ColumnTrait, ColumnType, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, IdenStatic,
    Iterable, QueryResult,
};

use crate::store::entity::{conversation, delivery_report, event, idempotency_key, message};

/// What is copied, in an order in which no row comes before one that it names.
pub(super) const TABLES: [&str; 5] =
    ["conversations", "messages", "delivery_reports", "events", "idempotency_keys"];

/// Rows in one page, and about how many bytes: an event may have a megabyte.
const PAGE_ROWS: u64 = 1_000;
const PAGE_BYTES: i64 = 4 << 20;
/// The most values in one statement: SQLite takes 32,766, PostgreSQL 65,535.
const BINDS: usize = 32_000;

/// One table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    columns: Vec<(&'static str, Kind)>,
    keys: Vec<&'static str>,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Bytes,
    Small,
    Integer,
    Big,
}

/// The values of a row, in the order of the columns.
pub(super) type Row = Vec<Value>;

/// The tables to copy, in the order of [`TABLES`].
pub(super) fn tables() -> Result<[Table; 5], DbErr> {
    Ok([
        Table::of::<conversation::Entity>(TABLES[0])?,
        Table::of::<message::Entity>(TABLES[1])?,
        Table::of::<delivery_report::Entity>(TABLES[2])?,
        Table::of::<event::Entity>(TABLES[3])?,
        Table::of::<idempotency_key::Entity>(TABLES[4])?,
    ])
}

impl Table {
    fn of<E: EntityTrait>(name: &'static str) -> Result<Self, DbErr> {
        let column = |column: E::Column| Ok((column.as_str(), Kind::of(&column.def())?));
        Ok(Self {
            name,
            columns: E::Column::iter().map(column).collect::<Result<_, DbErr>>()?,
            keys: E::PrimaryKey::iter().map(|key| key.as_str()).collect(),
        })
    }

    /// The names of the columns.
    pub(super) fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|(name, _)| *name)
    }

    /// How many rows it has.
    pub(super) async fn count(&self, db: &impl ConnectionTrait) -> Result<u64, DbErr> {
        let mut query = Query::select();
        query.expr(Func::count(Expr::val(1))).from(self.name);
        let row = db.query_one(&query).await?;
        let count: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// The key of the last row.
    pub(super) async fn last(&self, db: &impl ConnectionTrait) -> Result<Option<Row>, DbErr> {
        let mut query = Query::select();
        query.columns(self.keys.iter().map(|key| Alias::new(*key))).from(self.name).limit(1);
        for key in &self.keys {
            query.order_by(Alias::new(*key), sea_orm::Order::Desc);
        }
        let row = db.query_one(&query).await?;
        row.map(|row| read(&row, self.key_kinds())).transpose()
    }

    /// The rows after a key, as many as make a page.
    pub(super) async fn page(
        &self,
        db: &impl ConnectionTrait,
        after: Option<&Row>,
    ) -> Result<Vec<Row>, DbErr> {
        let Some(end) = self.end_of_page(db, after).await? else { return Ok(Vec::new()) };
        let mut query = Query::select();
        query.columns(self.columns().map(Alias::new)).from(self.name);
        if let Some(after) = after {
            query.and_where(self.key().gt(values(after)));
        }
        query.and_where(self.key().lte(values(&end)));
        for key in &self.keys {
            query.order_by(Alias::new(*key), sea_orm::Order::Asc);
        }
        let rows = db.query_all(&query).await?;
        let kinds = || self.columns.iter().map(|(_, kind)| *kind);
        rows.iter().map(|row| read(row, kinds())).collect()
    }

    /// The key of the last row of a page: so many rows, unless they are large. Only their lengths
    /// are read.
    async fn end_of_page(
        &self,
        db: &impl ConnectionTrait,
        after: Option<&Row>,
    ) -> Result<Option<Row>, DbErr> {
        let mut query = Query::select();
        query.columns(self.keys.iter().map(|key| Alias::new(*key)));
        query.expr(self.size(db.get_database_backend())).from(self.name).limit(PAGE_ROWS);
        if let Some(after) = after {
            query.and_where(self.key().gt(values(after)));
        }
        for key in &self.keys {
            query.order_by(Alias::new(*key), sea_orm::Order::Asc);
        }
        let (mut end, mut bytes) = (None, 0_i64);
        for row in db.query_all(&query).await? {
            bytes += row.try_get_by_index::<i64>(self.keys.len())?;
            if end.is_some() && bytes > PAGE_BYTES {
                break;
            }
            end = Some(row);
        }
        end.map(|row| read(&row, self.key_kinds())).transpose()
    }

    /// How many bytes the variable columns of a row have.
    fn size(&self, backend: DatabaseBackend) -> SimpleExpr {
        let is_long = |kind: Kind| matches!(kind, Kind::Text | Kind::Bytes);
        let length = |name: &str| match backend {
            DatabaseBackend::Sqlite => format!("coalesce(length(cast({name} AS blob)), 0)"),
            _ => format!("coalesce(octet_length({name}), 0)::bigint"),
        };
        let long = self.columns.iter().filter(|(_, kind)| is_long(*kind));
        let sum: Vec<_> = long.map(|(name, _)| length(name)).collect();
        Expr::cust(format!("({})", sum.join(" + ")))
    }

    /// Adds rows; one whose key is there already is left as it is.
    pub(super) async fn insert(
        &self,
        db: &impl ConnectionTrait,
        rows: &[Row],
    ) -> Result<(), DbErr> {
        for chunk in rows.chunks(BINDS / self.columns.len()) {
            let mut insert = Query::insert();
            insert.into_table(self.name).columns(self.columns().map(Alias::new));
            for row in chunk {
                let row = row.iter().cloned().map(SimpleExpr::from);
                insert.values(row).map_err(|error| DbErr::Custom(error.to_string()))?;
            }
            let known = self.keys.iter().map(|key| Alias::new(*key));
            insert.on_conflict(OnConflict::columns(known).do_nothing().to_owned());
            db.execute(&insert).await?;
        }
        Ok(())
    }

    /// The key of one of its rows.
    pub(super) fn key_of(&self, row: &Row) -> Row {
        let is_key = |name: &str| self.keys.contains(&name);
        let cells = self.columns.iter().zip(row);
        cells.filter(|((name, _), _)| is_key(name)).map(|(_, value)| value.clone()).collect()
    }

    fn key(&self) -> SimpleExpr {
        Expr::tuple(self.keys.iter().map(|key| Expr::col(Alias::new(*key))))
    }

    fn key_kinds(&self) -> impl Iterator<Item = Kind> {
        let kind = |key| self.columns.iter().find(|(name, _)| *name == key);
        self.keys.iter().filter_map(move |key| kind(*key)).map(|(_, kind)| *kind)
    }
}

fn values(row: &Row) -> SimpleExpr {
    Expr::tuple(row.iter().cloned().map(Expr::val))
}

impl Kind {
    fn of(column: &sea_orm::ColumnDef) -> Result<Self, DbErr> {
        Ok(match column.get_column_type() {
            ColumnType::Text | ColumnType::String(_) | ColumnType::Char(_) => Self::Text,
            ColumnType::Blob | ColumnType::VarBinary(_) => Self::Bytes,
            ColumnType::SmallInteger => Self::Small,
            ColumnType::Integer => Self::Integer,
            ColumnType::BigInteger => Self::Big,
            other => return Err(DbErr::Type(format!("no way to copy a column of {other:?}"))),
        })
    }

    fn read(self, row: &QueryResult, place: usize) -> Result<Value, DbErr> {
        Ok(match self {
            Self::Text => row.try_get_by_index::<Option<String>>(place)?.into(),
            Self::Bytes => row.try_get_by_index::<Option<Vec<u8>>>(place)?.into(),
            Self::Small => row.try_get_by_index::<Option<i16>>(place)?.into(),
            Self::Integer => row.try_get_by_index::<Option<i32>>(place)?.into(),
            Self::Big => row.try_get_by_index::<Option<i64>>(place)?.into(),
        })
    }
}

fn read(row: &QueryResult, kinds: impl Iterator<Item = Kind>) -> Result<Row, DbErr> {
    kinds.enumerate().map(|(place, kind)| kind.read(row, place)).collect()
}
