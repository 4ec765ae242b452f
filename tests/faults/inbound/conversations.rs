//! Conversations on a real database of each kind: what is delivered in any order, and more than once,
//! is stored once.

use convo::domain::EventOutcome;
use convo::domain::{Place, Selector, Status, Window};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::on_both_databases;
use crate::support::{
    CONTACT, Event, TestDatabase, assert_counted, connect, example, open, query_one, receive,
};

fn report(event: &str, message: &str, status: &str, error: Option<&str>) -> Event {
    let errors: Vec<_> =
        error.iter().map(|code| json!({"code": code, "title": "Failed"})).collect();
    Event::report(event, message, CONTACT, status).with("errors", errors)
}

/// A report names one recipient twice: the further status counts, in either order.
async fn the_further_status_of_a_recipient_named_twice_counts(db: TestDatabase) {
    let conversations = open(&db.url).await;
    for (n, statuses) in [["sent", "delivered"], ["delivered", "sent"]].into_iter().enumerate() {
        let to = statuses.map(|status| json!({"phone_number": CONTACT, "status": status}));
        let event = report(&format!("e{n}"), &format!("m{n}"), "sent", None).with("to", json!(to));
        receive(&conversations, event).await;
        let thread = conversations.find(&Selector::new(CONTACT)).await.expect("a thread");
        let all = Window::Oldest { after: None, limit: 10 };
        let messages = conversations.messages(thread.id, all, false).await.expect("messages").rows;
        assert_eq!(messages.len(), n + 1);
        assert!(messages.iter().all(|message| message.status == Status::Delivered), "{statuses:?}");
    }
}

async fn every_published_example_is_processed(db: TestDatabase) {
    let conversations = open(&db.url).await;
    for (name, expected) in [
        ("inbound_sms", EventOutcome::Stored),
        ("inbound_mms", EventOutcome::Stored),
        ("inbound_group_mms", EventOutcome::Stored),
        ("inbound_stop", EventOutcome::Stored),
        ("legacy_to_string", EventOutcome::Stored),
        ("inbound_whatsapp_text", EventOutcome::Stored),
        ("message_sent", EventOutcome::Updated),
        ("finalized_delivered", EventOutcome::Updated),
        ("finalized_failed", EventOutcome::Updated),
        ("finalized_sending_failed", EventOutcome::Updated),
    ] {
        let received = conversations.receive(example(name).into()).await.expect(name);
        assert_eq!(received, expected, "{name}");
        let again = conversations.receive(example(name).into()).await.expect(name);
        assert_eq!(again, EventOutcome::Duplicate, "{name}");
    }
    let list = conversations.conversations(None, 10).await.expect("a list");
    assert_eq!(list.len(), 1, "all examples are of one contact");
    assert!(list[0].opted_out_at.is_some(), "its last message was STOP");
    assert_counted(&conversations).await;
    let all = Window::Oldest { after: None, limit: 100 };
    let messages = conversations.messages(list[0].id, all, true).await.expect("messages").rows;
    // Six were received; the reports are about two messages that another program sent.
    assert!(messages.len() >= 7, "{}", messages.len());
    let delivered = messages.iter().find(|m| m.status == Status::Delivered).expect("delivered");
    assert_eq!(
        delivered.telnyx_message_id.as_deref(),
        Some("ac012cbf-5e09-46af-a69a-7c0e2d90993c")
    );
    assert_eq!(delivered.error, None, "the delivery overrides the failure");
    let history = delivered.history.as_ref().expect("asked for");
    let words: Vec<_> = history.iter().map(|report| report.status.as_str()).collect();
    assert_eq!(words, ["sent", "delivered", "delivery_failed", "sending_failed"]);
    assert!(messages.iter().any(|m| !m.media.is_empty() && m.body.is_empty()));
    assert!(messages.iter().any(|m| m.body == "hello via WhatsApp"));
}

