//! Reading the feed: what happens, as it happens.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::Conversations;
use crate::domain::{FeedCursor, FeedFilter, FeedPage, FeedStart};
use crate::error::Error;
use crate::store::{FeedGrowth, FeedSlice};

/// How many entries are read at once while a filter is looking for its events.
const SLICE: u64 = 200;
/// How many entries one call looks at: if few of them match, the next call goes on from there.
const MAX_LOOKED_AT: u64 = 5_000;

/// What was last read at the end of the feed. Those who wait for new entries all read the same ones, and
/// the first to come reads them for the others.
#[derive(Debug, Default)]
pub(super) struct LastSlice(Mutex<Option<ReadSlice>>);

#[derive(Debug)]
struct ReadSlice {
    after: FeedCursor,
    /// The growth of the feed that it has for certain.
    growth: Option<u64>,
    slice: Arc<FeedSlice>,
}

/// A reader that follows the feed. While it waits, it holds neither a connection to the database nor what
/// was read before.
#[derive(Debug)]
pub struct FeedReader {
    conversations: Conversations,
    filter: FeedFilter,
    next: FeedCursor,
    /// `None` for one that does not wait.
    waiter: Option<FeedGrowth>,
    /// The last growth that it has heard of.
    growth: Option<u64>,
    is_at_end: bool,
    /// Entries of which some match.
    found: Option<Arc<FeedSlice>>,
}

impl FeedReader {
    /// The position up to which everything was taken or does not match.
    #[must_use]
    pub fn position(&self) -> FeedCursor {
        self.next
    }

    /// Whether the last look reached the end of the feed: what follows is what comes in, which all
    /// readers share.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// Goes on to the next event that matches. Returns whether one was found; if not, there may be more
    /// entries to look at, unless it [is at the end](Self::is_at_end).
    ///
    /// # Errors
    /// `cursor_expired`, `database_unavailable`.
    pub async fn look(&mut self) -> Result<bool, Error> {
        for _ in 0..MAX_LOOKED_AT / SLICE {
            let (slice, is_all) = self.conversations.slice(self.next, self.growth).await?;
            self.is_at_end = is_all;
            if slice.page.events.iter().any(|event| self.filter.matches(event)) {
                self.found = Some(slice);
                return Ok(true);
            }
            self.next = slice.page.next;
            if self.is_at_end {
                break;
            }
        }
        Ok(false)
    }

    /// The length of the texts that were found.
    #[must_use]
    pub fn length(&self) -> usize {
        let events = self.found.iter().flat_map(|slice| &slice.page.events);
        let matching = events.filter(|event| self.filter.matches(event));
        matching.filter_map(|event| Some(event.message.as_ref()?.body.len())).sum()
    }

    /// Takes up to `limit` of the events that were found.
    pub fn take(&mut self, limit: u64) -> FeedPage {
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let Some(found) = self.found.take() else {
            return FeedPage { events: Vec::new(), next: self.next };
        };
        let matching = found.page.events.iter().filter(|event| self.filter.matches(event));
        let events: Vec<_> = matching.take(most).cloned().collect();
        match events.last().filter(|_| events.len() == most) {
            Some(last) => {
                self.next = last.cursor;
                self.is_at_end = false;
            }
            None => self.next = found.page.next,
        }
        FeedPage { events, next: self.next }
    }

    /// Returns when there may be entries to look at: at once, unless it is at the end. Cancel safe.
    pub async fn more(&mut self) {
        match &mut self.waiter {
            _ if !self.is_at_end => {}
            Some(waiter) => self.growth = Some(waiter.grown().await),
            None => std::future::pending().await,
        }
    }
}

impl Conversations {
    /// A reader of the events that match a filter.
    ///
    /// # Errors
    /// `ambiguous_name`, `database_unavailable`.
    pub async fn read_feed(
        &self,
        start: FeedStart,
        filter: &FeedFilter,
        waits: bool,
    ) -> Result<FeedReader, Error> {
        // Before the first look, so that nothing comes in between.
        let waiter = waits.then(|| self.store.feed_growth());
        let next = match start {
            FeedStart::Now => self.store.feed_head().await?,
            FeedStart::Since(time) => self.store.feed_before(time).await?,
            FeedStart::After(cursor) => cursor,
        };
        let contact = self.without_name(filter.contact.as_ref()).await?;
        let (conversations, filter) = (self.clone(), FeedFilter { contact, ..filter.clone() });
        let (growth, is_at_end, found) = (None, false, None);
        Ok(FeedReader { conversations, filter, next, waiter, growth, is_at_end, found })
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
        let mut reader = self.read_feed(start, filter, !patience.is_zero()).await?;
        while !reader.look().await?
            && Instant::now() < deadline
            && timeout_at(deadline, reader.more()).await.is_ok()
        {}
        Ok(reader.take(limit))
    }

    /// Some of the entries after a position, and whether these are all there are: all of a growth of the
    /// feed, or of now. Callers who have reached the end read the next ones once; one that comes from
    /// further back does not delay them.
    async fn slice(
        &self,
        after: FeedCursor,
        growth: Option<u64>,
    ) -> Result<(Arc<FeedSlice>, bool), Error> {
        let mut last = self.last_slice.0.lock().await;
        if let Some(found) = last.as_ref().and_then(|read| read.serve(after, growth)) {
            return Ok(found);
        }
        let is_behind = last.as_ref().is_some_and(|read| read.after != after && read.has_entries());
        let slice = if is_behind {
            drop(last);
            let slice = Arc::new(self.store.feed_after(after, SLICE).await?);
            if !slice.has_more {
                let slice = Arc::clone(&slice);
                *self.last_slice.0.lock().await = Some(ReadSlice { after, growth, slice });
            }
            slice
        } else {
            let slice = Arc::new(self.store.feed_after(after, SLICE).await?);
            *last = Some(ReadSlice { after, growth, slice: Arc::clone(&slice) });
            slice
        };
        let is_all = !slice.has_more;
        Ok((slice, is_all))
    }
}

impl ReadSlice {
    fn has_entries(&self) -> bool {
        self.slice.page.next != self.after
    }

    /// What it has for a reader at a position who has heard of a growth; and whether that is all.
    fn serve(&self, after: FeedCursor, growth: Option<u64>) -> Option<(Arc<FeedSlice>, bool)> {
        let is_new = self.growth >= growth;
        let serves = growth.is_some() && self.after == after && (is_new || self.has_entries());
        serves.then(|| (Arc::clone(&self.slice), is_new && !self.slice.has_more))
    }
}
