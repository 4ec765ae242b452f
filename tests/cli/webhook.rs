//! `convo webhook`: the workbench. Stored events as they came; events made, signed, verified and posted by
//! hand.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::on_both_databases;
use crate::support::{
    CONTACT, Event, Home, Manner, Receiver, Server, TestDatabase, World, bearer, example, examples,
    execute, inbound, is_id, unix_seconds, wait_for, wait_until,
};

const ADMIN: &str = "boss:admin:0123456789abcdef0123456789abcdef";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Here, and through the server, with a token.
fn ways(world: &World) -> [Vec<String>; 2] {
    [Vec::new(), vec!["--server".to_owned(), world.server.url()]]
}

async fn guarded(db: TestDatabase) -> World {
    World::with(db, |home| home.set("CONVO_API_TOKEN", ADMIN)).await
}

/// Runs `convo webhook` both ways, which must end alike.
#[track_caller]
fn both(world: &World, args: &[&str]) -> crate::support::Done {
    let [here, there] = ways(world).map(|way| {
        let mut all = vec!["webhook"];
        all.extend(args);
        all.extend(way.iter().map(String::as_str));
        world.home.run_with(&[("CONVO_API_TOKEN", TOKEN)], &all)
    });
    let there = there.without_server(&world.server.url());
    assert_eq!(here.bytes(), there.bytes(), "{args:?}");
    here
}

async fn every_event_is_listed_and_shown_as_it_came(db: TestDatabase) {
    let world = guarded(db).await;
    let names = examples();
    for name in &names {
        world.signer.post(&world.server, example(name)).await;
    }
    let hostile = "{ \"data\": {\"id\":\"odd/id ?\", \"event_type\" : \"x.\\u202e\",\n \"payload\":{}},\t \
                   \"\u{202e}\":1.50}";
    world.signer.post(&world.server, hostile).await;
    let all = both(&world, &["list", "--json"]).silent().json();
    let all = all.as_array().expect("an array").clone();
    assert_eq!(all.len(), names.len() + 1);
    let times: Vec<_> = all.iter().map(|event| event["occurred_at"].as_str()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "newest first: {times:?}");
    assert_eq!(all.last().map(|event| &event["id"]), Some(&"odd/id ?".into()), "without a time");
    for name in &names {
        let event: Value = serde_json::from_slice(&example(name)).expect("JSON");
        let id = event["data"]["id"].as_str().expect("an id");
        assert_eq!(both(&world, &["show", id]).silent().out.as_bytes(), example(name), "{name}");
        let listed = all.iter().find(|listed| listed["id"] == id).expect("listed");
        assert_eq!(listed["event_type"], event["data"]["event_type"]);
        assert_eq!(listed["telnyx_message_id"], event["data"]["payload"]["id"]);
    }
    assert_eq!(both(&world, &["show", "odd/id ?"]).silent().out, hostile);
    // On a terminal, nothing of it drives the screen.
    for args in [&["webhook", "show", "odd/id ?"][..], &["webhook", "list", "--all"]] {
        let shown = world.home.on_terminal(120, args).exits(0).out;
        assert!(shown.contains("\\u{202e}") && !shown.contains('\u{202e}'), "{shown}");
    }
    both(&world, &["show", "none"]).exits(3).reports("no stored event has the id 'none'");
    // Page by page, and in every format.
    for limit in ["1", "2", "1000"] {
        let mut path = format!("/webhooks/events?limit={limit}");
        let mut paged = Vec::new();
        loop {
            let page = world.server.get_with(&path, &bearer(TOKEN)).await;
            assert_eq!(page.status, 200, "{}", page.body);
            paged.extend(page.json().as_array().expect("an array").clone());
            let Some(link) = page.header("link") else { break };
            let query = link.split_once('>').expect("a link").0.trim_start_matches('<');
            path = format!("/webhooks/events{query}");
        }
        assert_eq!(paged, all, "{limit}");
    }
    let ids = both(&world, &["list", "--format", "ids", "--limit", "2"]).silent();
    let expected = |at: usize| all[at]["id"].as_str().expect("an id").to_owned();
    assert_eq!(ids.out, format!("{}\n{}\n", expected(0), expected(1)));
    let lines = both(&world, &["list"]).silent();
    assert!(lines.out.lines().all(|line| line.split('\t').count() == 6), "{}", lines.out);
    assert!(lines.out.contains("x.\\u{202e}"), "{}", lines.out);
    both(&world, &["list", "--format", "csv"]).silent();
}

