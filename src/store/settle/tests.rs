//! Withdrawing sends.

use std::time::Duration;

use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::domain::{Direction, IdempotencyKey, PhoneNumber, Status, Timestamp};
use crate::error::{Code, Error, ErrorBody};
use crate::store::model::{NewMessage, NewSend, Offer, Opened};
use crate::store::{Facts, Location, Mode, Purpose, Store};

fn until() -> Timestamp {
    Timestamp::from_micros(6)
}

async fn store(dir: &tempfile::TempDir) -> Store {
    let location = Location::parse("sqlite:c.db", dir.path()).expect("a location");
    Store::open(&location, Mode::Real, Purpose::Serve).await.expect("a store")
}

fn key() -> IdempotencyKey {
    IdempotencyKey::parse("own").expect("a good key")
}

fn send(id: Uuid) -> NewSend {
    let number = PhoneNumber::from_stored("+12125551234".to_owned());
    let message = NewMessage {
        id,
        telnyx_message_id: None,
        direction: Direction::Outbound,
        from: number.clone(),
        to: vec![number],
        cc: Vec::new(),
        body: "Hi".to_owned(),
        subject: None,
        media: Vec::new(),
        facts: Facts::default(),
        status: Status::Pending,
        created_at: Timestamp::from_micros(4),
        send_at: None,
        offer: Some(Offer {
            body: Vec::new(),
            base_url: String::new(),
            until: until(),
            repeats_left: None,
        }),
        in_reply_to: None,
        autoresponse_type: None,
        recovered: false,
    };
    let request_hash = b"hash".to_vec();
    NewSend {
        message,
        key: key(),
        request_hash,
        despite_opt_out: false,
        reply_limit: 20,
        send_limit: Some(60),
        batch: None,
        only_repeat: false,
    }
}

async fn open(store: &Store, id: Uuid) -> Opened {
    let writer = store.writer().expect("a writer");
    writer.open(send(id), Duration::from_secs(60)).await.expect("written")
}

/// Withdraws a send and returns the error that its caller is given.
async fn withdraw(store: &Store, id: Uuid) -> ErrorBody {
    let refusal = Error::new(Code::DatabaseUnavailable, "the database broke off").body();
    let writer = store.writer().expect("a writer");
    writer.withdraw(id, key(), until(), refusal.clone()).await.expect("written");
    refusal
}

#[tokio::test]
async fn a_withdrawn_send_is_refused_for_whoever_waits_and_its_key_is_free() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = store(&dir).await;
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    assert!(matches!(open(&store, first).await, Opened::Stored));
    let Opened::Replay(stored) = open(&store, second).await else { panic!("the key is bound") };
    assert_eq!((stored.message.id, stored.message.status), (first, Status::Pending));
    assert_eq!((stored.until, stored.refusal.map(|refusal| refusal.code)), (Some(until()), None));
    let refusal = withdraw(&store, first).await;
    let stored = store.stored_send(first).await.expect("read").expect("the row stays");
    assert_eq!(stored.message.status, Status::Cancelled);
    let told = stored.refusal.expect("a refusal");
    assert_eq!((told.code, told.error), (refusal.code, refusal.error));
    assert!(matches!(open(&store, second).await, Opened::Stored), "the key is free");
    store.close().await;
}

#[tokio::test]
async fn a_send_that_was_not_stored_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = store(&dir).await;
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    withdraw(&store, first).await;
    assert!(store.stored_send(first).await.expect("read").is_none());
    assert!(matches!(open(&store, second).await, Opened::Stored), "the key is free");
    store.close().await;
}

/// A server of a newer version has stored an error that this one does not know.
#[tokio::test]
async fn an_unknown_refusal_is_a_refusal() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = store(&dir).await;
    let first = Uuid::from_u128(1);
    open(&store, first).await;
    withdraw(&store, first).await;
    let newer = r#"UPDATE messages SET refusal = '{"error":"the moon","code":"full_moon"}'"#;
    store.reader.execute_unprepared(newer).await.expect("written");
    let stored = store.stored_send(first).await.expect("read").expect("a row");
    assert_eq!(stored.refusal.map(|refusal| refusal.code), Some(Code::Cancelled));
    store.close().await;
}
