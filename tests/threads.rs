//! Threads on a real database of each kind: what comes in once is there once, whatever the order.

mod support;

use std::path::Path;

use convo::domain::{Place, Selector, Status, Window};
use convo::store::{Location, Mode, Purpose, Store};
use convo::threading::{Policy, Received, Threads};
use serde_json::{Value, json};
use support::{TestDatabase, example};
use uuid::Uuid;

async fn open(db: &TestDatabase) -> Threads {
    let location = Location::parse(&db.url, Path::new("/")).expect("a location");
    let store = Store::open(&location, Mode::Real, Purpose::Serve).await.expect("a store");
    Threads::new(store, None, Vec::new(), Policy::default())
}

async fn receive(threads: &Threads, body: &Value) -> Received {
    threads.receive(body.to_string().into()).await.expect("the event is taken")
}

fn inbound(event: &str, message: &str, from: &str, text: &str) -> Value {
    json!({"data": {"event_type": "message.received", "id": event,
        "occurred_at": "2026-11-22T13:00:00Z", "payload": {"id": message, "direction": "inbound",
        "from": {"phone_number": from}, "to": [{"phone_number": "+15551234567"}],
        "text": text, "received_at": "2026-11-22T13:00:00.5Z"}}})
}

fn report(event: &str, message: &str, status: &str, error: Option<&str>) -> Value {
    let errors: Vec<_> =
        error.iter().map(|code| json!({"code": code, "title": "Failed"})).collect();
    json!({"data": {"event_type": "message.finalized", "id": event,
        "occurred_at": "2026-11-22T13:00:01Z", "payload": {"id": message, "direction": "outbound",
        "from": {"phone_number": "+15551234567"}, "errors": errors, "text": "Hi",
        "to": [{"phone_number": "+12125551234", "status": status}]}}})
}

/// The counters of every thread equal its rows.
async fn assert_counted(threads: &Threads) {
    for thread in threads.conversations(None, 1_000).await.expect("a list") {
        let all = Window::Oldest { after: None, limit: 10_000 };
        let messages = threads.messages(thread.id, all, false).await.expect("messages");
        assert_eq!(thread.message_count, messages.len() as u64);
        let latest = messages.iter().map(|message| message.created_at).max();
        assert_eq!(Some(thread.last_message_at), latest);
        assert_eq!(thread.last_message.map(|last| last.id), messages.last().map(|m| m.id));
    }
}

/// A report names one recipient twice: the further word counts, in whichever order they stand.
async fn a_recipient_named_twice_is_as_far_as_it_got(db: TestDatabase) {
    let threads = open(&db).await;
    for (n, words) in [["sent", "delivered"], ["delivered", "sent"]].into_iter().enumerate() {
        let mut event = report(&format!("e{n}"), &format!("m{n}"), "sent", None);
        let to = words.map(|word| json!({"phone_number": "+12125551234", "status": word}));
        event["data"]["payload"]["to"] = json!(to);
        receive(&threads, &event).await;
        let thread = threads.find(&Selector::new("+12125551234")).await.expect("a thread");
        let all = Window::Oldest { after: None, limit: 10 };
        let messages = threads.messages(thread.id, all, false).await.expect("messages");
        assert_eq!(messages.len(), n + 1);
        assert!(messages.iter().all(|message| message.status == Status::Delivered), "{words:?}");
    }
}

