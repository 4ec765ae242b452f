//! SIGTERM, and what becomes of whoever is there.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use convo::store::{Location, Mode, Purpose, Store};
use convo::threading::{Policy, Threads};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::client::Client;
use crate::harness::{DEADLINE, Home, OWN, Server, Signer, StandIn, inbound, until};
use crate::support::TestDatabase;

/// The drain of the defaults is part of the ten seconds.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_server_ends_within_ten_seconds_drain_included() {
    // Unset: what everybody has.
    let home = Home::new().set("CONVO_DRAIN", "");
    let mut server = Server::start(&home);
    // A connection that is kept open and silent holds up nothing.
    let mut client = Client::new(server.address);
    assert_eq!(client.get("/health", "").await.0, 200);
    let since = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(client.get("/health", "").await.0, 200, "it drains");
    assert_eq!(server.wait(), 0);
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    assert_eq!(home.files(), ["conversations.db"], "it has closed its database");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_serves_on_while_it_drains_and_a_second_signal_ends_it() {
    let home = Home::new().set("CONVO_DRAIN", "300").set("CONVO_SHUTDOWN_TIMEOUT", "600");
    let mut server = Server::start(&home);
    server.signal(Signal::TERM);
    server.logs("a second signal stops at once");
    let since = Instant::now();
    let answer = loop {
        let answer = server.get("/health/ready").await;
        if answer.body.contains("about to stop") {
            break answer;
        }
        assert!(since.elapsed() < DEADLINE, "it says that it stays: {}", answer.body);
    };
    assert_eq!(answer.status, 503, "{}", answer.body);
    let request = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let answer = server.raw(request).await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), 130);
}

/// Ctrl-C is a person's, who need not wait for a balancer.
#[test]
fn an_interrupt_does_not_drain() {
    let home = Home::new().set("CONVO_DRAIN", "300").set("CONVO_SHUTDOWN_TIMEOUT", "600");
    let mut server = Server::start(&home);
    server.signal(Signal::INT);
    assert_eq!(server.wait(), 0);
}

/// Telnyx never answers: the deadline comes, the caller learns that nobody knows, and so does the
/// database.
#[tokio::test(flavor = "multi_thread")]
async fn a_send_that_outlasts_the_deadline_is_unknown() {
    let telnyx = StandIn::silent().await;
    let home = Home::new()
        .set("TELNYX_API_KEY", "KEY")
        .set("TELNYX_PHONE_NUMBER", OWN)
        .set("TELNYX_BASE_URL", &telnyx.base_url)
        .set("CONVO_SHUTDOWN_TIMEOUT", "4");
    let mut server = Server::start(&home);
    let address = server.address;
    let send = tokio::spawn(async move {
        let body = r#"{"message":"Hello"}"#;
        Client::new(address).post("/conversations/+12125551234/send", "", body).await
    });
    until("the offer", || telnyx.asked().first().cloned());
    server.signal(Signal::TERM);
    let (status, told) = send.await.expect("an answer");
    assert_eq!(status, 202, "{told}");
    assert_eq!(server.wait(), 0);
    let thread = home.run(&["show", "+12125551234", "--json"]).exits(0).json();
    assert_eq!(thread["messages"][0]["status"], "unknown");
}

/// A client reads a long listing slowly: the stop does not wait for it, and what it got is no
/// valid listing.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_cuts_a_listing_that_nobody_reads() {
    const THREADS: usize = 4_000;
    let db = TestDatabase::sqlite();
    let location = Location::parse(&db.url, std::path::Path::new("/")).expect("a location");
    let store = Store::open(&location, Mode::Real, Purpose::Serve).await.expect("a store");
    let threads = Threads::new(store, None, Vec::new(), Policy::default());
    for from in (0..THREADS).step_by(500) {
        let some = (from..from + 500).map(|n| {
            let text = "A text that is a little longer than most. ".repeat(10);
            let body = inbound(&format!("e{n}"), &format!("m{n}"), &format!("+1212{n:07}"), &text);
            threads.receive(body.into())
        });
        for stored in futures_util::future::join_all(some).await {
            stored.expect("stored");
        }
    }
    threads.close().await;
    let home = Home::new().set("DATABASE_URL", &db.url).set("CONVO_SHUTDOWN_TIMEOUT", "300");
    let mut server = Server::start(&home);
    let socket = TcpSocket::new_v4().expect("a socket");
    // Little fits on the way, so that the server must wait for its reader.
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    let mut slow = socket.connect(server.address).await.expect("a connection");
    let request = "GET /conversations HTTP/1.1\r\nhost: localhost\r\n\r\n";
    slow.write_all(request.as_bytes()).await.expect("a request");
    let mut read = vec![0; 1_024];
    slow.read_exact(&mut read).await.expect("the beginning");
    let since = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), 0);
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    // A reset is as good an end as any for half a listing.
    let _ = slow.read_to_end(&mut read).await;
    let text = String::from_utf8_lossy(&read);
    assert!(text.contains("[{") && !text.ends_with("0\r\n\r\n"), "it looks whole");
}
