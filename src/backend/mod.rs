//! Where a command finds the conversations: in the database, or at a convo server.
//!
//! It is an enum rather than a trait because there are exactly two, and each operation shows here
//! what both do.

mod batches;
mod contacts;
pub(crate) mod export;
mod forget;
pub(crate) mod forward;
pub(crate) mod media;
pub(crate) mod open;
mod stats;
mod stored_events;
mod unread;

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::client::Client;
use crate::config::{Config, Remote};
use crate::domain::{
    Conversation, Cursor, Draft, FeedFilter, FeedPage, FeedStart, IdempotencyKey, Listing, Message,
    MessagePage, MessageSearch, Page, SearchPage, Selector, SendPlan, Sent, SyncProgress,
    SyncReport, SyncRequest, Window,
};
use crate::error::Error;
use crate::store::Purpose;
use crate::threading::Conversations;

/// The longest a command waits for its database to close. What has not been written by then, because
/// another program holds a lock, has already been reported as an error.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// How long a search waits for the search index to catch up. A server does that in the background.
const INDEX_PATIENCE: Duration = Duration::from_secs(10);

/// The conversations, local or remote. Each operation behaves like that of [`Conversations`].
#[derive(Clone)]
pub enum Backend {
    /// In the database, which this process opens.
    Local(Conversations),
    /// At a server.
    Remote(Client),
}

impl Backend {
    /// Connects to the server that the settings name, or else opens the database.
    ///
    /// # Errors
    /// The database cannot be opened for this purpose, or a setting is invalid.
    pub async fn open(config: &Config, purpose: Purpose) -> Result<Self, Error> {
        match Self::remote(config)? {
            Some(remote) => Ok(remote),
            None => open::open_local(config, purpose).await.map(Self::Local),
        }
    }

    /// The server that the settings name.
    fn remote(config: &Config) -> Result<Option<Self>, Error> {
        let Some(Remote { address, token }) = config.remote()? else { return Ok(None) };
        Client::new(&address, token.as_ref()).map(Self::Remote).map(Some)
    }

    /// The token that interrupts running sends, for Ctrl-C.
    #[must_use]
    pub fn interrupt(&self) -> CancellationToken {
        match self {
            Self::Local(conversations) => conversations.interrupt().clone(),
            Self::Remote(client) => client.interrupt().clone(),
        }
    }

    /// The file of the database, if opening it created one.
    #[must_use]
    pub fn created_file(&self) -> Option<&Path> {
        match self {
            Self::Local(conversations) => conversations.created_file(),
            Self::Remote(_) => None,
        }
    }

    /// Closes the database, if this process opened it.
    pub async fn close(&self) {
        match self {
            Self::Local(conversations) => {
                let _ = tokio::time::timeout(CLOSE_TIME, conversations.close()).await;
            }
            Self::Remote(_) => {}
        }
    }

    /// One page of a listing, after a cursor. A page may have fewer rows than `limit`, even none,
    /// without being the last.
    ///
    /// # Errors
    /// The database or the server cannot be reached.
    pub async fn list(
        &self,
        listing: &Listing,
        after: Option<Cursor>,
        limit: u64,
    ) -> Result<Page<Conversation>, Error> {
        match self {
            Self::Local(conversations) => conversations.list(listing, after, limit).await,
            Self::Remote(client) => client.list(listing, after, limit).await,
        }
    }

    /// The conversation that a selector names.
    ///
    /// # Errors
    /// No conversation matches, or several do.
    pub async fn find(&self, selector: &Selector) -> Result<Conversation, Error> {
        match self {
            Self::Local(conversations) => conversations.find(selector).await,
            Self::Remote(client) => client.find(selector).await,
        }
    }