async fn filters_find_the_events_of_a_type_a_time_and_a_contact(db: TestDatabase) {
    let world = guarded(db).await;
    let other = "+12125550000";
    for n in 0..6 {
        let from = if n % 3 == 0 { other } else { CONTACT };
        let (id, time) = (format!("e{n}"), format!("2026-11-2{n}T12:00:00Z"));
        let event = Event::inbound(&id, &format!("m{n}"), from, "Hi").occurred_at(&time);
        world.signer.post(&world.server, event.to_string()).await;
    }
    let report = Event::report("r1", "m9", other, "delivered").occurred_at("2026-11-26T12:00:00Z");
    world.signer.post(&world.server, report.to_string()).await;
    let found = |args: &[&str]| {
        let done = both(&world, &[&["list", "--format", "ids"], args].concat()).silent();
        done.out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(found(&["--type", "message.finalized"]), ["r1"]);
    assert_eq!(found(&["--type", "message.received"]), ["e5", "e4", "e3", "e2", "e1", "e0"]);
    assert_eq!(found(&["--contact", other]), ["r1", "e3", "e0"]);
    assert_eq!(found(&["--contact", "+1 (212) 555-0000", "--limit", "2"]), ["r1", "e3"]);
    assert_eq!(found(&["--since", "2026-11-24T12:00:00Z"]), ["r1", "e5", "e4"]);
    let both_filters = ["--contact", CONTACT, "--since", "2026-11-24"];
    assert_eq!(found(&both_filters), ["e5", "e4"]);
    assert_eq!(found(&["--contact", "+12125557777"]), Vec::<String>::new());
    both(&world, &["list", "--contact", "nobody"]).exits(3);
    both(&world, &["list", "--since", "soon"]).exits(2);
}

on_both_databases!(
    every_event_is_listed_and_shown_as_it_came,
    filters_find_the_events_of_a_type_a_time_and_a_contact,
);

#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_may_read_raw_events() {
    let tokens = format!("{ADMIN},app:read+send:fedcba9876543210fedcba9876543210");
    let world =
        World::with(TestDatabase::sqlite(), |home| home.set("CONVO_API_TOKEN", &*tokens)).await;
    let app = bearer("fedcba9876543210fedcba9876543210");
    for path in ["/webhooks/events", "/v1/webhooks/events/x"] {
        assert_eq!(world.server.get_with(path, &app).await.status, 403, "{path}");
        assert_eq!(world.server.get(path).await.status, 401, "{path}");
    }
    let missing = world.server.get_with("/webhooks/events/x", &bearer(TOKEN)).await;
    assert_eq!(missing.status_and_code(), (404, "event_not_found".into()));
    assert_eq!(world.server.get("/webhooks/sms").await.status, 405);
}