async fn a_redelivered_message_is_stored_once(db: TestDatabase) {
    let conversations = open(&db.url).await;
    assert_eq!(
        receive(&conversations, Event::inbound("e1", "m1", CONTACT, "Hi")).await,
        EventOutcome::Stored
    );
    for (event, message) in [("e1", "m1"), ("e2", "m1"), ("e1", "m2")] {
        let again = receive(&conversations, Event::inbound(event, message, CONTACT, "Hi")).await;
        assert_eq!(again, EventOutcome::Duplicate, "{event} {message}");
    }
    // With another time, the event's key is another; what it tells is known all the same.
    let later = "2026-11-22T14:00:00Z";
    let again = Event::inbound("e1", "m1", CONTACT, "Hi").occurred_at(later);
    assert_eq!(receive(&conversations, again).await, EventOutcome::Duplicate);
    let report = Event::report("e4", "m4", CONTACT, "delivered");
    assert_eq!(receive(&conversations, report.clone()).await, EventOutcome::Updated);
    let again = receive(&conversations, report.occurred_at(later)).await;
    assert_eq!(again, EventOutcome::Duplicate);
    let direct = connect(&db.url).await;
    assert_eq!(query_one::<i64>(&direct, "SELECT count(*) FROM events").await, 2);
    // The same text in the same second is still another message.
    assert_eq!(
        receive(&conversations, Event::inbound("e3", "m3", CONTACT, "Hi")).await,
        EventOutcome::Stored
    );
    let thread = conversations.find(&Selector::new("+1 212 555 1234")).await.expect("found");
    assert_eq!(thread.message_count, 3);
    assert_counted(&conversations).await;
}

async fn concurrent_copies_and_first_messages_make_one_conversation(db: TestDatabase) {
    // Two servers share the database.
    let (one, two) = (open(&db.url).await, open(&db.url).await);
    let mut tasks = Vec::new();
    for copy in 0..64 {
        let conversations = if copy % 2 == 0 { one.clone() } else { two.clone() };
        tasks.push(tokio::spawn(async move {
            let same = receive(&conversations, Event::inbound("same", "same", CONTACT, "Hi")).await;
            let own = format!("own-{copy}");
            let other = receive(&conversations, Event::inbound(&own, &own, CONTACT, "Hi")).await;
            (same, other)
        }));
    }
    let mut stored = 0;
    for task in tasks {
        let (same, other) = task.await.expect("no panic");
        stored += u32::from(same == EventOutcome::Stored);
        assert_eq!(other, EventOutcome::Stored);
    }
    assert_eq!(stored, 1);
    let list = one.conversations(None, 10).await.expect("a list");
    assert_eq!((list.len(), list[0].message_count), (1, 65));
    assert_counted(&one).await;
}

/// Many events at once, some of them known by their event's or their message's id: what is new is
/// stored once, and the rest changes nothing.
async fn a_burst_with_duplicates_is_stored_once(db: TestDatabase) {
    let conversations = open(&db.url).await;
    receive(&conversations, Event::inbound("known", "known", "+12125551000", "Hi")).await;
    for round in 0..3 {
        // Of every four, one is new, one is its copy, one is a known event, one a known message.
        let burst = (0..200).map(|n| {
            let new = format!("{round}-{}", n / 4);
            let (event, message) = match n % 4 {
                0 | 1 => (new.as_str(), new.as_str()),
                2 => ("known", new.as_str()),
                _ => (&*format!("other-{new}"), "known"),
            };
            let contact = format!("+1212555{:04}", 1_000 + n / 4 % 10);
            receive(&conversations, Event::inbound(event, message, &contact, "Hi"))
        });
        let received = futures_util::future::join_all(burst).await;
        for four in received.chunks(4) {
            let stored = four.iter().filter(|one| **one == EventOutcome::Stored).count();
            assert_eq!(stored, 1, "round {round}: {four:?}");
            assert_eq!(four[2..], [EventOutcome::Duplicate; 2], "round {round}");
        }
    }
    let list = conversations.conversations(None, 100).await.expect("a list");
    assert_eq!(list.len(), 10);
    assert_eq!(list.iter().map(|thread| thread.message_count).sum::<u64>(), 151);
    assert_counted(&conversations).await;
}

