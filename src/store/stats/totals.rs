//! The sums of all blocks together, which change with those of each block.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::DbErr;
use sea_orm::sea_query::Value;
use uuid::Uuid;

use super::read::read_key;
use super::rows::Sums;
use super::{execute, query};
use crate::domain::stats::{Sum, SumKey};
use crate::store::entity::message::direction;
use crate::store::sql::{BulkInsert, run_all};
use crate::store::transaction::WriteTransaction;

/// How many rows are changed by one statement.
const ROWS: usize = 500;

/// Messages, segments, cost in billionths, and delivery times.
pub(super) type SumFigures = [i64; 9];

/// The columns of a sum.
pub(super) const COLUMNS: [&str; 16] = [
    "quarter",
    "direction",
    "status_rank",
    "number",
    "error",
    "error_title",
    "currency",
    "messages",
    "segments",
    "cost",
    "within_5s",
    "within_15s",
    "within_1m",
    "within_5m",
    "within_1h",
    "later",
];

pub(super) fn figures(sum: &Sum) -> SumFigures {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let [a, b, c, d, e, f] = sum.times.map(count);
    [count(sum.messages), count(sum.segments), sum.cost.to_billionths(), a, b, c, d, e, f]
}

/// The values of a row, in the order of [`COLUMNS`].
pub(super) fn row(key: &SumKey, title: &str, figures: SumFigures) -> [Value; COLUMNS.len()] {
    let [messages, segments, cost, a, b, c, d, e, f] = figures.map(Value::from);
    [
        key.quarter.into(),
        direction(key.direction).into(),
        key.status.rank().into(),
        key.number.as_str().into(),
        key.error.as_str().into(),
        title.into(),
        key.currency.as_str().into(),
        messages,
        segments,
        cost,
        a,
        b,
        c,
        d,
        e,
        f,
    ]
}

/// Adds to the totals by how much the new sums of a block differ from those that are stored. In the order of
/// their keys: two servers that change the same rows wait for each other.
pub(super) async fn add(db: &WriteTransaction, block: Uuid, new: &Sums) -> Result<(), DbErr> {
    let changes = differences(stored(db, block).await?, new);
    let changed: Vec<_> = changes.iter().collect();
    for rows in changed.chunks(ROWS) {
        let rows = rows.iter().map(|(key, (title, figures))| row(key, title, *figures));
        let rows: Vec<_> = rows.collect();
        let insert = BulkInsert::new("stats_totals AS t", &COLUMNS, rows).on_conflict(
            "ON CONFLICT (quarter, direction, status_rank, number, error, currency) DO UPDATE SET \
             error_title = CASE WHEN t.error_title < excluded.error_title \
             THEN excluded.error_title ELSE t.error_title END, \
             messages = t.messages + excluded.messages, segments = t.segments + excluded.segments, \
             cost = t.cost + excluded.cost, within_5s = t.within_5s + excluded.within_5s, \
             within_15s = t.within_15s + excluded.within_15s, \
             within_1m = t.within_1m + excluded.within_1m, \
             within_5m = t.within_5m + excluded.within_5m, \
             within_1h = t.within_1h + excluded.within_1h, later = t.later + excluded.later",
        );
        run_all(db, vec![insert]).await?;
    }
    let less = changes.iter().filter(|(_, (_, figures))| figures[0] < 0);
    let quarters: BTreeSet<i64> = less.map(|(key, _)| key.quarter).collect();
    for quarters in quarters.into_iter().collect::<Vec<_>>().chunks(ROWS) {
        let list = quarters.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let sql = format!("DELETE FROM stats_totals WHERE quarter IN ({list}) AND messages = 0");
        execute(db, sql, []).await?;
    }
    Ok(())
}

type StoredSums = BTreeMap<SumKey, (String, SumFigures)>;

async fn stored(db: &WriteTransaction, block: Uuid) -> Result<StoredSums, DbErr> {
    let sql = format!("SELECT {} FROM stats_sums WHERE block = $1", COLUMNS.join(", "));
    let mut stored = StoredSums::new();
    for row in query(db, sql, [block.into()]).await? {
        let mut figures = SumFigures::default();
        for (place, figure) in figures.iter_mut().enumerate() {
            *figure = row.try_get_by_index(place + 7)?;
        }
        stored.insert(read_key(&row)?, (row.try_get_by_index(5)?, figures));
    }
    Ok(stored)
}

/// By how much sums differ from what is stored; only those that do.
fn differences(stored: StoredSums, new: &Sums) -> StoredSums {
    let mut changes = stored;
    for (_, figures) in changes.values_mut() {
        *figures = figures.map(|figure| -figure);
    }
    for (key, sum) in new {
        let (title, change) = changes.entry(key.clone()).or_default();
        title.clone_from(&sum.title);
        for (own, added) in change.iter_mut().zip(figures(sum)) {
            *own += added;
        }
    }
    changes.retain(|_, (_, figures)| *figures != SumFigures::default());
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Direction, Status};

    #[test]
    fn only_what_differs_is_added() {
        let key = |status: Status| SumKey {
            quarter: 7,
            direction: Direction::Outbound,
            status,
            number: "+1".into(),
            error: String::new(),
            currency: String::new(),
        };
        let messages = |messages: u64| Sum { messages, ..Sum::default() };
        let stored = [(Status::Sent, 3), (Status::Queued, 2), (Status::Read, 1)]
            .map(|(status, count)| (key(status), (String::new(), figures(&messages(count)))));
        let new = [(Status::Sent, 1), (Status::Read, 1), (Status::Delivered, 4)]
            .map(|(status, count)| (key(status), messages(count)));
        let changes = differences(stored.into(), &new.into());
        let found: Vec<_> =
            changes.iter().map(|(key, (_, figures))| (key.status, figures[0])).collect();
        assert_eq!(found, [(Status::Queued, -2), (Status::Sent, -2), (Status::Delivered, 4)]);
    }
}
