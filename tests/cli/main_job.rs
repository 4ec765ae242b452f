//! The main job, end to end: receive, thread, send, list, show — here and against a server.

use serde_json::Value;

use crate::on_both_databases;
use crate::support::{CONTACT, Event, Home, OWN, Server, TestDatabase, World, inbound, wait_until};

/// Direction, text and status of each message.
fn said(thread: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let messages = thread["messages"].as_array().expect("messages");
    messages.iter().map(|m| (text(&m["direction"]), text(&m["body"]), text(&m["status"]))).collect()
}

fn settled(thread: &Value, messages: usize) -> bool {
    let said = said(thread);
    said.len() == messages
        && said.iter().all(|(_, _, status)| matches!(status.as_str(), "delivered" | "received"))
}

async fn a_conversation_is_held_locally_and_through_a_server(db: TestDatabase) {
    let world = World::start(db).await;
    let sent = world.home.run(&["send", CONTACT, "Hello"]).exits(0);
    // A report may overtake the answer of the send itself: queued for, sent to, delivered to.
    let end = format!(" {CONTACT} as 1 segment from {OWN}\n");
    assert!(sent.err.ends_with(&end) && sent.err.lines().count() == 1, "{}", sent.err);
    world.wait_for_message(CONTACT, sent.id(), "delivered");
    world.wait_for_thread(CONTACT, |thread| settled(thread, 2));
    let url = world.server.url();
    let there = world.home.run(&["send", "+1 (212) 555-1234", "And again", "--server", &url]);
    let there = there.exits(0);
    world.wait_for_message(CONTACT, there.id(), "delivered");
    let thread = world.wait_for_thread(CONTACT, |thread| settled(thread, 4));
    let messages = said(&thread);
    let texts: Vec<_> = messages.iter().map(|(_, text, _)| text.as_str()).collect();
    for text in ["Hello", "You said: Hello", "And again", "You said: And again"] {
        assert!(texts.contains(&text), "{texts:?}");
    }
    assert_eq!(messages.iter().filter(|(way, ..)| way == "inbound").count(), 2);
    assert_eq!((thread["contact_number"].as_str(), world.wait_until_counted()), (Some(CONTACT), 1));
    // Another contact comes to the top.
    world.home.run(&["send", "+12125559999", "Hi"]).exits(0);
    let list = world.home.run(&["list"]).silent();
    let contacts: Vec<_> = list.out.lines().map(|line| line.split('\t').nth(1)).collect();
    assert_eq!(contacts, [Some("+12125559999"), Some(CONTACT)]);
}

async fn every_format_shows_the_same_message(db: TestDatabase) {
    let world = World::start(db).await;
    let text = "tab\there, \"quotes\"\nand =1+1 \\ 😀";
    world.home.run(&["send", "+12025550113", text]).exits(0);
    let thread = world.wait_for_thread("+12025550113", |thread| settled(thread, 1));
    let id = thread["id"].as_str().expect("an id");
    let message = thread["messages"][0]["id"].as_str().expect("an id");
    let shown = |format: &str| world.home.run(&["show", id, "--format", format]).silent().out;
    assert_eq!(shown("ids"), format!("{message}\n"));
    assert_eq!(shown("json"), world.home.run(&["show", id, "--json"]).silent().out);
    let line: Value = serde_json::from_str(shown("jsonl").trim_end()).expect("an object");
    assert_eq!(line, thread["messages"][0]);
    assert!(shown("csv").contains("\"tab\there, \"\"quotes\"\"\nand =1+1 \\ 😀\""));
    assert!(shown("table").contains("delivered"));
    let fields = world.home.run(&["show", id]).silent().out;
    let fields: Vec<_> = fields.trim_end_matches('\n').split('\t').collect();
    assert_eq!(fields[5], "tab\\there, \"quotes\"\\nand =1+1 \\\\ 😀");
    assert_eq!((fields[1], fields[2], fields[6]), ("outbound", "delivered", message));
    let listed = |format: &str| world.home.run(&["list", "--format", format]).silent().out;
    assert_eq!(listed("ids"), format!("{id}\n"));
    let line: Value = serde_json::from_str(listed("jsonl").trim_end()).expect("an object");
    let array: Value = serde_json::from_str(&listed("json")).expect("an array");
    assert_eq!(array, Value::Array(vec![line]));
    assert!(listed("csv").starts_with("id,contact_number,message_count,"));
    assert!(listed("table").contains(&id[28..]));
}

