//! How connections live and end: slow clients, the start and the stop.

use serde_json::Value;
use tokio::net::tcp::OwnedReadHalf;

use super::*;

#[tokio::test]
async fn half_a_request_does_not_hold_a_connection() {
    let limits = Limits { request_time: SOON, ..Limits::default() };
    let server = Server::with(limits).await;
    for half in ["", "GET /hea", "GET /health HTTP/1.1\r\nhost: x\r\n"] {
        let mut stream = server.connect().await;
        stream.write_all(half.as_bytes()).await.expect("half a request");
        rest(&mut stream).await;
    }
    // Also byte by byte: what counts is when it began.
    let (mut read, mut write) = server.connect().await.into_split();
    let trickle = tokio::spawn(async move {
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(SOON / 10).await;
        }
    });
    until_closed(&mut read).await;
    trickle.await.expect("no panic");
}

async fn until_closed(read: &mut OwnedReadHalf) {
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, read.read_to_end(&mut bytes)).await.expect("cut off");
}

#[tokio::test]
async fn half_a_body_does_not_hold_a_request() {
    let limits = Limits { request_time: SOON, webhook_time: SOON, ..Limits::default() };
    let server = Server::with(limits).await;
    for path in ["/webhooks/sms", "/conversations/+12125551234/send"] {
        let mut stream = server.connect().await;
        let signature = fresh_signature();
        let lines =
            format!("{LINES}{signature}content-type: application/json\r\ncontent-length: 100\r\n");
        let half = format!("POST {path} HTTP/1.1\r\n{lines}\r\n{{");
        stream.write_all(half.as_bytes()).await.expect("half a body");
        assert_eq!(Answer::read(&mut stream).await.told(), expect(408, "request_timeout"));
    }
}

#[tokio::test]
async fn a_connection_is_kept_for_longer_than_a_request_may_take() {
    let limits = Limits { request_time: SOON, keep_alive: SOON * 10, ..Limits::default() };
    let server = Server::with(limits).await;
    let mut stream = server.connect().await;
    assert!(ask(&mut stream).await.starts_with("HTTP/1.1 200"));
    let since = Instant::now();
    rest(&mut stream).await;
    assert!(since.elapsed() >= SOON * 10, "closed after {:?}", since.elapsed());
}

/// A client that asks for much and reads nothing of it.
#[tokio::test]
async fn an_answer_that_nobody_reads_does_not_hold_a_connection() {
    let limits = Limits { request_time: SOON * 5, connections: 1, ..Limits::default() };
    let server = Server::with(limits).await;
    let mut unread = server.connect().await;
    let missing = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(1_000));
    // Pipelined, until the server has so much to say that it stops reading.
    let flood = missing.repeat(20_000);
    let _ = tokio::time::timeout(SOON * 2, unread.write_all(flood.as_bytes())).await;
    let mut waited = Duration::ZERO;
    // It counts as busy, so it is not idleness that ends it.
    while server.get("/conversations").await.status != 200 {
        assert!(waited < PATIENCE, "it holds its place for ever");
        tokio::time::sleep(SOON).await;
        waited += SOON;
    }
}

/// Connected before the stop, and not let in yet when it came.
#[tokio::test]
async fn whoever_waits_in_the_queue_of_the_system_is_served_at_a_stop() {
    let mut connections = connections(Limits::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        let request = format!("GET /health HTTP/1.1\r\n{LINES}\r\n");
        stream.write_all(request.as_bytes()).await.expect("a request");
        waiting.push(stream);
    }
    connections.accept(listener, std::future::ready(())).await;
    connections.finish(PATIENCE).await;
    for mut stream in waiting {
        assert_eq!(Answer::read(&mut stream).await.status, 200);
    }
}

#[tokio::test]
async fn before_its_database_is_there_a_server_tells_so() {
    let server = app(Limits::default(), STOP, None);
    server.database_is_down();
    let home = tempfile::tempdir().expect("a directory");
    let conversations = conversations(&home, None).await;
    let asked = Server::run(server.clone(), conversations.clone(), home).await;
    assert_eq!(asked.get("/health").await.status, 200);
    let ready = asked.get("/health/ready").await;
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("is waiting for its database"), "{}", ready.body);
    let refused = asked.webhook("{}").await;
    assert_eq!(refused.told(), expect(503, "database_unavailable"));
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    assert_eq!(asked.get("/conversations").await.told(), expect(503, "database_unavailable"));
    server.open(conversations);
    assert_eq!(asked.get("/conversations").await.status, 200);
}

/// Whoever asks while the database is just being opened waits for that moment.
#[tokio::test]
async fn a_request_in_the_moment_of_the_start_is_served() {
    let server = app(Limits::default(), STOP, None);
    let home = tempfile::tempdir().expect("a directory");
    let conversations = conversations(&home, None).await;
    let state = Arc::clone(&server.state);
    let asked = tokio::spawn(async move { state.conversations().await.map(|_| ()) });
    tokio::task::yield_now().await;
    server.open(conversations);
    assert!(asked.await.expect("no panic").is_ok());
}

#[tokio::test]
async fn a_shutdown_ends_idle_connections_at_once_and_stuck_ones_by_its_deadline() {
    for request in ["", "GET /health HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let server = Server::start().await;
        let mut idle = server.connect().await;
        idle.write_all(request.as_bytes()).await.expect("a request");
        let mut stuck = server.connect().await;
        let lines = format!("host: x\r\n{}content-length: 9\r\n", fresh_signature());
        let half = format!("POST /webhooks/sms HTTP/1.1\r\n{lines}\r\n{{");
        stuck.write_all(half.as_bytes()).await.expect("half a body");
        assert_eq!(server.get("/health").await.status, 200);
        server.shutdown.asked.cancel();
        let ended = tokio::time::timeout(PATIENCE, server.task).await.expect("ended in time");
        ended.expect("no panic");
        assert!(TcpStream::connect(server.address).await.is_err(), "still listening");
        for mut stream in [idle, stuck] {
            rest(&mut stream).await;
        }
    }
}

#[tokio::test]
async fn a_server_that_drains_serves_on_and_says_that_it_stops() {
    let home = tempfile::tempdir().expect("a directory");
    let stop = Stop { drain: PATIENCE, deadline: PATIENCE * 2 };
    let server = app(Limits::default(), stop, None);
    let conversations = conversations(&home, None).await;
    server.open(conversations.clone());
    let server = Server::run(server, conversations, home).await;
    let mut open = server.connect().await;
    let before = ask(&mut open).await.to_ascii_lowercase();
    assert!(!before.contains("connection: close"), "{before}");
    server.shutdown.asked.cancel();
    // A connection from before gets its answer, the last one.
    let mut last = String::new();
    while !last.contains("connection: close") {
        last = ask(&mut open).await.to_ascii_lowercase();
        assert!(last.starts_with("http/1.1 200"), "{last}");
    }
    assert_eq!(rest(&mut open).await, "");
    // New ones are served, too, but readiness is gone.
    assert_eq!(server.get("/conversations").await.status, 200);
    let ready = server.get("/health/ready").await;
    let checks: Value = serde_json::from_str(&ready.body).expect("JSON");
    let running = checks["checks"].as_array().expect("checks");
    let running = running.iter().find(|check| check["name"] == "running").expect("a check");
    assert_eq!((ready.status, &running["ok"]), (503, &Value::Bool(false)));
    // Whoever is in a hurry does not wait for the drain.
    server.shutdown.hurry.cancel();
    let ended = tokio::time::timeout(PATIENCE / 2, server.task).await;
    ended.expect("the drain is cut short").expect("no panic");
}