async fn every_published_event_ends_as_it_should(db: TestDatabase) {
    let threads = open(&db).await;
    for (name, expected) in [
        ("inbound_sms", Received::Stored),
        ("inbound_mms", Received::Stored),
        ("inbound_group_mms", Received::Stored),
        ("inbound_stop", Received::Stored),
        ("legacy_to_string", Received::Stored),
        ("inbound_whatsapp_text", Received::Stored),
        ("message_sent", Received::Updated),
        ("finalized_delivered", Received::Updated),
        ("finalized_failed", Received::Updated),
        ("finalized_sending_failed", Received::Updated),
    ] {
        let received = threads.receive(example(name).into()).await.expect(name);
        assert_eq!(received, expected, "{name}");
        let again = threads.receive(example(name).into()).await.expect(name);
        assert_eq!(again, Received::Duplicate, "{name}");
    }
    let list = threads.conversations(None, 10).await.expect("a list");
    assert_eq!(list.len(), 1, "all examples are of one contact");
    assert!(list[0].opted_out_at.is_some(), "it said STOP last");
    assert_counted(&threads).await;
    let all = Window::Oldest { after: None, limit: 100 };
    let messages = threads.messages(list[0].id, all, true).await.expect("messages");
    // Six came in; the reports are about two messages that another program sent.
    assert!(messages.len() >= 7, "{}", messages.len());
    let delivered = messages.iter().find(|m| m.status == Status::Delivered).expect("delivered");
    assert_eq!(
        delivered.telnyx_message_id.as_deref(),
        Some("ac012cbf-5e09-46af-a69a-7c0e2d90993c")
    );
    assert_eq!(delivered.error, None, "the failure was overtaken");
    let history = delivered.history.as_ref().expect("asked for");
    let words: Vec<_> = history.iter().map(|report| report.status.as_str()).collect();
    assert_eq!(words, ["sent", "delivered", "delivery_failed", "sending_failed"]);
    assert!(messages.iter().any(|m| !m.media.is_empty() && m.body.is_empty()));
    assert!(messages.iter().any(|m| m.body == "hello via WhatsApp"));
}

async fn one_message_stays_one(db: TestDatabase) {
    let threads = open(&db).await;
    assert_eq!(
        receive(&threads, &inbound("e1", "m1", "+12125551234", "Hi")).await,
        Received::Stored
    );
    for (event, message) in [("e1", "m1"), ("e2", "m1"), ("e1", "m2")] {
        let again = receive(&threads, &inbound(event, message, "+12125551234", "Hi")).await;
        assert_eq!(again, Received::Duplicate, "{event} {message}");
    }
    // The same words in the same second are still two messages.
    assert_eq!(
        receive(&threads, &inbound("e3", "m3", "+12125551234", "Hi")).await,
        Received::Stored
    );
    let thread = threads.find(&Selector::new("+1 212 555 1234")).await.expect("found");
    assert_eq!(thread.message_count, 2);
    assert_counted(&threads).await;
}

async fn concurrent_copies_and_first_messages_make_one_thread(db: TestDatabase) {
    // Two servers share the database.
    let (one, two) = (open(&db).await, open(&db).await);
    let mut tasks = Vec::new();
    for copy in 0..64 {
        let threads = if copy % 2 == 0 { one.clone() } else { two.clone() };
        tasks.push(tokio::spawn(async move {
            let same = receive(&threads, &inbound("same", "same", "+12125551234", "Hi")).await;
            let own = format!("own-{copy}");
            let other = receive(&threads, &inbound(&own, &own, "+12125551234", "Hi")).await;
            (same, other)
        }));
    }
    let mut stored = 0;
    for task in tasks {
        let (same, other) = task.await.expect("no panic");
        stored += u32::from(same == Received::Stored);
        assert_eq!(other, Received::Stored);
    }
    assert_eq!(stored, 1);
    let list = one.conversations(None, 10).await.expect("a list");
    assert_eq!((list.len(), list[0].message_count), (1, 65));
    assert_counted(&one).await;
}

