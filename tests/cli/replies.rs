//! `send --reply-to` and `in_reply_to`: the answer of a program, here and through a server.

use serde_json::{Value, json};

use crate::on_both_databases;
use crate::support::{CONTACT, OWN, TestDatabase, World, inbound};

/// A second number of ours.
const OTHER: &str = "+15557654321";

/// A world of two own numbers, and a text that the contact wrote to the second.
async fn world(db: TestDatabase, limit: &str) -> (World, String) {
    let numbers = format!("{OWN},{OTHER}");
    let world = World::with(db, |home| {
        home.set("TELNYX_PHONE_NUMBER", numbers).set("CONVO_REPLY_LIMIT", limit)
    })
    .await;
    let id = text_to(&world, OTHER, "one").await;
    (world, id)
}

/// The contact writes to a number of ours; returns the message's id.
async fn text_to(world: &World, own: &str, name: &str) -> String {
    let event: Value = serde_json::from_str(&inbound(name, name, CONTACT, name)).expect("JSON");
    let event = event.to_string().replace(OWN, own);
    assert_eq!(world.signer.post(&world.server, event).await, "stored");
    let thread = world.home.run(&["show", CONTACT, "--json"]).silent().json();
    let messages = thread["messages"].as_array().expect("messages").clone();
    let found = messages.iter().find(|message| message["body"] == name).expect("the text");
    found["id"].as_str().expect("an id").to_owned()
}

async fn a_message_is_answered_once_wherever_it_is_answered(db: TestDatabase) {
    let (world, id) = world(db, "20").await;
    text_to(&world, OWN, "a later text to the first number").await;
    let url = world.server.url();
    let first = world.home.run(&["send", CONTACT, "Hello", "--reply-to", &id]).exits(0);
    let remote = ["send", CONTACT, "Other words", "--reply-to", &id, "--server", &url];
    assert_eq!(world.home.run(&remote).exits(0).id(), first.id());
    let path = format!("/conversations/{CONTACT}/send");
    let body = json!({"message": "Third", "from": OWN, "in_reply_to": id}).to_string();
    let answer = world.server.post(&path, "", &body).await;
    let key = format!("reply:{id}");
    assert_eq!((answer.status, answer.header("idempotency-key")), (201, Some(key.as_str())));
    let message = answer.json();
    assert_eq!((&message["id"], &message["body"]), (&first.id().into(), &"Hello".into()));
    assert_eq!(message["from"], OTHER, "the answer goes out from the number that was written to");
    assert_eq!(message["in_reply_to"], id);
    assert_eq!(world.offers(), 1);
    // Beside another key it could go out twice.
    let refused = world.server.post(&path, "idempotency-key: mine\r\n", &body).await;
    assert_eq!(refused.status_and_code(), (400, "invalid_request".into()));
    let keyed = [&remote[..], &["--idempotency-key", "mine"]].concat();
    world.home.run(&keyed).exits(2).reports("no idempotency key of its own");
    let plan = ["send", CONTACT, "Hi", "--reply-to", &id, "--dry-run", "--json"];
    assert_eq!(world.home.run(&plan).exits(0).json()["from"], OTHER);
    let shown = world.home.run(&["show", first.id(), "--json"]).silent().json();
    assert_eq!(shown["in_reply_to"], id);
    assert_eq!(world.offers(), 1);
}

async fn the_limit_is_told_with_the_time_to_wait(db: TestDatabase) {
    let (world, id) = world(db, "1").await;
    let url = world.server.url();
    world.home.run(&["send", CONTACT, "Hello", "--reply-to", &id]).exits(0);
    let second = text_to(&world, OWN, "two").await;
    let reply = ["send", CONTACT, "Hello again", "--reply-to", &second];
    for args in [&reply[..], &[&reply[..], &["--server", &url]].concat()] {
        let done = world.home.run(args).exits(5).reports("within the last hour");
        assert_eq!(done.out, "", "nothing was stored");
    }
    let body = json!({"message": "Hi", "in_reply_to": second}).to_string();
    let answer = world.server.post(&format!("/conversations/{CONTACT}/send"), "", &body).await;
    assert_eq!(answer.status_and_code(), (429, "reply_limit".into()));
    let wait: u64 = answer.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((3_500..=3_601).contains(&wait), "{wait}");
    assert_eq!(world.offers(), 1);
}

async fn only_what_the_recipient_wrote_can_be_answered(db: TestDatabase) {
    let (world, id) = world(db, "20").await;
    let url = world.server.url();
    let nothing = uuid::Uuid::nil().to_string();
    for (to, reply_to, code, words) in [
        (CONTACT, nothing.as_str(), 3, "Message not found"),
        ("+12125559999", &id, 2, "is not a message of +12125559999"),
        (CONTACT, "0193", 2, "give the full id of a message"),
    ] {
        let send = ["send", to, "Hi", "--reply-to", reply_to];
        for args in [&send[..], &[&send[..], &["--server", &url]].concat()] {
            assert_eq!(world.home.run(args).exits(code).reports(words).out, "");
        }
    }
    assert_eq!(world.offers(), 0);
}

on_both_databases!(
    a_message_is_answered_once_wherever_it_is_answered,
    the_limit_is_told_with_the_time_to_wait,
    only_what_the_recipient_wrote_can_be_answered,
);
