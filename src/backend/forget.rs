//! Forgetting contacts, here or at a server.

use super::Backend;
use crate::domain::{ForgetReceipt, ForgottenMarks, Selector};
use crate::error::Error;

impl Backend {
    /// Removes everything that is about a contact, or only counts it.
    ///
    /// # Errors
    /// `conversation_not_found`, `contact_busy`.
    pub async fn forget(&self, contact: &Selector, is_dry: bool) -> Result<ForgetReceipt, Error> {
        match self {
            Self::Local(conversations) => conversations.forget(contact, is_dry).await,
            Self::Remote(client) => client.forget(contact, is_dry).await,
        }
    }

    /// The marks of all contacts that were forgotten, with their key.
    ///
    /// # Errors
    /// The database or the server cannot be reached.
    pub async fn forgotten(&self) -> Result<ForgottenMarks, Error> {
        match self {
            Self::Local(conversations) => conversations.forgotten().await,
            Self::Remote(client) => client.forgotten().await,
        }
    }
}
