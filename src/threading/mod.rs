//! What a thread is. The CLI, the REST API and the webhook all call this and nothing below it.

use std::sync::Arc;

use uuid::Uuid;

use crate::domain::{
    Conversation, Cursor, Message, MessageDetail, Selector, SendPlan, SendRequest, Window,
};
use crate::error::Error;

/// The threads of one database, and the way to Telnyx. Cloning is cheap.
#[derive(Clone)]
pub struct Threads {
    _inner: Arc<()>,
}

/// What became of a webhook event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Received {
    /// A message that was not known before.
    Stored,
    /// A report about a message.
    Updated,
    /// Seen before: nothing changed.
    Duplicate,
    /// Nothing convo acts on; kept as it came.
    Ignored,
}

/// A send that has an outcome, though perhaps not a known one.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The message as it stands; its status is `unknown` when the answer was lost.
    pub message: Message,
    /// The key under which the same send may be repeated safely.
    pub idempotency_key: String,
}

/// One thing that must hold for the program to be of use, and whether it does.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// What is checked: `database`, `schema`, `writer`, `public_key`, `api_key`.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// What is missing, when it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

impl Threads {
    /// Takes in one signed webhook body. Returns once its data is committed durably.
    ///
    /// # Errors
    /// `invalid_request` when the body is no Telnyx event, `database_unavailable` when it could
    /// not be committed in time.
    pub async fn receive(&self, _raw: bytes::Bytes) -> Result<Received, Error> {
        Err(Error::internal())
    }

    /// Sends a message: stores it, offers it to Telnyx, records the outcome. Cancelling the
    /// future may lose the outcome, so a server runs it in a task of its own.
    ///
    /// # Errors
    /// When nothing was sent, or when the contact opted out. An unknown outcome is no error.
    pub async fn send(
        &self,
        _to: &str,
        _request: &SendRequest,
        _key: Option<&str>,
    ) -> Result<Sent, Error> {
        Err(Error::internal())
    }

    /// Tells what [`send`](Self::send) would do, and does nothing.
    ///
    /// # Errors
    /// The same refusals as a send, before anything is stored.
    pub async fn plan(&self, _to: &str, _request: &SendRequest) -> Result<SendPlan, Error> {
        Err(Error::internal())
    }

    /// One page of threads, most recently active first, after a place in that order.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn conversations(
        &self,
        _after: Option<Cursor>,
        _limit: u64,
    ) -> Result<Vec<Conversation>, Error> {
        Err(Error::internal())
    }

    /// The thread a person named.
    ///
    /// # Errors
    /// `conversation_not_found`, or `ambiguous_id` naming the candidates.
    pub async fn find(&self, _selector: &Selector) -> Result<Conversation, Error> {
        Err(Error::internal())
    }

    /// Messages of a thread, in chronological order.
    ///
    /// # Errors
    /// `message_not_found` when the window begins at a message the thread does not have.
    pub async fn messages(
        &self,
        _conversation: Uuid,
        _window: Window,
    ) -> Result<Vec<Message>, Error> {
        Err(Error::internal())
    }

    /// One message with its history.
    ///
    /// # Errors
    /// `message_not_found`.
    pub async fn message(&self, _id: Uuid) -> Result<MessageDetail, Error> {
        Err(Error::internal())
    }

    /// What must hold to take webhooks and to send.
    pub async fn ready(&self) -> Vec<Check> {
        Vec::new()
    }
}
