//! Removing what is no longer kept.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Conversations;
use crate::clock;
use crate::error::Error;

/// The pause between two rounds.
const INTERVAL: Duration = Duration::from_secs(600);
/// The pause between two steps of a round: webhooks come first.
const STEP_PAUSE: Duration = Duration::from_millis(50);

impl Conversations {
    /// Removes what is too old, in rounds until `shutdown`.
    pub async fn keep_trimming(&self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            if let Some(Err(error)) = shutdown.run_until_cancelled(self.trim()).await {
                tracing::warn!(%error, "old entries of the feed could not be removed");
            }
            shutdown.run_until_cancelled(tokio::time::sleep(INTERVAL)).await;
        }
    }

    async fn trim(&self) -> Result<(), Error> {
        let Some(age) = self.policy.keep_feed else { return Ok(()) };
        let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        let before = clock::now().plus_seconds(-seconds);
        while self.store.writer()?.trim_feed(before).await? {
            tokio::time::sleep(STEP_PAUSE).await;
        }
        Ok(())
    }
}
