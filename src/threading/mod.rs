//! Conversations: receiving, sending, settling, reading. The command line, the REST API and the
//! webhook call this module and nothing below it.

mod background;
mod batches;
mod cancel;
mod endpoint;
mod export;
mod feed;
mod forget;
mod inspect;
mod names;
mod offer;
mod outcome;
mod receive;
mod replay;
mod reply;
mod retention;
mod retry;
mod search;
mod send;
mod send_limits;
mod settle;
mod stats;
mod stored_events;
mod sync;
pub(crate) mod tenure;
mod unread;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::message;
use crate::domain::{
    Conversation, Cursor, Listing, Message, MessagePage, Page, PhoneNumber, Window,
};
use crate::error::Error;
use crate::store::Store;
use crate::store::writer::Writer;
use crate::telnyx::client::TelnyxClient;

pub use endpoint::{EndpointAnswer, EndpointKey, EndpointQuestion, VerifiedBy};
pub use export::ExportReader;
pub use feed::FeedReader;
pub use retention::Pruned;
pub(crate) use send::no_api_key;
pub use settle::Settled;

/// The conversations of one database, and the Telnyx client that sends. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Conversations {
    store: Store,
    telnyx: Option<TelnyxClient>,
    numbers: Vec<PhoneNumber>,
    policy: Arc<Policy>,
    interrupt: CancellationToken,
    /// Held during the query for `/metrics`, so that there is one at a time.
    stats_query: Arc<Mutex<()>>,
    last_slice: Arc<feed::LastSlice>,
    endpoint: Arc<endpoint::EndpointState>,
    /// Held while messages are added to the search index, so that this is done once.
    indexing: Arc<Mutex<()>>,
    /// Held while the sums for statistics are made, so that this is done once.
    summing: Arc<Mutex<()>>,
    marks: Arc<forget::MarkMemory>,
}

/// Settings of sends.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How long a send may take; after that, its outcome is unknown.
    pub timeout: Duration,
    /// Whether messages are tagged with convo's id, which delivery reports then contain.
    pub tag: bool,
    /// The age up to which settling may offer a message of unknown outcome once more; zero for never.
    pub settle_window: Duration,
    /// How many automatic answers a contact may get within an hour; with 0, none.
    pub reply_limit: usize,
    /// How many texts a contact may get within an hour; `None` for any number.
    pub send_limit: Option<usize>,
    /// How long entries of the feed are kept; `None` for ever.
    pub keep_feed: Option<Duration>,
    /// How often a server fetches what no webhook has brought; `None` for never.
    pub sync: Option<Duration>,
    /// How long webhooks are kept as they came; `None` for ever.
    pub keep_webhooks: Option<Duration>,
    /// How long messages are kept; `None` for ever.
    pub keep_messages: Option<Duration>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            tag: true,
            settle_window: Duration::from_secs(600),
            reply_limit: 20,
            send_limit: Some(60),
            keep_feed: Some(Duration::from_secs(30 * 24 * 3_600)),
            sync: Some(Duration::from_secs(600)),
            keep_webhooks: Some(Duration::from_secs(90 * 24 * 3_600)),
            keep_messages: None,
        }
    }
}

/// The result of one readiness check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Check {
    /// The name of the check.
    pub name: &'static str,
    /// Whether it passed.
    pub ok: bool,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// How long ago it was last done, in seconds; for `sync`, once it has been.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<u64>,
}

impl Check {
    /// A result with the reason for the case that it failed.
    #[must_use]
    pub fn new(name: &'static str, ok: bool, reason: &'static str) -> Self {
        Self { name, ok, reason: (!ok).then_some(reason), age_seconds: None }
    }
}

impl Conversations {
    /// The conversations in a database. Without a client, messages can be received and read, but not
    /// sent.
    #[must_use]
    pub fn new(
        store: Store,
        telnyx: Option<TelnyxClient>,
        numbers: Vec<PhoneNumber>,
        policy: Policy,
    ) -> Self {
        Self {
            store,
            telnyx,
            numbers,
            policy: Arc::new(policy),
            interrupt: CancellationToken::new(),
            stats_query: Arc::default(),
            last_slice: Arc::default(),
            endpoint: Arc::default(),
            indexing: Arc::default(),
            summing: Arc::default(),
            marks: Arc::default(),
        }
    }

