//! The outcome of a send: what is recorded, and which error the caller gets.

use std::time::Duration;

use uuid::Uuid;

use super::offer::NotSent;
use super::{Conversations, receive};
use crate::clock;
use crate::domain::{IdempotencyKey, MessageError, Status, Timestamp};
use crate::error::{Code, Error, ErrorBody};
use crate::store::model::{Closing, NewMessage, OptOutChange, Outcome, StoredSend};
use crate::telnyx::answer::Rejection;
use crate::telnyx::event::Payload;

/// How often recording an outcome is tried while the database is unavailable, and the pause between.
const RECORD_TRIES: u32 = 20;
const RECORD_PAUSE: Duration = Duration::from_millis(250);
/// How often it is tried after any other error: another server may just have stored a row with which it
/// must be merged.
const REFUSED_TRIES: u32 = 3;

impl Conversations {
    /// Records an outcome, with retries: it cannot be obtained again. The call ends in time all the same;
    /// an outcome that the writer has by then is still written as soon as possible.
    pub(super) async fn record(&self, closing: Closing) -> Result<StoredSend, Error> {
        let time_left = time_left(closing.until);
        let recorded = tokio::time::timeout(time_left, self.try_to_record(&closing)).await;
        recorded.unwrap_or_else(|_| Err(too_slow("the database was too slow"))).map_err(|error| {
            log_unrecorded(&closing);
            unrecorded(error, &closing)
        })
    }

    async fn try_to_record(&self, closing: &Closing) -> Result<StoredSend, Error> {
        let mut tries = 0;
        loop {
            match self.store.writer()?.close(closing.clone()).await {
                Err(error) if tries < max_tries(&error) => {
                    tries += 1;
                    tokio::time::sleep(RECORD_PAUSE).await;
                }
                result => return result,
            }
        }
    }

    /// Makes sure that a message which may have been stored is never offered; returns whether that
    /// succeeded. Repeats that wait under its key get the refusal.
    pub(super) async fn withdraw(
        &self,
        id: Uuid,
        key: &IdempotencyKey,
        until: Timestamp,
        refusal: &ErrorBody,
    ) -> bool {
        let withdrawn = async {
            loop {
                let Ok(writer) = self.store.writer() else { return false };
                if writer.withdraw(id, key.clone(), until, refusal.clone()).await.is_ok() {
                    return true;
                }
                tokio::time::sleep(RECORD_PAUSE).await;
            }
        };
        tokio::time::timeout(time_left(until), withdrawn).await.unwrap_or(false)
    }
}

/// The time until the end of an attempt, but at least enough for one try.
fn time_left(until: Timestamp) -> Duration {
    let micros = until.as_micros().saturating_sub(clock::now().as_micros());
    Duration::from_micros(u64::try_from(micros).unwrap_or(0)).max(RECORD_PAUSE)
}

fn max_tries(error: &Error) -> u32 {
    match error.code() {
        Code::DatabaseUnavailable => RECORD_TRIES,
        _ => REFUSED_TRIES,
    }
}

/// The outcome of a message that Telnyx has accepted.
pub(super) fn accepted(payload: &Payload, despite_opt_out: bool) -> Outcome {
    let now = clock::now();
    let lifted = OptOutChange {
        opted_out: false,
        decided_at: payload.received_at,
        learned_at: now,
        number: None,
        profile: None,
    };
    let status = payload.to.first().and_then(|to| Status::from_report(to.status.as_deref()?));
    Outcome::Accepted {
        telnyx_message_id: payload.id.clone(),
        status: status.unwrap_or(Status::Queued),
        facts: receive::facts(payload),
        lift_opt_out: despite_opt_out.then_some(lifted),
        report: receive::report_from_answer(payload, now).map(Box::new),
    }
}

impl NotSent {
    /// The outcome that is recorded.
    pub(super) fn outcome(&self, message: &NewMessage) -> Outcome {
        let error = match self {
            Self::Rejected(Rejection::Refused { error, .. }) => error.clone(),
            Self::Rejected(Rejection::RateLimited { .. }) => {
                own_error("Telnyx's rate limit was reached", None)
            }
            Self::Rejected(Rejection::Unreachable { why }) => {
                own_error("Telnyx could not be reached", Some(why))
            }
            Self::Cancelled => own_error("Cancelled before it was sent", None),
            Self::TooLate => own_error("Stored too late to be sent", None),
        };
        let status = match self {
            Self::Cancelled => Status::Cancelled,
            Self::Rejected(_) | Self::TooLate => Status::SendingFailed,
        };
        let at = match self {
            Self::Rejected(Rejection::Refused { at, .. }) => *at,
            _ => None,
        };
        let refusal = self.error(message).with(|extra| extra.message_id = Some(message.id)).body();
        let refusal = Box::new(refusal);
        Outcome::NotSent { opt_out: opt_out(&error, at, message), error, status, refusal }
    }

