//! Repeats under an idempotency key: one whose first send is still in flight waits for it and gets the
//! same answer.
//!
//! The row is polled, because the first send may belong to another process. Between two reads the repeat
//! holds no connection.

use std::time::{Duration, Instant};

use super::Conversations;
use super::offer::reserve;
use super::settle::GRACE_SECONDS;
use crate::clock;
use crate::domain::{Draft, IdempotencyKey, Sent, Status};
use crate::error::Error;
use crate::store::model::StoredSend;

/// The pause between two reads of the row, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

impl Conversations {
    /// The first send under the key of a repeat, as it stands at the end of the repeat's call. The answer to
    /// a message, or the row of a batch, that a process did not bring to an end is offered again.
    pub(super) async fn end_of_first(
        &self,
        draft: &Draft,
        first: StoredSend,
        arrived: Instant,
    ) -> StoredSend {
        let is_abandoned = first.message.status.is_open() && !is_in_flight(&first);
        let request = draft.request();
        let is_resumed = first.message.in_reply_to.is_some() || request.batch.is_some();
        if is_abandoned && is_resumed && !request.no_retry {
            return self.resume(first).await;
        }
        self.wait_for_first(first, arrived).await
    }

    /// Offers an answer or a row of a batch of unknown outcome again. If that is not possible, it stays as it is.
    async fn resume(&self, first: StoredSend) -> StoredSend {
        let id = first.message.id;
        if let Err(error) = self.retry(id, false).await {
            tracing::info!(message_id = %id, %error, "a message of unknown outcome stays so");
        }
        self.store.stored_send(id).await.ok().flatten().unwrap_or(first)
    }

    /// Waits until the first send under a key has an outcome, and returns it as it stands then. It is
    /// still pending if its process has died, or if the time of this call, which began at `arrived`, ran
    /// out first.
    async fn wait_for_first(&self, first: StoredSend, arrived: Instant) -> StoredSend {
        if !is_in_flight(&first) {
            return first;
        }
        tracing::debug!(message_id = %first.message.id, "waiting for the first send under its key");
        let timeout = self.policy.timeout;
        // If both arrived at the same time, the first has half its reserve to record the outcome.
        let deadline = arrived + timeout.saturating_sub(reserve(timeout) / 2);
        let mut latest = first;
        let mut pause = FIRST_PAUSE;
        while is_in_flight(&latest) {
            let next = tokio::time::timeout_at(deadline.into(), self.read_after(pause, &latest));
            match self.interrupt.run_until_cancelled(next).await {
                Some(Ok(Some(stored))) => latest = stored,
                // The database may become available in time.
                Some(Ok(None)) => {}
                Some(Err(_)) | None => break,
            }
            pause = LONGEST_PAUSE.min(pause * 2);
        }
        latest
    }

    async fn read_after(&self, pause: Duration, latest: &StoredSend) -> Option<StoredSend> {
        tokio::time::sleep(pause).await;
        self.store.stored_send(latest.message.id).await.ok().flatten()
    }
}

/// Whether an attempt is under way. If it should have ended some time ago, its process has died and
/// will not record an outcome.
fn is_in_flight(stored: &StoredSend) -> bool {
    let over = clock::now().plus_seconds(-GRACE_SECONDS);
    stored.message.status == Status::Pending && stored.until.is_some_and(|until| until >= over)
}

/// The answer to a send and to its repeats: the error if nothing was sent, else the message as it stands.
pub(super) fn answer(stored: StoredSend, key: IdempotencyKey) -> Result<Sent, Error> {
    match stored.refusal {
        Some(refusal) => Err(refusal.into()),
        None => Ok(Sent { message: stored.message, idempotency_key: key }),
    }
}
