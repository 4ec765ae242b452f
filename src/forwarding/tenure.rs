//! Forwarding to a name by one process at a time: taking the lease, and keeping it.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::worker::Worker;
use crate::error::Error;
use crate::store::lease::{LEASE_TIME, Lease};

/// How often to ask for a lease that another process holds.
const TAKE_PAUSE: Duration = Duration::from_secs(2);
/// How often to renew a lease, and after a failure to do so.
const RENEW_PAUSE: Duration = Duration::from_secs(3);
const RENEW_AGAIN: Duration = Duration::from_millis(500);
/// How long before a lease expires its holder stops.
const MARGIN: Duration = Duration::from_secs(2);

impl Worker {
    /// Forwards whenever this process can have the lease, until `shutdown`.
    pub(super) async fn run(self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let lease = Lease::new(format!("forward/{}", self.name));
            match self.take(&lease).await {
                Ok(true) => self.hold(&lease, &shutdown).await,
                Ok(false) => {}
                Err(error) => tracing::debug!(%error, "forwarding cannot begin"),
            }
            shutdown.run_until_cancelled(sleep(TAKE_PAUSE)).await;
        }
    }

    async fn take(&self, lease: &Lease) -> Result<bool, Error> {
        self.forwarder.store().writer()?.take_lease(lease).await
    }

    /// Forwards as long as this process has the lease.
    async fn hold(&self, lease: &Lease, shutdown: &CancellationToken) {
        tracing::info!(name = self.name, "forwarding");
        tokio::select! {
            // First of all: nothing may be posted once the lease is lost.
            biased;
            () = self.keep(lease) => {
                tracing::warn!(name = self.name, "forwarding stops here: the lease was lost");
            }
            () = self.work(lease, shutdown) => {}
        }
        if let Ok(writer) = self.forwarder.store().writer()
            && let Err(error) = writer.release_lease(lease).await
        {
            tracing::debug!(%error, "the lease of forwarding was not released");
        }
    }

    /// Renews the lease. Returns when it is lost, or may be.
    async fn keep(&self, lease: &Lease) {
        let mut until = Instant::now() + LEASE_TIME;
        let mut pause = RENEW_PAUSE;
        loop {
            sleep(pause).await;
            let asked = Instant::now();
            match timeout_at(until - MARGIN, self.take(lease)).await {
                Ok(Ok(true)) => (until, pause) = (asked + LEASE_TIME, RENEW_PAUSE),
                Ok(Err(_)) if Instant::now() + RENEW_AGAIN < until - MARGIN => pause = RENEW_AGAIN,
                _ => return,
            }
        }
    }
}
