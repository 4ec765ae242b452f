//! How an offer ended: what is recorded of it, and what the caller is told.

use std::time::Duration;

use uuid::Uuid;

use super::offer::Offered;
use super::{Threads, receive};
use crate::clock;
use crate::domain::{Message, MessageError, Status, Timestamp};
use crate::error::{Code, Error};
use crate::store::row::{Closing, NewMessage, OptOutChange, Outcome};
use crate::store::settle::Step;
use crate::telnyx::client::Answer;
use crate::telnyx::event::Payload;

/// How often, and how far apart, an outcome is offered to a database that is away.
const RECORD_TRIES: u32 = 20;
const RECORD_PAUSE: Duration = Duration::from_millis(250);
/// How often when the database refuses it for what it says: another server may just have stored
/// a row that it must be merged with.
const REFUSED_TRIES: u32 = 3;

impl Threads {
    /// Writes an outcome, patiently: it cannot be had a second time. The call ends in time all the
    /// same; what the writer has taken by then it still writes when it can.
    pub(super) async fn record(&self, closing: Closing) -> Result<Message, Error> {
        let left = left(closing.until);
        let recorded = tokio::time::timeout(left, self.try_to_record(&closing)).await;
        recorded.unwrap_or_else(|_| Err(too_slow())).map_err(|error| {
            note_unrecorded(&closing);
            unrecorded(error, &closing)
        })
    }

    async fn try_to_record(&self, closing: &Closing) -> Result<Message, Error> {
        let mut tries = 0;
        loop {
            match self.store.writer()?.close(closing.clone()).await {
                Err(error) if tries < patience(&error) => {
                    tries += 1;
                    tokio::time::sleep(RECORD_PAUSE).await;
                }
                ended => return ended,
            }
        }
    }

    /// Makes sure that a message is not offered which may or may not have been stored under a key.
    /// Whether that is sure.
    pub(super) async fn withdraw(&self, id: Uuid, key: &str, until: Timestamp) -> bool {
        let withdrawn = async {
            loop {
                let Ok(writer) = self.store.writer() else { return false };
                let step = Step::Withdraw { id, key: key.to_owned(), until };
                if writer.settle(step).await.is_ok() {
                    return true;
                }
                tokio::time::sleep(RECORD_PAUSE).await;
            }
        };
        tokio::time::timeout(left(until), withdrawn).await.unwrap_or(false)
    }
}

/// What is left of the time of an attempt, and a moment at least.
fn left(until: Timestamp) -> Duration {
    let micros = until.as_micros().saturating_sub(clock::now().as_micros());
    Duration::from_micros(u64::try_from(micros).unwrap_or(0)).max(RECORD_PAUSE)
}

fn patience(error: &Error) -> u32 {
    match error.code() {
        Code::DatabaseUnavailable => RECORD_TRIES,
        _ => REFUSED_TRIES,
    }
}

/// What the row is to say.
pub(super) fn outcome(offered: &Offered, message: &NewMessage, lift_opt_out: bool) -> Outcome {
    let not_sent = |error: MessageError, status| Outcome::NotSent {
        opt_out: stop_refusal(&error, message),
        error,
        status,
    };
    match offered {
        Offered::Unknown => Outcome::Unknown,
        Offered::Cancelled => {
            not_sent(own_error("Cancelled before it was sent"), Status::Cancelled)
        }
        Offered::Late => not_sent(own_error("Stored too late to be sent"), Status::SendingFailed),
        Offered::Answered(answer) => match answer {
            Answer::Accepted(payload) => accepted(payload, lift_opt_out),
            Answer::Refused { error, .. } => not_sent(error.clone(), Status::SendingFailed),
            Answer::RateLimited { .. } => {
                not_sent(own_error("Telnyx asked to slow down"), Status::SendingFailed)
            }
            Answer::Unreachable { why } => not_sent(
                MessageError {
                    detail: Some(why.clone()),
                    ..own_error("Telnyx could not be reached")
                },
                Status::SendingFailed,
            ),
            Answer::Ambiguous { .. } => Outcome::Unknown,
        },
    }
}

/// What the row is to say when Telnyx has taken the message.
pub(super) fn accepted(payload: &Payload, lift_opt_out: bool) -> Outcome {
    let told = payload.to.first().and_then(|to| Status::from_report(to.status.as_deref()?));
    Outcome::Accepted {
        telnyx_message_id: payload.id.clone(),
        status: told.unwrap_or(Status::Queued),
        facts: receive::facts(payload),
        lift_opt_out,
    }
}

