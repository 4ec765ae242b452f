//! Forwarding to a name by one process at a time.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::worker::Worker;
use crate::store::lease::Lease;
use crate::threading::tenure;

/// How often to ask for a lease that another process holds.
const TAKE_PAUSE: Duration = Duration::from_secs(2);

impl Worker {
    /// Forwards whenever this process can have the lease, until `shutdown`.
    pub(super) async fn run(self, shutdown: CancellationToken) {
        let store = self.forwarder.store();
        while !shutdown.is_cancelled() {
            let lease = Lease::new(format!("forward/{}", self.name));
            match tenure::take(store, &lease).await {
                Ok(true) => {
                    tracing::info!(name = self.name, "forwarding");
                    let work = self.work(&lease, &shutdown);
                    if tenure::hold(store, &lease, work).await.is_none() {
                        tracing::warn!(
                            name = self.name,
                            "forwarding stops here: the lease was lost"
                        );
                    }
                }
                Ok(false) => {}
                Err(error) => tracing::debug!(%error, "forwarding cannot begin"),
            }
            shutdown.run_until_cancelled(sleep(TAKE_PAUSE)).await;
        }
    }
}
