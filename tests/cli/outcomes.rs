//! What becomes of a send, told by the exit code alone: what is sure, and what is not.

use convo::sandbox::Behaviour;
use rustix::process::Signal;

use crate::on_both_databases;
use crate::support::{
    CONTACT, Done, FakeServer, Home, OWN, REFUSED, Reply, Running, TestDatabase, Unresponsive,
    World, base_url, closed_address, connect, is_id, opt, wait_until,
};

/// A home that sends to a stand-in, and does not wait for long.
fn sender(base_url: &str) -> Home {
    Home::new().sending_to(base_url).set("CONVO_SEND_TIMEOUT", "2")
}

/// The only message there is.
#[track_caller]
fn only(home: &Home) -> serde_json::Value {
    let thread = home.run(&["show", CONTACT, "--json"]).silent().json();
    assert_eq!(thread["messages"].as_array().map(Vec::len), Some(1), "{thread}");
    thread["messages"][0].clone()
}

/// Asserts that a failure is told with the id of the row, which has a status.
#[track_caller]
fn ended(home: &Home, done: &Done, status: &str) {
    let message = only(home);
    assert_eq!((message["id"].as_str(), &message["status"]), (Some(done.id()), &status.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_telnyx_exits_with_5_and_frees_the_key() {
    let home = sender(&base_url(closed_address()));
    let send = ["send", CONTACT, "Hi", "--idempotency-key", "one", "--no-retry"];
    let done = home.run(&send).exits(5).reports("Telnyx could not be reached; nothing was sent");
    ended(&home, &done, "sending_failed");
    let again = home.run(&send).exits(5);
    assert_ne!(again.id(), done.id(), "nothing was sent, so the key is free");
    // With repeats, within the time that a call may take.
    let since = std::time::Instant::now();
    home.run(&send[..3]).exits(5);
    assert!((0.4..3.5).contains(&since.elapsed().as_secs_f32()), "{:?}", since.elapsed());
}

/// Another program keeps SQLite's write lock for longer than a call may take. Nothing is stored,
/// then or later, and a program finds its one JSON object.
#[tokio::test(flavor = "multi_thread")]
async fn a_send_that_cannot_be_stored_exits_with_5_in_time() {
    use sea_orm::ConnectionTrait;

    let telnyx = FakeServer::replying(&[Reply::Silence]).await;
    let db = TestDatabase::sqlite();
    let home = sender(&telnyx.base_url()).with_database(&db);
    home.run(&["migrate"]).exits(0);
    home.run(&["sync", "--no-fetch"]).exits(0);
    let other = connect(&db.url).await;
    other.execute_unprepared("BEGIN IMMEDIATE").await.expect("the lock");
    let since = std::time::Instant::now();
    let done = home.run(&["send", CONTACT, "Hi", "--json"]).exits(5);
    assert!(since.elapsed().as_secs() < 20, "{:?}", since.elapsed());
    assert_eq!((done.out.as_str(), &done.error()["code"]), ("", &"database_unavailable".into()));
    other.execute_unprepared("ROLLBACK").await.expect("the lock is free");
    home.run(&["show", CONTACT]).exits(3);
    assert!(telnyx.requests().is_empty());
}

/// Packets that vanish: no connection ever stands, so nothing can have been sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_never_established_exits_with_5() {
    let telnyx = Unresponsive::new().await;
    for flag in ["--no-retry", "--json"] {
        let home = sender(&base_url(telnyx.address));
        let done = home.run(&["send", CONTACT, "Hi", flag]).exits(5);
        assert!(done.err.contains("Telnyx could not be reached"), "{}", done.err);
        assert_eq!(only(&home)["status"], "sending_failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_rate_limit_exits_with_5() {
    let telnyx = FakeServer::replying(&[Reply::RateLimit(1)]).await;
    let home = sender(&telnyx.base_url());
    let done = home.run(&["send", CONTACT, "Hi"]).exits(5).reports("rate limit was reached");
    ended(&home, &done, "sending_failed");
    let offer = &telnyx.offers()[0];
    assert!(offer.body.contains(&format!("\"tags\":[\"convo:{}\"]", done.id())), "{offer:?}");
    let error = home.run(&["send", CONTACT, "Hi", "--json"]).exits(5).error();
    assert_eq!((&error["code"], &error["retry_after"]), (&"rate_limited".into(), &1.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_by_telnyx_are_final() {
    for (status, exit) in [(400, 6), (401, 4), (402, 6), (403, 6), (404, 6), (422, 6)] {
        let telnyx = FakeServer::replying(&[Reply::Status(status, REFUSED)]).await;
        let home = sender(&telnyx.base_url());
        let done = home.run(&["send", CONTACT, "Hi"]).exits(exit);
        ended(&home, &done, "sending_failed");
        assert_eq!(only(&home)["error"]["code"], "40310");
        assert_eq!(telnyx.offers().len(), 1, "{status}: a refusal is final");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_exits_with_9_and_binds_the_key() {
    let html = "<html>no</html>";
    let mut runs = Vec::new();
    for reply in [
        Reply::Status(500, REFUSED),
        Reply::Status(503, html),
        Reply::Status(408, REFUSED),
        Reply::Status(409, REFUSED),
        Reply::Status(302, ""),
        Reply::Status(403, html),
        Reply::Status(200, html),
        Reply::Status(200, "{\"data\":null}"),
        Reply::Raw(String::new()),
    ] {
        let telnyx = FakeServer::replying(std::slice::from_ref(&reply)).await;
        let home = sender(&telnyx.base_url()).set("CONVO_SEND_TIMEOUT", "3");
        let running = home.start(&["send", CONTACT, "Hi"]);
        runs.push((reply, telnyx, home, running));
    }
    for (reply, telnyx, home, running) in runs {
        let done = running.wait().exits(9).reports("it is not known");
        ended(&home, &done, "unknown");
        let key = done.err.trim_end().rsplit("--idempotency-key ").next().expect("a key");
        let offers = telnyx.offers();
        assert!(offers.len() >= 2, "{reply:?}: it is offered again: {offers:?}");
        assert!(offers.iter().all(|offer| offer.key == done.id() && *offer == offers[0]));
        let again = home.run(&["send", CONTACT, "Hi", "--idempotency-key", key]).exits(9);
        assert_eq!(again.id(), done.id());
        home.run(&["send", CONTACT, "Ho", "--idempotency-key", key]).exits(2).reports("another");
        assert_eq!(telnyx.offers().len(), offers.len(), "a bound key offers nothing");
        let repeat =
            home.run(&["send", CONTACT, "Hi", "--idempotency-key", key, "--json"]).exits(9);
        assert_eq!(repeat.error()["idempotency_key"], key);
        assert_eq!(repeat.json()["status"], "unknown");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_interrupted_after_its_offer_exits_with_9() {
    let telnyx = Behaviour::Vanished.number();
    let world = World::start(TestDatabase::sqlite()).await;
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let before = world.offers();
        let running = world.home.start(&["send", telnyx, "Hi"]);
        wait_until("offered", || world.offers() > before);
        running.signal(signal);
        let done = running.wait().exits(9);
        world.wait_for_message(telnyx, done.id(), "unknown");
        // Through a server the send belongs to the server.
        let url = world.server.url();
        let running = world.home.start(&["send", telnyx, "Hi", "--server", &url]);
        wait_until("offered", || world.offers() > before + 1);
        running.signal(signal);
        running.wait().exits(9).reports("interrupted while the server was sending");
    }
}

/// `nohup` has SIGHUP ignored, and so it stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_send_under_nohup_survives_its_terminal() {
    let lost = Behaviour::Vanished.number();
    let home = |home: Home| home.set("CONVO_SEND_TIMEOUT", "2");
    let world = World::with(TestDatabase::sqlite(), home).await;
    let script = format!("trap '' HUP; exec convo send {lost} Hi");
    let running = Running::start(world.home.shell(&script), None);
    wait_until("offered", || world.offers() > 0);
    assert!(!running.handles(Signal::HUP));
    running.signal(Signal::HUP);
    running.wait().exits(9).reports("Telnyx's response was lost");
}

/// The server dies under a send: the client says that nobody knows, and under which key.
#[tokio::test(flavor = "multi_thread")]
async fn a_send_whose_server_dies_exits_with_9() {
    let lost = Behaviour::Vanished.number();
    let world = World::start(TestDatabase::sqlite()).await;
    let url = world.server.url();
    let running = world.home.start(&["send", lost, "Hi", "--server", &url]);
    wait_until("offered", || world.offers() == 1);
    world.server.signal(Signal::KILL);
    let done = running.wait().exits(9).reports("the message may have been sent");
    assert_eq!(done.out, "", "the id is the server's to know");
    let key = done.err.trim_end().rsplit("--idempotency-key ").next().expect("a key");
    let again = world.home.run(&["send", lost, "Hi", "--idempotency-key", key]).exits(9);
    assert_eq!((is_id(again.id()), world.offers()), (true, 1), "the key is bound to its row");
}

async fn the_magic_numbers_end_as_documented(db: TestDatabase) {
    let world = World::with(db, |home| home.set("CONVO_SEND_TIMEOUT", "4")).await;
    for (behaviour, exit, status, expected) in [
        (Behaviour::Refused, 6, "sending_failed", "Telnyx refused the message"),
        (Behaviour::OptedOut, 7, "sending_failed", "has opted out"),
        (Behaviour::Unauthorized, 4, "sending_failed", "Invalid API key"),
        (Behaviour::Undeliverable, 0, "delivery_failed", ""),
        (Behaviour::SendingFailed, 0, "sending_failed", ""),
        (Behaviour::Unconfirmed, 0, "delivery_unconfirmed", ""),
        (Behaviour::RateLimitedOnce, 0, "delivered", ""),
        (Behaviour::ServerErrorOnce, 0, "delivered", ""),
        (Behaviour::Doubled, 0, "delivered", ""),
        (Behaviour::Slow, 0, "delivered", ""),
        // Its reports name it by its tag, so the lost answer does not matter.
        (Behaviour::AnswerLost, 0, "delivered", "delivered to"),
        (Behaviour::Vanished, 9, "unknown", "it is not known"),
    ] {
        let done = world.home.run(&["send", behaviour.number(), "Hi"]);
        // A failure that is reported before the send itself is answered is known at once.
        let early = done.code == 6 && status.ends_with("_failed");
        let done = if early { done } else { done.exits(exit) };
        assert!(done.err.contains(expected), "{behaviour:?}: {}", done.err);
        world.wait_for_message(behaviour.number(), done.id(), status);
    }
    world.wait_until_counted();
}

async fn a_send_to_an_opted_out_contact_exits_with_7_without_an_offer(db: TestDatabase) {
    let world = World::start(db).await;
    let stop = world.home.run(&["send", CONTACT, "please say STOP"]).exits(0);
    world.wait_for_message(CONTACT, stop.id(), "delivered");
    world.wait_for_thread(CONTACT, |thread| !thread["opted_out_at"].is_null());
    let before = world.offers();
    let url = world.server.url();
    for args in [&["send", CONTACT, "Hi"][..], &["send", CONTACT, "Hi", "--server", &url]] {
        let done = world.home.run(args).exits(7).reports("has opted out");
        assert_eq!(done.out, "", "nothing was stored");
    }
    assert_eq!(world.offers(), before);
    let plan = world.home.run(&["send", CONTACT, "Hi", "--dry-run", "--json"]).exits(0).json();
    assert!(!plan["opted_out_at"].is_null());
    let despite = ["send", CONTACT, "Hi", "--despite-opt-out"];
    let done = world.home.run(&despite).exits(7);
    world.wait_for_message(CONTACT, done.id(), "sending_failed");
    assert_eq!(world.offers(), before + 1, "Telnyx was asked, and refused");
    let listed = world.home.run(&["list", "--json"]).silent().json();
    assert!(!listed[0]["opted_out_at"].is_null() && listed[0]["opted_out_number"] == OWN);
    let start = opt("e-start", "m-start", CONTACT, "START");
    assert_eq!(world.signer.post(&world.server, start).await, "stored");
    // convo lets it through again; this Telnyx has not heard of it.
    world.home.run(&["send", CONTACT, "Hi"]).exits(7);
    assert_eq!(world.offers(), before + 2);
}

on_both_databases!(
    the_magic_numbers_end_as_documented,
    a_send_to_an_opted_out_contact_exits_with_7_without_an_offer
);