async fn reports_converge_in_every_order(db: TestDatabase) {
    let conversations = open(&db.url).await;
    let reports =
        [("queued", None), ("sent", None), ("delivery_failed", Some("40008")), ("new_word", None)];
    for (round, order) in permutations(reports.len()).into_iter().enumerate() {
        let message = format!("m{round}");
        for place in order {
            let (status, error) = reports[place];
            let event = format!("{message}-{place}");
            receive(&conversations, report(&event, &message, status, error)).await;
            receive(&conversations, report(&event, &message, status, error)).await;
        }
    }
    let thread = conversations.find(&Selector::new(CONTACT)).await.expect("found");
    let all = Window::Oldest { after: None, limit: 100 };
    let messages = conversations.messages(thread.id, all, false).await.expect("messages").rows;
    assert_eq!(messages.len(), 24);
    for message in messages {
        assert_eq!(message.status, Status::DeliveryFailed);
        assert_eq!(message.error.as_ref().and_then(|e| e.code.as_deref()), Some("40008"));
        let detail = conversations.message(message.id).await.expect("a message");
        assert_eq!(
            detail.history.expect("asked for").len(),
            4,
            "reports that change nothing are kept, too"
        );
    }
}

fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let smaller = permutations(n - 1);
    (0..n)
        .flat_map(|at| {
            smaller.iter().map(move |p| {
                let mut p = p.clone();
                p.insert(at, n - 1);
                p
            })
        })
        .collect()
}

async fn with_several_recipients_the_lowest_status_is_shown(db: TestDatabase) {
    let conversations = open(&db.url).await;
    let group = |event: &str, states: &[(&str, &str)], error: Option<&str>| {
        let to = states.iter().map(|(n, s)| json!({"phone_number": n, "status": s}));
        report(event, "group", "", error).with("to", to.collect::<Value>())
    };
    let (a, b) = ("+12125550001", "+12125550002");
    receive(&conversations, group("e1", &[(a, "sent"), (b, "sent")], None)).await;
    let id = conversations.find(&Selector::new(a)).await.expect("of the first").id;
    let message = async || {
        let all = Window::Oldest { after: None, limit: 10 };
        conversations.messages(id, all, false).await.expect("messages").rows.remove(0)
    };
    assert_eq!(message().await.status, Status::Sent);
    receive(&conversations, group("e2", &[(a, "delivered")], None)).await;
    assert_eq!(message().await.status, Status::Sent, "the second has not been delivered yet");
    receive(&conversations, group("e3", &[(b, "delivery_failed")], Some("40008"))).await;
    let ended = message().await;
    assert_eq!(ended.status, Status::DeliveryFailed);
    assert_eq!(ended.error.and_then(|error| error.code).as_deref(), Some("40008"));
    receive(&conversations, group("e4", &[(a, "read"), (b, "delivered")], None)).await;
    assert_eq!(message().await.status, Status::Delivered);
    assert_eq!(message().await.error, None);
}

async fn the_latest_stop_or_start_decides(db: TestDatabase) {
    let conversations = open(&db.url).await;
    let opt = |event: &str, word: &str, at: &str| {
        Event::inbound(event, event, CONTACT, word).autoresponse(word).received_at(at)
    };
    receive(&conversations, opt("e1", "START", "2026-11-22T13:00:05Z")).await;
    receive(&conversations, opt("e2", "STOP", "2026-11-22T13:00:01Z")).await;
    let opted_out = async || {
        let thread = conversations.find(&Selector::new(CONTACT)).await.expect("found");
        thread.opted_out_at.is_some()
    };
    assert!(!opted_out().await, "the STOP is older");
    receive(&conversations, opt("e3", "STOP", "2026-11-22T13:00:09Z")).await;
    assert!(opted_out().await);
    receive(&conversations, opt("e4", "HELP", "2026-11-22T13:00:10Z")).await;
    assert!(opted_out().await, "HELP decides nothing");
    receive(&conversations, opt("e5", "START", "2026-11-22T13:00:11Z")).await;
    assert!(!opted_out().await);
}

