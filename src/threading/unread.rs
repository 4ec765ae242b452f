//! Marking conversations read and unread.

use super::Conversations;
use crate::domain::{Conversation, ReadUpTo, Selector, message};
use crate::error::Error;

impl Conversations {
    /// Marks as read what has arrived in a conversation, up to a point. What arrives meanwhile stays
    /// unread, and what was read stays read. Returns the conversation as it is then.
    ///
    /// # Errors
    /// `conversation_not_found`, `ambiguous_id`; `message_not_found` if the conversation does not have the
    /// message; `database_unavailable`.
    pub async fn mark_read(
        &self,
        selector: &Selector,
        up_to: ReadUpTo,
    ) -> Result<Conversation, Error> {
        let conversation = self.find(selector).await?;
        let up_to = match up_to {
            ReadUpTo::Now => conversation.arrived,
            ReadUpTo::Arrived(arrived) => arrived,
            ReadUpTo::Message(id) => {
                let arrival = self.store.arrival(conversation.id, id).await?;
                arrival.ok_or_else(message::not_found)?
            }
        };
        if conversation.unread_count == 0 {
            return Ok(conversation);
        }
        let unread_count = self.store.mark_read(&conversation, up_to).await?;
        Ok(Conversation { unread_count, ..conversation })
    }

    /// Makes the last inbound message of a conversation unread, unless one is. Returns the conversation as
    /// it is then.
    ///
    /// # Errors
    /// `conversation_not_found`, `ambiguous_id`; `database_unavailable`.
    pub async fn mark_unread(&self, selector: &Selector) -> Result<Conversation, Error> {
        let conversation = self.find(selector).await?;
        if conversation.unread_count > 0 {
            return Ok(conversation);
        }
        let unread_count = self.store.mark_unread(&conversation).await?;
        let arrived = conversation.arrived + unread_count;
        Ok(Conversation { unread_count, arrived, ..conversation })
    }
}