    /// The error for the caller.
    fn error(&self, message: &NewMessage) -> Error {
        match self {
            Self::Rejected(Rejection::Refused { status, error, .. }) => refused(*status, error),
            Self::Rejected(Rejection::RateLimited { wait }) => {
                Error::new(Code::RateLimited, "Telnyx's rate limit was reached; nothing was sent")
                    .hint("try again later")
                    .with(|extra| extra.retry_after = Some(wait.map_or(1, |wait| wait.as_secs())))
            }
            Self::Rejected(Rejection::Unreachable { why }) => unreachable(why, message),
            Self::Cancelled => cancelled(),
            Self::TooLate => too_slow("the database was too slow; nothing was sent"),
        }
    }
}

fn unreachable(why: &str, message: &NewMessage) -> Error {
    // Plain HTTP is only used for a simulated Telnyx on this machine.
    let is_simulated =
        message.offer.as_ref().is_some_and(|offer| offer.base_url.starts_with("http:"));
    let hint = if is_simulated {
        "start the simulated Telnyx first: convo serve --sandbox, or convo sandbox"
    } else {
        "check the network and try again"
    };
    Error::new(Code::TelnyxUnreachable, "Telnyx could not be reached; nothing was sent")
        .hint(hint)
        .with(|extra| extra.detail = Some(why.to_owned()))
}

fn refused(status: u16, error: &MessageError) -> Error {
    let refused = if status == 401 {
        Error::new(Code::InvalidApiKey, "Invalid API key")
            .hint("set TELNYX_API_KEY to a valid key from the Telnyx portal")
    } else if error.speaks_of_stop() {
        error.add_hint(Error::new(Code::OptedOut, "the contact has opted out; nothing was sent"))
    } else {
        let what = format!("Telnyx refused the message: {}", error.title);
        error.add_hint(Error::new(Code::TelnyxRefused, what))
    };
    refused.with(|extra| {
        extra.detail = error.detail.clone();
        extra.telnyx_code = error.code.clone();
        extra.status_code = Some(status);
    })
}

/// The opt-out that a refusal names; `at` is the time of Telnyx's answer.
fn opt_out(
    error: &MessageError,
    at: Option<Timestamp>,
    message: &NewMessage,
) -> Option<OptOutChange> {
    error.speaks_of_stop().then(|| OptOutChange {
        opted_out: true,
        decided_at: at,
        learned_at: clock::now(),
        number: Some(message.from.clone()),
        profile: None,
    })
}

pub(super) fn cancelled() -> Error {
    Error::new(Code::Cancelled, "cancelled; nothing was sent")
}

pub(super) fn too_slow(what: &str) -> Error {
    Error::new(Code::DatabaseUnavailable, what).hint("try again shortly")
}

/// An error that did not come from Telnyx.
fn own_error(title: &str, detail: Option<&str>) -> MessageError {
    MessageError { code: None, title: title.to_owned(), detail: detail.map(str::to_owned) }
}

/// Logs an outcome that is recorded nowhere else. Telnyx's own words are left out: they may contain both
/// numbers.
fn log_unrecorded(closing: &Closing) {
    let (outcome, telnyx_message_id, code) = match &closing.outcome {
        Outcome::Accepted { status, telnyx_message_id, .. } => {
            (*status, Some(telnyx_message_id), None)
        }
        Outcome::NotSent { status, error, .. } => (*status, None, error.code.as_ref()),
        Outcome::Unknown | Outcome::StillUnknown { .. } => (Status::Unknown, None, None),
    };
    tracing::error!(message_id = %closing.id, %outcome, telnyx_message_id, code,
        "the outcome of a send could not be recorded");
}

/// The error for a caller whose outcome could not be recorded. A message that settling may offer again is
/// not certain to stay unsent.
fn unrecorded(error: Error, closing: &Closing) -> Error {
    let stays_unsent = matches!(&closing.outcome, Outcome::NotSent { .. }) && !closing.may_repeat;
    let error = if stays_unsent {
        error
    } else {
        Error::new(
            Code::OutcomeUnknown,
            "the message was submitted to Telnyx, but its outcome could not be recorded",
        )
        .hint(
            "its delivery report will show the outcome; repeat only with the same idempotency key",
        )
    };
    error.with(|extra| extra.message_id = Some(closing.id))
}
