//! Exporting conversations, a part at a time.

use super::Conversations;
use crate::domain::conversation;
use crate::domain::{ExportFilter, ExportLine};
use crate::error::Error;
use crate::store::ExportPosition;

/// Reads an export from its beginning to its end. Between two parts it holds neither a connection nor what
/// was read.
#[derive(Debug)]
pub struct ExportReader {
    conversations: Conversations,
    filter: ExportFilter,
    /// The contact of the filter as it is stored.
    contact: Option<String>,
    /// `None` at the end.
    next: Option<ExportPosition>,
}

impl ExportReader {
    /// The next lines, perhaps none; `None` after the last.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn next(&mut self) -> Result<Option<Vec<ExportLine>>, Error> {
        let Some(at) = self.next.take() else { return Ok(None) };
        let store = &self.conversations.store;
        let page = store.export(&self.filter, self.contact.as_deref(), at).await?;
        self.next = page.next;
        Ok(Some(page.lines))
    }
}

impl Conversations {
    /// An export of what a filter covers.
    ///
    /// # Errors
    /// `conversation_not_found` if there is none with the contact of the filter; `ambiguous_name`.
    pub async fn export(&self, filter: ExportFilter) -> Result<ExportReader, Error> {
        let contact = match &filter.contact {
            Some(contact) => {
                let named = self.without_name(Some(contact)).await?;
                let found = self.store.exactly(named.as_ref().unwrap_or(contact)).await?;
                let found = found.ok_or_else(conversation::not_found)?;
                Some(found.contact_number.to_string())
            }
            None => None,
        };
        let conversations = self.clone();
        Ok(ExportReader { conversations, filter, contact, next: Some(ExportPosition::default()) })
    }
}
