//! Statistics, of the database or by a server.

use super::{Backend, INDEX_PATIENCE};
use crate::domain::{Stats, StatsQuery};
use crate::error::Error;

impl Backend {
    /// Statistics about messages.
    ///
    /// # Errors
    /// Too many messages would have to be grouped by contact; the database or the server cannot be reached.
    pub async fn stats(&self, query: &StatsQuery) -> Result<Stats, Error> {
        match self {
            Self::Local(conversations) => conversations.stats(query, INDEX_PATIENCE).await,
            Self::Remote(client) => client.stats(query).await,
        }
    }
}