async fn a_reply_uses_the_number_that_the_contact_wrote_to(db: TestDatabase) {
    const SECOND: &str = "+15557654321";
    let both = format!("{OWN}, {SECOND}");
    let world = World::with(db, |home| home.set("TELNYX_PHONE_NUMBER", both)).await;
    let url = world.server.url();
    let send = |args: &[&str]| {
        let sent = world.home.run(&[&["send", CONTACT, "Hi", "--json"], args].concat());
        sent.exits(0).json()["from"].as_str().expect("a sender").to_owned()
    };
    assert_eq!(send(&[]), OWN, "the first is the default");
    world.wait_for_thread(CONTACT, |thread| settled(thread, 2));
    for (n, (number, other)) in [(SECOND, OWN), (OWN, SECOND)].into_iter().enumerate() {
        let wrote = inbound(&format!("e{n}"), &format!("m{n}"), CONTACT, "Hi").replace(OWN, number);
        assert_eq!(world.signer.post(&world.server, wrote).await, "stored");
        assert_eq!((send(&[]), send(&["--server", &url])), (number.into(), number.into()));
        assert_eq!(send(&["--from", other]), other);
        // The contact answers each of the three; the last answer would decide.
        world.wait_for_thread(CONTACT, |thread| settled(thread, 2 + 7 * (n + 1)));
    }
    // A number that is not ours any more counts for nothing: of ours, the second was answered last.
    let stranger = inbound("e-x", "m-x", CONTACT, "Hi").replace(OWN, "+15550000000");
    world.signer.post(&world.server, stranger).await;
    assert_eq!(send(&[]), SECOND);
}

async fn media_and_scheduled_times_are_sent(db: TestDatabase) {
    let world = World::start(db).await;
    let file = "https://example.com/a.png";
    let sent = world.home.run(&["send", CONTACT, "--media", file, "--subject", "A picture"]);
    let sent = sent.exits(0);
    assert!(sent.err.contains("with 1 file"), "{}", sent.err);
    let message = world.wait_for_message(CONTACT, sent.id(), "delivered");
    assert_eq!(
        (&message["media"][0]["url"], &message["subject"]),
        (&file.into(), &"A picture".into())
    );
    world.wait_for_thread(CONTACT, |thread| thread.to_string().contains("You sent 1 file"));
    let at = convo::clock::now().plus_seconds(3_600).to_string();
    let later = world.home.run(&["send", CONTACT, "Later", "--at", &at]).exits(0);
    assert!(later.err.contains("scheduled for"), "{}", later.err);
    assert!(!world.wait_for_message(CONTACT, later.id(), "scheduled")["send_at"].is_null());
    let text = "漢".repeat(71);
    let long = world.home.run(&["send", CONTACT, &text, "--json"]).exits(0).json();
    assert_eq!((&long["segments"], &long["encoding"]), (&2.into(), &"UCS-2".into()));
}

/// A clock that runs ahead must not put a message after those that are still to come.
async fn nothing_is_dated_in_the_future(db: TestDatabase) {
    let world = World::start(db).await;
    let early = Event::inbound("e1", "m1", CONTACT, "Hi").received_at("2099-01-01T00:00:00Z");
    world.signer.post(&world.server, early.to_string()).await;
    world.signer.post(&world.server, inbound("e2", "m2", CONTACT, "Ho")).await;
    let thread = world.wait_for_thread(CONTACT, |thread| settled(thread, 2));
    let last = thread["last_message_at"].as_str().expect("a time");
    assert!(last < convo::clock::now().to_string().as_str(), "{last}");
    world.wait_until_counted();
}

on_both_databases!(
    a_conversation_is_held_locally_and_through_a_server,
    every_format_shows_the_same_message,
    a_reply_uses_the_number_that_the_contact_wrote_to,
    media_and_scheduled_times_are_sent,
    nothing_is_dated_in_the_future,
);

/// The lines that the server prints are what a stranger pastes.
#[test]
fn the_sandbox_works_without_an_account() {
    let home = Home::new().set("TELNYX_API_KEY", "a-real-key").set("DATABASE_URL", "mysql://x");
    let server = Server::start_with(&home, &["serve", "--sandbox", "--listen", "127.0.0.1:0"]);
    wait_until("the banner", || server.out().contains("Numbers with special behaviour"));
    let banner = server.out();
    assert!(banner.contains("*** SANDBOX"), "{banner}");
    assert!(server.log().contains("\"sandbox\":true"), "{}", server.log());
    let (there, here) = banner.split_once("or directly on its database:").expect("two ways");
    for (way, words) in [(there, "Hello there"), (here, "Hello here")] {
        let pasted: Vec<_> = way.lines().filter_map(|line| line.strip_prefix("    ")).collect();
        let pasted: Vec<_> = pasted.into_iter().filter(|line| !line.starts_with('+')).collect();
        let script = pasted.join("\n").replace("Hello", words);
        // Somewhere else: what is pasted must say all that is needed.
        let elsewhere = Home::new();
        let done = elsewhere.script(&script).exits(0);
        let id = done.out.lines().next().expect("an id").to_owned();
        let show = script.lines().last().expect("a line");
        let rest = script.replace(&format!("convo send {CONTACT} \"{words}\""), "");
        let rest = rest.replace(&format!("convo --sandbox send {CONTACT} \"{words}\""), "");
        wait_until("delivery and an answer", || {
            let shown = elsewhere.script(&rest).exits(0).out;
            let delivered = |line: &str| line.contains(&id) && line.contains("\tdelivered\t");
            let answered = shown.contains(&format!("You said: {words}"));
            shown.lines().any(delivered) && answered
        });
        assert!(show.contains("show"), "{script}");
    }
    assert_eq!(home.files().iter().filter(|name| name.ends_with(".db")).count(), 1);
    assert_eq!(server.stop(), 0);
}
