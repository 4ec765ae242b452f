//! What becomes of a send, told by the exit code alone: what is sure, and what is not.

use convo::sandbox::Behaviour;
use rustix::process::Signal;
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{CONTACT, Done, Home, OWN, StandIn, World, inbound, is_id, until};
use crate::on_both_databases;
use crate::support::TestDatabase;

const REFUSAL: &str = r#"{"errors":[{"code":"40310","title":"Invalid 'to' address"}]}"#;

/// A home that sends to a stand-in, and does not wait for long.
fn sender(base_url: &str) -> Home {
    Home::new()
        .set("TELNYX_API_KEY", "KEY")
        .set("TELNYX_PHONE_NUMBER", OWN)
        .set("TELNYX_BASE_URL", base_url)
        .set("CONVO_SEND_TIMEOUT", "2")
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

async fn closed_port() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    format!("http://{}/v2", listener.local_addr().expect("an address"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_telnyx_out_of_reach_is_5_and_the_key_is_free() {
    let home = sender(&closed_port().await);
    let send = ["send", CONTACT, "Hi", "--idempotency-key", "one", "--no-retry"];
    let done = home.run(&send).exits(5).tells("Telnyx could not be reached; nothing was sent");
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
async fn a_send_that_cannot_be_stored_is_5_in_time() {
    use sea_orm::{ConnectionTrait, Database};

    let telnyx = StandIn::silent().await;
    let db = TestDatabase::sqlite();
    let home = sender(&telnyx.base_url).set("DATABASE_URL", &db.url);
    home.run(&["migrate"]).exits(0);
    home.run(&["settle"]).exits(0);
    let url = db.url.replace("sqlite:///", "sqlite://");
    let other = Database::connect(url).await.expect("it opens");
    other.execute_unprepared("BEGIN IMMEDIATE").await.expect("the lock");
    let since = std::time::Instant::now();
    let done = home.run(&["send", CONTACT, "Hi", "--json"]).exits(5);
    assert!(since.elapsed().as_secs() < 20, "{:?}", since.elapsed());
    assert_eq!((done.out.as_str(), &done.error()["code"]), ("", &"database_unavailable".into()));
    other.execute_unprepared("ROLLBACK").await.expect("the lock is free");
    home.run(&["show", CONTACT]).exits(3);
    assert!(telnyx.asked().is_empty());
}

/// Packets that vanish: no connection ever stands, so nothing can have been sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_never_stands_is_5() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = socket.local_addr().expect("an address");
    let _listener = socket.listen(1).expect("a queue of one");
    let mut queue = Vec::new();
    // The kernel drops what does not fit into the queue.
    while let Ok(Ok(stream)) =
        tokio::time::timeout(std::time::Duration::from_millis(200), TcpStream::connect(address))
            .await
    {
        queue.push(stream);
    }
    for flag in ["--no-retry", "--json"] {
        let home = sender(&format!("http://{address}/v2"));
        let done = home.run(&["send", CONTACT, "Hi", flag]).exits(5);
        assert!(done.err.contains("Telnyx could not be reached"), "{}", done.err);
        assert_eq!(only(&home)["status"], "sending_failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn to_be_told_to_slow_down_for_ever_is_5() {
    let telnyx = StandIn::with("429 Too Many Requests", "retry-after: 1\r\n", "{}").await;
    let home = sender(&telnyx.base_url);
    let done = home.run(&["send", CONTACT, "Hi"]).exits(5).tells("asks to slow down");
    ended(&home, &done, "sending_failed");
    let asked = telnyx.asked();
    assert!(asked[0].1.contains(&format!("\"tags\":[\"convo:{}\"]", done.id())), "{asked:?}");
    let told = home.run(&["send", CONTACT, "Hi", "--json"]).exits(5).error();
    assert_eq!((&told["code"], &told["retry_after"]), (&"rate_limited".into(), &1.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn telnyxs_refusals_are_final() {
    for (status, exit) in [
        ("400 Bad Request", 6),
        ("401 Unauthorized", 4),
        ("402 Payment Required", 6),
        ("403 Forbidden", 6),
        ("404 Not Found", 6),
        ("422 Unprocessable Content", 6),
    ] {
        let telnyx = StandIn::with(status, "", REFUSAL).await;
        let home = sender(&telnyx.base_url);
        let done = home.run(&["send", CONTACT, "Hi"]).exits(exit);
        ended(&home, &done, "sending_failed");
        assert_eq!(only(&home)["error"]["code"], "40310");
        assert_eq!(telnyx.asked().len(), 1, "{status}: a refusal is final");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_nobody_knows_is_9_and_the_key_is_bound() {
    let html = "<html>no</html>";
    let mut runs = Vec::new();
    for (answer, body) in [
        ("500 Internal Server Error", REFUSAL),
        ("503 Service Unavailable", html),
        ("408 Request Timeout", REFUSAL),
        ("409 Conflict", REFUSAL),
        ("302 Found", ""),
        ("403 Forbidden", html),
        ("200 OK", html),
        ("200 OK", "{\"data\":null}"),
        ("", ""),
    ] {
        let telnyx = match answer {
            "" => StandIn::answering("").await,
            _ => StandIn::with(answer, "", body).await,
        };
        let home = sender(&telnyx.base_url).set("CONVO_SEND_TIMEOUT", "3");
        let running = home.start(&["send", CONTACT, "Hi"]);
        runs.push((answer, telnyx, home, running));
    }
    for (answer, telnyx, home, running) in runs {
        let done = running.wait().exits(9).tells("nobody knows");
        ended(&home, &done, "unknown");
        let key = done.err.trim_end().rsplit("--idempotency-key ").next().expect("a key");
        let asked = telnyx.asked();
        assert!(asked.len() >= 2, "{answer}: it is offered again: {asked:?}");
        assert!(asked.iter().all(|(head, body)| {
            head.contains(&format!("idempotency-key: {}\r\n", done.id())) && *body == asked[0].1
        }));
        let again = home.run(&["send", CONTACT, "Hi", "--idempotency-key", key]).exits(9);
        assert_eq!(again.id(), done.id());
        home.run(&["send", CONTACT, "Ho", "--idempotency-key", key]).exits(2).tells("another");
        assert_eq!(telnyx.asked().len(), asked.len(), "a bound key offers nothing");
        let told = home.run(&["send", CONTACT, "Hi", "--idempotency-key", key, "--json"]).exits(9);
        assert_eq!(told.error()["idempotency_key"], key);
        assert_eq!(told.json()["status"], "unknown");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_send_is_9_once_it_was_offered() {
    let telnyx = Behaviour::Vanished.number();
    let world = World::start(TestDatabase::sqlite()).await;
    for signal in [Signal::INT, Signal::TERM] {
        let before = world.offers();
        let running = world.home.start(&["send", telnyx, "Hi"]);
        until("offered", || (world.offers() > before).then_some(()));
        running.signal(signal);
        let done = running.wait().exits(9);
        world.message(telnyx, done.id(), "unknown");
        // Through a server the send belongs to the server.
        let url = world.server.url();
        let running = world.home.start(&["send", telnyx, "Hi", "--server", &url]);
        until("offered", || (world.offers() > before + 1).then_some(()));
        running.signal(signal);
        running.wait().exits(9).tells("interrupted while the server was sending");
    }
}

/// The server dies under a send: the client says that nobody knows, and under which key.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_under_a_send_is_9() {
    let lost = Behaviour::Vanished.number();
    let world = World::start(TestDatabase::sqlite()).await;
    let url = world.server.url();
    let running = world.home.start(&["send", lost, "Hi", "--server", &url]);
    until("offered", || (world.offers() == 1).then_some(()));
    world.server.signal(Signal::KILL);
    let done = running.wait().exits(9).tells("it may have been sent");
    assert_eq!(done.out, "", "the id is the server's to know");
    let key = done.err.trim_end().rsplit("--idempotency-key ").next().expect("a key");
    let again = world.home.run(&["send", lost, "Hi", "--idempotency-key", key]).exits(9);
    assert_eq!((is_id(again.id()), world.offers()), (true, 1), "the key is bound to its row");
}

async fn the_magic_numbers_end_as_documented(db: TestDatabase) {
    let world = World::with(db, |home| home.set("CONVO_SEND_TIMEOUT", "4")).await;
    for (behaviour, exit, status, told) in [
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
        (Behaviour::Vanished, 9, "unknown", "nobody knows"),
    ] {
        let done = world.home.run(&["send", behaviour.number(), "Hi"]);
        // A failure that is reported before the send itself is answered is known at once.
        let early = done.code == 6 && status.ends_with("_failed");
        let done = if early { done } else { done.exits(exit) };
        assert!(done.err.contains(told), "{behaviour:?}: {}", done.err);
        world.message(behaviour.number(), done.id(), status);
    }
    world.is_counted();
}

async fn who_said_stop_is_7_and_costs_no_offer(db: TestDatabase) {
    let world = World::start(db).await;
    let stop = world.home.run(&["send", CONTACT, "please say STOP"]).exits(0);
    world.message(CONTACT, stop.id(), "delivered");
    world.thread(CONTACT, |thread| !thread["opted_out_at"].is_null());
    let before = world.offers();
    let url = world.server.url();
    for args in [&["send", CONTACT, "Hi"][..], &["send", CONTACT, "Hi", "--server", &url]] {
        let done = world.home.run(args).exits(7).tells("has opted out");
        assert_eq!(done.out, "", "nothing was stored");
    }
    assert_eq!(world.offers(), before);
    let plan = world.home.run(&["send", CONTACT, "Hi", "--dry-run", "--json"]).exits(0).json();
    assert!(!plan["opted_out_at"].is_null());
    let despite = ["send", CONTACT, "Hi", "--despite-opt-out"];
    let done = world.home.run(&despite).exits(7);
    world.message(CONTACT, done.id(), "sending_failed");
    assert_eq!(world.offers(), before + 1, "Telnyx was asked, and refused");
    let listed = world.home.run(&["list", "--json"]).silent().json();
    assert!(!listed[0]["opted_out_at"].is_null() && listed[0]["opted_out_number"] == OWN);
    let start = inbound("e-start", "m-start", CONTACT, "START")
        .replace("\"type\":", "\"autoresponse_type\":\"START\",\"type\":");
    assert_eq!(world.signer.post(&world.server, start).await, "stored");
    // convo lets it through again; this Telnyx has not heard of it.
    world.home.run(&["send", CONTACT, "Hi"]).exits(7);
    assert_eq!(world.offers(), before + 2);
}

on_both_databases!(the_magic_numbers_end_as_documented, who_said_stop_is_7_and_costs_no_offer);
