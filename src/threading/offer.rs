//! Offering one message to Telnyx, with repeated requests if necessary, within the time of one call.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use uuid::Uuid;

use super::Conversations;
use crate::clock;
use crate::domain::PhoneNumber;
use crate::store::model::Offer;
use crate::telnyx::answer::{Rejection, SendAnswer};
use crate::telnyx::client::TelnyxClient;
use crate::telnyx::event::Payload;

/// How long one request waits for its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The time at the end of a call that is reserved for recording the outcome.
const RESERVE: Duration = Duration::from_secs(1);
/// The most repeated requests within one call.
const MAX_REPEATS: usize = 4;

/// The result of the requests of one call.
#[derive(Clone, Debug)]
pub(super) enum Offered {
    /// Telnyx has accepted the message.
    Accepted(Box<Payload>),
    /// The message was certainly not sent.
    NotSent(NotSent),
    /// The message may have been sent: an answer was lost, and no later one was an acceptance.
    Unknown,
}

/// Why a message was certainly not sent.
#[derive(Clone, Debug)]
pub(super) enum NotSent {
    /// The last request was rejected, and so were all before it.
    Rejected(Rejection),
    /// The call was interrupted before the first request or between two.
    Cancelled,
    /// There was not enough time left for a request.
    TooLate,
}

/// The result for a message that may have been sent by an earlier call, about whose requests a rejection
/// proves nothing.
#[derive(Clone, Debug)]
pub(super) enum OfferedAgain {
    /// Telnyx has accepted the message, now or earlier.
    Accepted(Box<Payload>),
    /// It is still unknown whether the message was sent.
    StillUnknown {
        /// Whether Telnyx may have received a request of this call.
        may_have_arrived: bool,
    },
}

impl From<Offered> for OfferedAgain {
    fn from(offered: Offered) -> Self {
        match offered {
            Offered::Accepted(payload) => Self::Accepted(payload),
            Offered::Unknown | Offered::NotSent(NotSent::Rejected(Rejection::Refused { .. })) => {
                Self::StillUnknown { may_have_arrived: true }
            }
            Offered::NotSent(_) => Self::StillUnknown { may_have_arrived: false },
        }
    }
}

/// A stored message, and how one call offers it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt<'a> {
    /// convo's id of the message, which is Telnyx's idempotency key.
    pub(super) id: Uuid,
    /// The recipient, for the log.
    pub(super) to: &'a PhoneNumber,
    /// The request, as it was stored.
    pub(super) offer: &'a Offer,
    /// Whether the request may be repeated within the call.
    pub(super) repeat: bool,
}

impl Conversations {
    /// Offers a stored message until an answer settles it or the time has run out. All requests are
    /// identical and have the same key. After an ambiguous answer, only an acceptance settles it.
    pub(super) async fn offer(&self, telnyx: &TelnyxClient, attempt: Attempt<'_>) -> Offered {
        if self.interrupt.is_cancelled() {
            return Offered::NotSent(NotSent::Cancelled);
        }
        let offer = attempt.offer;
        let time = Remaining::new(self.policy.timeout, offer);
        let shortest = telnyx.shortest_offer();
        if time.left() < shortest {
            return Offered::NotSent(NotSent::TooLate);
        }
        let key = attempt.id.to_string();
        let mut pauses = pauses(if attempt.repeat { MAX_REPEATS } else { 0 });
        let mut ambiguous = false;
        loop {
            let timeout = time.left().min(REQUEST_TIMEOUT);
            let request = telnyx.offer(&offer.base_url, &key, &offer.body, timeout);
            let Some(answer) = self.interrupt.run_until_cancelled(request).await else {
                return Offered::Unknown;
            };
            log(&answer, attempt);
            let rejection = match answer {
                SendAnswer::Accepted(payload) => return Offered::Accepted(payload),
                SendAnswer::Rejected(rejection) => Some(rejection),
                SendAnswer::Ambiguous { .. } => {
                    ambiguous = true;
                    None
                }
            };
            let pause = next_pause(rejection.as_ref(), &mut pauses);
            if let Some(pause) = pause.filter(|pause| *pause + shortest < time.left()) {
                let pause = tokio::time::sleep(pause);
                if self.interrupt.run_until_cancelled(pause).await.is_none() {
                    // No request is in progress, and none was accepted so far.
                    return if ambiguous {
                        Offered::Unknown
                    } else {
                        Offered::NotSent(NotSent::Cancelled)
                    };
                }
                if ambiguous && self.is_reported(attempt.id).await {
                    return Offered::Unknown;
                }
                // If the machine was suspended, another process may have settled the message.
                if time.left() >= shortest {
                    continue;
                }
            }
            return match rejection {
                Some(rejection) if !ambiguous => Offered::NotSent(NotSent::Rejected(rejection)),
                _ => Offered::Unknown,
            };
        }
    }

