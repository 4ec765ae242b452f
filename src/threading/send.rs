//! Sending: the row first, then the offer, then the outcome.

use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use super::offer::Offered;
use super::{Threads, receive};
use crate::clock;
use crate::domain::send::check_idempotency_key;
use crate::domain::{
    Direction, Draft, Media, Message, MessageError, PhoneNumber, Selector, SendPlan, SendRequest,
    Status, Timestamp,
};
use crate::error::{Code, Error};
use crate::store::Facts;
use crate::store::row::{Closing, NewMessage, NewSend, Offer, Opened, OptOutChange, Outcome};
use crate::telnyx::client::{Answer, Client};
use crate::telnyx::event::TAG_PREFIX;

/// How often, and how far apart, an outcome is offered to a database that is away.
const RECORD_TRIES: u32 = 20;
const RECORD_PAUSE: Duration = Duration::from_millis(250);

/// A send that has an outcome, though perhaps not a known one.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The message as it stands.
    pub message: Message,
    /// The key under which the same send may be repeated safely.
    pub idempotency_key: String,
}

impl Sent {
    /// Whether nobody knows yet if it was sent: the answer was lost, or an earlier call under the
    /// same key is still under way.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.message.status <= Status::Unknown
    }
}

/// The body of `POST /v2/messages`, in a fixed order of fields: the bytes are kept and repeated.
#[derive(Serialize)]
struct TelnyxRequest<'a> {
    from: &'a PhoneNumber,
    to: &'a PhoneNumber,
    #[serde(skip_serializing_if = "str::is_empty")]
    text: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    media_urls: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    send_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'a [String],
}

impl Threads {
    /// Sends a message: stores it, offers it to Telnyx, records the outcome. Dropping the future
    /// may lose the outcome, so a server runs it in a task of its own.
    ///
    /// # Errors
    /// When surely nothing was sent, or when the contact opted out. An unknown outcome is no
    /// error: see [`Sent::is_open`].
    pub async fn send(
        &self,
        to: &str,
        request: &SendRequest,
        key: Option<&str>,
    ) -> Result<Sent, Error> {
        let now = clock::now();
        key.map_or(Ok(()), check_idempotency_key)?;
        let draft = request.understand(to, now)?;
        let telnyx = self.telnyx.as_ref().ok_or_else(no_api_key)?;
        let from = self.sender(&draft).await?;
        let message = self.new_message(&draft, from, telnyx, now)?;
        let id = message.id;
        let key = key.map_or_else(|| id.to_string(), str::to_owned);
        let send = NewSend {
            message: message.clone(),
            key: Some((key.clone(), draft.request_hash.clone())),
            despite_opt_out: draft.despite_opt_out,
        };
        match self.store.writer()?.open(send).await? {
            Opened::Stored => {}
            Opened::Replay(message) => return Ok(Sent { message: *message, idempotency_key: key }),
            Opened::KeyReused => return Err(key_reused()),
            Opened::OptedOut { since, number } => {
                return Err(opted_out(&draft.to, since, number.as_ref()));
            }
        }
        let offered = self.offer(telnyx, &message).await;
        self.conclude(offered, &message, draft.despite_opt_out, key).await
    }

    /// Tells what [`send`](Self::send) would do, and does nothing.
    ///
    /// # Errors
    /// The same refusals as a send, before anything is stored.
    pub async fn plan(&self, to: &str, request: &SendRequest) -> Result<SendPlan, Error> {
        let draft = request.understand(to, clock::now())?;
        let thread = self.store.candidates(&Selector::new(draft.to.as_str())).await?;
        let thread = thread.into_iter().next();
        Ok(SendPlan {
            from: self.sender(&draft).await?,
            conversation_id: thread.as_ref().map(|thread| thread.id),
            opted_out_at: thread.and_then(|thread| thread.opted_out_at),
            to: draft.to,
            encoding: draft.size.encoding,
            segments: draft.size.segments,
            units: draft.size.units,
        })
    }

    /// The sender: the caller's choice, else the number of ours that the contact last wrote to,
    /// else the first.
    async fn sender(&self, draft: &Draft) -> Result<PhoneNumber, Error> {
        if let Some(chosen) = &draft.from {
            return Ok(chosen.clone());
        }
        let default = self.numbers.first().ok_or_else(|| {
            Error::new(Code::NotConfigured, "TELNYX_PHONE_NUMBER is not set")
                .hint("set it to the number your messages are sent from, or say --from")
        })?;
        if self.numbers.len() == 1 {
            return Ok(default.clone());
        }
        let last = self.store.last_written_to(&draft.to).await?;
        Ok(last.filter(|number| self.numbers.contains(number)).unwrap_or_else(|| default.clone()))
    }

