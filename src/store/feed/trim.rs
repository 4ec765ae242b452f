//! Removing old entries.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::entries::ENTRIES_IN_ROW;
use crate::domain::Timestamp;
use crate::error::Error;
use crate::store::Store;
use crate::store::db_error::OrTell;
use crate::store::entity::{feed, micros};
use crate::store::job::Settlement;
use crate::store::transaction::WriteTransaction;
use crate::store::writer::Writer;

/// How many rows are removed at once: few, since webhooks wait meanwhile.
const STEP: u64 = 500;

/// What one step has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trimmed {
    /// How many entries.
    pub(crate) removed: u64,
    /// Whether there may be more.
    pub(crate) has_more: bool,
}

impl Store {
    /// How many entries [`trim_feed`](Writer::trim_feed) would remove in all.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn count_old_feed(&self, before: Timestamp) -> Result<u64, Error> {
        let kept = self.feed_before(before).await?.position;
        let old = feed::Entity::find().filter(feed::Column::Position.lt(kept)).select_only();
        let sum = Expr::cust(format!("CAST(coalesce(sum({ENTRIES_IN_ROW}), 0) AS bigint)"));
        let count: Option<i64> = old.expr(sum).into_tuple().one(&self.reader).await.or_tell()?;
        Ok(count.unwrap_or_default().unsigned_abs())
    }
}

impl Writer {
    /// Removes some of the entries from before a time, oldest first, except for the last of them.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn trim_feed(&self, before: Timestamp) -> Result<Trimmed, Error> {
        self.settle(TrimFeed { before }).await
    }
}

#[derive(Debug)]
struct TrimFeed {
    before: Timestamp,
}

impl Settlement for TrimFeed {
    type Output = Trimmed;

    async fn write(&self, db: &WriteTransaction) -> Result<Trimmed, DbErr> {
        let oldest = oldest(db).await?;
        let old = oldest.iter().take_while(|(_, at, _)| *at < micros(self.before)).count();
        // The last of them stays: a reader that has seen it misses nothing.
        let Some((last, removed)) = oldest[..old].split_last() else {
            return Ok(Trimmed::default());
        };
        let before = feed::Column::Position.lt(last.0);
        feed::Entity::delete_many().filter(before).exec(db).await?;
        let removed: i64 = removed.iter().map(|(.., entries)| entries).sum();
        Ok(Trimmed { removed: removed.unsigned_abs(), has_more: old as u64 > STEP })
    }
}

/// Position, time and number of entries of the oldest rows, one more than are removed at once.
async fn oldest(db: &impl ConnectionTrait) -> Result<Vec<(i64, i64, i64)>, DbErr> {
    feed::Entity::find()
        .select_only()
        .columns([feed::Column::Position, feed::Column::At])
        .expr(Expr::cust(format!("CAST({ENTRIES_IN_ROW} AS bigint)")))
        .order_by_asc(feed::Column::Position)
        .limit(STEP + 1)
        .into_tuple()
        .all(db)
        .await
}
