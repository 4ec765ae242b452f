//! The figures about the database that the metrics show.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, EntityTrait, QueryFilter, QuerySelect,
};

use super::connect::{READERS, Store};
use super::db_error::OrTell;
use super::entity::message;
use super::settle::write::open;
use crate::domain::{Status, Timestamp};
use crate::error::Error;
use crate::metrics::{ForwardStats, PoolStats, UnsettledStats};

impl Store {
    /// The connections that the server reads with.
    pub(crate) fn connections(&self) -> PoolStats {
        let (size, idle) = match self.reader.pool() {
            Ok(pool) if self.reader.get_database_backend() == DatabaseBackend::Postgres => {
                let pool = pool.db.get_postgres_connection_pool();
                (pool.size(), pool.num_idle())
            }
            Ok(pool) => {
                let pool = pool.db.get_sqlite_connection_pool();
                (pool.size(), pool.num_idle())
            }
            // The connections are being replaced.
            Err(_) => (0, 0),
        };
        let size = size as usize;
        // The two numbers are not read at the same moment.
        PoolStats { idle, in_use: size.saturating_sub(idle), limit: READERS as usize }
    }

    /// How far forwarding to each name is behind at `now`.
    pub(crate) async fn forward_stats(&self, now: Timestamp) -> Result<Vec<ForwardStats>, Error> {
        let mut all = Vec::new();
        for forward in self.forwards().await? {
            let lag = self.forward_lag(forward.live.after.position, i64::MAX).await?;
            let seconds = lag.oldest.map_or(0, |oldest| now.seconds_since(oldest));
            let seconds = u64::try_from(seconds).unwrap_or_default();
            all.push(ForwardStats { name: forward.name, events: lag.entries, seconds });
        }
        Ok(all)
    }

    /// The messages whose outcome is open, by status, with their age at `now`. There are few, and
    /// they have an index.
    pub(crate) async fn open_messages(&self, now: Timestamp) -> Result<Vec<UnsettledStats>, Error> {
        use message::Column as C;
        let found: Vec<(i16, i64, i64)> = message::Entity::find()
            .select_only()
            .column(C::StatusRank)
            .column_as(C::Id.count(), "count")
            .column_as(C::CreatedAt.min(), "oldest")
            .filter(open())
            .group_by(C::StatusRank)
            .into_tuple()
            .all(&self.reader)
            .await
            .or_tell()?;
        let with_status = |status: Status| {
            let row = found.iter().find(|(rank, ..)| *rank == status.rank());
            let (_, count, oldest) = row.copied().unwrap_or((0, 0, now.as_micros()));
            let oldest_seconds = now.as_micros().saturating_sub(oldest) as f64 / 1e6;
            UnsettledStats { status, count, oldest_seconds }
        };
        Ok([Status::Pending, Status::Unknown].map(with_status).into())
    }
}