/// However many come at once, and whatever of it is known by its event or by its message: what is
/// new is stored once, and the rest changes nothing.
async fn a_crowd_with_repetitions_in_it_is_stored_once(db: TestDatabase) {
    let threads = open(&db).await;
    receive(&threads, &inbound("known", "known", "+12125551000", "Hi")).await;
    for round in 0..3 {
        // Of every four, one is new, one is its copy, one is a known event, one a known message.
        let crowd = (0..200).map(|n| {
            let new = format!("{round}-{}", n / 4);
            let (event, message) = match n % 4 {
                0 | 1 => (new.as_str(), new.as_str()),
                2 => ("known", new.as_str()),
                _ => (&*format!("other-{new}"), "known"),
            };
            let contact = format!("+1212555{:04}", 1_000 + n / 4 % 10);
            let body = inbound(event, message, &contact, "Hi");
            let threads = &threads;
            async move { receive(threads, &body).await }
        });
        let received = futures_util::future::join_all(crowd).await;
        for four in received.chunks(4) {
            let stored = four.iter().filter(|one| **one == Received::Stored).count();
            assert_eq!(stored, 1, "round {round}: {four:?}");
            assert_eq!(four[2..], [Received::Duplicate; 2], "round {round}");
        }
    }
    let list = threads.conversations(None, 100).await.expect("a list");
    assert_eq!(list.len(), 10);
    assert_eq!(list.iter().map(|thread| thread.message_count).sum::<u64>(), 151);
    assert_counted(&threads).await;
}

