//! The raw events, of the database here or of a server.

use super::Backend;
use crate::domain::{Page, StoredEvent, StoredEventCursor, StoredEventFilter};
use crate::error::Error;

impl Backend {
    /// A page of the stored events, newest first. It may have fewer than `limit` without being the last.
    ///
    /// # Errors
    /// The database or the server cannot be reached.
    pub async fn stored_events(
        &self,
        filter: &StoredEventFilter,
        after: Option<StoredEventCursor>,
        limit: u64,
    ) -> Result<Page<StoredEvent, StoredEventCursor>, Error> {
        match self {
            Self::Local(conversations) => conversations.stored_events(filter, after, limit).await,
            Self::Remote(client) => client.stored_events(filter, after, limit).await,
        }
    }

    /// The body of a stored event, as it came.
    ///
    /// # Errors
    /// `event_not_found`.
    pub async fn stored_event(&self, id: &str) -> Result<Vec<u8>, Error> {
        match self {
            Self::Local(conversations) => conversations.stored_event(id).await,
            Self::Remote(client) => client.stored_event(id).await,
        }
    }
}
