//! Offering a message again on a person's word.

use uuid::Uuid;

use super::offer::{Attempt, Offered};
use super::outcome::accepted;
use super::send::{no_api_key, opted_out};
use super::{Threads, no_message};
use crate::clock;
use crate::domain::{Message, Status, Timestamp};
use crate::error::{Code, Error};
use crate::store::row::{Closing, Offer, Outcome};
use crate::store::settle::{Claim, Step, Work};
use crate::store::unsettled::Unsettled;
use crate::telnyx::client::{Answer, Client};

/// How long Telnyx knows a repeated request by its key.
const REPLAY_SECONDS: i64 = 24 * 3_600;

impl Threads {
    /// Offers a message whose outcome is unknown once more: the same request under the same key,
    /// so that Telnyx, if it has it, answers as it did then. After 24 hours Telnyx has forgotten
    /// the key and would send a second text; only `force` risks that.
    ///
    /// Returns the message as it stands: still `unknown` unless Telnyx took it. A refusal proves
    /// nothing about the first offer.
    ///
    /// # Errors
    /// `message_not_found`; `not_retryable` when its outcome is known, too old, or somebody else
    /// is at it; `opted_out`.
    pub async fn retry(&self, id: Uuid, force: bool) -> Result<Message, Error> {
        let telnyx = self.telnyx.as_ref().ok_or_else(no_api_key)?;
        let now = clock::now();
        self.lapse(now).await?;
        let found = self.store.unsettled(id).await?.ok_or_else(no_message)?;
        let offer = open_offer(&found, telnyx)?;
        if found.message.telnyx_message_id.is_some() {
            // Telnyx has it: there is something to ask and nothing to offer.
            self.ask(telnyx, &found.message, now).await?;
            return Ok(self.message(id).await?.without_history());
        }
        if let Some((since, number)) = &found.opted_out {
            return Err(opted_out(&found.message.to, *since, number.as_ref())
                .hint("it can be written to again once it sends START"));
        }
        if offer.until > now {
            return Err(under_way());
        }
        self.check_age(found.message.created_at, now, force)?;
        self.offer_again(telnyx, found.message, offer, now).await
    }

    /// Every attempt must be over before Telnyx forgets the key.
    fn check_age(&self, created_at: Timestamp, now: Timestamp, force: bool) -> Result<(), Error> {
        let forgotten = created_at.plus_seconds(REPLAY_SECONDS);
        if force || now.plus(self.policy.timeout) < forgotten {
            return Ok(());
        }
        Err(Error::new(
            Code::NotRetryable,
            "the message was first offered more than 24 hours ago: Telnyx would not know it again",
        )
        .hint("if it was sent then, it would be sent twice; --force (force=true) risks that"))
    }

    async fn offer_again(
        &self,
        telnyx: &Client,
        message: Message,
        mut offer: Offer,
        now: Timestamp,
    ) -> Result<Message, Error> {
        let (id, until) = (message.id, now.plus(self.policy.timeout));
        let claim = Claim { id, seen: offer.until, until, work: Work::Retry };
        if self.store.writer()?.settle(Step::Claim(claim)).await?.is_empty() {
            return Err(under_way());
        }
        offer.until = until;
        let attempt = Attempt { id, to: &message.to, offer: &offer, repeat: true };
        let outcome = match self.offer(telnyx, attempt).await {
            Offered::Answered(Answer::Accepted(payload)) => accepted(&payload, false),
            _ => Outcome::Unknown,
        };
        self.record(Closing { id, until, at: clock::now(), may_repeat: false, outcome }).await
    }
}

/// The request that was made for a message, if nobody knows what became of it.
fn open_offer(found: &Unsettled, telnyx: &Client) -> Result<Offer, Error> {
    let refuse = |what: String| Error::new(Code::NotRetryable, what);
    let Some(offer) = &found.offer else {
        return Err(refuse("the message was not sent by convo".to_owned()));
    };
    match found.message.status {
        Status::Unknown => {}
        Status::Pending => return Err(under_way()),
        status => {
            return Err(refuse(format!("the message is {status}: its outcome is known"))
                .hint("only a message whose outcome is unknown can be offered again"));
        }
    }
    if offer.base_url != telnyx.base_url() {
        let what = "the message was offered to another address of Telnyx's API than is set now";
        return Err(refuse(what.to_owned()).hint("set TELNYX_BASE_URL as it was then"));
    }
    Ok(offer.clone())
}

fn under_way() -> Error {
    Error::new(Code::NotRetryable, "an attempt to send the message is under way")
        .hint("its outcome will show; try again in half a minute")
}