async fn reports_converge_in_every_order(db: TestDatabase) {
    let threads = open(&db).await;
    let reports =
        [("queued", None), ("sent", None), ("delivery_failed", Some("40008")), ("new_word", None)];
    for (round, order) in permutations(reports.len()).into_iter().enumerate() {
        let message = format!("m{round}");
        for place in order {
            let (status, error) = reports[place];
            let event = format!("{message}-{place}");
            receive(&threads, &report(&event, &message, status, error)).await;
            receive(&threads, &report(&event, &message, status, error)).await;
        }
    }
    let thread = threads.find(&Selector::new("+12125551234")).await.expect("found");
    let all = Window::Oldest { after: None, limit: 100 };
    let messages = threads.messages(thread.id, all, false).await.expect("messages");
    assert_eq!(messages.len(), 24);
    for message in messages {
        assert_eq!(message.status, Status::DeliveryFailed);
        assert_eq!(message.error.as_ref().and_then(|e| e.code.as_deref()), Some("40008"));
        let detail = threads.message(message.id).await.expect("a message");
        assert_eq!(
            detail.history.expect("asked for").len(),
            4,
            "words that move nothing are kept too"
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

async fn with_several_recipients_the_lowest_is_shown(db: TestDatabase) {
    let threads = open(&db).await;
    let group = |event: &str, states: &[(&str, &str)], error: Option<&str>| {
        let mut body = report(event, "group", "", error);
        let to = states.iter().map(|(n, s)| json!({"phone_number": n, "status": s}));
        body["data"]["payload"]["to"] = to.collect();
        body
    };
    let (a, b) = ("+12125550001", "+12125550002");
    receive(&threads, &group("e1", &[(a, "sent"), (b, "sent")], None)).await;
    let id = threads.find(&Selector::new(a)).await.expect("of the first").id;
    let message = async || {
        let all = Window::Oldest { after: None, limit: 10 };
        threads.messages(id, all, false).await.expect("messages").remove(0)
    };
    assert_eq!(message().await.status, Status::Sent);
    receive(&threads, &group("e2", &[(a, "delivered")], None)).await;
    assert_eq!(message().await.status, Status::Sent, "the second is not there yet");
    receive(&threads, &group("e3", &[(b, "delivery_failed")], Some("40008"))).await;
    let ended = message().await;
    assert_eq!(ended.status, Status::DeliveryFailed);
    assert_eq!(ended.error.and_then(|error| error.code).as_deref(), Some("40008"));
    receive(&threads, &group("e4", &[(a, "read"), (b, "delivered")], None)).await;
    assert_eq!(message().await.status, Status::Delivered);
    assert_eq!(message().await.error, None);
}

async fn the_latest_stop_or_start_decides(db: TestDatabase) {
    let threads = open(&db).await;
    let say = |event: &str, word: &str, at: &str| {
        let mut body = inbound(event, event, "+12125551234", word);
        body["data"]["payload"]["received_at"] = at.into();
        body["data"]["payload"]["autoresponse_type"] = word.into();
        body
    };
    receive(&threads, &say("e1", "START", "2026-11-22T13:00:05Z")).await;
    receive(&threads, &say("e2", "STOP", "2026-11-22T13:00:01Z")).await;
    let opted_out = async || {
        let thread = threads.find(&Selector::new("+12125551234")).await.expect("found");
        thread.opted_out_at.is_some()
    };
    assert!(!opted_out().await, "the STOP is older");
    receive(&threads, &say("e3", "STOP", "2026-11-22T13:00:09Z")).await;
    assert!(opted_out().await);
    receive(&threads, &say("e4", "HELP", "2026-11-22T13:00:10Z")).await;
    assert!(opted_out().await, "HELP decides nothing");
    receive(&threads, &say("e5", "START", "2026-11-22T13:00:11Z")).await;
    assert!(!opted_out().await);
}

async fn threads_are_paged_and_found(db: TestDatabase) {
    let threads = open(&db).await;
    for contact in 0..25 {
        let mut body = inbound(
            &format!("e{contact}"),
            &format!("m{contact}"),
            &format!("+121255512{contact:02}"),
            "Hi",
        );
        // Several share an instant: the id settles the order.
        body["data"]["payload"]["received_at"] =
            format!("2026-11-22T13:00:{:02}Z", contact / 5).into();
        receive(&threads, &body).await;
    }
    let whole = threads.conversations(None, 100).await.expect("a list");
    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let page = threads.conversations(after, 4).await.expect("a page");
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
        assert_eq!(threads.find(&Selector::new(name)).await.expect(name).id, one.id, "{name}");
    }
    let common = threads.find(&Selector::new(&id[..4])).await.expect_err("all begin alike");
    assert_eq!(common.code(), convo::error::Code::AmbiguousId);
    let none = threads.find(&Selector::new("+19998887777")).await.expect_err("unknown");
    assert_eq!(none.code(), convo::error::Code::ConversationNotFound);
}

async fn a_thread_is_read_in_windows(db: TestDatabase) {
    let threads = open(&db).await;
    for n in 0..9 {
        let mut body = inbound(&format!("e{n}"), &format!("m{n}"), "+12125551234", &format!("{n}"));
        body["data"]["payload"]["received_at"] = format!("2026-11-22T13:00:0{}Z", n / 2).into();
        receive(&threads, &body).await;
    }
    let id = threads.find(&Selector::new("+12125551234")).await.expect("found").id;
    let read = async |window| threads.messages(id, window, false).await.expect("messages");
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
    assert!(threads.messages(id, other, false).await.is_err());
}

async fn hostile_text_fits(db: TestDatabase) {
    let threads = open(&db).await;
    for (n, text) in [r"a\u0000b", r"\ud800", r"\u001b[2J\u202e", "😀", ""].iter().enumerate() {
        let raw = format!(
            r#"{{"data":{{"event_type":"message.received","id":"e{n}","payload":{{
            "id":"m{n}","from":{{"phone_number":"+12125551234"}},"to":"+15551234567","text":"{text}"}}}}}}"#
        );
        let received = threads.receive(raw.into()).await.expect("taken");
        assert_eq!(received, Received::Stored);
    }
    let mut odd = example("inbound_sms");
    odd.extend_from_slice(b"   \xff");
    assert!(threads.receive(odd.into()).await.is_err(), "no JSON");
    let id = threads.find(&Selector::new("+12125551234")).await.expect("found").id;
    let all =
        threads.messages(id, Window::Oldest { after: None, limit: 10 }, false).await.expect("read");
    let bodies: Vec<_> = all.iter().map(|message| message.body.as_str()).collect();
    assert_eq!(bodies, ["a\u{fffd}b", "\u{fffd}", "\u{1b}[2J\u{202e}", "😀", ""]);
}

on_both_databases!(
    a_recipient_named_twice_is_as_far_as_it_got,
    every_published_event_ends_as_it_should,
    one_message_stays_one,
    concurrent_copies_and_first_messages_make_one_thread,
    a_crowd_with_repetitions_in_it_is_stored_once,
    reports_converge_in_every_order,
    with_several_recipients_the_lowest_is_shown,
    the_latest_stop_or_start_decides,
    threads_are_paged_and_found,
    a_thread_is_read_in_windows,
    hostile_text_fits,
);
