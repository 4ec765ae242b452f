//! Sending: the row first, then the offer, then the outcome.

use std::time::{Duration, Instant};

use serde::Serialize;
use uuid::Uuid;

use super::Conversations;
use super::batches::double;
use super::offer::{Attempt, Offered, reserve};
use super::outcome::{accepted, cancelled, too_slow};
use super::replay::answer;
use super::send_limits::{over_reply_limit, over_send_limit};
use crate::clock;
use crate::domain::{
    Direction, Draft, IdempotencyKey, Media, Message, PhoneNumber, Selector, SendPlan, Sent,
    Status, Timestamp,
};
use crate::error::{Code, Error};
use crate::metrics::{self, SendOutcome};
use crate::store::Facts;
use crate::store::model::{Closing, NewBatchRow, NewMessage, NewSend, Offer, Opened, Outcome};
use crate::telnyx::client::TelnyxClient;
use crate::telnyx::event::TAG_PREFIX;

/// The pause before storing is tried again after another transaction held a lock.
const LOCKED_PAUSE: Duration = Duration::from_millis(50);

/// The answer to a send.
enum Ended {
    /// It was offered to Telnyx.
    Sent(Sent),
    /// It is a repeat: the answer to the first send under its key.
    Repeated(Result<Sent, Error>),
}

/// The body of `POST /v2/messages`. The order of its fields is fixed: its bytes are stored, and repeats
/// use them.
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

impl Conversations {
    /// Sends a message: stores it, offers it to Telnyx, records the outcome. Dropping the future may
    /// lose the outcome, so a server runs it in a task of its own.
    ///
    /// # Errors
    /// If certainly nothing was sent. An unknown outcome is usually not an error, see
    /// [`Sent::is_open`]; only one that could not be recorded is `outcome_unknown`.
    pub async fn send(&self, draft: &Draft, key: Option<&IdempotencyKey>) -> Result<Sent, Error> {
        let ended = self.send_or_repeat(draft, key).await;
        metrics::send(match &ended {
            Ok(Ended::Repeated(_)) => Ok(SendOutcome::Repeated),
            Ok(Ended::Sent(sent)) if sent.is_open() => Ok(SendOutcome::Unknown),
            Ok(Ended::Sent(_)) => Ok(SendOutcome::Accepted),
            Err(error) if error.code() == Code::OutcomeUnknown => Ok(SendOutcome::Unknown),
            Err(error) => Err(error.code()),
        });
        match ended? {
            Ended::Sent(sent) => Ok(sent),
            Ended::Repeated(result) => result,
        }
    }

    async fn send_or_repeat(
        &self,
        draft: &Draft,
        key: Option<&IdempotencyKey>,
    ) -> Result<Ended, Error> {
        let now = clock::now();
        let arrived = Instant::now();
        let schedule = draft.check_schedule(now);
        let telnyx = self.telnyx.as_ref().ok_or_else(no_api_key)?;
        let key = draft.key(key)?;
        let from = self.sender(draft, self.answered(draft).await?.as_ref()).await?;
        let id = Uuid::now_v7();
        let offer = Offer {
            body: self.request_body(id, draft, &from)?,
            base_url: telnyx.base_url().to_owned(),
            until: now.plus(self.policy.timeout),
            repeats_left: match &key {
                _ if draft.request().no_retry => Some(0),
                Some(_) => Some(1),
                None => None,
            },
        };
        let message = new_message(id, draft, from, &offer, now);
        let key = key.unwrap_or_else(|| IdempotencyKey::from(id));
        let send = NewSend {
            message: message.clone(),
            key: key.clone(),
            request_hash: draft.request_hash().to_owned(),
            despite_opt_out: draft.request().despite_opt_out,
            reply_limit: self.policy.reply_limit,
            send_limit: self.policy.send_limit.filter(|_| !draft.request().despite_send_limit),
            batch: draft
                .request()
                .batch
                .clone()
                .map(|place| NewBatchRow { place, content: draft.fingerprint() }),
            only_repeat: schedule.is_err(),
        };
        match self.open(send, arrived).await {
            Ok(Opened::Stored) => {}
            Ok(Opened::NoRepeat) => return Err(schedule.err().unwrap_or_else(Error::internal)),
            Ok(Opened::Replay(first)) => {
                let first = self.end_of_first(draft, *first, arrived).await;
                return Ok(Ended::Repeated(answer(first, key)));
            }
            Ok(Opened::KeyReused) => return Err(key_reused()),
            Ok(Opened::Locked) => {
                return Err(too_slow("the database was too slow; nothing was sent"));
            }
            Ok(Opened::ReplyLimit { next }) => {
                return Err(over_reply_limit(self.policy.reply_limit, next));
            }
            Ok(Opened::Double(message)) => return Err(double(message)),
            Ok(Opened::SendLimit { next }) => {
                return Err(over_send_limit(self.policy.send_limit.unwrap_or_default(), next));
            }
            Ok(Opened::OptedOut { since, number }) => {
                return Err(opted_out(draft.to(), since, number.as_ref()));
            }
            Err(error) => return Err(self.not_stored(error, &offer, &key).await),
        }
        self.offer_stored(telnyx, draft, &message, &offer, key).await.map(Ended::Sent)
    }