/// A page of a filter that matches nothing looks at so many events only.
#[tokio::test(flavor = "multi_thread")]
async fn a_filter_without_matches_is_answered_in_pages() {
    let world = guarded(TestDatabase::sqlite()).await;
    world.signer.post(&world.server, inbound("e", "m", CONTACT, "Hi")).await;
    // The same event under many ids.
    let copies = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
        INSERT INTO events (occurred_at, received_at, dictionary, id, event_type, body)
        SELECT occurred_at + i, received_at, dictionary, CAST('not a UUID: text e' || i AS BLOB),
        event_type, body FROM events, n";
    execute(&world.db.url, copies).await;
    let path = "/webhooks/events?limit=1000&contact=%2B12125550000";
    let page = world.server.get_with(path, &bearer(TOKEN)).await;
    assert_eq!((page.status, &*page.body), (200, "[]"));
    assert!(page.header("link").is_some());
    let none = both(&world, &["list", "--contact", "+12125550000", "--json"]).silent();
    assert_eq!(none.out, "[]\n");
    let all = both(&world, &["list", "--contact", CONTACT, "--format", "ids"]).silent();
    assert_eq!(all.out.lines().count(), 5_001);
    both(&world, &["show", "e"]).silent();
}

/// A sandbox, as somebody who tries convo starts it.
struct Play {
    home: Home,
    _server: Server,
}

impl Play {
    fn start() -> Self {
        let home = Home::new();
        let server = Server::start_with(&home, &["--sandbox", "serve", "--listen", "127.0.0.1:0"]);
        let home = home.set("CONVO_LISTEN", server.address.to_string());
        Self { home, _server: server }
    }

    /// Runs an action of the workbench in the sandbox.
    #[track_caller]
    fn webhook(&self, args: &[&str]) -> crate::support::Done {
        self.home.run(&[&["--sandbox", "webhook"], args].concat())
    }

