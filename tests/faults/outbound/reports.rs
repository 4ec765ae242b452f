//! Reports and answers that come in the wrong order, or name the wrong message.

use convo::domain::{Direction, SendRequest, Status};
use convo::threading::{Conversations, Settled};
use serde_json::{Value, json};

use super::fixture::{
    abandoned, age, conversations, detail, messages, only_message, opt, report, send, send_to,
    settle, settle_at, status, text,
};
use crate::on_both_databases;
use crate::support::{CONTACT, FakeServer, Reply, TestDatabase, receive};

/// Starts a send that Telnyx holds.
async fn begin(
    conversations: &Conversations,
    telnyx: &FakeServer,
) -> tokio::task::JoinHandle<convo::domain::Message> {
    let before = telnyx.offers().len();
    let conversations = conversations.clone();
    let sending = async move { send(&conversations, "Hi", None).await.expect("sent").message };
    let sending = tokio::spawn(sending);
    telnyx.wait_for_offers(before + 1).await;
    sending
}

/// Reports without a tag come before the answer of the send they are about: they wait for it instead
/// of becoming a message of another program.
async fn a_report_before_the_answer_waits_for_it(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Hold]).await;
    let conversations = conversations(&db, &telnyx).await;
    let sending = begin(&conversations, &telnyx).await;
    let telnyx_id = format!("telnyx-{}", telnyx.offers()[0].key);
    receive(&conversations, report("e2", &telnyx_id, "delivered", None)).await;
    receive(&conversations, report("e1", &telnyx_id, "sent", None)).await;
    assert!(settle_at(&conversations, convo::clock::now()).await.is_empty());
    assert_eq!(only_message(&conversations).await.status, Status::Pending, "the reports wait");
    telnyx.release();
    let sent = sending.await.expect("no panic");
    assert_eq!(sent.status, Status::Delivered, "the answer finds what was reported");
    assert_eq!(detail(&conversations, sent.id).await.history.expect("asked for").len(), 2);
    assert!(settle(&conversations).await.iter().all(|s| s.id == sent.id));
    assert_eq!(only_message(&conversations).await.id, sent.id);
}

/// An alphanumeric sender was asked for, and Telnyx uses a number in its place: a report without a tag
/// that names it comes before the answer, and waits all the same.
async fn a_report_from_another_sender_waits_for_the_answer(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Hold]).await;
    let conversations = conversations(&db, &telnyx).await;
    let sending = {
        let conversations = conversations.clone();
        let request = SendRequest { from: Some("ACME".to_owned()), ..text("Hi") };
        tokio::spawn(async move { send_to(&conversations, CONTACT, request, None).await })
    };
    telnyx.wait_for_offers(1).await;
    let telnyx_id = format!("telnyx-{}", telnyx.offers()[0].key);
    let used = json!({"phone_number": "+18005550199"});
    receive(&conversations, report("e1", &telnyx_id, "sent", None).with("from", used)).await;
    let waiting = only_message(&conversations).await;
    assert_eq!((waiting.status, waiting.from.as_str()), (Status::Pending, "ACME"));
    telnyx.release();
    let sent = sending.await.expect("no panic").expect("sent").message;
    assert_eq!((sent.status, sent.from.as_str()), (Status::Sent, "+18005550199"));
    settle(&conversations).await;
    assert_eq!(only_message(&conversations).await, sent);
}

/// The answer is lost, and Telnyx's record of the message, which is asked for, names another sender than
/// the report that came.
async fn the_sender_is_learned_by_asking(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Silence]).await;
    let conversations = conversations(&db, &telnyx).await;
    let id = abandoned(&conversations, &telnyx, "Hi", None).await;
    receive(&conversations, report("e1", "m1", "new_word", Some(id))).await;
    let to = json!([{"phone_number": CONTACT, "status": "sent"}]);
    telnyx.tells("m1", json!({"from": {"phone_number": "+18005550199"}, "to": to}));
    assert_eq!(settle(&conversations).await, [Settled { id, status: Status::Sent }]);
    let message = only_message(&conversations).await;
    assert_eq!((message.id, message.from.as_str()), (id, "+18005550199"));
}