    /// Stores a message before it is offered. While another server's transaction holds a lock that is
    /// needed, tries again.
    async fn open(&self, send: NewSend, arrived: Instant) -> Result<Opened, Error> {
        let deadline = arrived + self.time_to_store();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let opened = self.store.writer()?.open(send.clone(), left).await?;
            if !matches!(opened, Opened::Locked) || Instant::now() + LOCKED_PAUSE >= deadline {
                return Ok(opened);
            }
            let pause = tokio::time::sleep(LOCKED_PAUSE);
            if self.interrupt.run_until_cancelled(pause).await.is_none() {
                return Err(cancelled());
            }
        }
    }

    /// How long storing a message may take: the rest of the call is for recording what became of it.
    fn time_to_store(&self) -> Duration {
        self.policy.timeout.saturating_sub(reserve(self.policy.timeout))
    }

    /// The error for a message that could not be stored, so it was not offered. If the answer of the
    /// database was lost, the row may exist, and settling must not offer it.
    async fn not_stored(&self, error: Error, offer: &Offer, key: &IdempotencyKey) -> Error {
        let Some(id) = error.extra().message_id else { return error };
        let error = error.with(|extra| extra.message_id = None);
        if self.withdraw(id, key, offer.until, &error.body()).await || !may_repeat(offer) {
            return error;
        }
        let what = "the database failed while the message was being stored: it may be sent later";
        let error =
            Error::new(Code::OutcomeUnknown, what).with(|extra| extra.message_id = Some(id));
        with_key(error.hint("repeat it only with the same idempotency key"), key)
    }

    /// What [`send`](Self::send) would do. Changes nothing.
    ///
    /// # Errors
    /// Those of a send before anything is stored.
    pub async fn plan(&self, draft: &Draft) -> Result<SendPlan, Error> {
        draft.check_schedule(clock::now())?;
        let conversation = self.store.exactly(&Selector::new(draft.to().as_str())).await?;
        Ok(SendPlan {
            from: self.sender(draft, self.answered(draft).await?.as_ref()).await?,
            conversation_id: conversation.as_ref().map(|conversation| conversation.id),
            opted_out_at: conversation.and_then(|conversation| conversation.opted_out_at),
            to: draft.to().clone(),
            encoding: draft.size().encoding,
            segments: draft.size().segments,
            units: draft.size().units,
        })
    }

    /// The sender: the caller's choice, else the number that the answered message came to, else the one of
    /// our numbers that the contact last wrote to, else the first.
    async fn sender(
        &self,
        draft: &Draft,
        answered: Option<&Message>,
    ) -> Result<PhoneNumber, Error> {
        if let Some(chosen) = draft.from() {
            return Ok(chosen.clone());
        }
        if let Some(number) = answered.and_then(|message| self.number_written_to(message)) {
            return Ok(number);
        }
        let default = self.numbers.first().ok_or_else(|| {
            Error::new(Code::NotConfigured, "TELNYX_PHONE_NUMBER is not set")
                .hint("set it to the number that messages are sent from, or use --from")
        })?;
        if self.numbers.len() == 1 {
            return Ok(default.clone());
        }
        let last = self.store.last_written_to(draft.to(), &self.numbers).await?;
        Ok(last.unwrap_or_else(|| default.clone()))
    }

    /// The bytes of the request to Telnyx.
    fn request_body(&self, id: Uuid, draft: &Draft, from: &PhoneNumber) -> Result<Vec<u8>, Error> {
        let tag = [format!("{TAG_PREFIX}{id}")];
        let request = TelnyxRequest {
            from,
            to: draft.to(),
            text: draft.text(),
            media_urls: &draft.request().media_urls,
            subject: draft.request().subject.as_deref(),
            send_at: draft.request().send_at,
            tags: if self.policy.tag { &tag } else { &[] },
        };
        serde_json::to_vec(&request).map_err(|_| Error::internal())
    }

    /// Offers a stored message and records the outcome. The caller's answer comes from the row: only a row
    /// that is closed is certain never to be offered again.
    async fn offer_stored(
        &self,
        telnyx: &TelnyxClient,
        draft: &Draft,
        message: &NewMessage,
        offer: &Offer,
        key: IdempotencyKey,
    ) -> Result<Sent, Error> {
        let repeat = !draft.request().no_retry;
        let attempt = Attempt { id: message.id, to: draft.to(), offer, repeat };
        let outcome = match self.offer(telnyx, attempt).await {
            Offered::Accepted(payload) => accepted(&payload, draft.request().despite_opt_out),
            Offered::NotSent(why) => why.outcome(message),
            Offered::Unknown => Outcome::Unknown,
        };
        let closing = Closing {
            id: message.id,
            until: offer.until,
            at: clock::now(),
            may_repeat: may_repeat(offer),
            outcome,
        };
        let stored = self.record(closing).await.map_err(|error| with_key(error, &key))?;
        answer(stored, key)
    }
}

