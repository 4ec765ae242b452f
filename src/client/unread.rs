//! Marking conversations read and unread, as a server does it.

use serde_json::json;

use super::Client;
use super::address::is_valid_segment;
use crate::domain::{Conversation, ReadUpTo, Selector, conversation};
use crate::error::Error;

impl Client {
    /// Marks as read what has arrived in a conversation, up to a point. Returns the conversation as it is
    /// then.
    ///
    /// # Errors
    /// The server's; `server_unreachable` or `server_mismatch`, as for the other method here.
    pub async fn mark_read(
        &self,
        conversation: &Selector,
        up_to: ReadUpTo,
    ) -> Result<Conversation, Error> {
        self.mark(conversation, "read", up_to.parameter()).await
    }

    /// Makes the last inbound message of a conversation unread, unless one is.
    ///
    /// # Errors
    /// The server's.
    pub async fn mark_unread(&self, conversation: &Selector) -> Result<Conversation, Error> {
        self.mark(conversation, "unread", None).await
    }

    async fn mark(
        &self,
        conversation: &Selector,
        mark: &str,
        parameter: Option<(&'static str, String)>,
    ) -> Result<Conversation, Error> {
        let name = conversation.as_str();
        if !is_valid_segment(name) {
            return Err(conversation::not_found());
        }
        let url = self.address.join(&["conversations", name, mark]);
        let query: Vec<_> = parameter.into_iter().collect();
        self.run(self.http.post(url).query(&query).json(&json!({}))).await
    }
}