/// A report waits for a message that turns out to be another one: it is stored as a message of another
/// program, at the time when it came.
async fn a_report_on_another_programs_message_is_stored_after_waiting(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Hold]).await;
    let conversations = conversations(&db, &telnyx).await;
    let sending = begin(&conversations, &telnyx).await;
    let before = convo::clock::now();
    receive(&conversations, report("e1", "of-another-program", "sent", None)).await;
    receive(&conversations, report("e2", "of-another-program", "delivered", None)).await;
    let after = convo::clock::now();
    assert_eq!(messages(&conversations).await.len(), 1);
    telnyx.release();
    let ours = sending.await.expect("no panic");
    let settled = settle_at(&conversations, convo::clock::now()).await;
    let all = messages(&conversations).await;
    let foreign = all.iter().find(|message| message.id != ours.id).expect("the other message");
    assert_eq!(settled, [Settled { id: foreign.id, status: Status::Delivered }]);
    assert_eq!((all.len(), foreign.direction), (2, Direction::Outbound));
    assert_eq!((foreign.body.as_str(), foreign.to.as_str()), ("Hi", CONTACT));
    assert!((before..=after).contains(&foreign.created_at));
    assert_eq!(detail(&conversations, foreign.id).await.history.expect("asked for").len(), 2);
    assert!(settle(&conversations).await.is_empty(), "it waits no longer");
}

/// A message to two recipients has the status of the one that is less far, whatever the order of the
/// reports, also of one that names no recipient.
async fn a_message_to_several_ends_the_same_in_every_order(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let conversations = conversations(&db, &telnyx).await;
    let to = |number: &str, status: &str| json!({"phone_number": number, "status": status});
    let other = "+12125550002";
    let events = [
        json!([to(CONTACT, "delivered")]),
        json!([to(other, "sent")]),
        json!([to(other, "delivered")]),
        json!([]),
    ];
    for (n, order) in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 3, 0, 1]].into_iter().enumerate() {
        let telnyx_id = format!("to-several-{n}");
        let event = |event: String, to: &Value| {
            report(&event, &telnyx_id, "", None).named("message.sent").with("to", to.clone())
        };
        let both = json!([to(CONTACT, "sent"), to(other, "queued")]);
        receive(&conversations, event(format!("first-{n}"), &both)).await;
        for at in order {
            receive(&conversations, event(format!("event-{n}-{at}"), &events[at])).await;
        }
        let all = messages(&conversations).await;
        let message =
            all.iter().find(|message| message.telnyx_message_id.as_deref() == Some(&telnyx_id));
        assert_eq!(message.map(|message| message.status), Some(Status::Delivered), "{order:?}");
    }
}

/// The answer is lost, but a report says the same: nothing is offered again, and the caller need not
/// wait for more.
async fn a_report_settles_a_send_whose_answer_is_lost(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::HoldStatus(502, ""), Reply::Accept]).await;
    let conversations = conversations(&db, &telnyx).await;
    let sending = begin(&conversations, &telnyx).await;
    let id = telnyx.offers()[0].key.parse().expect("an id");
    receive(&conversations, report("e1", "of-the-lost-answer", "delivered", Some(id))).await;
    telnyx.release();
    let sent = sending.await.expect("no panic");
    assert_eq!((sent.id, sent.status), (id, Status::Delivered));
    assert_eq!(sent.telnyx_message_id.as_deref(), Some("of-the-lost-answer"));
    assert_eq!(telnyx.offers().len(), 1);
}

