//! `convo forget`: nothing of a contact is left but a mark, nothing older comes back, and followers are told.

use serde_json::{Value, json};

use crate::on_both_databases;
use crate::support::{
    Home, OWN, Server, TestDatabase, World, bearer, connect, inbound, opt, query_one,
};

/// A contact that never answers.
const CONTACT: &str = "+12025550113";
const OTHER: &str = "+13125550001";
/// A text that mentions the contact.
const MENTION: &str = "call +12025550113";

/// A contact with texts both ways and an opt-out, and another one.
async fn filled(db: TestDatabase, other: &str) -> World {
    let world = World::start(db).await;
    for n in 0..3 {
        let body = inbound(&format!("e{n}"), &format!("m{n}"), CONTACT, &format!("secret {n}"));
        assert_eq!(world.signer.post(&world.server, body).await, "stored");
    }
    let sent =
        world.home.run(&["send", CONTACT, "secret answer", "--idempotency-key", "secret-key"]);
    let sent = sent.exits(0).id().to_owned();
    world.wait_for_message(CONTACT, &sent, "delivered");
    let body = inbound("other", "other", OTHER, other);
    assert_eq!(world.signer.post(&world.server, body).await, "stored");
    let stop = opt("stop", "stop", CONTACT, "STOP");
    assert_eq!(world.signer.post(&world.server, stop).await, "stored");
    world.wait_until_counted();
    world
}

async fn count(url: &str, sql: &str) -> i64 {
    query_one(&connect(url).await, &format!("SELECT count(*) FROM {sql}")).await
}

async fn nothing_of_a_contact_is_left_and_nothing_older_comes_back(db: TestDatabase) {
    let world = filled(db, MENTION).await;
    let (home, server, url) = (&world.home, &world.server, world.db.url.clone());
    let old = inbound("late", "late", CONTACT, "secret and late");
    let id = home.run(&["show", CONTACT, "--json"]).json()["id"].clone();
    let start = server.get("/events?since=2020-01-01T00:00:00Z").await.json();
    let entries = start["events"].as_array().expect("events").len();
    let cursor = start["next"].as_str().expect("a cursor").to_owned();
    home.run(&["forget", CONTACT]).exits(2).reports("cannot be undone");
    let counted = home.run(&["forget", CONTACT, "--dry-run", "--json"]).silent().json();
    assert_eq!((&counted["dry_run"], &counted["opted_out"]), (&json!(true), &json!(true)));
    // Through the server, which therefore knows it at once.
    let remote = server.url();
    let forget = ["forget", CONTACT, "--yes", "--json", "--server", &remote];
    let receipt = home.run(&forget).silent().json();
    for field in ["messages", "webhooks", "feed_entries", "conversation_id", "opted_out"] {
        assert_eq!(receipt[field], counted[field], "{field}");
    }
    assert_eq!(receipt["conversation_id"], id);
    assert!(receipt["messages"].as_u64() >= Some(5), "{receipt}");
    assert!(receipt["webhooks"].as_u64() >= receipt["messages"].as_u64(), "{receipt}");
    home.run(&["show", CONTACT]).exits(3);
    home.run(&["forget", CONTACT, "--yes"]).exits(3);
    assert_eq!(home.run(&["list", "--json"]).json().as_array().map(Vec::len), Some(1));
    assert_eq!(count(&url, "messages").await, 1);
    assert_eq!(count(&url, "events").await, 1, "the other one only mentions it");
    assert_eq!(count(&url, "delivery_reports").await, 0);
    assert_eq!(count(&url, "opt_outs").await, 0);
    assert_eq!(count(&url, "idempotency_keys").await, 0);
    assert_eq!(count(&url, "forgotten").await, 1);
    // Those who follow the feed are told, positions stay, and what was before is blank.
    let after = server.get(&format!("/events?after={cursor}")).await.json();
    let kinds: Vec<_> =
        after["events"].as_array().expect("events").iter().map(|e| &e["kind"]).collect();
    assert_eq!(kinds, ["removed"], "{after}");
    assert_eq!(after["events"][0]["conversation_id"], id);
    let all = server.get("/events?since=2020-01-01T00:00:00Z&limit=1000").await.json();
    let left = all["events"].as_array().expect("events").len();
    assert_eq!(left, entries - receipt["feed_entries"].as_u64().expect("a count") as usize + 1);
    assert!(!all.to_string().contains("secret"), "{all}");
    // An opt-out still refuses.
    home.run(&["send", CONTACT, "Hi"]).exits(7);
    // What is older does not come back, not by a webhook and not by what it reports.
    assert_eq!(world.signer.post(server, old).await, "ignored");
    home.run(&["show", CONTACT]).exits(3);
    assert_eq!(count(&url, "events").await, 1);
    // A new text begins a new conversation, and START lifts the opt-out.
    let start = opt("start", "start", CONTACT, "START");
    assert_eq!(world.signer.post(server, start).await, "stored");
    assert_eq!(home.run(&["show", CONTACT, "--json"]).json()["message_count"], 1);
    home.run(&["send", CONTACT, "Hi again"]).exits(0);
}