    fn new_message(
        &self,
        draft: &Draft,
        from: PhoneNumber,
        telnyx: &Client,
        now: Timestamp,
    ) -> Result<NewMessage, Error> {
        let id = Uuid::now_v7();
        let tag = [format!("{TAG_PREFIX}{id}")];
        let body = serde_json::to_vec(&TelnyxRequest {
            from: &from,
            to: &draft.to,
            text: &draft.text,
            media_urls: &draft.media_urls,
            subject: draft.subject.as_deref(),
            send_at: draft.send_at,
            tags: if self.policy.tag { &tag } else { &[] },
        })
        .map_err(|_| Error::internal())?;
        let seconds = i64::try_from(self.policy.timeout.as_secs()).unwrap_or(i64::MAX);
        Ok(NewMessage {
            id,
            telnyx_message_id: None,
            direction: Direction::Outbound,
            from,
            to: vec![draft.to.clone()],
            cc: Vec::new(),
            body: draft.text.clone(),
            subject: draft.subject.clone(),
            media: draft.media_urls.iter().map(Media::at).collect(),
            facts: Facts {
                encoding: Some(draft.size.encoding.to_string()),
                segments: Some(draft.size.segments),
                ..Facts::default()
            },
            status: Status::Pending,
            created_at: now,
            send_at: draft.send_at,
            offer: Some(Offer {
                body,
                base_url: telnyx.base_url().to_owned(),
                until: now.plus_seconds(seconds),
            }),
        })
    }

    /// Records the outcome and tells the caller.
    async fn conclude(
        &self,
        offered: Offered,
        message: &NewMessage,
        lift_opt_out: bool,
        key: String,
    ) -> Result<Sent, Error> {
        let outcome = outcome(&offered, message, lift_opt_out);
        let stored = self.record(Closing { id: message.id, outcome }).await?;
        // A report may have proved meanwhile that it was sent after all.
        let sent_after_all = stored.status > Status::Unknown && !stored.status.is_failure();
        match refusal(&offered, message) {
            Some(error) if !sent_after_all => Err(error.with(|extra| {
                extra.message_id = Some(message.id);
            })),
            _ => Ok(Sent { message: stored, idempotency_key: key }),
        }
    }

    /// Writes an outcome, patiently: it cannot be had a second time.
    async fn record(&self, closing: Closing) -> Result<Message, Error> {
        let mut tries = 0;
        loop {
            match self.store.writer()?.close(closing.clone()).await {
                Err(error) if error.code() == Code::DatabaseUnavailable && tries < RECORD_TRIES => {
                    tries += 1;
                    tokio::time::sleep(RECORD_PAUSE).await;
                }
                Err(error) => {
                    tracing::error!(message = %closing.id, outcome = ?closing.outcome,
                        "the outcome of a send could not be recorded");
                    return Err(unrecorded(&error, &closing));
                }
                Ok(message) => return Ok(message),
            }
        }
    }
}

/// What the row is to say.
fn outcome(offered: &Offered, message: &NewMessage, lift_opt_out: bool) -> Outcome {
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
        Offered::Answered(answer) => match answer {
            Answer::Accepted(payload) => Outcome::Accepted {
                telnyx_message_id: payload.id.clone(),
                status: payload
                    .to
                    .first()
                    .and_then(|to| Status::from_report(to.status.as_deref()?))
                    .unwrap_or(Status::Queued),
                facts: receive::facts(payload),
                lift_opt_out,
            },
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

/// What the caller is told when surely nothing was sent.
fn refusal(offered: &Offered, message: &NewMessage) -> Option<Error> {
    let answer = match offered {
        Offered::Unknown => return None,
        Offered::Cancelled => {
            return Some(Error::new(Code::Cancelled, "cancelled; nothing was sent"));
        }
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
                .hint("check the network and try again")
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
    if error.code.as_deref() != Some("40300") {
        return None;
    }
    let words = format!("{} {}", error.title, error.detail.as_deref().unwrap_or_default());
    let words = words.to_lowercase();
    let speaks_of_stop = words.split(|c: char| !c.is_alphanumeric()).any(|word| word == "stop")
        || words.contains("block rule");
    speaks_of_stop.then(|| OptOutChange {
        opted_out: true,
        at: clock::now(),
        number: Some(message.from.clone()),
        profile: None,
    })
}

fn own_error(title: &str) -> MessageError {
    MessageError { code: None, title: title.to_owned(), detail: None }
}

fn no_api_key() -> Error {
    Error::new(Code::NotConfigured, "TELNYX_API_KEY is not set")
        .hint("copy your key from the Telnyx portal into .env, or try --sandbox")
}

fn key_reused() -> Error {
    Error::new(Code::IdempotencyKeyReused, "this idempotency key belongs to another request")
        .hint("use a new key for a new message; the old one repeats the old message")
}

fn opted_out(to: &PhoneNumber, since: Timestamp, number: Option<&PhoneNumber>) -> Error {
    let said_to = number.map(|number| format!(" to {number}")).unwrap_or_default();
    Error::new(Code::OptedOut, format!("{to} has opted out: it said STOP{said_to} at {since}"))
        .hint(
            "it can be written to again once it sends START; --despite-opt-out lets Telnyx decide",
        )
}

/// The outcome is known, but not to the database. What is told must still be true.
fn unrecorded(error: &Error, closing: &Closing) -> Error {
    match closing.outcome {
        Outcome::NotSent { .. } => Error::new(error.code(), error.to_string()),
        _ => Error::new(
            Code::OutcomeUnknown,
            "the message was offered to Telnyx, but its outcome could not be recorded",
        )
        .hint("its delivery report will tell; repeat only with the same idempotency key"),
    }
    .with(|extra| extra.message_id = Some(closing.id))
}
