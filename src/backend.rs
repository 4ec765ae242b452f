//! Where a command finds the threads: in the database itself, or at a convo server.
//!
//! An enum and not a trait: there are two, and every verb says here what each does.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::client::Client;
use crate::domain::{
    Conversation, Cursor, Listing, Message, Page, Selector, SendPlan, SendRequest, Window,
};
use crate::error::Error;
use crate::threading::{Sent, Threads};

/// The longest a command waits for its database to close: what could not be written until then,
/// because another program holds it, has been told.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// The threads, here or there. Every verb behaves as the one of [`Threads`] by the same name.
#[derive(Clone)]
pub enum Backend {
    /// This process opens the database.
    Local(Threads),
    /// A server does; this process asks it.
    Remote(Client),
}

impl Backend {
    /// The token that interrupts running sends, for a person's Ctrl-C.
    #[must_use]
    pub fn interrupt(&self) -> CancellationToken {
        match self {
            Self::Local(threads) => threads.interrupt().clone(),
            Self::Remote(client) => client.interrupt().clone(),
        }
    }

    /// Closes the database, if this process opened it.
    pub async fn close(&self) {
        match self {
            Self::Local(threads) => {
                let _ = tokio::time::timeout(CLOSE_TIME, threads.close()).await;
            }
            Self::Remote(_) => {}
        }
    }

    /// One page of the threads that a listing asks for, after a place in its order. A page may
    /// have fewer rows than wanted, even none, and still not be the last.
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
            Self::Local(threads) => threads.list(listing, after, limit).await,
            Self::Remote(client) => client.list(listing, after, limit).await,
        }
    }

    /// The thread a person named.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub async fn find(&self, selector: &Selector) -> Result<Conversation, Error> {
        match self {
            Self::Local(threads) => threads.find(selector).await,
            Self::Remote(client) => client.find(selector).await,
        }
    }

    /// Messages of a thread, in chronological order.
    ///
    /// # Errors
    /// The window begins at a message that the thread does not have.
    pub async fn messages(
        &self,
        conversation: Uuid,
        window: Window,
        history: bool,
    ) -> Result<Vec<Message>, Error> {
        match self {
            Self::Local(threads) => threads.messages(conversation, window, history).await,
            Self::Remote(client) => client.messages(conversation, window, history).await,
        }
    }

    /// One message with its history.
    ///
    /// # Errors
    /// There is no such message.
    pub async fn message(&self, id: Uuid) -> Result<Message, Error> {
        match self {
            Self::Local(threads) => threads.message(id).await,
            Self::Remote(client) => client.message(id).await,
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// Nothing was sent, or the contact opted out. An unknown outcome is no error of a local
    /// send; a remote one whose answer broke off is `outcome_unknown`.
    pub async fn send(
        &self,
        to: &str,
        request: &SendRequest,
        key: Option<&str>,
    ) -> Result<Sent, Error> {
        match self {
            Self::Local(threads) => threads.send(to, request, key).await,
            Self::Remote(client) => client.send(to, request, key).await,
        }
    }

    /// Offers a message again whose outcome is unknown, beyond 24 hours only with `force`.
    ///
    /// # Errors
    /// The message is in no state for it, or its contact opted out. A message that stays unknown
    /// is no error.
    pub async fn retry(&self, id: Uuid, force: bool) -> Result<Message, Error> {
        match self {
            Self::Local(threads) => threads.retry(id, force).await,
            Self::Remote(client) => client.retry(id, force).await,
        }
    }

    /// Tells what a send would do, and does nothing.
    ///
    /// # Errors
    /// The same refusals as a send, before anything is stored.
    pub async fn plan(&self, to: &str, request: &SendRequest) -> Result<SendPlan, Error> {
        match self {
            Self::Local(threads) => threads.plan(to, request).await,
            Self::Remote(client) => client.plan(to, request).await,
        }
    }
}
