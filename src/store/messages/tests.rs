//! What is inserted is what is read.

use sea_orm::{QueryResult, Statement};

use super::*;
use crate::domain::{Cost, Direction, Media, PhoneNumber, Status};
use crate::store::model::Offer;
use crate::store::pool::{Pool, Role};
use crate::store::write_session::WriteSession;
use crate::store::{Facts, Location, Mode, Purpose, Store};

fn number(number: &str) -> PhoneNumber {
    PhoneNumber::from_stored(number.to_owned())
}

fn time(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// A message in which no two values are alike.
fn message(media: &[Media]) -> NewMessage {
    NewMessage {
        id: Uuid::from_u128(7),
        telnyx_message_id: Some("telnyx".to_owned()),
        direction: Direction::Outbound,
        from: number("from"),
        to: vec![number("to"), number("second")],
        cc: vec!["cc".to_owned()],
        body: "body".to_owned(),
        subject: Some("subject".to_owned()),
        media: media.to_vec(),
        facts: Facts {
            from: None,
            cost: Some(Cost { amount: "amount".to_owned(), currency: "currency".to_owned() }),
            encoding: Some("encoding".to_owned()),
            segments: Some(1),
            sent_at: Some(time(2)),
            completed_at: Some(time(3)),
        },
        status: Status::Scheduled,
        created_at: time(4),
        send_at: Some(time(5)),
        offer: Some(Offer {
            body: b"request".to_vec(),
            base_url: "url".to_owned(),
            until: time(6),
            repeats_left: Some(7),
        }),
        in_reply_to: Some(Uuid::from_u128(8)),
        autoresponse_type: Some("word".to_owned()),
        recovered: false,
    }
}

async fn store_all(location: &Location, messages: &[&NewMessage]) {
    let pool = Pool::connect(location, Role::Writer).await.expect("connected");
    let session = WriteSession::open(pool).await.expect("opened");
    let txn = WriteTransaction::begin(&session).await.expect("begun");
    insert(&txn, messages).await.expect("inserted");
    assert!(txn.commit(time(1)).await.expect("committed"), "the feed has grown");
    session.close().await.expect("closed");
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[tokio::test]
async fn every_value_goes_into_its_own_column() {
    let dir = tempfile::tempdir().expect("a directory");
    let location = Location::parse("sqlite:c.db", dir.path()).expect("a location");
    let store = Store::open(&location, Mode::Real, Purpose::Serve).await.expect("a store");
    let media = [Media::at("media")];
    store_all(&location, &[&message(&media)]).await;
    let row = message::Entity::find().one(&store.reader).await.expect("read");
    let conversation = conversation::Entity::find().one(&store.reader).await.expect("read");
    let conversation = conversation.expect("a conversation");
    assert_eq!((conversation.contact_number.as_str(), conversation.message_count), ("to", 1));
    assert_eq!((conversation.created_at, conversation.last_message_at), (4, 4));
    let expected = message::Model {
        id: Uuid::from_u128(7),
        conversation_key: conversation.key,
        telnyx_message_id: Some(TelnyxId::new("telnyx")),
        direction: 1,
        from_number: "from".to_owned(),
        to_number: "to".to_owned(),
        recipients: some(r#"["to","second"]"#),
        cc: some(r#"["cc"]"#),
        body: "body".to_owned(),
        subject: some("subject"),
        media: list_to_json(&media),
        encoding: some("encoding"),
        segments: Some(1),
        cost_amount: some("amount"),
        cost_currency: some("currency"),
        status_rank: Status::Scheduled.rank(),
        error: None,
        created_at: 4,
        send_at: Some(5),
        sent_at: Some(2),
        completed_at: Some(3),
        request_body: Some(b"request".to_vec()),
        base_url: some("url"),
        attempt_until: Some(6),
        repeats_left: Some(7),
        refusal: None,
        in_reply_to: Some(Uuid::from_u128(8)),
        autoresponse_type: some("word"),
        recovered: None,
        arrival: Some(0),
    };
    assert_eq!(row, Some(expected));
    store.close().await;
}

/// The view repeats the ranks, since a migration never changes.
#[tokio::test]
async fn the_view_has_the_word_for_every_status() {
    let dir = tempfile::tempdir().expect("a directory");
    let location = Location::parse("sqlite:c.db", dir.path()).expect("a location");
    let store = Store::open(&location, Mode::Real, Purpose::Serve).await.expect("a store");
    for (n, status) in (1..).zip(Status::ALL) {
        let id = Uuid::from_u128(n);
        let message = NewMessage { id, telnyx_message_id: None, status, ..message(&[]) };
        store_all(&location, &[&message]).await;
    }
    let sql = "SELECT status FROM convo_messages ORDER BY id";
    let rows = Statement::from_string(DatabaseBackend::Sqlite, sql);
    let rows = store.reader.query_all_raw(rows).await.expect("read");
    let word = |row: &QueryResult| row.try_get_by_index::<String>(0).expect("a word");
    let words: Vec<_> = rows.iter().map(word).collect();
    assert_eq!(words, Status::ALL.map(Status::as_str));
    store.close().await;
}
