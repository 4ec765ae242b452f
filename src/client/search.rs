//! Searching messages at a server.

use super::exchange::Exchange;
use super::{Client, next};
use crate::domain::cursor::MAX_PAGE;
use crate::domain::search::INCOMPLETE_BEFORE;
use crate::domain::{Cursor, MessageSearch, SearchPage, Timestamp};
use crate::error::Error;

impl Client {
    /// A page of the messages that match a search, of at most `limit` after a position. It may have fewer
    /// than both `limit` and what remains.
    ///
    /// # Errors
    /// The server's; `server_unreachable` or `server_mismatch`.
    pub async fn search(
        &self,
        search: &MessageSearch,
        after: Option<Cursor>,
        limit: u64,
    ) -> Result<SearchPage, Error> {
        search.check()?;
        let mut query = search.parameters();
        query.push(("limit", limit.min(MAX_PAGE).to_string()));
        query.extend(after.map(|cursor| ("after", cursor.to_string())));
        let request = self.http.get(self.address.join(&["messages"])).query(&query);
        let exchange = Exchange::read(self.address.as_str());
        let (headers, hits) = exchange.run(request).await?;
        let next = next(&exchange, &headers, "after")?;
        let before = headers.get(INCOMPLETE_BEFORE).and_then(|value| value.to_str().ok());
        let incomplete_before = before.and_then(Timestamp::parse_with_zone);
        Ok(SearchPage { hits, next, incomplete_before })
    }
}
