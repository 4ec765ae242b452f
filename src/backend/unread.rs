//! Marking conversations read and unread, here or at a server.

use super::{Backend, open};
use crate::config::Config;
use crate::domain::{Conversation, ReadUpTo, Selector};
use crate::error::Error;

impl Backend {
    /// Connects to the server that the settings name, or else opens the database to mark conversations,
    /// which needs no setting of Telnyx.
    ///
    /// # Errors
    /// The database cannot be changed, or a setting is invalid.
    pub async fn open_for_marks(config: &Config) -> Result<Self, Error> {
        match Self::remote(config)? {
            Some(remote) => Ok(remote),
            None => open::open_for_marks(config).await.map(Self::Local),
        }
    }

    /// Marks as read what has arrived in a conversation, up to a point. Returns the conversation as it is
    /// then.
    ///
    /// # Errors
    /// No conversation matches, or it does not have the message.
    pub async fn mark_read(
        &self,
        conversation: &Selector,
        up_to: ReadUpTo,
    ) -> Result<Conversation, Error> {
        match self {
            Self::Local(conversations) => conversations.mark_read(conversation, up_to).await,
            Self::Remote(client) => client.mark_read(conversation, up_to).await,
        }
    }

    /// Makes the last inbound message of a conversation unread, unless one is. Returns the conversation
    /// as it is then.
    ///
    /// # Errors
    /// No conversation matches.
    pub async fn mark_unread(&self, conversation: &Selector) -> Result<Conversation, Error> {
        match self {
            Self::Local(conversations) => conversations.mark_unread(conversation).await,
            Self::Remote(client) => client.mark_unread(conversation).await,
        }
    }
}
