//! Automatic answers: which message one answers, from which number, and how many there may be.

use super::Conversations;
use crate::clock;
use crate::domain::message;
use crate::domain::{Direction, Draft, Message, PhoneNumber, Timestamp};
use crate::error::{Code, Error};

/// What is advised to wait when no answer is ever allowed, in seconds.
const LONG_WAIT: i64 = 3_600;

impl Conversations {
    /// The message that a send answers, if it answers one.
    ///
    /// # Errors
    /// `message_not_found`; `invalid_request` if the message is not an inbound one of the recipient.
    pub(super) async fn answered(&self, draft: &Draft) -> Result<Option<Message>, Error> {
        let Some(id) = draft.request().in_reply_to else { return Ok(None) };
        let found = self.store.message(id).await?.ok_or_else(|| {
            message::not_found().hint("in_reply_to (--reply-to) is the id of a stored message")
        })?;
        if found.direction != Direction::Inbound {
            return Err(Error::invalid(format!("{id} is a message that was sent from here"))
                .hint("only an inbound message can be answered"));
        }
        if found.contact() != draft.to() {
            return Err(Error::invalid(format!("{id} is not a message of {}", draft.to()))
                .hint(format!("its answer goes to {}", found.contact())));
        }
        Ok(Some(found))
    }

    /// The number that an inbound message came to. A message to several may name others before ours.
    pub(super) fn number_written_to(&self, message: &Message) -> Option<PhoneNumber> {
        let recipients = || std::iter::once(message.to.as_str()).chain(others(message));
        let ours = self.numbers.iter().find(|own| recipients().any(|to| to == own.as_str()));
        ours.or((message.cc.is_empty()).then_some(&message.to)).cloned()
    }
}

fn others(message: &Message) -> impl Iterator<Item = &str> {
    message.cc.iter().map(String::as_str)
}

/// The error for an answer beyond the limit; `next`: when the next one is allowed.
pub(super) fn over_reply_limit(limit: usize, next: Option<Timestamp>) -> Error {
    let what = match limit {
        0 => "automatic answers are switched off (CONVO_REPLY_LIMIT is 0)".to_owned(),
        1 => "the contact has got an automatic answer within the last hour".to_owned(),
        _ => format!("the contact has got {limit} automatic answers within the last hour"),
    };
    // Rounded up, so that whoever waits for it is not too early.
    let wait = next.map_or(LONG_WAIT, |next| next.seconds_since(clock::now()).max(0) + 1);
    Error::new(Code::ReplyLimit, format!("{what}; nothing was sent"))
        .hint("two programs may be answering each other; CONVO_REPLY_LIMIT sets the limit")
        .with(|extra| extra.retry_after = u64::try_from(wait).ok())
}