/// What the caller is told when surely nothing was sent.
pub(super) fn refusal(offered: &Offered, message: &NewMessage) -> Option<Error> {
    let answer = match offered {
        Offered::Unknown => return None,
        Offered::Cancelled => {
            return Some(Error::new(Code::Cancelled, "cancelled; nothing was sent"));
        }
        Offered::Late => return Some(too_late()),
        Offered::Answered(answer) => answer,
    };
    match answer {
        Answer::Accepted(_) | Answer::Ambiguous { .. } => None,
        Answer::RateLimited { wait } => Some(
            Error::new(Code::RateLimited, "Telnyx asks to slow down; nothing was sent")
                .hint("try again later")
                .with(|extra| extra.retry_after = Some(wait.map_or(1, |wait| wait.as_secs()))),
        ),
        Answer::Unreachable { why } => Some(
            Error::new(Code::TelnyxUnreachable, "Telnyx could not be reached; nothing was sent")
                .hint(match message.offer.as_ref() {
                    // Plain http is for this machine alone: it is a simulated Telnyx.
                    Some(offer) if offer.base_url.starts_with("http:") => {
                        "start the simulated Telnyx first: convo serve --sandbox, or convo sandbox"
                    }
                    _ => "check the network and try again",
                })
                .with(|extra| extra.detail = Some(why.clone())),
        ),
        Answer::Refused { status, error } => Some(refused(*status, error, message)),
    }
}

fn refused(status: u16, error: &MessageError, message: &NewMessage) -> Error {
    let told = if status == 401 {
        Error::new(Code::InvalidApiKey, "Invalid API key")
            .hint("set TELNYX_API_KEY to a valid key from the Telnyx portal")
    } else if stop_refusal(error, message).is_some() {
        Error::new(Code::OptedOut, "the contact has opted out; nothing was sent")
            .hint("it can be written to again once it sends START")
    } else {
        Error::new(Code::TelnyxRefused, format!("Telnyx refused the message: {}", error.title))
    };
    told.with(|extra| {
        extra.detail = error.detail.clone();
        extra.telnyx_code = error.code.clone();
        extra.status_code = Some(status);
    })
}

/// The opt-out that a refusal speaks of. The code alone does not say it: Telnyx's documents give
/// it other meanings too, so the words must name STOP or the block rule.
fn stop_refusal(error: &MessageError, message: &NewMessage) -> Option<OptOutChange> {
    speaks_of_stop(error).then(|| OptOutChange {
        opted_out: true,
        at: clock::now(),
        number: Some(message.from.clone()),
        profile: None,
    })
}

fn speaks_of_stop(error: &MessageError) -> bool {
    let words = format!("{} {}", error.title, error.detail.as_deref().unwrap_or_default());
    let words = words.to_lowercase();
    let names_stop = words.split(|c: char| !c.is_alphanumeric()).any(|word| word == "stop");
    error.code.as_deref() == Some("40300") && (names_stop || words.contains("block rule"))
}

fn too_late() -> Error {
    Error::new(Code::DatabaseUnavailable, "the database was too slow; nothing was sent")
        .hint("try again shortly")
}

fn too_slow() -> Error {
    Error::new(Code::DatabaseUnavailable, "the database was too slow").hint("try again shortly")
}

fn own_error(title: &str) -> MessageError {
    MessageError { code: None, title: title.to_owned(), detail: None }
}

/// The last trace of an outcome. Telnyx's own words stay out: they may name both numbers.
fn note_unrecorded(closing: &Closing) {
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

/// The outcome is known, but not to the database. What is told must still be true: a message
/// that convo may offer again by itself is not sure to stay unsent.
fn unrecorded(error: Error, closing: &Closing) -> Error {
    let is_sure = matches!(&closing.outcome, Outcome::NotSent { .. }) && !closing.may_repeat;
    let told = match is_sure {
        true => error,
        false => Error::new(
            Code::OutcomeUnknown,
            "the message was offered to Telnyx, but its outcome could not be recorded",
        )
        .hint("its delivery report will tell; repeat only with the same idempotency key"),
    };
    told.with(|extra| extra.message_id = Some(closing.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_that_speaks_of_stop_is_an_opt_out() {
        let speaks = |code: &str, title: &str, detail: Option<&str>| {
            let detail = detail.map(str::to_owned);
            speaks_of_stop(&MessageError { code: Some(code.into()), title: title.into(), detail })
        };
        assert!(speaks("40300", "Blocked due to STOP message", None));
        assert!(speaks("40300", "Blocked", Some("there is an existing block rule")));
        assert!(!speaks("40300", "Number not assigned to the profile", None));
        assert!(!speaks("40300", "Nonstop traffic", Some("unstoppable")));
        assert!(!speaks("40310", "STOP", None));
    }
}
