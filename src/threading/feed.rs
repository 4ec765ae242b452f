//! Reading the feed: what happens, as it happens.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::Conversations;
use crate::domain::{FeedCursor, FeedFilter, FeedPage, FeedStart};
use crate::error::Error;
use crate::store::FeedSlice;

/// How many entries are read at once while a filter is looking for its events.
const SLICE: u64 = 200;
/// How many entries one call looks at: if few of them match, the next call goes on from there.
const MAX_LOOKED_AT: u64 = 5_000;

/// What was last read at the end of the feed. Those who wait for new entries all read the same ones, and
/// the first to come reads them for the others.
#[derive(Debug, Default)]
pub(super) struct LastSlice(Mutex<Option<(FeedCursor, Arc<FeedSlice>)>>);

impl Conversations {
    /// The position where reading begins.
    async fn position(&self, start: FeedStart) -> Result<FeedCursor, Error> {
        match start {
            FeedStart::Now => self.store.feed_head().await,
            FeedStart::Since(time) => self.store.feed_before(time).await,
            FeedStart::After(cursor) => Ok(cursor),
        }
    }

    /// Up to `limit` events. If none matches the filter yet, waits for one as long as `patience`; then the
    /// page is empty, but its position may have moved.
    ///
    /// # Errors
    /// `cursor_expired`, `database_unavailable`.
    pub async fn events(
        &self,
        start: FeedStart,
        filter: &FeedFilter,
        limit: u64,
        patience: Duration,
    ) -> Result<FeedPage, Error> {
        let deadline = Instant::now() + patience;
        // Before the first look, so that nothing comes in between.
        let mut growth = (!patience.is_zero()).then(|| self.store.feed_growth());
        let mut next = self.position(start).await?;
        loop {
            let (page, is_at_end) = self.matching(next, filter, limit).await?;
            next = page.next;
            let Some(growth) = growth.as_mut().filter(|_| page.events.is_empty()) else {
                return Ok(page);
            };
            let is_over = match is_at_end {
                true => timeout_at(deadline, growth.grown()).await.is_err(),
                false => Instant::now() >= deadline,
            };
            if is_over {
                return Ok(page);
            }
        }
    }

    /// The events that match, among the next entries; and whether these were all there are.
    async fn matching(
        &self,
        after: FeedCursor,
        filter: &FeedFilter,
        limit: u64,
    ) -> Result<(FeedPage, bool), Error> {
        let mut found = FeedPage { events: Vec::new(), next: after };
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut looked_at = 0;
        loop {
            let slice = self.slice(found.next).await?;
            for event in &slice.page.events {
                if filter.matches(event) {
                    found.events.push(event.clone());
                    if found.events.len() == most {
                        found.next = event.cursor;
                        return Ok((found, false));
                    }
                }
            }
            found.next = slice.page.next;
            looked_at += SLICE;
            if !slice.has_more {
                return Ok((found, true));
            }
            // A page of long messages is not added to another.
            if looked_at >= MAX_LOOKED_AT || !found.events.is_empty() {
                return Ok((found, false));
            }
        }
    }

    /// The entries after a position. Callers who have reached the end read the next ones once; one that
    /// comes from further back does not delay them.
    async fn slice(&self, after: FeedCursor) -> Result<Arc<FeedSlice>, Error> {
        let mut last = self.last_slice.0.lock().await;
        match &*last {
            Some((position, slice)) if *position == after && slice.page.next != after => {
                Ok(Arc::clone(slice))
            }
            Some((position, slice)) if *position != after && slice.page.next != after => {
                drop(last);
                let slice = Arc::new(self.store.feed_after(after, SLICE).await?);
                if !slice.has_more {
                    *self.last_slice.0.lock().await = Some((after, Arc::clone(&slice)));
                }
                Ok(slice)
            }
            _ => {
                let slice = Arc::new(self.store.feed_after(after, SLICE).await?);
                *last = Some((after, Arc::clone(&slice)));
                Ok(slice)
            }
        }
    }
}
