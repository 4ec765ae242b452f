//! The memory that answers take, from reading a page until the client has received it. All answers share
//! one budget, so that slow readers of large pages cannot exhaust the server's memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::error::Elapsed;

use super::budget::{Budget, Share};
use crate::error::Error;

/// The memory of all answers.
pub(super) const ANSWER_MEMORY: usize = 64 * 1024 * 1024;
/// The memory that reading one page may take: it ends after half a megabyte or one message of a megabyte,
/// which are there as rows, as messages and as JSON.
const PAGE_MEMORY: usize = 4 * 1024 * 1024;
/// How long the first page of an answer waits for memory.
const WAIT: Duration = Duration::from_secs(5);

/// The memory of the answers to one client.
#[derive(Clone, Debug)]
pub(super) struct AnswerMemory {
    pub(super) budget: Budget,
    pub(super) client: Arc<str>,
}

impl AnswerMemory {
    /// Reserves the memory for the first page.
    ///
    /// # Errors
    /// `overloaded`.
    pub(super) async fn reserve(&self) -> Result<PageMemory, Error> {
        tokio::time::timeout(WAIT, self.reserve_next()).await.map_err(busy)
    }

    /// Reserves the memory for some events that are there already.
    ///
    /// # Errors
    /// `overloaded`.
    pub(super) async fn reserve_amount(&self, amount: usize) -> Result<PageMemory, Error> {
        let taken = self.budget.take(&self.client, amount.min(PAGE_MEMORY));
        tokio::time::timeout(WAIT, taken).await.map(PageMemory).map_err(busy)
    }

    /// Reserves the memory for a further page, as soon as clients have read enough.
    pub(super) async fn reserve_next(&self) -> PageMemory {
        PageMemory(self.budget.take(&self.client, PAGE_MEMORY).await)
    }
}

fn busy(_: Elapsed) -> Error {
    Error::overloaded("too many responses are waiting for their clients to read them")
}

/// The memory reserved for one page.
pub(super) struct PageMemory(Share);

impl PageMemory {
    /// Keeps as much as the page takes as JSON, until the client has received it.
    pub(super) fn hold(mut self, json: Vec<u8>) -> Bytes {
        self.0.set(json.capacity());
        Bytes::from_owner(HeldPage { json, _share: self.0 })
    }
}

struct HeldPage {
    json: Vec<u8>,
    _share: Share,
}

impl AsRef<[u8]> for HeldPage {
    fn as_ref(&self) -> &[u8] {
        &self.json
    }
}
