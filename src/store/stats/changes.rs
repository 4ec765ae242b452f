//! Which messages have changed, and marking the blocks that they are in.

use std::collections::BTreeSet;

use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::{StatsPlace, execute, query};
use crate::error::Error;
use crate::store::Store;
use crate::store::db_error::OrTell;
use crate::store::feed::{FeedEntries, entries_after};
use crate::store::job::Settlement;
use crate::store::sql::{BulkInsert, run_all};
use crate::store::transaction::WriteTransaction;
use crate::store::writer::Writer;

/// How many entries of the feed, and how many other changes, are taken at once.
const BATCH: u64 = 1_000;
/// Ids that are less than this apart, in milliseconds, are taken as one range: an hour.
const GAP: u128 = 3_600_000;

/// What is next to be marked.
#[derive(Debug)]
pub(crate) enum PendingChanges {
    /// Some changes.
    Next(BlockMarks),
    /// Nothing.
    Nothing,
    /// The entry of the feed at the place is not there: everything has to be made anew.
    PlaceLost,
}

/// The blocks to mark, and the place before and after that.
#[derive(Debug)]
pub(crate) struct BlockMarks {
    from: StatsPlace,
    to: StatsPlace,
    blocks: Vec<Uuid>,
    /// The keys of other changes that are then dealt with.
    changes: Vec<i64>,
}

/// Two ids and all between them.
type IdRange = (Uuid, Uuid);

/// Records, at the end of a transaction, that it has changed or removed messages without an entry in the
/// feed.
pub(in crate::store) async fn record_changes(
    db: &impl ConnectionTrait,
    messages: Vec<Uuid>,
) -> Result<(), DbErr> {
    let rows = ranges(messages).into_iter().map(|(first, last)| [first.into(), last.into()]);
    let rows: Vec<[Value; 2]> = rows.collect();
    run_all(db, vec![BulkInsert::new("stats_changes", &["first_id", "last_id"], rows)])
        .await
        .map(drop)
}

/// Few ranges that have all of some ids, which begin with a time in milliseconds.
fn ranges(mut ids: Vec<Uuid>) -> Vec<IdRange> {
    let millis = |id: Uuid| id.as_u128() >> 80;
    ids.sort_unstable();
    let mut ranges: Vec<IdRange> = Vec::new();
    for id in ids {
        match ranges.last_mut() {
            Some((_, last)) if millis(id) - millis(*last) < GAP => *last = id,
            _ => ranges.push((id, id)),
        }
    }
    ranges
}

impl Store {
    /// What has changed after a place.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn pending_changes(&self, from: StatsPlace) -> Result<PendingChanges, Error> {
        let found = entries_after(&self.reader, from.0, BATCH).await.or_tell()?;
        let Some(FeedEntries { entries: new, .. }) = found else {
            return Ok(PendingChanges::PlaceLost);
        };
        let (changes, mut ids) = self.other_changes().await.or_tell()?;
        if new.is_empty() && changes.is_empty() {
            return Ok(PendingChanges::Nothing);
        }
        ids.extend(ranges(new.iter().filter_map(|entry| entry.message_id).collect()));
        let blocks = self.blocks_of(&ids).await.or_tell()?;
        let to = new.last().map_or(from, |last| StatsPlace(last.cursor));
        Ok(PendingChanges::Next(BlockMarks { from, to, blocks, changes }))
    }

    /// Changes that are not in the feed.
    async fn other_changes(&self) -> Result<(Vec<i64>, Vec<IdRange>), DbErr> {
        let sql =
            format!("SELECT key, first_id, last_id FROM stats_changes ORDER BY key LIMIT {BATCH}");
        let (mut keys, mut ids) = (Vec::new(), Vec::new());
        for row in query(&self.reader, sql, []).await? {
            keys.push(row.try_get_by_index(0)?);
            ids.push((row.try_get_by_index(1)?, row.try_get_by_index(2)?));
        }
        Ok((keys, ids))
    }

    /// The blocks that some ids are in.
    async fn blocks_of(&self, ids: &[IdRange]) -> Result<Vec<Uuid>, DbErr> {
        let sql = "SELECT start FROM stats_blocks WHERE start > $1 AND start <= $2 UNION ALL \
                   SELECT start FROM (SELECT start FROM stats_blocks WHERE start <= $1 \
                   ORDER BY start DESC LIMIT 1) AS b";
        let mut blocks = BTreeSet::new();
        for (first, last) in ids {
            for row in query(&self.reader, sql, [(*first).into(), (*last).into()]).await? {
                blocks.insert(row.try_get_by_index(0)?);
            }
        }
        Ok(blocks.into_iter().collect())
    }
}

impl Writer {
    /// Marks blocks and moves the place, unless another process has moved it.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn mark_blocks(&self, marks: BlockMarks) -> Result<(), Error> {
        self.settle(marks).await
    }
}

impl Settlement for BlockMarks {
    type Output = ();

    async fn write(&self, db: &WriteTransaction) -> Result<(), DbErr> {
        if !self.from.advance(self.to, db).await? {
            return Ok(());
        }
        // A block that was divided meanwhile has a new one beside it, which is marked from the beginning.
        for blocks in self.blocks.chunks(500) {
            let sql = format!(
                "UPDATE stats_blocks SET revision = revision + 1, dirty = 1 WHERE start IN ({})",
                places(blocks.len())
            );
            execute(db, sql, blocks.iter().map(|start| Value::from(*start))).await?;
        }
        for keys in self.changes.chunks(500) {
            let sql = format!("DELETE FROM stats_changes WHERE key IN ({})", places(keys.len()));
            execute(db, sql, keys.iter().map(|key| Value::from(*key))).await?;
        }
        Ok(())
    }
}

fn places(count: usize) -> String {
    (1..=count).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_about_the_same_time_are_one_range() {
        let id = |millis: u128, rest: u128| Uuid::from_u128(millis << 80 | rest);
        let ids = vec![id(9_000_000, 1), id(1, 7), id(3_600_000, 0), id(1, 2), id(9_000_000, 1)];
        let expected = vec![(id(1, 2), id(3_600_000, 0)), (id(9_000_000, 1), id(9_000_000, 1))];
        assert_eq!(ranges(ids), expected);
        assert_eq!(ranges(Vec::new()), Vec::new());
    }
}
