//! Statistics for `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use super::Conversations;
use crate::clock;
use crate::metrics::{ForwardStats, Snapshot, UnsettledStats};
use crate::store::writer::Writer;

impl Conversations {
    /// The current statistics. Those from the database are missing if it does not answer within
    /// `timeout`.
    pub async fn snapshot(&self, timeout: Duration) -> Snapshot {
        let queue = self.store.writer().map(Writer::queue).unwrap_or_default();
        let connections = self.store.connections();
        let figures = tokio::time::timeout(timeout, self.figures()).await;
        let (unsettled, forwards) = figures.ok().flatten().unzip();
        Snapshot { queue, connections, unsettled, forwards: forwards.unwrap_or_default() }
    }

    /// There is one query at a time, which runs to its end: while the database hangs, scrapes occupy a
    /// single connection.
    async fn figures(&self) -> Option<(Vec<UnsettledStats>, Vec<ForwardStats>)> {
        let permit = Arc::clone(&self.stats_query).lock_owned().await;
        let store = self.store.clone();
        let query = tokio::spawn(async move {
            let _permit = permit;
            let now = clock::now();
            let open = store.open_messages(now).await?;
            store.forward_stats(now).await.map(|forwards| (open, forwards))
        });
        query.await.ok()?.ok()
    }
}
