//! Automatic answers: which message one answers, and from which number.

use super::Conversations;
use crate::domain::message;
use crate::domain::{Direction, Draft, Message, PhoneNumber};
use crate::error::Error;

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
