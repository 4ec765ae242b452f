//! The page of results that a search fills.

use crate::domain::search::SearchHit;
use crate::domain::{Cursor, Message};

/// The most bytes of texts in a page of more than one message.
const PAGE_BYTES: usize = 512 * 1024;

/// A page of results that is being filled.
pub(super) struct ResultPage {
    pub(super) hits: Vec<SearchHit>,
    pub(super) limit: usize,
    bytes: usize,
}

impl ResultPage {
    pub(super) fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { hits: Vec::new(), limit, bytes: 0 }
    }

    /// Whether it has no room for one more message.
    pub(super) fn is_full(&self, next: &Message) -> bool {
        let bytes = self.bytes + next.body.len();
        self.hits.len() >= self.limit || (bytes > PAGE_BYTES && !self.hits.is_empty())
    }

    pub(super) fn add(&mut self, hit: SearchHit) {
        self.bytes += hit.message.body.len();
        self.hits.push(hit);
    }

    /// The position of its last message.
    pub(super) fn last(&self) -> Option<Cursor> {
        self.hits.last().map(SearchHit::cursor)
    }
}
