//! Sending: the row first, then the offer, then the outcome.

use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use super::Threads;
use super::offer::{Attempt, reserve};
use super::outcome::{outcome, refusal};
use crate::clock;
use crate::domain::send::check_idempotency_key;
use crate::domain::{
    Direction, Draft, Media, Message, PhoneNumber, Selector, SendPlan, SendRequest, Status,
    Timestamp,
};
use crate::error::{Code, Error};
use crate::metrics;
use crate::store::Facts;
use crate::store::row::{Closing, NewMessage, NewSend, Offer, Opened};
use crate::telnyx::event::TAG_PREFIX;

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

/// How a send came to its end.
enum Ended {
    /// By an offer of its own.
    Sent(Sent),
    /// By the offer that was made under its key before.
    Repeated(Sent),
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
        let ended = self.send_or_repeat(to, request, key).await;
        metrics::send(match &ended {
            Ok(Ended::Repeated(_)) => Ok("repeated"),
            Ok(Ended::Sent(sent)) if sent.is_open() => Ok("unknown"),
            Ok(Ended::Sent(_)) => Ok("accepted"),
            Err(error) if error.code() == Code::OutcomeUnknown => Ok("unknown"),
            Err(error) => Err(error.code()),
        });
        match ended? {
            Ended::Sent(sent) | Ended::Repeated(sent) => Ok(sent),
        }
    }

    async fn send_or_repeat(
        &self,
        to: &str,
        request: &SendRequest,
        key: Option<&str>,
    ) -> Result<Ended, Error> {
        let now = clock::now();
        key.map_or(Ok(()), check_idempotency_key)?;
        let draft = request.understand(to)?;
        let schedule = draft.check_schedule(now);
        let telnyx = self.telnyx.as_ref().ok_or_else(no_api_key)?;
        let from = self.sender(&draft).await?;
        let id = Uuid::now_v7();
        let offer = Offer {
            body: self.request_body(id, &draft, &from)?,
            base_url: telnyx.base_url().to_owned(),
            until: now.plus(self.policy.timeout),
            repeats_left: match key {
                _ if !draft.retry => Some(0),
                Some(_) => Some(1),
                None => None,
            },
        };
        let message = new_message(id, &draft, from, &offer, now);
        let key = key.map_or_else(|| message.id.to_string(), str::to_owned);
        let send = NewSend {
            message: message.clone(),
            key: Some((key.clone(), draft.request_hash.clone())),
            despite_opt_out: draft.despite_opt_out,
            only_repeat: schedule.is_err(),
        };
        match self.store.writer()?.open(send, self.time_to_store()).await {
            Ok(Opened::Stored) => {}
            Ok(Opened::NoRepeat) => return Err(schedule.err().unwrap_or_else(Error::internal)),
            Ok(Opened::Replay(message)) => {
                return Ok(Ended::Repeated(Sent { message: *message, idempotency_key: key }));
            }
            Ok(Opened::KeyReused) => return Err(key_reused()),
            Ok(Opened::OptedOut { since, number }) => {
                return Err(opted_out(&draft.to, since, number.as_ref()));
            }
            Err(error) => return Err(self.not_begun(error, &offer, &key).await),
        }
        let attempt = Attempt { id: message.id, to: &draft.to, offer: &offer, repeat: draft.retry };
        let offered = self.offer(telnyx, attempt).await;
        let closing = Closing {
            id: message.id,
            until: offer.until,
            at: clock::now(),
            may_repeat: may_repeat(&offer),
            outcome: outcome(&offered, &message, draft.despite_opt_out),
        };
        let refusal = refusal(&offered, &message);
        self.conclude(closing, refusal, key).await.map(Ended::Sent)
    }

    /// How long the database may take to store a message: what is left of the call is for telling.
    fn time_to_store(&self) -> Duration {
        self.policy.timeout.saturating_sub(reserve(self.policy.timeout))
    }

    /// Nothing was offered, since nothing could be stored. Only if the database broke off while it
    /// stored, the row may be there, and must not be offered later.
    async fn not_begun(&self, error: Error, offer: &Offer, key: &str) -> Error {
        let Some(id) = error.extra().message_id else { return error };
        if self.withdraw(id, key, offer.until).await || !may_repeat(offer) {
            return error.with(|extra| extra.message_id = None);
        }
        let what = "the database broke off while the message was stored: it may be sent later";
        let error =
            Error::new(Code::OutcomeUnknown, what).with(|extra| extra.message_id = Some(id));
        with_key(error.hint("repeat it only with the same idempotency key"), key)
    }

    /// Tells what [`send`](Self::send) would do, and does nothing.
    ///
    /// # Errors
    /// The same refusals as a send, before anything is stored.
    pub async fn plan(&self, to: &str, request: &SendRequest) -> Result<SendPlan, Error> {
        let draft = request.understand(to)?;
        draft.check_schedule(clock::now())?;
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
        let last = self.store.last_written_to(&draft.to, &self.numbers).await?;
        Ok(last.unwrap_or_else(|| default.clone()))
    }

    /// The bytes of the request to Telnyx.
    fn request_body(&self, id: Uuid, draft: &Draft, from: &PhoneNumber) -> Result<Vec<u8>, Error> {
        let tag = [format!("{TAG_PREFIX}{id}")];
        let request = TelnyxRequest {
            from,
            to: &draft.to,
            text: &draft.text,
            media_urls: &draft.media_urls,
            subject: draft.subject.as_deref(),
            send_at: draft.send_at,
            tags: if self.policy.tag { &tag } else { &[] },
        };
        serde_json::to_vec(&request).map_err(|_| Error::internal())
    }

    /// Records the outcome and tells the caller. What is recorded decides: only a row that says
    /// so is surely never offered again.
    async fn conclude(
        &self,
        closing: Closing,
        refusal: Option<Error>,
        key: String,
    ) -> Result<Sent, Error> {
        let id = closing.id;
        let stored = self.record(closing).await.map_err(|error| with_key(error, &key))?;
        match refusal {
            Some(error) if stored.status.is_failure() => {
                Err(error.with(|extra| extra.message_id = Some(id)))
            }
            _ => Ok(Sent { message: stored, idempotency_key: key }),
        }
    }
}

