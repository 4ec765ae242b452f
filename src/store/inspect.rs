//! How the database and its writer stand, for whoever watches the server.

use sea_orm::{ColumnTrait, DatabaseBackend, EntityTrait, QueryFilter, QuerySelect};

use super::connect::{READERS, Store};
use super::entity::message;
use super::failure::tell;
use super::settle::open;
use crate::domain::{Status, Timestamp};
use crate::error::Error;
use crate::metrics::{Connections, Open};

impl Store {
    /// The connections that the server reads with.
    #[must_use]
    pub fn connections(&self) -> Connections {
        let (size, idle) = match self.reader.link() {
            Ok(link) if self.reader.get_database_backend() == DatabaseBackend::Postgres => {
                let pool = link.db.get_postgres_connection_pool();
                (pool.size(), pool.num_idle())
            }
            Ok(link) => {
                let pool = link.db.get_sqlite_connection_pool();
                (pool.size(), pool.num_idle())
            }
            // They are being replaced.
            Err(_) => (0, 0),
        };
        let size = size as usize;
        // The two numbers are read one after the other.
        Connections { idle, in_use: size.saturating_sub(idle), limit: READERS as usize }
    }

    /// The messages whose outcome is open, by their status, as of an instant. Walks the index on
    /// these few.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn open_messages(&self, now: Timestamp) -> Result<Vec<Open>, Error> {
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
            .map_err(|error| tell(&error))?;
        let of = |status: Status| {
            let row = found.iter().find(|(rank, ..)| *rank == status.rank());
            let (_, count, oldest) = row.copied().unwrap_or((0, 0, now.as_micros()));
            let oldest_seconds = now.as_micros().saturating_sub(oldest) as f64 / 1e6;
            Open { status, count, oldest_seconds }
        };
        Ok([Status::Pending, Status::Unknown].map(of).into())
    }
}
