//! Reading the feed of a server, by long polling.

use std::time::Duration;

use super::exchange::Exchange;
use super::{Client, READ_TIMEOUT};
use crate::domain::cursor::MAX_PAGE;
use crate::domain::{FeedFilter, FeedPage, FeedStart};
use crate::error::Error;

/// The longest that the server is asked to wait: the answer must come before the time for it ends.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

impl Client {
    /// Up to `limit` events; if none matches the filter yet, the server waits for one as long as
    /// `patience`, or 20 seconds.
    ///
    /// # Errors
    /// `cursor_expired` and others of the server's; `server_unreachable` or `server_mismatch`.
    pub async fn events(
        &self,
        start: FeedStart,
        filter: &FeedFilter,
        limit: u64,
        patience: Duration,
    ) -> Result<FeedPage, Error> {
        let mut query = filter.parameters();
        query.extend(start.parameter());
        query.push(("limit", limit.clamp(1, MAX_PAGE).to_string()));
        // Whole seconds: a shorter time is waited for by asking again.
        let wait = patience.min(LONGEST_WAIT).as_secs();
        query.push(("wait", wait.to_string()));
        let request = self.http.get(self.address.join(&["events"])).query(&query);
        let request = request.timeout(READ_TIMEOUT + LONGEST_WAIT);
        Exchange::read(self.address.as_str()).run(request).await.map(|(_, page)| page)
    }
}
