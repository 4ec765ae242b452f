//! How the threads stand, for whoever watches the server.

use std::time::Duration;

use super::Threads;
use crate::clock;
use crate::metrics::Live;
use crate::store::writer::Writer;

impl Threads {
    /// How they stand right now. A database that does not answer within `patience` leaves its
    /// part open.
    pub async fn live(&self, patience: Duration) -> Live {
        let queue = self.store.writer().map(Writer::queue).unwrap_or_default();
        let connections = self.store.connections();
        let open = tokio::time::timeout(patience, self.store.open_messages(clock::now())).await;
        Live { queue, connections, open: open.ok().and_then(Result::ok) }
    }
}