fn new_message(
    id: Uuid,
    draft: &Draft,
    from: PhoneNumber,
    offer: &Offer,
    now: Timestamp,
) -> NewMessage {
    let request = draft.request();
    NewMessage {
        id,
        telnyx_message_id: None,
        direction: Direction::Outbound,
        from,
        to: vec![draft.to().clone()],
        cc: Vec::new(),
        body: draft.text().to_owned(),
        subject: request.subject.clone(),
        media: request.media_urls.iter().map(Media::at).collect(),
        facts: Facts {
            encoding: Some(draft.size().encoding.to_string()),
            segments: Some(draft.size().segments),
            ..Facts::default()
        },
        status: Status::Pending,
        created_at: now,
        send_at: request.send_at,
        offer: Some(offer.clone()),
        in_reply_to: request.in_reply_to,
        autoresponse_type: None,
        recovered: false,
    }
}

/// Whether settling may offer the message again if its attempt ends without a recorded outcome.
fn may_repeat(offer: &Offer) -> bool {
    offer.repeats_left.is_some_and(|left| left > 0)
}

/// Adds the key under which the send may be repeated to the error of an unknown outcome.
fn with_key(error: Error, key: &IdempotencyKey) -> Error {
    match error.code() {
        Code::OutcomeUnknown => error.with(|extra| extra.idempotency_key = Some(key.to_string())),
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
    // That of its STOP, or of the refusal by which Telnyx reported one.
    let since = since.to_utc().format("%-d %b %Y, %H:%M UTC");
    Error::new(Code::OptedOut, format!("{to} has opted out{number} (recorded {since})"))
        .hint("wait until the contact sends START; --despite-opt-out lets Telnyx decide")
}
