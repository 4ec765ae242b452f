//! `convo retry`: offering a message of unknown outcome again.

use uuid::Uuid;

use super::Conversations;
use super::offer::{Attempt, OfferedAgain};
use super::outcome::accepted;
use super::send::{no_api_key, opted_out};
use crate::clock;
use crate::domain::message;
use crate::domain::{Message, Status, Timestamp};
use crate::error::{Code, Error};
use crate::store::model::{Closing, Offer, Outcome};
use crate::store::settle::read::Unsettled;
use crate::store::settle::write::{AttemptLease, LeasePurpose};
use crate::telnyx::client::TelnyxClient;

/// How long Telnyx remembers an idempotency key.
const REPLAY_SECONDS: i64 = 24 * 3_600;

impl Conversations {
    /// Offers a message of unknown outcome once more, with the same request and the same key. If Telnyx
    /// has the message, it answers as it did the first time. After 24 hours Telnyx has forgotten the key
    /// and would send a second text, which only `force` risks.
    ///
    /// Returns the message as it stands: still `unknown` unless Telnyx accepted it. A refusal proves
    /// nothing about the first request.
    ///
    /// # Errors
    /// `message_not_found`; `not_retryable` if its outcome is known, if it is too old, or if another
    /// attempt is in progress; `opted_out`.
    pub async fn retry(&self, id: Uuid, force: bool) -> Result<Message, Error> {
        let telnyx = self.telnyx.as_ref().ok_or_else(no_api_key)?;
        let now = clock::now();
        self.mark_unknown(now).await?;
        let found = self.store.unsettled(id).await?.ok_or_else(message::not_found)?;
        let offer = open_offer(&found, telnyx)?;
        if found.message.telnyx_message_id.is_some() {
            // Telnyx has the message, so its status is looked up instead.
            self.look_up(telnyx, &found.message, now).await?;
            return Ok(self.message(id).await?.without_history());
        }
        if let Some((since, number)) = &found.opted_out {
            return Err(opted_out(&found.message.to, *since, number.as_ref())
                .hint("wait until the contact sends START"));
        }
        if offer.until > now {
            return Err(in_progress());
        }
        self.check_age(found.message.created_at, now, force)?;
        self.lease_and_offer(telnyx, found.message, offer, now).await
    }

    /// The attempt must end before Telnyx forgets the key.
    fn check_age(&self, created_at: Timestamp, now: Timestamp, force: bool) -> Result<(), Error> {
        let forgotten = created_at.plus_seconds(REPLAY_SECONDS);
        if force || now.plus(self.policy.timeout) < forgotten {
            return Ok(());
        }
        Err(Error::new(
            Code::NotRetryable,
            "the first attempt was more than 24 hours ago: Telnyx no longer recognises the request",
        )
        .hint(
            "if it was sent then, it would be sent twice; --force (force=true) accepts that risk",
        ))
    }

    async fn lease_and_offer(
        &self,
        telnyx: &TelnyxClient,
        message: Message,
        mut offer: Offer,
        now: Timestamp,
    ) -> Result<Message, Error> {
        let (id, until) = (message.id, now.plus(self.policy.timeout));
        let lease = AttemptLease { id, seen: offer.until, until, purpose: LeasePurpose::Retry };
        if !self.store.writer()?.lease(lease).await? {
            return Err(in_progress());
        }
        offer.until = until;
        let attempt = Attempt { id, to: &message.to, offer: &offer, repeat: true };
        let outcome = match self.offer_again(telnyx, attempt).await {
            OfferedAgain::Accepted(payload) => accepted(&payload, false),
            OfferedAgain::StillUnknown { .. } => Outcome::Unknown,
        };
        let closing = Closing { id, until, at: clock::now(), may_repeat: false, outcome };
        Ok(self.record(closing).await?.message)
    }
}

/// The request for a message of unknown outcome.
fn open_offer(found: &Unsettled, telnyx: &TelnyxClient) -> Result<Offer, Error> {
    let refuse = |what: String| Error::new(Code::NotRetryable, what);
    let Some(offer) = &found.offer else {
        return Err(refuse("the message was not sent by convo".to_owned()));
    };
    match found.message.status {
        Status::Unknown => {}
        Status::Pending => return Err(in_progress()),
        status => {
            return Err(refuse(format!("the message is {status}: its outcome is known"))
                .hint("only a message whose outcome is unknown can be retried"));
        }
    }
    if offer.base_url != telnyx.base_url() {
        let what = "the message was submitted to a different TELNYX_BASE_URL than the current one";
        return Err(refuse(what.to_owned()).hint("set TELNYX_BASE_URL to its value at that time"));
    }
    Ok(offer.clone())
}

fn in_progress() -> Error {
    Error::new(Code::NotRetryable, "an attempt to send the message is in progress")
        .hint("wait for its outcome, or try again in 30 seconds")
}
