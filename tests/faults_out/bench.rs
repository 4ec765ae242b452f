//! What the tests stand on: threads on a database of their own, and a hand in that database.

use std::path::Path;
use std::time::Duration;

use convo::clock;
use convo::config::Secret;
use convo::domain::{Message, PhoneNumber, Selector, SendRequest, Status, Timestamp, Window};
use convo::error::Error;
use convo::store::{Location, Mode, Purpose, Store};
use convo::telnyx::client::Client;
use convo::threading::{Policy, Sent, Threads};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::TestDatabase;

pub const CONTACT: &str = "+12125551234";
pub const OWN: &str = "+15551234567";

/// Sends that end soon, so that no test waits long.
pub fn policy() -> Policy {
    Policy { timeout: Duration::from_secs(4), ..Policy::default() }
}

/// Threads whose messages go to a stand-in.
pub async fn threads(db: &TestDatabase, base_url: &str, policy: Policy) -> Threads {
    let location = Location::parse(&db.url, Path::new("/")).expect("a location");
    let store = Store::open(&location, Mode::Real, Purpose::Serve).await.expect("a store");
    let telnyx = Client::new(base_url, Secret::new("KEY"), policy.timeout).expect("a client");
    let own = PhoneNumber::parse(OWN).expect("a number");
    Threads::new(store, Some(telnyx), vec![own], policy)
}

pub fn text(words: &str) -> SendRequest {
    SendRequest { message: Some(words.to_owned()), ..SendRequest::default() }
}

pub async fn send(threads: &Threads, words: &str, key: Option<&str>) -> Result<Sent, Error> {
    threads.send(CONTACT, &text(words), key).await
}

/// An instant after everything that is under way must be over, while texts are still fresh.
pub fn soon() -> Timestamp {
    clock::now().plus_seconds(60)
}

/// All messages of the contact.
pub async fn messages(threads: &Threads) -> Vec<Message> {
    let Ok(thread) = threads.find(&Selector::new(CONTACT)).await else { return Vec::new() };
    let all = Window::Oldest { after: None, limit: 1_000 };
    let messages = threads.messages(thread.id, all, false).await.expect("messages");
    assert_eq!(thread.message_count, messages.len() as u64, "the counter equals the rows");
    let latest = messages.iter().map(|message| message.created_at).max();
    assert_eq!(Some(thread.last_message_at), latest, "the time of the last message is right");
    messages
}

pub async fn only_message(threads: &Threads) -> Message {
    let mut all = messages(threads).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

pub async fn detail(threads: &Threads, id: Uuid) -> Message {
    threads.message(id).await.expect("a message")
}

pub async fn status(threads: &Threads, id: Uuid) -> Status {
    detail(threads, id).await.status
}

/// A report about a message, tagged with convo's id if one is given.
pub fn report(event: &str, telnyx_id: &str, status: &str, tag: Option<Uuid>) -> Value {
    let tags: Vec<_> = tag.iter().map(|id| format!("convo:{id}")).collect();
    json!({"data": {"event_type": "message.finalized", "id": event,
        "occurred_at": "2026-11-22T13:00:01Z", "payload": {"id": telnyx_id, "text": "Hi",
        "direction": "outbound", "tags": tags, "from": {"phone_number": OWN},
        "to": [{"phone_number": CONTACT, "status": status}]}}})
}

pub async fn receive(threads: &Threads, event: &Value) {
    threads.receive(event.to_string().into()).await.expect("the event is taken");
}

/// The contact says STOP or START.
pub async fn say(threads: &Threads, event: &str, word: &str) {
    let said = json!({"data": {"event_type": "message.received", "id": event, "payload": {
        "id": event, "direction": "inbound", "from": {"phone_number": CONTACT}, "text": word,
        "to": [{"phone_number": OWN}], "autoresponse_type": word}}});
    receive(threads, &said).await;
}

/// A connection of the test's own to the database.
pub async fn hand(db: &TestDatabase) -> DatabaseConnection {
    let url = match db.url.starts_with("sqlite") {
        true => format!("sqlite://{}", db.file().display()),
        false => db.url.clone(),
    };
    let mut options = sea_orm::ConnectOptions::new(url);
    options.max_connections(1);
    Database::connect(options).await.expect("the test's own connection")
}

/// Time passes: everything that is stored is so many seconds older.
pub async fn age(db: &TestDatabase, seconds: i64) {
    let by = seconds * 1_000_000;
    let hand = hand(db).await;
    for statement in [
        format!(
            "UPDATE messages SET created_at = created_at - {by}, attempt_until = attempt_until - {by}"
        ),
        format!(
            "UPDATE conversations SET created_at = created_at - {by}, last_message_at = last_message_at - {by}"
        ),
        format!("UPDATE delivery_reports SET waiting_since = waiting_since - {by}"),
        format!("UPDATE idempotency_keys SET created_at = created_at - {by}"),
    ] {
        hand.execute_unprepared(&statement).await.expect("time passes");
    }
    hand.close().await.expect("closed");
}

/// Nobody can write to the database while this lives.
pub struct Locked(DatabaseConnection);

impl Locked {
    pub async fn new(db: &TestDatabase) -> Self {
        let hand = hand(db).await;
        let begin: &[&str] = match db.url.starts_with("sqlite") {
            true => &["BEGIN IMMEDIATE"],
            false => &["BEGIN", "LOCK TABLE messages, idempotency_keys IN EXCLUSIVE MODE"],
        };
        for statement in begin {
            hand.execute_unprepared(statement).await.expect("a lock");
        }
        Self(hand)
    }

    pub async fn unlock(self) {
        self.0.execute_unprepared("ROLLBACK").await.expect("unlocked");
        self.0.close().await.expect("closed");
    }
}
