//! Removing old entries.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use crate::domain::Timestamp;
use crate::error::Error;
use crate::store::entity::{feed, micros};
use crate::store::job::Settlement;
use crate::store::transaction::WriteTransaction;
use crate::store::writer::Writer;

/// How many entries are removed at once: few, since webhooks wait meanwhile.
const STEP: u64 = 500;

impl Writer {
    /// Removes some of the entries from before a time, oldest first, except for the last of them.
    /// Returns whether there may be more.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn trim_feed(&self, before: Timestamp) -> Result<bool, Error> {
        self.settle(TrimFeed { before }).await
    }
}

#[derive(Debug)]
struct TrimFeed {
    before: Timestamp,
}

impl Settlement for TrimFeed {
    type Output = bool;

    async fn write(&self, db: &WriteTransaction) -> Result<bool, DbErr> {
        let oldest = oldest(db).await?;
        let old = oldest.iter().take_while(|(_, at)| *at < micros(self.before)).count();
        // The last of them stays: a reader that has seen it misses nothing.
        let Some((kept, _)) = oldest.get(old.saturating_sub(1)) else { return Ok(false) };
        feed::Entity::delete_many().filter(feed::Column::Position.lt(*kept)).exec(db).await?;
        Ok(old as u64 > STEP)
    }
}

/// Position and time of the oldest entries, one more than are removed at once.
async fn oldest(db: &impl ConnectionTrait) -> Result<Vec<(i64, i64)>, DbErr> {
    feed::Entity::find()
        .select_only()
        .columns([feed::Column::Position, feed::Column::At])
        .order_by_asc(feed::Column::Position)
        .limit(STEP + 1)
        .into_tuple()
        .all(db)
        .await
}
