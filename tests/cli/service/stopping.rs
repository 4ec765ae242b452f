//! SIGTERM, and what becomes of the clients.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::support::{
    Connection, FakeServer, Home, Reply, Server, TestDatabase, eventually_some, inbound, open,
};

/// The default drain is part of the ten seconds.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_server_stops_within_ten_seconds_including_its_drain() {
    // Unset: the default.
    let home = Home::new().set("CONVO_DRAIN", "");
    let mut server = Server::start(&home);
    // An idle connection does not delay the stop.
    let mut client = Connection::new(server.address);
    assert_eq!(client.get("/health", "").await.status, 200);
    let since = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(client.get("/health", "").await.status, 200, "it drains");
    assert_eq!(server.wait(), 0);
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    assert_eq!(home.files(), ["conversations.db"], "it has closed its database");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_server_still_serves_and_a_second_signal_ends_it() {
    let home = Home::new().set("CONVO_DRAIN", "300").set("CONVO_SHUTDOWN_TIMEOUT", "600");
    let mut server = Server::start(&home);
    server.signal(Signal::TERM);
    server.wait_for_log("a second signal exits immediately");
    let answer = eventually_some("readiness to report the stop", async || {
        let answer = server.get("/health/ready").await;
        answer.body.contains("shutting down").then_some(answer)
    })
    .await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    let request = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let answer = server.raw(request).await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), 130);
}

/// A terminal that is closed is no reason to lose a send: SIGHUP, from it and from the shell, stops as
/// SIGTERM does.
#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_stops_as_sigterm_does() {
    let home = Home::new().set("CONVO_DRAIN", "1").set("CONVO_SHUTDOWN_TIMEOUT", "600");
    let mut server = Server::start(&home);
    server.signal(Signal::HUP);
    server.wait_for_log("a second signal exits immediately");
    server.signal(Signal::HUP);
    assert_eq!(server.get("/health").await.status, 200, "it drains");
    assert_eq!(server.wait(), 0);
}

/// Ctrl-C comes from a person, who need not wait for a balancer.
#[test]
fn an_interrupt_does_not_drain() {
    let home = Home::new().set("CONVO_DRAIN", "300").set("CONVO_SHUTDOWN_TIMEOUT", "600");
    let mut server = Server::start(&home);
    server.signal(Signal::INT);
    assert_eq!(server.wait(), 0);
}

/// Telnyx never answers: at the deadline the caller learns that the outcome is unknown, and the message
/// is stored so.
#[tokio::test(flavor = "multi_thread")]
async fn a_send_that_outlasts_the_deadline_is_unknown() {
    let telnyx = FakeServer::replying(&[Reply::Silence]).await;
    let home = Home::new().sending_to(&telnyx.base_url()).set("CONVO_SHUTDOWN_TIMEOUT", "4");
    let mut server = Server::start(&home);
    let address = server.address;
    let send = tokio::spawn(async move {
        let body = r#"{"message":"Hello"}"#;
        Connection::new(address).post("/conversations/+12125551234/send", "", body).await
    });
    telnyx.wait_for_offers(1).await;
    server.signal(Signal::TERM);
    let answer = send.await.expect("an answer");
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(server.wait(), 0);
    let thread = home.run(&["show", "+12125551234", "--json"]).exits(0).json();
    assert_eq!(thread["messages"][0]["status"], "unknown");
}

/// A client reads a long listing slowly: the stop does not wait for it, and what it got is not valid
/// JSON.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_cuts_off_a_listing_that_is_not_read() {
    const THREADS: usize = 4_000;
    let db = TestDatabase::sqlite();
    let conversations = open(&db.url).await;
    for from in (0..THREADS).step_by(500) {
        let some = (from..from + 500).map(|n| {
            let text = "A text that is a little longer than most. ".repeat(10);
            let body = inbound(&format!("e{n}"), &format!("m{n}"), &format!("+1212{n:07}"), &text);
            conversations.receive(body.into())
        });
        for stored in futures_util::future::join_all(some).await {
            stored.expect("stored");
        }
    }
    conversations.close().await;
    let home = Home::new().with_database(&db).set("CONVO_SHUTDOWN_TIMEOUT", "300");
    let mut server = Server::start(&home);
    let socket = TcpSocket::new_v4().expect("a socket");
    // Little fits into the buffer, so that the server must wait for its reader.
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
    // The connection may end with a reset.
    let _ = slow.read_to_end(&mut read).await;
    let text = String::from_utf8_lossy(&read);
    assert!(text.contains("[{") && !text.ends_with("0\r\n\r\n"), "it looks complete");
}