fn new_message(
    id: Uuid,
    draft: &Draft,
    from: PhoneNumber,
    offer: &Offer,
    now: Timestamp,
) -> NewMessage {
    NewMessage {
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
        offer: Some(offer.clone()),
    }
}

/// Whether convo may offer a message by itself whose attempt ends without a recorded outcome.
fn may_repeat(offer: &Offer) -> bool {
    offer.repeats_left.is_some_and(|left| left > 0)
}

/// An unknown outcome is told with the key under which the send may be repeated.
fn with_key(error: Error, key: &str) -> Error {
    match error.code() {
        Code::OutcomeUnknown => error.with(|extra| extra.idempotency_key = Some(key.to_owned())),
        _ => error,
    }
}

pub(crate) fn no_api_key() -> Error {
    Error::new(Code::NotConfigured, "TELNYX_API_KEY is not set")
        .hint("copy your key from the Telnyx portal into .env, or try --sandbox")
}

fn key_reused() -> Error {
    Error::new(Code::IdempotencyKeyReused, "this idempotency key belongs to another request")
        .hint("use a new key for a new message; the old one repeats the old message")
}

pub(super) fn opted_out(to: &PhoneNumber, since: Timestamp, number: Option<&PhoneNumber>) -> Error {
    let number = number.map(|number| format!(" of messages from {number}")).unwrap_or_default();
    // It said STOP then, or Telnyx's refusal said that it had.
    let since = since.to_utc().format("%-d %b %Y, %H:%M UTC");
    Error::new(Code::OptedOut, format!("{to} has opted out{number}: known since {since}")).hint(
        "it can be written to again once it sends START; --despite-opt-out lets Telnyx decide",
    )
}
