//! The raw events that a server has stored.

use super::address::is_valid_segment;
use super::exchange::Exchange;
use super::{Client, next};
use crate::domain::cursor::MAX_PAGE;
use crate::domain::stored_event::event_not_found;
use crate::domain::{Page, StoredEvent, StoredEventCursor, StoredEventFilter};
use crate::error::Error;

impl Client {
    /// A page of the events, newest first, of at most `limit` after a position. It may have fewer without
    /// being the last.
    ///
    /// # Errors
    /// The server's; `server_unreachable` or `server_mismatch`.
    pub async fn stored_events(
        &self,
        filter: &StoredEventFilter,
        after: Option<StoredEventCursor>,
        limit: u64,
    ) -> Result<Page<StoredEvent, StoredEventCursor>, Error> {
        let mut query = filter.parameters();
        query.push(("limit", limit.min(MAX_PAGE).to_string()));
        query.extend(after.map(|cursor| ("after", cursor.to_string())));
        let url = self.address.join(&["webhooks", "events"]);
        let exchange = Exchange::read(self.address.as_str());
        let (headers, rows) = exchange.run(self.http.get(url).query(&query)).await?;
        let next = next(&exchange, &headers, "after")?;
        Ok(Page { rows, next })
    }

    /// The body of an event, as it came.
    ///
    /// # Errors
    /// `event_not_found`; the server's; `server_unreachable` or `server_mismatch`.
    pub async fn stored_event(&self, id: &str) -> Result<Vec<u8>, Error> {
        if !is_valid_segment(id) {
            return Err(event_not_found(id));
        }
        let exchange = Exchange::read(self.address.as_str());
        let request = self.http.get(self.address.join(&["webhooks", "events", id]));
        let (status, headers, body) = exchange.respond(request).await?;
        if status.is_success() {
            return Ok(body.into());
        }
        Err(exchange.unexpected_response(status, &headers, &body))
    }
}