    /// A page of the messages of a conversation, in chronological order. It may have fewer rows than
    /// `limit` without being the last.
    ///
    /// # Errors
    /// The window begins at a message that is not in the conversation.
    pub async fn messages(
        &self,
        conversation: Uuid,
        window: Window,
        history: bool,
    ) -> Result<MessagePage, Error> {
        match self {
            Self::Local(conversations) => {
                conversations.messages(conversation, window, history).await
            }
            Self::Remote(client) => client.messages(conversation, window, history).await,
        }
    }

    /// A page of the messages that match a search, newest first, after a cursor. A page may have fewer
    /// rows than `limit`, even none, without being the last.
    ///
    /// # Errors
    /// The search cannot be answered; the database or the server cannot be reached.
    pub async fn search(
        &self,
        search: &MessageSearch,
        after: Option<Cursor>,
        limit: u64,
    ) -> Result<SearchPage, Error> {
        match self {
            Self::Local(conversations) => {
                conversations.search(search, after, limit, INDEX_PATIENCE).await
            }
            Self::Remote(client) => client.search(search, after, limit).await,
        }
    }

    /// One message with its history.
    ///
    /// # Errors
    /// `message_not_found`.
    pub async fn message(&self, id: Uuid) -> Result<Message, Error> {
        match self {
            Self::Local(conversations) => conversations.message(id).await,
            Self::Remote(client) => client.message(id).await,
        }
    }

    /// Up to `limit` events. If none matches the filter yet, waits for one as long as `patience`, or less;
    /// then the page is empty, but its position may have moved.
    ///
    /// # Errors
    /// `cursor_expired`; the database or the server cannot be reached.
    pub async fn events(
        &self,
        start: FeedStart,
        filter: &FeedFilter,
        limit: u64,
        patience: Duration,
    ) -> Result<FeedPage, Error> {
        match self {
            Self::Local(conversations) => {
                conversations.events(start, filter, limit, patience).await
            }
            Self::Remote(client) => client.events(start, filter, limit, patience).await,
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// Nothing was sent. A local send with an unknown outcome is not an error; a remote one whose
    /// response broke off is `outcome_unknown`.
    pub async fn send(&self, draft: &Draft, key: Option<&IdempotencyKey>) -> Result<Sent, Error> {
        match self {
            Self::Local(conversations) => conversations.send(draft, key).await,
            Self::Remote(client) => client.send(draft, key).await,
        }
    }

    /// Repeats the request for a message whose outcome is unknown, after 24 hours only with `force`.
    ///
    /// # Errors
    /// The status of the message does not allow it, or its contact has opted out. It is not an error
    /// if the outcome stays unknown.
    pub async fn retry(&self, id: Uuid, force: bool) -> Result<Message, Error> {
        match self {
            Self::Local(conversations) => conversations.retry(id, force).await,
            Self::Remote(client) => client.retry(id, force).await,
        }
    }

    /// Cancels a scheduled message.
    ///
    /// # Errors
    /// `not_cancellable`; `outcome_unknown` if it may be cancelled.
    pub async fn cancel(&self, id: Uuid) -> Result<Message, Error> {
        match self {
            Self::Local(conversations) => conversations.cancel(id).await,
            Self::Remote(client) => client.cancel(id).await,
        }
    }

    /// Settles what dead processes left open, and fetches from Telnyx what no webhook has brought.
    /// `listener` is told how far it is.
    ///
    /// # Errors
    /// The sync could not be done at all. That a source could not be read is not an error: the report
    /// says so.
    pub async fn sync(
        &self,
        request: SyncRequest,
        listener: &(dyn Fn(SyncProgress) + Send + Sync),
    ) -> Result<SyncReport, Error> {
        match self {
            Self::Local(conversations) => conversations.sync(request, listener).await,
            Self::Remote(client) => client.sync(request, listener).await,
        }
    }

    /// What a send would do.
    ///
    /// # Errors
    /// The same refusals as a send, before anything is stored.
    pub async fn plan(&self, draft: &Draft) -> Result<SendPlan, Error> {
        match self {
            Self::Local(conversations) => conversations.plan(draft).await,
            Self::Remote(client) => client.plan(draft).await,
        }
    }
}
