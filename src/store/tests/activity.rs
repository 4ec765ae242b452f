//! All that a server does with its database: every kind of event, send, list and look-up.

use std::time::Duration;

use futures_util::future::join_all;
use uuid::Uuid;

use crate::clock;
use crate::domain::{
    ContactCursor, ContactFilter, Cursor, Direction, FeedCursor, IdempotencyKey, Listing,
    MessageError, PhoneNumber, Place, Selector, Status, Timestamp, Window,
};
use crate::error::{Code, Error};
use crate::store::model::{
    Change, Closing, NewEvent, NewMessage, NewRecipientStatus, NewReport, NewSend, Offer,
    OptOutChange, Outcome,
};
use crate::store::settle::read::StaleQuery;
use crate::store::settle::write::{AttemptLease, LeasePurpose, WaitingReport};
use crate::store::{Facts, RawEvent, Store};

pub(super) const OWN: &str = "+15551234567";
fn number(number: &str) -> PhoneNumber {
    PhoneNumber::from_stored(number.to_owned())
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// The contact of one of the rows.
fn contact(n: u32) -> PhoneNumber {
    number(&format!("+1{}", 2_000_000_000 + n))
}

pub(super) fn message(n: u32, direction: Direction) -> NewMessage {
    let (from, to) = match direction {
        Direction::Inbound => (contact(n), number(OWN)),
        Direction::Outbound => (number(OWN), contact(n)),
    };
    NewMessage {
        id: Uuid::now_v7(),
        telnyx_message_id: Some(Uuid::new_v4().to_string()),
        direction,
        from,
        to: vec![to],
        cc: Vec::new(),
        body: "Hi".to_owned(),
        subject: None,
        media: Vec::new(),
        facts: Facts::default(),
        status: if direction == Direction::Inbound { Status::Received } else { Status::Queued },
        created_at: at(30_000),
        send_at: None,
        offer: None,
        in_reply_to: None,
        autoresponse_type: None,
        recovered: false,
    }
}

pub(super) fn event(change: Change) -> NewEvent {
    NewEvent {
        id: Uuid::new_v4().to_string(),
        event_type: "test".to_owned(),
        occurred_at: Some(at(30_000)),
        received_at: at(30_000),
        body: RawEvent::compress(b"{}"),
        change,
    }
}

pub(super) fn stop(opted_out: bool, at: Timestamp) -> OptOutChange {
    let (decided_at, learned_at) = (Some(at), at);
    OptOutChange { opted_out, decided_at, learned_at, number: None, profile: None }
}

fn report(telnyx_message_id: &str, foreign: Option<NewMessage>) -> NewReport {
    let recipient =
        NewRecipientStatus { number: contact(7).to_string(), word: "delivered".to_owned() };
    NewReport {
        event_id: Uuid::new_v4().to_string(),
        telnyx_message_id: telnyx_message_id.to_owned(),
        is_group: false,
        tag: Some(Uuid::now_v7()),
        recipients: vec![recipient],
        error: None,
        opt_out: None,
        facts: Facts { from: Some(number("+15550000000")), ..Facts::default() },
        occurred_at: at(30_000),
        foreign,
        recovered: false,
    }
}

/// Does all of it once.
pub(super) async fn all(store: &Store) {
    receive(store).await;
    send_and_close(store).await;
    settle(store).await;
    list(store).await;
    mark(store).await;
    read(store).await;
    follow(store).await;
}

/// Reading the feed, and removing what is old.
async fn follow(store: &Store) {
    let start = store.feed_before(at(0)).await.expect("read");
    store.feed_before(clock::now()).await.expect("read");
    store.feed_head().await.expect("read");
    let slice = store.feed_after(start, 50).await.expect("read");
    assert!(!slice.page.events.is_empty());
    let forgotten = FeedCursor { nonce: !start.nonce, ..start };
    store.feed_after(forgotten, 50).await.expect_err("expired");
    store.writer().expect("a writer").trim_feed(at(0)).await.expect("trimmed");
}

/// Every kind of event, alone, many at once, and again.
async fn receive(store: &Store) {
    let writer = store.writer().expect("a writer");
    let inbound = |n| {
        Change::Message(Box::new(message(n, Direction::Inbound)), Some(stop(n == 7, at(30_000))))
    };
    let known = event(inbound(7));
    for _ in 0..2 {
        writer.event(known.clone()).await.expect("stored");
    }
    let many = (0..40).map(|n| writer.event(event(inbound(n))));
    assert!(join_all(many).await.iter().all(Result::is_ok));
    for id in ["unknown".to_owned(), Uuid::from_u128(7).to_string()] {
        let foreign = Some(message(8, Direction::Outbound));
        let told = event(Change::Report(Box::new(report(&id, foreign))));
        for _ in 0..2 {
            writer.event(told.clone()).await.expect("stored");
        }
    }
}

fn send(key: &str) -> NewSend {
    let offer = Offer {
        body: b"{}".to_vec(),
        base_url: "https://t.example".to_owned(),
        until: at(40_000),
        repeats_left: None,
    };
    let message = NewMessage {
        telnyx_message_id: None,
        status: Status::Pending,
        offer: Some(offer),
        ..message(9, Direction::Outbound)
    };
    let key = IdempotencyKey::parse(key).expect("a good key");
    let request_hash = b"hash".to_vec();
    NewSend {
        message,
        key,
        request_hash,
        despite_opt_out: false,
        reply_limit: 20,
        send_limit: Some(60),
        batch: None,
        only_repeat: false,
    }
}

/// Sends with every outcome.
async fn send_and_close(store: &Store) {
    let writer = store.writer().expect("a writer");
    let facts = Facts { from: Some(number("+15550000000")), ..Facts::default() };
    let error = MessageError { code: None, title: "no".to_owned(), detail: None };
    let refusal = || Error::new(Code::Internal, "no").body();
    for (n, outcome) in (0..).zip([
        Outcome::Accepted {
            telnyx_message_id: Uuid::new_v4().to_string(),
            status: Status::Queued,
            facts,
            lift_opt_out: Some(stop(false, at(30_000))),
            report: Some(Box::new(report("answered", None))),
        },
        Outcome::NotSent {
            error,
            status: Status::SendingFailed,
            opt_out: Some(stop(true, at(30_000))),
            refusal: Box::new(refusal()),
        },
        Outcome::Unknown,
        Outcome::StillUnknown { may_have_arrived: false },
        Outcome::StillUnknown { may_have_arrived: true },
    ]) {
        let send = NewSend { despite_opt_out: n > 0, ..send(&format!("key-{n}")) };
        for _ in 0..2 {
            writer.open(send.clone(), Duration::from_secs(60)).await.expect("stored");
        }
        let id = send.message.id;
        let closing = Closing { id, until: at(40_000), outcome, at: at(35_000), may_repeat: true };
        writer.close(closing).await.expect("closed");
    }
    let send = send("withdrawn");
    writer.withdraw(send.message.id, send.key, at(40_000), refusal()).await.expect("withdrawn");
}

async fn settle(store: &Store) {
    let writer = store.writer().expect("a writer");
    let id = Uuid::from_u128(7);
    for purpose in [LeasePurpose::Retry, LeasePurpose::Repeat, LeasePurpose::LookUp] {
        let lease = AttemptLease { id, seen: at(1), until: at(2), purpose };
        writer.lease(lease).await.expect("asked");
    }
    writer.mark_unknown(at(1)).await.expect("marked");
    let looked_up = report(&Uuid::from_u128(7).to_string(), None);
    writer.record_lookup(id, looked_up.clone()).await.expect("recorded");
    let waiting = vec![WaitingReport { report: looked_up, since: at(1) }];
    let unreadable = vec!["gone".to_owned()];
    writer.resolve_waiting(waiting, unreadable, at(50_000)).await.expect("resolved");
    let query = StaleQuery {
        base_url: "https://t.example",
        open_before: at(50_000),
        in_transit_before: at(50_000),
        created_after: at(1),
        foreign: true,
        limit: 10,
    };
    store.stale(query).await.expect("read");
    store.repeatable("https://t.example", at(1), at(50_000), 10).await.expect("read");
    store.unsettled(id).await.expect("read");
    store.waiting(10).await.expect("read");
    store.has_overdue_attempt(at(1)).await.expect("read");
    store.open_messages(at(50_000)).await.expect("read");
}

async fn list(store: &Store) {
    let place = Some(Cursor { at: at(10_000), id: Uuid::from_u128(7), until: None });
    for listing in [
        Listing::default(),
        Listing { since: Some(at(5_000)), until: Some(at(9_000)), ..Listing::default() },
        Listing { contact: Some(Selector::new(contact(7).as_str())), ..Listing::default() },
        Listing { number: Some(number(OWN)), ..Listing::default() },
        Listing { direction: Some(Direction::Outbound), ..Listing::default() },
        Listing { statuses: vec![Status::Unknown, Status::SendingFailed], ..Listing::default() },
        Listing { statuses: vec![Status::Delivered], ..Listing::default() },
        Listing { opted_out: true, ..Listing::default() },
        Listing { unread: true, ..Listing::default() },
    ] {
        for reverse in [false, true] {
            let listing = Listing { reverse, ..listing.clone() };
            for after in [None, place] {
                store.list(&listing, after, 50).await.expect("listed");
            }
        }
    }
}

async fn mark(store: &Store) {
    let find = async |number| {
        let found = store.exactly(&Selector::new(contact(number).as_str())).await.expect("read");
        found.expect("a conversation")
    };
    let conversation = &find(1_010).await;
    store.mark_read(conversation, conversation.arrived).await.expect("marked");
    assert_eq!(store.mark_unread(conversation).await.expect("marked"), 1);
    store.arrival(conversation.id, Uuid::from_u128(1_010)).await.expect("read");
    // Where some have been removed, the others are counted.
    let gaps = find(1_012).await;
    assert_eq!(store.mark_read(&gaps, 1).await.expect("marked"), 0);
}

async fn read(store: &Store) {
    let id = Uuid::from_u128(7);
    for name in [contact(7).to_string(), id.to_string()] {
        store.exactly(&Selector::new(&name)).await.expect("read");
    }
    store.with_id_part("00000007").await.expect("read");
    store.contacts_named("ada 7").await.expect("read");
    store.names([contact(7), contact(8)].iter()).await.expect("read");
    let after = ContactCursor { folded: "ada 7".to_owned(), number: contact(7).to_string() };
    for after in [None, Some(&after)] {
        store.contacts(&ContactFilter::default(), after, 50).await.expect("read");
    }
    for beginning in ["+12000", "0000", "00000007-0000"] {
        store.beginning_with(beginning, 10).await.expect("read");
    }
    for window in [
        Window::Newest { before: None, limit: 50 },
        Window::Newest { before: Some(Place::Message(id)), limit: 50 },
        Window::Newest { before: Some(Place::Time(at(9_000))), limit: 50 },
        Window::Oldest { after: None, limit: 50 },
        Window::Oldest { after: Some(id), limit: 50 },
    ] {
        let page = store.messages(id, window).await.expect("read");
        store.with_history(page.expect("a page").rows).await.expect("read");
    }
    store.message(id).await.expect("read");
    store.last_written_to(&contact(7), &[number(OWN)]).await.expect("read");
}
