//! What a thread is. The CLI, the REST API and the webhook all call this and nothing below it.

mod inspect;
mod offer;
mod outcome;
mod receive;
mod retry;
mod send;
mod settle;

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::conversation::SHORTEST_FRAGMENT;
use crate::domain::phone::NumberError;
use crate::domain::{Conversation, Cursor, Listing, Message, Page, PhoneNumber, Selector, Window};
use crate::error::{Code, Error};
use crate::store::Store;
use crate::store::writer::Writer;
use crate::telnyx::client::Client;

pub use receive::Received;
pub use send::Sent;
pub(crate) use send::no_api_key;
pub use settle::Settled;

/// Longest name that is taken for a number without its country code.
const LONGEST_PROPOSAL: usize = 40;

/// The threads of one database, and the way to Telnyx. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Threads {
    store: Store,
    telnyx: Option<Client>,
    numbers: Vec<PhoneNumber>,
    policy: Policy,
    interrupt: CancellationToken,
    /// Held while the database is asked for whoever watches the server.
    watched: Arc<Mutex<()>>,
}

/// How sends are made.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The longest a send may take before its outcome counts as unknown.
    pub timeout: Duration,
    /// Whether messages are tagged with their id, so that reports name them.
    pub tag: bool,
    /// How long after it was stored a message whose outcome is unknown may be offered once more
    /// without anybody asking for it; zero for never.
    pub settle_window: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            tag: true,
            settle_window: Duration::from_secs(600),
        }
    }
}

/// One thing that must hold for the program to be of use, and whether it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Check {
    /// What is checked.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// What is missing, when it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

impl Check {
    /// A check with what to say when it does not hold.
    #[must_use]
    pub fn new(name: &'static str, ok: bool, reason: &'static str) -> Self {
        Self { name, ok, reason: (!ok).then_some(reason) }
    }
}

impl Threads {
    /// Threads in a database. Without a way to Telnyx they can be read and received, not sent.
    #[must_use]
    pub fn new(
        store: Store,
        telnyx: Option<Client>,
        numbers: Vec<PhoneNumber>,
        policy: Policy,
    ) -> Self {
        let (interrupt, watched) = (CancellationToken::new(), Arc::default());
        Self { store, telnyx, numbers, policy, interrupt, watched }
    }

    /// The token that interrupts running sends: one that was not offered yet is cancelled, one
    /// that was is recorded as unknown. For a person's Ctrl-C; a server lets sends end instead.
    #[must_use]
    pub fn interrupt(&self) -> &CancellationToken {
        &self.interrupt
    }

    /// Writes what was submitted and closes the database.
    pub async fn close(&self) {
        self.store.close().await;
    }

    /// One page of the threads that a listing asks for, after a place in its order. A page may
    /// have fewer rows than wanted, even none, and still not be the last.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn list(
        &self,
        listing: &Listing,
        after: Option<Cursor>,
        limit: u64,
    ) -> Result<Page<Conversation>, Error> {
        self.store.list(listing, after, limit).await
    }

    /// Threads, most recently active first, after a place in that order.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn conversations(
        &self,
        after: Option<Cursor>,
        limit: u64,
    ) -> Result<Vec<Conversation>, Error> {
        self.list(&Listing::default(), after, limit).await.map(|page| page.rows)
    }

    /// Threads whose contact or id begins with a text, or whose id ends with digits that begin so;
    /// without a text, those active last.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn beginning_with(&self, text: &str, limit: u64) -> Result<Vec<Conversation>, Error> {
        match text {
            "" => self.conversations(None, limit).await,
            text => self.store.beginning_with(text, limit).await,
        }
    }

    /// The thread a person named.
    ///
    /// # Errors
    /// `conversation_not_found`, or `ambiguous_id` naming the candidates.
    pub async fn find(&self, selector: &Selector) -> Result<Conversation, Error> {
        let mut found = self.store.candidates(selector).await?;
        match found.len() {
            0 if selector.is_too_short() => Err(no_conversation().hint(format!(
                "of an id, at least {SHORTEST_FRAGMENT} digits are needed; `convo list` shows eight"
            ))),
            0 => Err(match PhoneNumber::parse(selector.as_str()) {
                Err(error @ NumberError::NoCountryCode { .. })
                    if selector.as_str().len() <= LONGEST_PROPOSAL =>
                {
                    no_conversation().hint(error.hint())
                }
                _ => no_conversation(),
            }),
            1 => Ok(found.remove(0)),
            _ => {
                let list: Vec<_> = found
                    .iter()
                    .map(|thread| format!("{} ({})", thread.id, thread.contact_number))
                    .collect();
                let name = selector.as_str();
                Err(Error::new(Code::AmbiguousId, format!("'{name}' fits several conversations"))
                    .hint(format!("give more of the id: {}", list.join(", "))))
            }
        }
    }

    /// Messages of a thread, in chronological order, with or without their histories.
    ///
    /// # Errors
    /// `message_not_found` when the window begins at a message the thread does not have.
    pub async fn messages(
        &self,
        conversation: Uuid,
        window: Window,
        history: bool,
    ) -> Result<Vec<Message>, Error> {
        let messages = self.store.messages(conversation, window).await?.ok_or_else(no_message)?;
        if history { self.store.with_history(messages).await } else { Ok(messages) }
    }

    /// One message with its history.
    ///
    /// # Errors
    /// `message_not_found`.
    pub async fn message(&self, id: Uuid) -> Result<Message, Error> {
        self.store.message(id).await?.ok_or_else(no_message)
    }

    /// Whether the thread that writes still turns, whatever its database does.
    pub async fn is_alive(&self) -> bool {
        match self.store.writer() {
            Ok(writer) => writer.is_alive().await,
            Err(_) => true,
        }
    }

    /// What must hold to take webhooks and to send. What is not known within `patience` does not
    /// hold.
    pub async fn ready(&self, patience: Duration) -> Vec<Check> {
        let (answers, schema, changes, turns) = tokio::join!(
            holds(patience, self.store.answers()),
            objection(patience, self.store.schema_objection()),
            objection(patience, self.store.objection()),
            holds(patience, self.is_alive()),
        );
        let writes = turns && self.store.writer().is_ok_and(Writer::is_ready);
        vec![
            Check::new("database", answers, "the database does not answer"),
            Check::new("schema", schema.is_none(), schema.unwrap_or_default()),
            Check::new("changes", changes.is_none(), changes.unwrap_or_default()),
            Check::new("writer", writes, "the writer is stuck or its queue is full"),
            Check::new("api_key", self.telnyx.is_some(), "TELNYX_API_KEY is not set"),
            Check::new("numbers", !self.numbers.is_empty(), "TELNYX_PHONE_NUMBER is not set"),
        ]
    }
}

async fn holds(patience: Duration, check: impl Future<Output = bool>) -> bool {
    tokio::time::timeout(patience, check).await.unwrap_or(false)
}

async fn objection(
    patience: Duration,
    check: impl Future<Output = Option<&'static str>>,
) -> Option<&'static str> {
    tokio::time::timeout(patience, check).await.unwrap_or(Some("it cannot be read"))
}

/// There is no thread by that name.
pub(crate) fn no_conversation() -> Error {
    Error::new(Code::ConversationNotFound, "Conversation not found")
        .hint("`convo list` shows every contact and id")
}

fn no_message() -> Error {
    Error::new(Code::MessageNotFound, "Message not found")
}
