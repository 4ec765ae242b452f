//! What one process does at a time: taking a lease, and keeping it while the work lasts.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::error::Error;
use crate::store::Store;
use crate::store::lease::{LEASE_TIME, Lease};

/// How often to renew a lease, and after a failure to do so.
const RENEW_PAUSE: Duration = Duration::from_secs(3);
const RENEW_AGAIN: Duration = Duration::from_millis(500);
/// How long before a lease expires its holder stops.
const MARGIN: Duration = Duration::from_secs(2);

/// Takes a lease, or renews it. Returns whether this process has it.
pub(crate) async fn take(store: &Store, lease: &Lease) -> Result<bool, Error> {
    store.writer()?.take_lease(lease).await
}

/// Works as long as this process has the lease that it has taken, and releases it. `None` if the lease
/// was lost, or may be, before the end.
pub(crate) async fn hold<T>(
    store: &Store,
    lease: &Lease,
    work: impl Future<Output = T>,
) -> Option<T> {
    let done = tokio::select! {
        // First of all: nothing may be done once the lease is lost.
        biased;
        () = keep(store, lease) => None,
        done = work => Some(done),
    };
    if let Ok(writer) = store.writer()
        && let Err(error) = writer.release_lease(lease).await
    {
        tracing::debug!(%error, "a lease was not released");
    }
    done
}

/// Renews the lease. Returns when it is lost, or may be.
async fn keep(store: &Store, lease: &Lease) {
    let mut until = Instant::now() + LEASE_TIME;
    let mut pause = RENEW_PAUSE;
    loop {
        sleep(pause).await;
        let asked = Instant::now();
        match timeout_at(until - MARGIN, take(store, lease)).await {
            Ok(Ok(true)) => (until, pause) = (asked + LEASE_TIME, RENEW_PAUSE),
            Ok(Err(_)) if Instant::now() + RENEW_AGAIN < until - MARGIN => pause = RENEW_AGAIN,
            _ => return,
        }
    }
}
