//! Statistics for `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use super::Conversations;
use crate::clock;
use crate::error::Error;
use crate::metrics::{ForwardStats, Snapshot, SyncStats, UnsettledStats};
use crate::store::writer::Writer;

/// What the database tells.
struct Figures {
    unsettled: Vec<UnsettledStats>,
    forwards: Vec<ForwardStats>,
    synced: Vec<SyncStats>,
    waiting_media: i64,
}

impl Conversations {
    /// The current statistics. Those from the database are missing if it does not answer within
    /// `timeout`.
    pub async fn snapshot(&self, timeout: Duration) -> Snapshot {
        let queue = self.store.writer().map(Writer::queue).unwrap_or_default();
        let connections = self.store.connections();
        let figures = tokio::time::timeout(timeout, self.figures()).await;
        match figures.ok().flatten() {
            Some(Figures { unsettled, forwards, synced, waiting_media }) => {
                let (unsettled, waiting_media) = (Some(unsettled), Some(waiting_media));
                Snapshot { queue, connections, unsettled, forwards, synced, waiting_media }
            }
            None => Snapshot { queue, connections, ..Snapshot::default() },
        }
    }

    /// There is one query at a time, which runs to its end: while the database hangs, scrapes occupy a
    /// single connection.
    async fn figures(&self) -> Option<Figures> {
        let permit = Arc::clone(&self.stats_query).lock_owned().await;
        let conversations = self.clone();
        let query = tokio::spawn(async move {
            let _permit = permit;
            let now = clock::now();
            let store = &conversations.store;
            let unsettled = store.open_messages(now).await?;
            let forwards = store.forward_stats(now).await?;
            let synced = conversations.sync_stats(now).await?;
            let waiting_media = store.count_waiting_media().await?;
            Ok::<_, Error>(Figures { unsettled, forwards, synced, waiting_media })
        });
        query.await.ok()?.ok()
    }
}
