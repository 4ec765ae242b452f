//! The notation of times: the same in every command, here and through a server.

use convo::domain::Timestamp;
use serde_json::Value;

use crate::on_both_databases;
use crate::same_bytes::same;
use crate::support::{CONTACT, Event, TestDatabase, World};

/// A conversation with a message at each of these times.
async fn filled(db: TestDatabase, zone: &str, times: &[&str]) -> World {
    let world = World::with(db, |home| home.set("TZ", zone)).await;
    for (n, at) in times.iter().enumerate() {
        let event = Event::inbound(&format!("e{n}"), &format!("m{n}"), CONTACT, &n.to_string());
        let stored = world.signer.post(&world.server, event.received_at(at).to_string()).await;
        assert_eq!(stored, "stored");
    }
    world
}

/// The texts and ids of the messages that are shown.
#[track_caller]
fn shown(world: &World, range: &[&str]) -> Vec<(String, String)> {
    let done = same(world, &[&["show", CONTACT, "--json"], range].concat()).silent();
    let text = |message: &Value, name: &str| message[name].as_str().expect(name).to_owned();
    let messages = done.json()["messages"].as_array().cloned().expect("messages");
    messages.iter().map(|message| (text(message, "body"), text(message, "id"))).collect()
}

#[track_caller]
fn texts(world: &World, range: &[&str]) -> String {
    shown(world, range).into_iter().map(|(text, _)| text).collect()
}

async fn a_range_of_a_conversation_is_shown(db: TestDatabase) {
    let times = [
        "2025-10-01T00:00:00Z",
        "2025-10-26T00:29:59Z",
        "2025-10-26T00:30:00Z",
        "2025-10-26T01:30:00Z",
        "2026-03-29T00:59:59Z",
        "2026-03-29T01:00:00Z",
        "2026-03-29T01:00:00Z",
        "2026-03-30T00:00:00Z",
    ];
    let world = filled(db, "Europe/Berlin", &times).await;
    let all = shown(&world, &[]);
    assert_eq!(texts(&world, &[]), "01234567");
    let id = |n: usize| all[n].1.as_str();
    for (range, expected) in [
        (&["--since", "2025-10-26"][..], "1234567"),
        (&["--since", "2025-10-26T00:30:00Z", "--until", "2026-03-29T01:00:00Z"], "234"),
        // 02:30 is there twice in autumn, and never in spring.
        (&["--since", "2025-10-26 02:30"], "234567"),
        (&["--until", "2025-10-26 02:30"], "01"),
        (&["--since", "2026-03-29 02:30"], "567"),
        (&["--since", "2026-03-29T02:30", "--utc"], "7"),
        (&["--since", "2026-03-30", "--until", "2026-03-29"], ""),
        (&["--until", "yesterday", "--limit", "2"], "67"),
        (&["--since", "yesterday"], ""),
        (&["--since", "today", "--until", "09:00"], ""),
        (&["--since", "3d", "--limit", "5"], ""),
        (&["--before", "2026-03-29", "-L2", "--since", "2025-10-26"], "23"),
        (&["--before", "2025-10-26", "--limit", "9", "--since", "2025-10-26"], ""),
        (&["--after", id(5)], "67"),
        (&["--after", id(5), "--before", id(7)], "6"),
        (&["--after", id(1), "--limit", "3"], "567"),
        (&["--after", id(1), "--limit", "3", "--before", id(4)], "23"),
        (&["--after", id(4), "--before", id(2), "--limit", "3"], ""),
        (&["--after", id(7)], ""),
    ] {
        assert_eq!(texts(&world, range), expected, "{range:?}");
    }
    for range in [["--after", "0190a1b2-c3d4-7000-8000-5e6f70819203"], ["--before", id(0)]] {
        let done = same(&world, &[&["show", CONTACT, "--json"][..], &range].concat());
        assert_eq!(done.code, if range[0] == "--after" { 3 } else { 0 }, "{range:?}");
    }
    for (range, expected) in [
        (&["--since", "1h30m"][..], "yesterday, 09:00"),
        (&["--after", "2026-03-29"], "full id of a message"),
        (&["--since", "2h", "--after", id(1)], "cannot be used with"),
        (&["--until", "2h", "--before", id(1)], "cannot be used with"),
    ] {
        same(&world, &[&["show", CONTACT], range].concat()).exits(2).reports(expected);
    }
}

async fn a_message_is_shown_by_its_id(db: TestDatabase) {
    let world = World::start(db).await;
    let url = world.server.url();
    for remote in [&[][..], &["--server", &url]] {
        let send = [&["send", "+12125550199", "Hi", "--wait"], remote].concat();
        let id = world.home.run(&send).exits(0).id().to_owned();
        let api = world.server.get(&format!("/messages/{id}")).await.json();
        assert_eq!(same(&world, &["show", &id, "--json"]).silent().json(), api);
        assert_eq!(same(&world, &["show", &id, "--format", "ids"]).silent().line(), id);
        let line = same(&world, &["show", &id.to_uppercase().replace('-', "")]).silent();
        assert!(line.line().contains(&format!("\tHi\t{id}\t")), "{}", line.out);
        let table = same(&world, &["show", &id, "--format", "table"]).silent().out;
        assert!(table.starts_with("+12125550199") && table.contains(" delivered "), "{table}");
        let args = ["show", &id, "--since", "2h"];
        same(&world, &args).exits(2).reports("the id of a single message");
    }
    // A part of it could be that of a conversation.
    let id = world.home.run(&["send", CONTACT, "Hi"]).exits(0).id().to_owned();
    same(&world, &["show", &id[20..]]).exits(3);
    let unknown = "0190a1b2-c3d4-7000-8000-5e6f70819203";
    same(&world, &["show", unknown]).exits(3).reports("Conversation not found");
}

async fn a_send_is_scheduled_by_a_span(db: TestDatabase) {
    let world = World::start(db).await;
    let url = world.server.url();
    for (n, remote) in [&[][..], &["--server", &url]].iter().enumerate() {
        let to = format!("+1212555010{n}");
        let earliest = convo::clock::now().plus_seconds(7_200);
        let args = [&["send", &to, "Hi", "--at", "2h", "--json"], *remote].concat();
        let message = world.home.run(&args).silent().json();
        let latest = convo::clock::now().plus_seconds(7_200);
        assert_eq!(message["status"], "scheduled");
        let at = Timestamp::parse(message["send_at"].as_str().expect("a time")).expect("a time");
        assert!(earliest <= at && at <= latest, "{earliest} {at} {latest}");
        let keyed = [&args[..], &["--idempotency-key", "k"]].concat();
        let hint = world.home.run(&keyed).exits(2).error()["hint"].to_string();
        let fixed = hint.rsplit("--at ").next().expect("a time").trim_end_matches('"');
        let fixed = [&["send", &to, "Hi", "--at", fixed, "--idempotency-key", &to[1..]], *remote];
        let first = world.home.run(&fixed.concat()).exits(0).id().to_owned();
        assert_eq!(world.home.run(&fixed.concat()).exits(0).id(), first);
        for wrong in ["yesterday", "4m", "6d", "soon"] {
            let args = [&["send", &to, "Hi", "--at", wrong], *remote].concat();
            world.home.run(&args).exits(2).reports("");
        }
    }
}

on_both_databases!(
    a_range_of_a_conversation_is_shown,
    a_message_is_shown_by_its_id,
    a_send_is_scheduled_by_a_span,
);
