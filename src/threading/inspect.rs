//! How the threads stand, for whoever watches the server.

use std::sync::Arc;
use std::time::Duration;

use super::Threads;
use crate::clock;
use crate::metrics::{Live, Open};
use crate::store::writer::Writer;

impl Threads {
    /// How they stand right now. A database that does not answer within `patience` leaves its
    /// part open.
    pub async fn live(&self, patience: Duration) -> Live {
        let queue = self.store.writer().map(Writer::queue).unwrap_or_default();
        let connections = self.store.connections();
        let open = tokio::time::timeout(patience, self.open_messages()).await;
        Live { queue, connections, open: open.ok().flatten() }
    }

    /// Asks once at a time, to the end: while the database hangs, whoever watches takes one of its
    /// connections and no more.
    async fn open_messages(&self) -> Option<Vec<Open>> {
        let turn = Arc::clone(&self.watched).lock_owned().await;
        let store = self.store.clone();
        let asked = tokio::spawn(async move {
            let _turn = turn;
            store.open_messages(clock::now()).await
        });
        asked.await.ok()?.ok()
    }
}