async fn conversations_are_paged_and_found(db: TestDatabase) {
    let conversations = open(&db.url).await;
    for contact in 0..25 {
        let [event, message, from] = ["e", "m", "+121255512"].map(|x| format!("{x}{contact:02}"));
        // Several share an instant: the id decides the order.
        let at = format!("2026-11-22T13:00:{:02}Z", contact / 5);
        let event = Event::inbound(&event, &message, &from, "Hi").received_at(at);
        receive(&conversations, event).await;
    }
    let whole = conversations.conversations(None, 100).await.expect("a list");
    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let page = conversations.conversations(after, 4).await.expect("a page");
        let Some(last) = page.last() else { break };
        after = Some(last.cursor());
        paged.extend(page);
    }
    assert_eq!(paged, whole);
    assert!(whole.windows(2).all(|pair| {
        (pair[0].last_message_at, pair[0].id) > (pair[1].last_message_at, pair[1].id)
    }));
    let one = &whole[7];
    let id = one.id.to_string();
    for name in [&id, &id[28..], &id[26..].to_uppercase(), one.contact_number.as_str()] {
        assert_eq!(
            conversations.find(&Selector::new(name)).await.expect(name).id,
            one.id,
            "{name}"
        );
    }
    let common = conversations.find(&Selector::new(&id[..4])).await.expect_err("all begin alike");
    assert_eq!(common.code(), convo::error::Code::AmbiguousId);
    let none = conversations.find(&Selector::new("+19998887777")).await.expect_err("unknown");
    assert_eq!(none.code(), convo::error::Code::ConversationNotFound);
}

async fn messages_are_read_in_windows(db: TestDatabase) {
    let conversations = open(&db.url).await;
    for n in 0..9 {
        let [event, message, text] = ["e", "m", ""].map(|x| format!("{x}{n}"));
        let at = format!("2026-11-22T13:00:0{}Z", n / 2);
        let event = Event::inbound(&event, &message, CONTACT, &text).received_at(at);
        receive(&conversations, event).await;
    }
    let id = conversations.find(&Selector::new(CONTACT)).await.expect("found").id;
    let read =
        async |window| conversations.messages(id, window, false).await.expect("messages").rows;
    let all = read(Window::Oldest { after: None, limit: 100 }).await;
    assert_eq!(all.len(), 9);
    let newest = read(Window::Newest { before: None, limit: 4 }).await;
    assert_eq!(newest, all[5..]);
    let before = Some(Place::Message(newest[0].id));
    assert_eq!(read(Window::Newest { before, limit: 4 }).await, all[1..5]);
    let before = Some(Place::Time(all[2].created_at));
    assert_eq!(read(Window::Newest { before, limit: 4 }).await, all[..2]);
    assert_eq!(read(Window::Oldest { after: Some(all[2].id), limit: 3 }).await, all[3..6]);
    let other = Window::Oldest { after: Some(Uuid::now_v7()), limit: 3 };
    assert!(conversations.messages(id, other, false).await.is_err());
}

async fn hostile_text_is_stored(db: TestDatabase) {
    let conversations = open(&db.url).await;
    for (n, text) in [r"a\u0000b", r"\ud800", r"\u001b[2J\u202e", "😀", ""].iter().enumerate() {
        let raw = format!(
            r#"{{"data":{{"event_type":"message.received","id":"e{n}","payload":{{
            "id":"m{n}","from":{{"phone_number":"{CONTACT}"}},"to":"+15551234567","text":"{text}"}}}}}}"#
        );
        let received = conversations.receive(raw.into()).await.expect("accepted");
        assert_eq!(received, EventOutcome::Stored);
    }
    let mut odd = example("inbound_sms");
    odd.extend_from_slice(b"   \xff");
    assert!(conversations.receive(odd.into()).await.is_err(), "this is not JSON");
    let id = conversations.find(&Selector::new(CONTACT)).await.expect("found").id;
    let all = conversations
        .messages(id, Window::Oldest { after: None, limit: 10 }, false)
        .await
        .expect("read");
    let bodies: Vec<_> = all.rows.iter().map(|message| message.body.as_str()).collect();
    assert_eq!(bodies, ["a\u{fffd}b", "\u{fffd}", "\u{1b}[2J\u{202e}", "😀", ""]);
}

on_both_databases!(
    the_further_status_of_a_recipient_named_twice_counts,
    every_published_example_is_processed,
    a_redelivered_message_is_stored_once,
    concurrent_copies_and_first_messages_make_one_conversation,
    a_burst_with_duplicates_is_stored_once,
    reports_converge_in_every_order,
    with_several_recipients_the_lowest_status_is_shown,
    the_latest_stop_or_start_decides,
    conversations_are_paged_and_found,
    messages_are_read_in_windows,
    hostile_text_is_stored,
);
