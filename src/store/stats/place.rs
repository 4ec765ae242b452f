//! How far the sums follow the feed.

use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryOrder};
use uuid::Uuid;

use super::{execute, query};
use crate::domain::FeedCursor;
use crate::error::Error;
use crate::store::Store;
use crate::store::db_error::OrTell;
use crate::store::entity::feed;
use crate::store::job::Settlement;
use crate::store::transaction::WriteTransaction;
use crate::store::writer::Writer;

/// Of the rules by which sums are made. Where they change, all are made anew.
const VERSION: i32 = 1;

/// The entry of the feed up to which the blocks of all changed messages are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StatsPlace(pub(super) FeedCursor);

impl StatsPlace {
    /// Whether it is at an entry of the feed or after it.
    pub(crate) fn has_reached(self, head: FeedCursor) -> bool {
        self.0.position >= head.position
    }

    async fn read(db: &impl ConnectionTrait) -> Result<Option<Self>, DbErr> {
        let sql = "SELECT version, position, nonce FROM stats_place WHERE id = 1";
        let rows = query(db, sql, []).await?;
        let row = rows.first().ok_or_else(|| DbErr::RecordNotFound("stats_place".to_owned()))?;
        let version: i32 = row.try_get_by_index(0)?;
        let position: Option<i64> = row.try_get_by_index(1)?;
        let nonce: Option<i32> = row.try_get_by_index(2)?;
        let cursor = |(position, nonce): (i64, i32)| {
            Self(FeedCursor { position, nonce: nonce.cast_unsigned() })
        };
        Ok(position.zip(nonce).filter(|_| version == VERSION).map(cursor))
    }

    /// Moves the place within a transaction, unless another process has moved it. Returns whether it was
    /// moved. Whoever moves it also keeps the place for itself until the end of the transaction.
    pub(super) async fn advance(self, to: Self, db: &WriteTransaction) -> Result<bool, DbErr> {
        let sql = "UPDATE stats_place SET position = $1, nonce = $2 \
                   WHERE id = 1 AND version = $3 AND position = $4 AND nonce = $5";
        let values = [
            to.0.position.into(),
            to.0.nonce.cast_signed().into(),
            VERSION.into(),
            self.0.position.into(),
            self.0.nonce.cast_signed().into(),
        ];
        Ok(execute(db, sql, values).await? == 1)
    }
}

impl Store {
    /// How far the sums follow the feed; `None` if they have to begin.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn stats_place(&self) -> Result<Option<StatsPlace>, Error> {
        StatsPlace::read(&self.reader).await.or_tell()
    }
}

impl Writer {
    /// Begins: the sums of all messages that there are now have to be made, and then the feed is followed.
    /// Does nothing if the place is no longer `seen`.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn begin_stats(&self, seen: Option<StatsPlace>) -> Result<(), Error> {
        self.settle(BeginStats { seen }).await
    }
}

#[derive(Debug)]
struct BeginStats {
    seen: Option<StatsPlace>,
}

impl Settlement for BeginStats {
    type Output = ();

    async fn write(&self, db: &WriteTransaction) -> Result<(), DbErr> {
        // Locks the row: of several processes, one begins.
        execute(db, "UPDATE stats_place SET version = version WHERE id = 1", []).await?;
        if StatsPlace::read(db).await? != self.seen {
            return Ok(());
        }
        if self.seen.is_none() {
            execute(db, "DELETE FROM stats_totals", []).await?;
            execute(db, "DELETE FROM stats_sums", []).await?;
            execute(db, "DELETE FROM stats_blocks", []).await?;
            let sql = "INSERT INTO stats_blocks (start, revision, dirty) VALUES ($1, 0, 1)";
            execute(db, sql, [Uuid::nil().into()]).await?;
        } else {
            execute(db, "UPDATE stats_blocks SET revision = revision + 1, dirty = 1", []).await?;
        }
        let head = feed::Entity::find().order_by_desc(feed::Column::Position).one(db).await?;
        let head = head.ok_or_else(|| DbErr::RecordNotFound("an entry of the feed".to_owned()))?;
        let sql = "UPDATE stats_place SET version = $1, position = $2, nonce = $3 WHERE id = 1";
        let values = [VERSION.into(), head.position.into(), head.nonce.into()];
        execute(db, sql, values).await.map(drop)
    }
}