    /// Cancelled, this token interrupts sends: one that has not been offered is cancelled, one that
    /// has is recorded as unknown. For Ctrl-C, and for a server whose shutdown takes too long.
    #[must_use]
    pub fn interrupt(&self) -> &CancellationToken {
        &self.interrupt
    }

    /// The database, for those who follow the feed with a place of their own.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The file of the database, if opening it created one.
    #[must_use]
    pub fn created_file(&self) -> Option<&Path> {
        self.store.created_file()
    }

    /// Writes what has been submitted, and closes the database.
    pub async fn close(&self) {
        self.store.close().await;
    }

    /// One page of a list, after a position in its order. A page may have fewer rows than `limit`,
    /// even none, without being the last.
    ///
    /// # Errors
    /// `ambiguous_name`, `database_unavailable`.
    pub async fn list(
        &self,
        listing: &Listing,
        after: Option<Cursor>,
        limit: u64,
    ) -> Result<Page<Conversation>, Error> {
        let contact = self.without_name(listing.contact.as_ref()).await?;
        self.store.list(&Listing { contact, ..listing.clone() }, after, limit).await
    }

    /// Conversations, most recently active first, after a position in that order.
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

    /// Conversations whose contact, id, or last eight characters of the id begin with a text; for an
    /// empty text, the most recently active.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn beginning_with(&self, text: &str, limit: u64) -> Result<Vec<Conversation>, Error> {
        match text {
            "" => self.conversations(None, limit).await,
            text => self.store.beginning_with(text, limit).await,
        }
    }

    /// A page of the messages of a conversation, in chronological order, with or without their
    /// histories. It may have fewer rows than `limit` without being the last.
    ///
    /// # Errors
    /// `message_not_found` if the window begins at a message that is not in the conversation.
    pub async fn messages(
        &self,
        conversation: Uuid,
        window: Window,
        history: bool,
    ) -> Result<MessagePage, Error> {
        let mut page =
            self.store.messages(conversation, window).await?.ok_or_else(message::not_found)?;
        if history {
            page.rows = self.store.with_history(page.rows).await?;
        }
        Ok(page)
    }

    /// A message with its history.
    ///
    /// # Errors
    /// `message_not_found`.
    pub async fn message(&self, id: Uuid) -> Result<Message, Error> {
        self.store.message(id).await?.ok_or_else(message::not_found)
    }

    /// Whether the writer's thread responds, which it also does while it waits for the database.
    pub async fn is_alive(&self) -> bool {
        match self.store.writer() {
            Ok(writer) => writer.is_alive().await,
            Err(_) => true,
        }
    }

    /// The readiness checks: what is needed to receive webhooks and to send. A check that does not end
    /// within `timeout` has failed.
    pub async fn ready(&self, timeout: Duration) -> Vec<Check> {
        let (answers, schema, changes, commits, is_alive, sync) = tokio::join!(
            passes(timeout, self.store.answers()),
            objection(timeout, self.store.schema_objection()),
            objection(timeout, self.store.write_objection()),
            self.store.commit_objection(timeout),
            passes(timeout, self.is_alive()),
            tokio::time::timeout(timeout, self.sync_check()),
        );
        let writes = is_alive && self.store.writer().is_ok_and(Writer::is_ready);
        let mut checks = vec![
            Check::new("database", answers, "the database does not respond"),
            Check::new("schema", schema.is_none(), schema.unwrap_or_default()),
            Check::new("changes", changes.is_none(), changes.unwrap_or_default()),
            Check::new("commits", commits.is_none(), commits.unwrap_or_default()),
            Check::new("writer", writes, "the writer is stuck or its queue is full"),
            Check::new("api_key", self.telnyx.is_some(), "TELNYX_API_KEY is not set"),
            Check::new("numbers", !self.numbers.is_empty(), "TELNYX_PHONE_NUMBER is not set"),
        ];
        checks.extend(sync.ok().flatten());
        checks
    }
}

async fn passes(timeout: Duration, check: impl Future<Output = bool>) -> bool {
    tokio::time::timeout(timeout, check).await.unwrap_or(false)
}

/// Why a check fails; `None` if it passes.
async fn objection(
    timeout: Duration,
    check: impl Future<Output = Option<&'static str>>,
) -> Option<&'static str> {
    tokio::time::timeout(timeout, check).await.unwrap_or(Some("the database cannot be read"))
}