    fn messages(&self, contact: &str) -> Value {
        let shown = self.home.run(&["--sandbox", "show", contact, "--json"]).silent().json();
        shown["messages"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sandbox_of_a_directory_has_the_same_key() {
    let home = Home::new();
    let alone = home.start(&["sandbox", "--listen", "127.0.0.1:0"]);
    wait_until("the key", || home.file("sandbox.key").exists());
    alone.kill();
    let key = || std::fs::read(home.file("sandbox.key")).expect("the key");
    let first = key();
    let server = Server::start_with(&home, &["--sandbox", "serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(key(), first);
    let to = ["--to", &format!("{}/webhooks/sms", server.url())];
    let received =
        ["--sandbox", "webhook", "trigger", "received", "--from", CONTACT, "--text", "Hi"];
    assert_eq!(home.run(&[&received[..], &to].concat()).exits(0).line(), "stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_triggered_in_a_sandbox_and_resent() {
    let play = Play::start();
    let mode = std::fs::metadata(play.home.file("sandbox.key")).expect("the key").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let received = ["trigger", "received", "--from", "+1 212 555 1234"];
    let files = ["--text", "-- Hi", "--media", "https://example.com/a.png"];
    let done = play.webhook(&[&received[..], &files].concat()).exits(0);
    assert_eq!(done.line(), "stored");
    let messages = play.messages(CONTACT);
    assert_eq!(messages[0]["body"], "-- Hi");
    assert_eq!(messages[0]["media"][0]["url"], "https://example.com/a.png");
    // What was stored can be shown and sent again; it is a duplicate.
    let ids = play.webhook(&["list", "--format", "ids"]).silent();
    let body = play.webhook(&["show", ids.line()]).silent().out;
    let again = play.webhook(&["resend", ids.line(), "--json"]).exits(0).json();
    assert_eq!(
        (&again["answer"]["status"], &again["status_code"]),
        (&"duplicate".into(), &200.into())
    );
    let file = play.home.write("event.json", &body);
    let file = file.to_str().expect("a path");
    assert_eq!(play.webhook(&["resend", file]).exits(0).line(), "duplicate");
    let piped = play.home.pipe(&body, &["--sandbox", "webhook", "resend", "-"]).exits(0);
    assert_eq!(piped.line(), "duplicate");
    play.webhook(&["resend", "no-such-event"]).exits(3).reports("no-such-event");
    assert_eq!(play.messages(CONTACT).as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_triggered_for_messages_of_the_sandbox() {
    let play = Play::start();
    let vanished = convo::sandbox::Behaviour::Vanished.number();
    // Telnyx does not answer, and reports nothing.
    let _sending = play.home.start(&["--sandbox", "send", vanished, "Hello"]);
    let id = wait_for("a message", || {
        let shown = play.home.run(&["--sandbox", "show", vanished, "--format", "ids"]);
        is_id(shown.out.trim()).then(|| shown.out.trim().to_owned())
    });
    for (event, status) in
        [("sent", "sent"), ("failed", "delivery_failed"), ("delivered", "delivered")]
    {
        let named = if event == "failed" { &id[28..] } else { &id };
        let done = play.webhook(&["trigger", event, named]).exits(0);
        assert_eq!(done.line(), "updated", "{event}");
        let message = &play.messages(vanished)[0];
        assert_eq!(message["status"], status);
        assert_eq!(message["error"].is_object(), event == "failed", "{message}");
    }
    play.webhook(&["trigger", "received", "--from", CONTACT, "--text", "Hi"]).exits(0);
    let theirs = play.messages(CONTACT)[0]["id"].as_str().expect("an id").to_owned();
    play.webhook(&["trigger", "sent", &theirs]).exits(2).reports("inbound");
    play.webhook(&["trigger", "sent", "00000000"]).exits(3);
    play.webhook(&["trigger", "sent", "xyz"]).exits(2);
    play.webhook(&["trigger", "sent"]).exits(2);
    play.webhook(&["trigger", "received", "--text", "Hi"]).exits(2);
    play.webhook(&["trigger", "received", "--from", CONTACT]).exits(2);
    play.webhook(&["trigger", "received", "--from", "2125551234", "--text", "Hi"])
        .exits(2)
        .reports("country code");
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_events_are_not_for_real_databases_and_other_machines() {
    let world = World::start(TestDatabase::sqlite()).await;
    world.home.run(&["webhook", "keygen", "--key-file", "sandbox.key"]).exits(0);
    let received = ["webhook", "trigger", "received", "--from", CONTACT, "--text", "Hi"];
    let here = ["--to", &format!("{}/webhooks/sms", world.server.url())];
    world.home.run(&[&received[..], &here].concat()).exits(4).reports("real database");
    // Without the key that a real server believes, it refuses, whatever the settings here are.
    let refused = world.home.run(&[&["--sandbox"], &received[..], &here].concat()).exits(6);
    assert!(refused.err.contains("invalid signature"), "{}", refused.err);
    assert!(refused.err.contains("TELNYX_PUBLIC_KEY="), "{}", refused.err);
    assert_eq!(world.home.run(&["list", "--json"]).silent().out, "[]\n");
    for url in
        ["http://192.0.2.1/x", "http://example.com/", "ftp://localhost/", "http://a@localhost/"]
    {
        world.home.run(&[&["--sandbox"], &received[..], &["--to", url]].concat()).exits(2);
    }
    let closed = crate::support::closed_address();
    let away = format!("http://{closed}/");
    world.home.run(&[&["--sandbox"], &received[..], &["--to", &away]].concat()).exits(5);
    let no_key = Home::new();
    no_key.run(&[&["--sandbox"], &received[..]].concat()).exits(4).reports("sandbox.key");
    let server = [("CONVO_SERVER", world.server.url())];
    let server = [(server[0].0, server[0].1.as_str())];
    world.home.run_with(&server, &received).exits(2).reports("CONVO_SERVER");
}

/// Another program of the developer's gets a complete, correctly signed event.
#[tokio::test(flavor = "multi_thread")]
async fn events_go_to_a_developers_own_program() {
    let home = Home::new();
    let receiver = Receiver::start(Manner::Answer(204));
    let made = home.run(&["webhook", "keygen", "--key-file", "dev.key"]).silent();
    let public = made.line().strip_prefix("public_key\t").expect("a key").to_owned();
    home.run(&["webhook", "keygen", "--key-file", "dev.key"]).exits(2).reports("is left as it is");
    let mode = std::fs::metadata(home.file("dev.key")).expect("the key").permissions().mode();
    assert_eq!((mode & 0o777, home.files()), (0o600, vec!["dev.key".to_owned()]));
    let to = ["--to", &receiver.url(), "--key-file", "dev.key"];
    let received = ["webhook", "trigger", "received", "--from", CONTACT, "--text", "Hi"];
    let done = home.run(&[&received[..], &to].concat()).exits(0);
    assert_eq!(done.line(), "204");
    let event = receiver.received().pop().expect("an event");
    assert_eq!(event.json()["data"]["event_type"], "message.received");
    assert_eq!(event.json()["meta"]["delivered_to"], receiver.url());
    let (time, signature) =
        (event.header("telnyx-timestamp"), event.header("telnyx-signature-ed25519"));
    let verify = ["webhook", "verify", "--timestamp", time, "--signature", signature];
    let verify = [&verify[..], &["--public-key", &public]].concat();
    assert_eq!(home.pipe(&event.body, &verify).silent().line(), "valid");
    home.pipe(format!("{} ", event.body), &verify).exits(6).reports("does not match the body");
    receiver.set(Manner::Answer(400));
    let done = home.run(&[&received[..], &to].concat()).exits(6);
    assert!(done.err.contains("answered 400"), "{}", done.err);
    receiver.set(Manner::Answer(503));
    let done = home.run(&[&received[..], &to].concat()).exits(5);
    assert!(done.err.contains("answered 503"), "{}", done.err);
    receiver.set(Manner::Redirect);
    let done = home.run(&[&received[..], &to].concat()).exits(6);
    assert!(done.err.contains("answered 302"), "{}", done.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_signed_and_verified_byte_for_byte() {
    let world = World::start(TestDatabase::sqlite()).await;
    let home = &world.home;
    let keys = home.run(&["webhook", "keygen", "--json"]).silent().json();
    let public = keys["public_key"].as_str().expect("a key").to_owned();
    home.write("dev.key", keys["private_key"].as_str().expect("a key"));
    let body = b"{\"a\":\"\xff\x00\"}\r\n\n";
    let now = unix_seconds().to_string();
    let sign = ["webhook", "sign", "--key-file", "dev.key"];
    let headers = home.pipe(body, &sign).silent().out;
    let (time, signature) = headers.trim().split_once('\n').expect("two headers");
    let time = time.strip_prefix("telnyx-timestamp: ").expect("a time");
    let signature = signature.strip_prefix("telnyx-signature-ed25519: ").expect("a signature");
    assert!(time >= now.as_str());
    let verify = ["webhook", "verify", "--timestamp", time, "--signature", signature];
    let with_public = [&verify[..], &["--public-key", &public]].concat();
    let with = |more: &[&'static str]| {
        verify.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>()
    };
    assert_eq!(home.pipe(body, &with_public).silent().line(), "valid");
    assert_eq!(home.pipe(body, &with(&["--key-file", "dev.key"])).silent().line(), "valid");
    home.pipe(b"{}", &with_public).exits(6);
    // The configured keys are others.
    home.pipe(body, &with(&[])).exits(6).reports("does not match");
    home.without("TELNYX_PUBLIC_KEY").pipe(body, &with(&[])).exits(4).reports("no public key");
    home.pipe(body, &with(&["--public-key", "x"])).exits(2).reports("44 characters");
    // What Telnyx signs is valid with the configured keys, also when it is old.
    let event = inbound("e", "m", CONTACT, "Hi");
    let old = (unix_seconds() - 3_600).to_string();
    let signature = world.signer.signature(old.parse().expect("a number"), event.as_bytes());
    let verify = ["webhook", "verify", "--timestamp", &old, "--signature", &signature];
    home.pipe(&event, &verify).exits(6).reports("off this machine's clock");
    let any_age = [&verify[..], &["--any-age"]].concat();
    assert_eq!(home.pipe(&event, &any_age).silent().line(), "valid");
    home.pipe(format!("{event} "), &any_age).exits(6);
}
