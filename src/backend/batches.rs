//! Batches, here or at a server.

use super::Backend;
use crate::domain::{BatchCheck, BatchId, BatchInfo, BatchRecord, BatchRows};
use crate::error::Error;

impl Backend {
    /// What is known of a batch and of some of its rows.
    ///
    /// # Errors
    /// `invalid_number`; the database or the server cannot be reached, as for the other method here.
    pub async fn check_batch(&self, id: &BatchId, rows: &BatchRows) -> Result<BatchCheck, Error> {
        match self {
            Self::Local(conversations) => conversations.check_batch(id, rows).await,
            Self::Remote(client) => client.check_batch(id, rows).await,
        }
    }

    /// Records that sending a batch has begun, or that nothing of it is left to be sent.
    ///
    /// # Errors
    /// The database or the server cannot be reached.
    pub async fn record_batch(
        &self,
        id: &BatchId,
        record: &BatchRecord,
    ) -> Result<BatchInfo, Error> {
        match self {
            Self::Local(conversations) => conversations.record_batch(id, record).await,
            Self::Remote(client) => client.record_batch(id, record).await,
        }
    }
}