/// A report waits for ten minutes. If the answer names its message after that, the two rows become
/// one: ours. Counters and opt-out stay right.
async fn an_answer_that_names_an_adopted_message_merges_the_two(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Silence]).await;
    let conversations = conversations(&db, &telnyx).await;
    let sending = begin(&conversations, &telnyx).await;
    sending.abort();
    let id = telnyx.offers()[0].key.parse().expect("an id");
    let telnyx_id = format!("telnyx-{id}");
    receive(&conversations, report("e1", &telnyx_id, "sent", None)).await;
    receive(&conversations, opt("e2", "START")).await;
    let nearly = convo::clock::now().plus_seconds(590);
    assert_eq!(settle_at(&conversations, nearly).await, [Settled { id, status: Status::Unknown }]);
    assert_eq!(messages(&conversations).await.len(), 2, "ours, and the contact's");
    let over = convo::clock::now().plus_seconds(601);
    let adopted = settle_at(&conversations, over).await;
    assert_eq!((adopted.len(), adopted[0].status), (1, Status::Sent));
    assert_ne!(adopted[0].id, id);
    assert_eq!(messages(&conversations).await.len(), 3);
    age(&db, 700).await;
    telnyx.now_replying(&[Reply::Accept]);
    let sent = conversations.retry(id, false).await.expect("an outcome");
    assert_eq!((sent.id, sent.status), (id, Status::Sent), "ours survives, with what was reported");
    let all = messages(&conversations).await;
    assert_eq!(all.len(), 2, "{all:?}");
    // Whoever has seen the other one finds the one that survived.
    let found = conversations.message(adopted[0].id).await.expect("a message");
    assert_eq!(found.id, id);
    receive(&conversations, report("e3", &telnyx_id, "delivered", None)).await;
    assert_eq!(status(&conversations, id).await, Status::Delivered);
    let thread = conversations.conversations(None, 1).await.expect("a list").remove(0);
    assert_eq!(thread.opted_out_at, None);
}

/// Telnyx's answer names an id that another message of ours, or one of the contact's, has already: the
/// other keeps it. Both were accepted.
async fn an_answer_with_the_id_of_another_message_changes_only_its_own(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::AcceptAs("same")]).await;
    let conversations = conversations(&db, &telnyx).await;
    receive(&conversations, opt("inbound", "HELP")).await;
    let first = send(&conversations, "one", None).await.expect("sent").message;
    let second = send(&conversations, "two", None).await.expect("sent").message;
    assert_eq!(first.telnyx_message_id.as_deref(), Some("same"));
    assert_eq!((second.status, second.telnyx_message_id), (Status::Queued, None));
    telnyx.now_replying(&[Reply::AcceptAs("inbound")]);
    let third = send(&conversations, "three", None).await.expect("sent").message;
    // A text between two of our own numbers has one id both ways.
    let own = third.telnyx_message_id.as_deref();
    assert_eq!((third.status, own), (Status::Queued, Some("inbound")));
    assert_eq!(messages(&conversations).await.len(), 4);
    receive(&conversations, report("e1", "same", "delivered", None)).await;
    assert_eq!(status(&conversations, first.id).await, Status::Delivered);
    assert_eq!(status(&conversations, second.id).await, Status::Queued);
}

/// A report gives a message one id by its tag, and the answer another: Telnyx has sent two texts, and
/// the conversation shows both.
async fn two_texts_under_one_key_are_both_shown(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Hold]).await;
    let conversations = conversations(&db, &telnyx).await;
    let sending = begin(&conversations, &telnyx).await;
    let id = telnyx.offers()[0].key.parse().expect("an id");
    receive(&conversations, report("e1", "the-first", "sent", Some(id))).await;
    telnyx.release();
    let sent = sending.await.expect("no panic");
    assert_eq!(sent.telnyx_message_id.as_deref(), Some("the-first"));
    assert_eq!(sent.status, Status::Sent);
    receive(&conversations, report("e2", &format!("telnyx-{id}"), "delivered", Some(id))).await;
    assert_eq!(messages(&conversations).await.len(), 2);
    assert_eq!(status(&conversations, id).await, Status::Sent);
}

on_both_databases!(
    a_message_to_several_ends_the_same_in_every_order,
    a_report_before_the_answer_waits_for_it,
    a_report_from_another_sender_waits_for_the_answer,
    the_sender_is_learned_by_asking,
    a_report_settles_a_send_whose_answer_is_lost,
    a_report_on_another_programs_message_is_stored_after_waiting,
    an_answer_that_names_an_adopted_message_merges_the_two,
    an_answer_with_the_id_of_another_message_changes_only_its_own,
    two_texts_under_one_key_are_both_shown,
);
