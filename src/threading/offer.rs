//! Offering one message to Telnyx, repeatedly if need be, within the time of one call.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};

use super::Threads;
use crate::store::row::NewMessage;
use crate::telnyx::client::{Answer, Client};

/// The longest one attempt waits for its answer.
const ATTEMPT: Duration = Duration::from_secs(10);
/// What is left for recording the outcome at the end of the call.
const RESERVE: Duration = Duration::from_secs(1);
/// An attempt needs at least so much time to make sense.
const SHORTEST: Duration = Duration::from_millis(200);
/// The most repetitions within one call.
const REPEATS: usize = 4;

/// How the offers of one call ended.
#[derive(Clone, Debug)]
pub(super) enum Offered {
    /// With an answer that decides.
    Answered(Answer),
    /// Without one, or with a refusal after an attempt whose answer was lost.
    Unknown,
    /// It was never offered.
    Cancelled,
}

impl Threads {
    /// Offers a stored message until an answer decides. Every repeat is the same request under
    /// the same key. Once one attempt was ambiguous, only an acceptance decides.
    pub(super) async fn offer(&self, telnyx: &Client, message: &NewMessage) -> Offered {
        let interrupted = self.interrupt.clone();
        if interrupted.is_cancelled() {
            return Offered::Cancelled;
        }
        tokio::select! {
            biased;
            offered = self.attempts(telnyx, message) => offered,
            () = interrupted.cancelled() => Offered::Unknown,
        }
    }

    async fn attempts(&self, telnyx: &Client, message: &NewMessage) -> Offered {
        let Some(offer) = &message.offer else { return Offered::Cancelled };
        let reserve = RESERVE.min(self.policy.timeout / 4);
        let deadline = Instant::now() + self.policy.timeout.saturating_sub(reserve);
        let left = || deadline.saturating_duration_since(Instant::now());
        let key = message.id.to_string();
        let mut pauses = pauses(if self.policy.retry { REPEATS } else { 0 });
        let mut ambiguous = false;
        loop {
            let timeout = left().min(ATTEMPT);
            let answer = telnyx.offer(&offer.base_url, &key, &offer.body, timeout).await;
            note(&answer, message);
            match &answer {
                Answer::Accepted(_) => return Offered::Answered(answer),
                Answer::Refused { .. } if ambiguous => return Offered::Unknown,
                Answer::Refused { .. } => return Offered::Answered(answer),
                Answer::Ambiguous { .. } => ambiguous = true,
                Answer::RateLimited { .. } | Answer::Unreachable { .. } => {}
            }
            match pauses.next().map(|pause| asked(&answer).unwrap_or(pause)) {
                Some(pause) if pause + SHORTEST < left() => tokio::time::sleep(pause).await,
                _ if ambiguous => return Offered::Unknown,
                _ => return Offered::Answered(answer),
            }
        }
    }
}

/// Half a second, then twice as long each time, spread so that many callers do not come at once.
fn pauses(repeats: usize) -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(8))
        .with_max_times(repeats)
        .with_jitter()
        .build()
}

fn asked(answer: &Answer) -> Option<Duration> {
    match answer {
        Answer::RateLimited { wait } => *wait,
        _ => None,
    }
}

/// One line for each attempt that did not simply succeed. No text, no full number.
fn note(answer: &Answer, message: &NewMessage) {
    let to = message.first_recipient().masked();
    match answer {
        Answer::Accepted(payload) => {
            tracing::debug!(message = %message.id, telnyx_message_id = %payload.id, "accepted");
        }
        Answer::Refused { status, error } => {
            tracing::warn!(message = %message.id, %to, status, code = ?error.code, "refused");
        }
        Answer::RateLimited { .. } => tracing::warn!(message = %message.id, %to, "rate limited"),
        Answer::Unreachable { why } => {
            tracing::warn!(message = %message.id, %to, %why, "Telnyx cannot be reached");
        }
        Answer::Ambiguous { what } => {
            tracing::warn!(message = %message.id, %to, %what, "the answer was lost");
        }
    }
}
