//! Batches, as a server knows them.

use super::Client;
use crate::domain::{BatchCheck, BatchId, BatchInfo, BatchRecord, BatchRows};
use crate::error::Error;

impl Client {
    /// What is known of a batch and of some of its rows.
    ///
    /// # Errors
    /// The server's; `server_unreachable` or `server_mismatch`, as for the other method here.
    pub async fn check_batch(&self, id: &BatchId, rows: &BatchRows) -> Result<BatchCheck, Error> {
        let url = self.address.join(&["batches", id.as_str(), "check"]);
        self.run(self.http.post(url).json(rows)).await
    }

    /// Records a batch as begun or finished.
    ///
    /// # Errors
    /// The server's.
    pub async fn record_batch(
        &self,
        id: &BatchId,
        record: &BatchRecord,
    ) -> Result<BatchInfo, Error> {
        let url = self.address.join(&["batches", id.as_str()]);
        self.run(self.http.post(url).json(record)).await
    }
}