    /// Offers a message again that may have been sent before.
    pub(super) async fn offer_again(
        &self,
        telnyx: &TelnyxClient,
        attempt: Attempt<'_>,
    ) -> OfferedAgain {
        self.offer(telnyx, attempt).await.into()
    }

    /// Whether a delivery report has settled the message since its answer was lost.
    async fn is_reported(&self, id: Uuid) -> bool {
        let message = self.store.message(id).await;
        message.is_ok_and(|found| found.is_some_and(|message| !message.status.is_open()))
    }
}

/// The time of one call, by two clocks: the monotonic one, and the wall clock, by which other processes
/// decide whether the attempt is over. After a suspension of the process or the machine, only the wall
/// clock tells that the time has run out.
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
        let by_wall_clock = self.offer.until.as_micros().saturating_sub(clock::now().as_micros());
        let by_wall_clock = Duration::from_micros(u64::try_from(by_wall_clock).unwrap_or(0));
        let by_monotonic_clock = self.deadline.saturating_duration_since(Instant::now());
        by_wall_clock.saturating_sub(self.reserve).min(by_monotonic_clock)
    }
}

/// The time at the end of a call that is reserved for recording the outcome: at most a quarter.
pub(super) fn reserve(timeout: Duration) -> Duration {
    RESERVE.min(timeout / 4)
}

/// Exponential backoff from half a second, with jitter.
fn pauses(repeats: usize) -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(8))
        .with_max_times(repeats)
        .with_jitter()
        .build()
}

/// The pause before the next request; `None` if there must not be one.
fn next_pause(
    rejection: Option<&Rejection>,
    pauses: &mut impl Iterator<Item = Duration>,
) -> Option<Duration> {
    match rejection {
        Some(Rejection::Refused { .. }) => None,
        Some(Rejection::RateLimited { wait: Some(wait) }) => pauses.next().map(|_| *wait),
        _ => pauses.next(),
    }
}

/// Logs the result of a request, without the text or a full number.
fn log(answer: &SendAnswer, attempt: Attempt<'_>) {
    let (message_id, to) = (attempt.id, attempt.to.masked());
    match answer {
        SendAnswer::Accepted(payload) => {
            tracing::debug!(%message_id, telnyx_message_id = %payload.id, "accepted");
        }
        SendAnswer::Rejected(Rejection::Refused { status, error, .. }) => {
            tracing::warn!(%message_id, %to, status, code = error.code, "refused");
        }
        SendAnswer::Rejected(Rejection::RateLimited { .. }) => {
            tracing::warn!(%message_id, %to, "rate limited");
        }
        SendAnswer::Rejected(Rejection::Unreachable { why }) => {
            tracing::warn!(%message_id, %to, %why, "Telnyx cannot be reached");
        }
        SendAnswer::Ambiguous { what } => {
            tracing::warn!(%message_id, %to, %what, "the response was lost");
        }
    }
}