async fn it_is_the_same_through_a_server(db: TestDatabase) {
    let world = filled(db, MENTION).await;
    let url = world.server.url();
    let remote = |args: &[&str]| world.home.run(&[args, &["--server", &url]].concat());
    let counted = world.home.run(&["forget", CONTACT, "--dry-run"]).silent().out;
    assert_eq!(remote(&["forget", CONTACT, "--dry-run"]).silent().out, counted);
    assert_eq!(remote(&["forget", CONTACT, "--yes"]).silent().out, counted);
    remote(&["forget", CONTACT, "--yes"]).exits(3);
    remote(&["forget", "2025550113", "--yes"]).exits(2);
    let marks = remote(&["forget", "--list"]).silent().out;
    assert_eq!(world.home.run(&["forget", "--list"]).silent().out, marks);
    let marks: Value = serde_json::from_str(&marks).expect("JSON");
    assert_eq!(marks["marks"].as_array().map(Vec::len), Some(1));
    assert!(!marks["marks"][0]["opted_out_at"].is_null());
    assert!(!marks.to_string().contains("2025550113"));
}

/// Another server takes an older text while the contact is being forgotten: it is gone, too, in the end.
async fn a_server_that_does_not_know_it_yet_brings_nothing_back(db: TestDatabase) {
    let world = filled(db, MENTION).await;
    let second = Server::start(&world.home);
    let old = |n| inbound(&format!("late{n}"), &format!("late{n}"), CONTACT, "secret and late");
    let old: Vec<_> = (0..2_000).map(old).collect();
    // It has just looked whether anybody was forgotten.
    assert_eq!(world.signer.post(&second, &old[0]).await, "stored");
    let forget = world.home.start(&["forget", CONTACT, "--yes"]);
    let forget = tokio::task::spawn_blocking(move || forget.wait());
    let mut answers = Vec::new();
    for body in &old[1..] {
        answers.push(world.signer.post(&second, body).await);
        if forget.is_finished() {
            break;
        }
    }
    forget.await.expect("it ends").exits(0);
    assert!(answers.contains(&"stored".to_owned()), "some came before the mark");
    world.home.run(&["show", CONTACT]).exits(3);
    assert_eq!(count(&world.db.url, "messages").await, 1);
    assert_eq!(count(&world.db.url, "events").await, 1, "the other one only mentions it");
}

/// While the outcome of a message is not decided, nothing is removed.
async fn an_undecided_message_stops_it(db: TestDatabase) {
    let world = World::start(db).await;
    let at = ["send", CONTACT, "later", "--at", "2h"];
    world.home.run(&at).exits(0);
    let refused = world.home.run(&["forget", CONTACT, "--yes", "--json"]).exits(6);
    assert_eq!(refused.error()["code"], "contact_busy");
    assert_eq!(world.home.run(&["show", CONTACT, "--json"]).json()["message_count"], 1);
    assert_eq!(count(&world.db.url, "forgotten").await, 0);
}

