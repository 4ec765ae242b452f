//! Offering one message to Telnyx, repeatedly if need be, within the time of one call.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use uuid::Uuid;

use super::Threads;
use crate::clock;
use crate::domain::{PhoneNumber, Status};
use crate::store::row::Offer;
use crate::telnyx::client::{Answer, Client};

/// The longest one attempt waits for its answer.
const ATTEMPT: Duration = Duration::from_secs(10);
/// What is left for recording the outcome at the end of the call.
const RESERVE: Duration = Duration::from_secs(1);
/// The most repetitions within one call.
const REPEATS: usize = 4;

/// How the offers of one call ended.
#[derive(Clone, Debug)]
pub(super) enum Offered {
    /// With an answer that decides.
    Answered(Answer),
    /// Without one, or with a refusal after an attempt whose answer was lost.
    Unknown,
    /// It was surely not sent: a person took it back before the first offer, or before the next.
    Cancelled,
    /// It was never offered: the time for it was over before it began.
    Late,
}

/// A stored message and how it is offered in one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt<'a> {
    /// convo's id of the message, which is the key at Telnyx.
    pub(super) id: Uuid,
    /// The recipient, for the log.
    pub(super) to: &'a PhoneNumber,
    /// The request, as it was stored.
    pub(super) offer: &'a Offer,
    /// Whether it may be repeated within the call.
    pub(super) repeat: bool,
}

impl Threads {
    /// Offers a stored message until an answer decides. Every repeat is the same request under
    /// the same key. Once one attempt was ambiguous, only an acceptance decides.
    pub(super) async fn offer(&self, telnyx: &Client, attempt: Attempt<'_>) -> Offered {
        if self.interrupt.is_cancelled() {
            return Offered::Cancelled;
        }
        let offer = attempt.offer;
        let time = Remaining::new(self.policy.timeout, offer);
        let shortest = telnyx.shortest_offer();
        if time.left() < shortest {
            return Offered::Late;
        }
        let key = attempt.id.to_string();
        let mut pauses = pauses(if attempt.repeat { REPEATS } else { 0 });
        let mut ambiguous = false;
        loop {
            let timeout = time.left().min(ATTEMPT);
            let asking = telnyx.offer(&offer.base_url, &key, &offer.body, timeout);
            let Some(answer) = self.interrupt.run_until_cancelled(asking).await else {
                return Offered::Unknown;
            };
            note(&answer, attempt);
            match &answer {
                Answer::Accepted(_) => return Offered::Answered(answer),
                Answer::Refused { .. } if ambiguous => return Offered::Unknown,
                Answer::Refused { .. } => return Offered::Answered(answer),
                Answer::Ambiguous { .. } => ambiguous = true,
                Answer::RateLimited { .. } | Answer::Unreachable { .. } => {}
            }
            let pause = pauses.next().map(|pause| asked(&answer).unwrap_or(pause));
            if let Some(pause) = pause.filter(|pause| *pause + shortest < time.left()) {
                let paused = tokio::time::sleep(pause);
                if self.interrupt.run_until_cancelled(paused).await.is_none() {
                    // Nobody is being asked, and nobody has taken it so far.
                    return if ambiguous { Offered::Unknown } else { Offered::Cancelled };
                }
                if ambiguous && self.is_told(attempt.id).await {
                    return Offered::Unknown;
                }
                // A machine that slept longer must not send what is settled by others by now.
                if time.left() >= shortest {
                    continue;
                }
            }
            return if ambiguous { Offered::Unknown } else { Offered::Answered(answer) };
        }
    }

    /// Whether a report has told meanwhile what the lost answer would have: the row then says it.
    async fn is_told(&self, id: Uuid) -> bool {
        let message = self.store.message(id).await;
        message.is_ok_and(|found| found.is_some_and(|message| message.status > Status::Unknown))
    }
}

/// The time of one call, by two clocks: the one that measures it, and the one that others go by
/// who find the message open. A process that was stopped, or a machine that slept, notices only
/// by the second that its time is over.
struct Remaining<'a> {
    deadline: Instant,
    offer: &'a Offer,
    reserve: Duration,
}

impl<'a> Remaining<'a> {
    fn new(timeout: Duration, offer: &'a Offer) -> Self {
        let reserve = reserve(timeout);
        Self { deadline: Instant::now() + timeout.saturating_sub(reserve), offer, reserve }
    }

    fn left(&self) -> Duration {
        let promised = self.offer.until.as_micros().saturating_sub(clock::now().as_micros());
        let promised = Duration::from_micros(u64::try_from(promised).unwrap_or(0));
        let measured = self.deadline.saturating_duration_since(Instant::now());
        promised.saturating_sub(self.reserve).min(measured)
    }
}

/// What is left at the end of a call for telling how it ended. Of a short one it is a quarter.
pub(super) fn reserve(timeout: Duration) -> Duration {
    RESERVE.min(timeout / 4)
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
fn note(answer: &Answer, attempt: Attempt<'_>) {
    let (message_id, to) = (attempt.id, attempt.to.masked());
    match answer {
        Answer::Accepted(payload) => {
            tracing::debug!(%message_id, telnyx_message_id = %payload.id, "accepted");
        }
        Answer::Refused { status, error } => {
            tracing::warn!(%message_id, %to, status, code = error.code, "refused");
        }
        Answer::RateLimited { .. } => tracing::warn!(%message_id, %to, "rate limited"),
        Answer::Unreachable { why } => {
            tracing::warn!(%message_id, %to, %why, "Telnyx cannot be reached");
        }
        Answer::Ambiguous { what } => {
            tracing::warn!(%message_id, %to, %what, "the answer was lost");
        }
    }
}
