//! Pages limited in bytes as well as in rows: most messages are short, but one may have a megabyte.
//!
//! A page is first read without the long columns of its heavy rows, which are then read for as many rows
//! as the page has room for.

mod thread;

use std::cmp::min;
use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait, SimpleExpr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IdenStatic, QueryFilter, QueryResult,
    QuerySelect,
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
pub(super) const FIRST_ROWS: u64 = 8;
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

/// How many of some rows fit on a page of so many bytes, given the weight of each: at least one.
pub(super) fn fitting(weights: impl Iterator<Item = u64>, bytes: u64) -> usize {
    let mut sum = 0_u64;
    let fits = |weight: &u64| {
        sum = sum.saturating_add(*weight);
        sum <= bytes
    };
    weights.take_while(fits).count().max(1)
}

/// How many rows of a page to read next, if those that were read, as many as `asked`, are not enough. What
/// is stored behind a long text is slow to read on SQLite, which follows all pages of the text to it, so not
/// many heavy rows are read of which only the first ones fit.
pub(super) fn more(weights: &[u64], asked: u64, wanted: u64, bytes: u64) -> Option<u64> {
    let is_full = fitting(weights.iter().copied(), bytes) < weights.len();
    if is_full || (weights.len() as u64) < asked || asked >= wanted {
        return None;
    }
    let is_light = !weights.iter().any(|weight| is_heavy(*weight));
    Some(if is_light { wanted } else { min(asked.saturating_mul(FIRST_ROWS), wanted) })
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
            more(&weights, asked, wanted, PAGE_BYTES)
        };
        assert_eq!(next(70, 8, 1_001), Some(1_001), "short ones at once");
        assert_eq!(next(6_000, 8, 1_001), Some(64), "long ones by and by");
        assert_eq!(next(6_000, 64, 100), Some(100));
        assert_eq!(next(900_000, 8, 1_001), None, "one fills the page");
        assert_eq!(next(70, 8, 8), None, "as many as wanted");
        assert_eq!(more(&[70; 7], 8, 1_001, PAGE_BYTES), None, "there are no more");
    }
}
