//! What these tests share: sends to a fake Telnyx, and a test's own access to the database.

use std::time::Duration;

use convo::clock;
use convo::domain::{
    Draft, IdempotencyKey, Message, Selector, SendRequest, Sent, Status, Timestamp, Window,
};
use convo::error::Error;
use convo::threading::{Conversations, Policy, Settled};
use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseConnection};
use serde_json::json;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::support::{CONTACT, Event, FakeServer, TestDatabase, connect, execute, open_sending};

/// Sends that end soon, so that no test waits long.
pub fn policy() -> Policy {
    Policy { timeout: Duration::from_secs(4), ..Policy::default() }
}

/// Conversations whose messages go to a fake Telnyx.
pub async fn conversations(db: &TestDatabase, telnyx: &FakeServer) -> Conversations {
    open_sending(&db.url, &telnyx.base_url(), policy()).await
}

/// As [`conversations`], where a send may take no longer than this.
pub async fn impatient(db: &TestDatabase, telnyx: &FakeServer, millis: u64) -> Conversations {
    let policy = Policy { timeout: Duration::from_millis(millis), ..policy() };
    open_sending(&db.url, &telnyx.base_url(), policy).await
}

pub fn text(words: &str) -> SendRequest {
    SendRequest { message: Some(words.to_owned()), ..SendRequest::default() }
}

/// Sends a text to [`CONTACT`].
pub async fn send(
    conversations: &Conversations,
    words: &str,
    key: Option<&str>,
) -> Result<Sent, Error> {
    send_to(conversations, CONTACT, text(words), key).await
}

pub async fn send_to(
    conversations: &Conversations,
    to: &str,
    request: SendRequest,
    key: Option<&str>,
) -> Result<Sent, Error> {
    let key = key.map(IdempotencyKey::parse).transpose()?;
    conversations.send(&Draft::new(to, request)?, key.as_ref()).await
}

/// Starts a send in a task of its own.
pub fn start_send(
    conversations: &Conversations,
    words: &str,
    key: Option<&str>,
) -> JoinHandle<Result<Sent, Error>> {
    let (conversations, words, key) =
        (conversations.clone(), words.to_owned(), key.map(str::to_owned));
    tokio::spawn(async move { send(&conversations, &words, key.as_deref()).await })
}

/// Starts a send and drops it while Telnyx is silent, as a dying process does: the row stays behind as
/// it was stored. Returns the message's id.
pub async fn abandoned(
    conversations: &Conversations,
    telnyx: &FakeServer,
    words: &str,
    key: Option<&str>,
) -> Uuid {
    let before = telnyx.offers().len();
    let sending = start_send(conversations, words, key);
    telnyx.wait_for_offers(before + 1).await;
    sending.abort();
    let _ = sending.await;
    telnyx.offers()[before].key.parse().expect("the key is the message's id")
}

/// An instant after everything that is under way must be over, while texts are still fresh.
pub fn soon() -> Timestamp {
    clock::now().plus_seconds(60)
}

/// Settles as at that instant.
pub async fn settle(conversations: &Conversations) -> Vec<Settled> {
    settle_at(conversations, soon()).await
}

pub async fn settle_at(conversations: &Conversations, now: Timestamp) -> Vec<Settled> {
    conversations.settle(now).await.expect("settled")
}

/// All messages of [`CONTACT`].
pub async fn messages(conversations: &Conversations) -> Vec<Message> {
    let Ok(thread) = conversations.find(&Selector::new(CONTACT)).await else { return Vec::new() };
    let all = Window::Oldest { after: None, limit: 1_000 };
    let messages = conversations.messages(thread.id, all, false).await.expect("messages").rows;
    assert_eq!(thread.message_count, messages.len() as u64, "the counter equals the rows");
    let latest = messages.iter().map(|message| message.created_at).max();
    assert_eq!(Some(thread.last_message_at), latest, "the time of the last message is right");
    messages
}

pub async fn only_message(conversations: &Conversations) -> Message {
    let mut all = messages(conversations).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// A message with its history.
pub async fn detail(conversations: &Conversations, id: Uuid) -> Message {
    conversations.message(id).await.expect("a message")
}

pub async fn status(conversations: &Conversations, id: Uuid) -> Status {
    detail(conversations, id).await.status
}

/// A report about a message, tagged with convo's id if one is given.
pub fn report(event: &str, telnyx_id: &str, status: &str, tag: Option<Uuid>) -> Event {
    let tags: Vec<_> = tag.iter().map(|id| format!("convo:{id}")).collect();
    Event::report(event, telnyx_id, CONTACT, status).with("tags", json!(tags))
}

/// The contact sends STOP or START.
pub fn opt(event: &str, word: &str) -> Event {
    Event::inbound(event, event, CONTACT, word).autoresponse(word).received_at(clock::now())
}

/// Makes everything that is stored so many seconds older.
pub async fn age(db: &TestDatabase, seconds: i64) {
    let by = seconds * 1_000_000;
    let aged = [
        ("messages", &["created_at", "attempt_until"][..]),
        ("conversations", &["created_at", "last_message_at"]),
        ("delivery_reports", &["waiting_since"]),
        ("idempotency_keys", &["created_at"]),
    ];
    for (table, columns) in aged {
        let set = columns.iter().map(|column| format!("{column} = {column} - {by}"));
        let set = set.collect::<Vec<_>>().join(", ");
        execute(&db.url, &format!("UPDATE {table} SET {set}")).await;
    }
}

/// While this lives nothing else can write to the database.
pub struct Locked(DatabaseConnection);

impl Locked {
    pub async fn new(db: &TestDatabase) -> Self {
        let connection = connect(&db.url).await;
        let lock = match connection.get_database_backend() {
            DatabaseBackend::Sqlite => "BEGIN IMMEDIATE",
            _ => "BEGIN; LOCK TABLE messages, idempotency_keys IN EXCLUSIVE MODE",
        };
        connection.execute_unprepared(lock).await.expect("locked");
        Self(connection)
    }

    pub async fn unlock(self) {
        self.0.execute_unprepared("ROLLBACK").await.expect("unlocked");
        self.0.close().await.expect("closed");
    }
}
