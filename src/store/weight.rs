//! Pages limited in bytes as well as in rows: most messages are short, but one may have a megabyte.
//!
//! A page is first read without the long columns of its heavy rows, which are then read for as many rows
//! as the page has room for.

mod thread;

use std::cmp::min;
use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait, SimpleExpr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, IdenStatic, QueryFilter,
    QueryResult, QuerySelect, Select,
};
use uuid::Uuid;

use super::entity::message;
use super::entity::message::{Column, Entity};

pub(super) use thread::page;

/// The most bytes of messages in a page of more than one row.
pub(super) const PAGE_BYTES: u64 = 512 * 1024;
/// The most bytes of a light row. A text of ten segments has at most 4,590.
const LIGHT: i64 = 5_000;
/// How many rows of a page are read first.
const FIRST_ROWS: u64 = 8;
/// The columns of variable length that may be long.
const LONG: [Column; 8] = [
    Column::Recipients,
    Column::Cc,
    Column::Body,
    Column::Subject,
    Column::Media,
    Column::Error,
    Column::RequestBody,
    Column::Refusal,
];
/// The name of the expression that tells how many bytes a row has.
pub(super) const WEIGHT: &str = "weight";

/// The bytes in the long columns of a message.
pub(super) fn weight() -> Expr {
    let length =
        |column: Column| format!("coalesce(octet_length(messages.{}), 0)", column.as_str());
    Expr::cust(format!("CAST({} AS bigint)", LONG.map(length).join(" + ")))
}

/// Whether a message is light.
pub(super) fn is_light() -> SimpleExpr {
    weight().lte(LIGHT)
}

/// A column of a message, empty if it is long and the row is heavy.
pub(super) fn if_light(column: Column) -> Expr {
    if !LONG.iter().any(|long| long.as_str() == column.as_str()) {
        return column.into_expr();
    }
    let value = Expr::case(is_light(), column.into_expr());
    match column {
        Column::Body => value.finally("").into(),
        _ => value.into(),
    }
}

/// The first rows that a query finds, as many as fit on a page.
pub(super) struct Fitting<T> {
    pub(super) rows: Vec<T>,
    /// Whether the query finds no more.
    pub(super) is_all: bool,
}

/// Reads the first rows of a query, at most `limit`, as far as they fit on a page.
pub(super) async fn fitting<E: EntityTrait, T: FromQueryResult + Send + Sync>(
    db: &impl ConnectionTrait,
    query: Select<E>,
    limit: u64,
    weight: impl Fn(&T) -> u64,
) -> Result<Fitting<T>, DbErr> {
    // One row more than asked for shows whether there is a next page.
    let wanted = limit.saturating_add(1);
    let mut asked = min(wanted, FIRST_ROWS);
    loop {
        let mut rows: Vec<T> = query.clone().limit(asked).into_model().all(db).await?;
        let weights: Vec<_> = rows.iter().map(&weight).collect();
        match after(&weights, asked, wanted) {
            Next::Read(more) => asked = more,
            Next::Keep(fitting) => {
                let kept = min(fitting, usize::try_from(limit).unwrap_or(usize::MAX));
                let is_all = kept == rows.len();
                rows.truncate(kept);
                return Ok(Fitting { rows, is_all });
            }
        }
    }
}

/// What follows after some rows of a page.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// They are not enough: so many are read.
    Read(u64),
    /// So many of them fit, and no others do: at least one, if there is any.
    Keep(usize),
}

/// What follows after rows of these weights, as many as `asked` unless there are no more. What is stored
/// behind a long text is slow to read on SQLite, which follows all pages of the text to it, so not many heavy
/// rows are read of which only the first ones fit.
fn after(weights: &[u64], asked: u64, wanted: u64) -> Next {
    let mut sum = 0_u64;
    let fits = |weight: &&u64| {
        sum = sum.saturating_add(**weight);
        sum <= PAGE_BYTES
    };
    let fitting = weights.iter().take_while(fits).count().max(min(weights.len(), 1));
    let has_more = weights.len() as u64 == asked && asked < wanted;
    if fitting < weights.len() || !has_more {
        return Next::Keep(fitting);
    }
    match weights.iter().any(|weight| is_heavy(*weight)) {
        true => Next::Read(min(asked.saturating_mul(FIRST_ROWS), wanted)),
        false => Next::Read(wanted),
    }
}

pub(super) fn is_heavy(weight: u64) -> bool {
    weight > LIGHT.unsigned_abs()
}

/// The weight of a row.
pub(super) fn read(row: &QueryResult, prefix: &str) -> Result<u64, DbErr> {
    let weight: Option<i64> = row.try_get(prefix, WEIGHT)?;
    Ok(weight.unwrap_or_default().unsigned_abs())
}

/// The last messages with some ids, whole.
pub(super) async fn last_messages(
    db: &impl ConnectionTrait,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, message::LastMessageRow>, DbErr> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let query = Entity::find().filter(Column::Id.is_in(ids.iter().copied()));
    let query = query.select_only().columns(message::LastMessageRow::COLUMNS);
    let rows = query.into_model::<message::LastMessageRow>().all(db).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_rows_are_read_as_long_as_they_fit() {
        let next = |weight: u64, asked: u64, wanted: u64| {
            let weights = vec![weight; usize::try_from(asked).expect("few")];
            after(&weights, asked, wanted)
        };
        assert_eq!(next(70, 8, 1_001), Next::Read(1_001), "short ones at once");
        assert_eq!(next(6_000, 8, 1_001), Next::Read(64), "long ones by and by");
        assert_eq!(next(6_000, 64, 100), Next::Read(100));
        assert_eq!(next(900_000, 8, 1_001), Next::Keep(1), "one fills the page");
        assert_eq!(next(200_000, 8, 1_001), Next::Keep(2), "two fill it");
        assert_eq!(next(70, 8, 8), Next::Keep(8), "as many as wanted");
        assert_eq!(after(&[70; 7], 8, 1_001), Next::Keep(7), "there are no more");
        assert_eq!(after(&[], 8, 1_001), Next::Keep(0), "there are none");
    }
}
