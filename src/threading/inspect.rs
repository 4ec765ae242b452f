//! Statistics for `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use super::Conversations;
use crate::clock;
use crate::metrics::{Snapshot, UnsettledStats};
use crate::store::writer::Writer;

impl Conversations {
    /// The current statistics. Those from the database are missing if it does not answer within
    /// `timeout`.
    pub async fn snapshot(&self, timeout: Duration) -> Snapshot {
        let queue = self.store.writer().map(Writer::queue).unwrap_or_default();
        let connections = self.store.connections();
        let unsettled = tokio::time::timeout(timeout, self.unsettled()).await;
        Snapshot { queue, connections, unsettled: unsettled.ok().flatten() }
    }

    /// There is one query at a time, which runs to its end: while the database hangs, scrapes occupy a
    /// single connection.
    async fn unsettled(&self) -> Option<Vec<UnsettledStats>> {
        let permit = Arc::clone(&self.stats_query).lock_owned().await;
        let store = self.store.clone();
        let query = tokio::spawn(async move {
            let _permit = permit;
            store.open_messages(clock::now()).await
        });
        query.await.ok()?.ok()
    }
}