/// A backup from before still has the contact. Restored with the marks, it has not.
async fn marks_are_applied_to_an_old_backup(db: TestDatabase) {
    let world = filled(db, MENTION).await;
    let home = &world.home;
    home.run(&["backup", "old.db"]).exits(0);
    home.run(&["forget", CONTACT, "--yes"]).exits(0);
    let marks = home.run(&["forget", "--list"]).silent().out;
    home.write("marks.json", &marks);
    home.write("bad.json", "{");
    for (args, is_there) in [(&[][..], true), (&["--forgotten", "marks.json"][..], false)] {
        let to = TestDatabase::sqlite();
        let with = [("DATABASE_URL", to.url.as_str())];
        home.run_with(&with, &["restore", "old.db", "--forgotten", "bad.json"]).exits(2);
        home.run_with(&with, &[&["restore", "old.db"][..], args].concat()).exits(0);
        let shown = home.run_with(&with, &["show", CONTACT]);
        assert_eq!(shown.code == 0, is_there, "{}", shown.err);
        let left = count(&to.url, "messages").await;
        assert_eq!(left == 1, !is_there, "{left}");
        assert_eq!(count(&to.url, "events").await == 1, !is_there);
        home.run_with(&with, &["send", CONTACT, "Hi"]).exits(7);
        home.run_with(&with, &["show", OTHER]).exits(0);
    }
}

on_both_databases! {
    nothing_of_a_contact_is_left_and_nothing_older_comes_back,
    it_is_the_same_through_a_server,
    a_server_that_does_not_know_it_yet_brings_nothing_back,
    an_undecided_message_stops_it,
    marks_are_applied_to_an_old_backup,
}

/// Only an administrator's token may forget, or read the marks.
#[tokio::test(flavor = "multi_thread")]
async fn it_takes_the_scope_admin() {
    let token = |name: &str| format!("{name}0123456789abcdef0123456789abcdef");
    let tokens = format!("a:read+send:{},b:admin:{}", token("a"), token("b"));
    let db = TestDatabase::sqlite();
    let home = Home::new().with_database(&db).set("CONVO_API_TOKEN", tokens);
    let server = Server::start(&home);
    for (name, status) in [("a", 403), ("b", 404)] {
        let lines = bearer(&token(name));
        let answer = server.ask("DELETE", &format!("/conversations/{OWN}"), &lines, "").await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
    let answer = server.get_with("/forgotten", &bearer(&token("a"))).await;
    assert_eq!(answer.status, 403);
    let answer = server.get_with("/forgotten", &bearer(&token("b"))).await;
    assert_eq!(answer.json(), json!({"key": null, "marks": []}));
}

/// After `convo prune --compact` no byte of the contact is in the file or beside it: not its number, not its
/// texts, not a webhook about it.
#[tokio::test(flavor = "multi_thread")]
async fn no_remains_are_in_the_bytes_of_the_file() {
    let world = filled(TestDatabase::sqlite(), "Hello").await;
    let file = world.db.file();
    let bytes = || {
        let read = |path: &std::path::Path| std::fs::read(path).unwrap_or_default();
        [read(&file), read(&file.with_extension("db-wal"))].concat()
    };
    let has =
        |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    world.home.run(&["search", "secret"]).exits(0);
    let before = bytes();
    assert!(has(&before, "secret") && has(&before, CONTACT) && has(&before, "secret-key"));
    world.home.run(&["forget", CONTACT, "--yes"]).exits(0);
    world.home.run(&["prune", "--compact"]).exits(0);
    let after = bytes();
    let digits = &CONTACT[1..];
    assert!(!has(&after, digits), "the number is left");
    assert!(!has(&after, "secret"), "a text is left");
    // The index has words cut into pieces: it is asked for all that it has.
    let db = connect(&world.db.url).await;
    for sql in ["CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, search_words, row)"] {
        sea_orm::ConnectionTrait::execute_unprepared(&db, sql).await.expect(sql);
    }
    let words = "SELECT count(*) FROM temp.words WHERE term LIKE '%secret%'";
    assert_eq!(query_one::<i64>(&db, words).await, 0);
    assert!(query_one::<i64>(&db, "SELECT count(*) FROM temp.words").await > 0, "the others are");
    // Webhooks are compressed: those that are left are opened.
    let left = world.home.run(&["webhook", "list", "--json"]).silent().json();
    for event in left.as_array().expect("events") {
        let id = event["id"].as_str().expect("an id");
        let raw = world.home.run(&["webhook", "show", id]).silent().out;
        assert!(!raw.contains("secret"), "{raw}");
    }
}
