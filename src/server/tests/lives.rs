//! How connections live and end: slow clients, crowds, the start and the stop.

use serde_json::Value;
use tokio::net::tcp::OwnedReadHalf;

use super::super::state::LISTINGS;
use super::*;

const SOON: Duration = Duration::from_millis(100);

/// Reads until the server hangs up.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    let _ = ended.expect("cut off in time");
    String::from_utf8(bytes).expect("text")
}

/// Reads one answer without a body, or with a short one, on a connection that stays open.
async fn one_answer(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 4096];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut bytes)).await;
    bytes.truncate(read.expect("in time").expect("an answer"));
    String::from_utf8(bytes).expect("text")
}

async fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("a request");
    one_answer(stream).await
}

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
        let lines = format!("{LINES}content-type: application/json\r\ncontent-length: 100\r\n");
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

#[tokio::test]
async fn whoever_comes_when_all_places_are_taken_is_told_so_and_health_answers() {
    let server = Server::with(Limits { connections: 2, ..Limits::default() }).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        let half = "POST /webhooks/sms HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{";
        stream.write_all(half.as_bytes()).await.expect("half a body");
        busy.push(stream);
    }
    for _ in 0..20 {
        assert_eq!(server.get("/health").await.status, 200);
        let refused = server.get("/conversations").await;
        assert_eq!(refused.told(), expect(503, "overloaded"));
        assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
        let refused = server.post_json("/conversations/+12125551234/send", "{}").await;
        assert_eq!(refused.told(), expect(503, "overloaded"));
    }
    // With a place free again, service goes on.
    drop(busy);
    let mut waited = Duration::ZERO;
    while server.get("/conversations").await.status != 200 {
        assert!(waited < PATIENCE, "the places are not given back");
        tokio::time::sleep(SOON / 10).await;
        waited += SOON / 10;
    }
}

#[tokio::test]
async fn idle_connections_make_room() {
    let server = Server::with(Limits { connections: 4, ..Limits::default() }).await;
    let mut idle = Vec::new();
    for _ in 0..4 {
        let mut stream = server.connect().await;
        assert!(ask(&mut stream).await.starts_with("HTTP/1.1 200"));
        idle.push(stream);
    }
    // More silent ones than there are places and reserve.
    for _ in 0..4 + RESERVE {
        idle.push(server.connect().await);
    }
    assert_eq!(server.get("/health").await.status, 200);
    let mut waited = Duration::ZERO;
    while server.get("/conversations").await.status != 200 {
        assert!(waited < PATIENCE, "the idle ones keep their places");
        tokio::time::sleep(SOON).await;
        waited += SOON;
    }
    rest(&mut idle[0]).await;
}

/// The connections of a server that does not run yet.
fn connections(limits: Limits) -> Connections {
    let server = app(limits.clone(), STOP, None);
    let closing = Arc::clone(&server.state.closing);
    Connections::new(routes::all(&server.state), limits, closing)
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

/// More clients than there are places and reserve, all at once: none of the rest is let in before
/// there is room, and then every one of them.
#[tokio::test]
async fn nobody_is_let_in_beyond_the_reserve() {
    let limits = Limits { connections: 4, ..Limits::default() };
    let most = limits.connections + RESERVE;
    let mut connections = connections(limits);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let mut crowd = Vec::new();
    for _ in 0..most + RESERVE / 2 {
        crowd.push(TcpStream::connect(address).await.expect("a connection"));
    }
    let mut last = TcpStream::connect(address).await.expect("a connection");
    let answer = connections.accept(listener, ask(&mut last)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(connections.len() <= most, "{} connections", connections.len());
}

#[tokio::test]
async fn clients_that_take_no_answer_make_room() {
    let forever = Duration::from_secs(3_600);
    let limits = Limits { connections: 4, request_time: forever, ..Limits::default() };
    let server = Server::with(limits).await;
    let mut deaf = Vec::new();
    for _ in 0..4 {
        let (read, mut write) = server.connect().await.into_split();
        deaf.push(read);
        let request = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1_000);
        tokio::spawn(async move { while write.write_all(&request).await.is_ok() {} });
    }
    let mut waited = Duration::ZERO;
    while server.get("/conversations").await.status != 200 || deaf.is_empty() {
        assert!(waited < PATIENCE, "they keep their places");
        tokio::time::sleep(SOON).await;
        waited += SOON;
    }
}

#[tokio::test]
async fn only_so_many_are_sent_at_once() {
    let telnyx = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let limits = Limits { sends: 1, ..Limits::default() };
    let server = Server::of(limits, None, telnyx.local_addr().ok()).await;
    let send = "/conversations/+12125551234/send";
    let mut first = server.connect().await;
    let body = r#"{"message":"Hello"}"#;
    let head = format!("POST {send} HTTP/1.1\r\n{LINES}content-type: application/json\r\n");
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    first.write_all(request.as_bytes()).await.expect("a send");
    let offered = telnyx.accept().await.expect("an offer");
    let second = server.post_json(send, body).await;
    assert_eq!(second.told(), expect(503, "overloaded"));
    assert!(second.head.contains("retry-after: 1"), "{}", second.head);
    assert_eq!(server.get("/conversations").await.status, 200, "reading goes on");
    // The first one ends; whoever comes then is served.
    drop(offered);
    drop(telnyx);
    Answer::read(&mut first).await;
    let third = server.post_json(send, body).await;
    assert_ne!(third.code(), "overloaded", "{}", third.body);
}

#[tokio::test]
async fn only_so_many_webhooks_wait_at_once() {
    let server = app(Limits { queue: 1, ..Limits::default() }, STOP, None);
    let home = tempfile::tempdir().expect("a directory");
    let threads = threads(&home, None).await;
    let asked = Server::run(server.clone(), threads.clone(), home).await;
    // Whichever comes first waits for the database, in the only place.
    let body = r#"{"data":{"event_type":"x","id":"e1"}}"#;
    let both = [Box::pin(asked.webhook(body)), Box::pin(asked.webhook(body))];
    let (refused, _, mut waiting) = futures_util::future::select_all(both).await;
    assert_eq!(refused.told(), expect(503, "overloaded"));
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    server.open(threads);
    let taken = waiting.pop().expect("the other one").await;
    assert_eq!(taken.status, 200, "{}", taken.body);
    assert_eq!(asked.webhook(body).await.status, 200, "the place is given back");
}

/// What holds the other places is the same as what holds them for real; that a listing keeps its
/// place for as long as it goes on is [`stream`](crate::server::stream)'s to show.
#[tokio::test]
async fn only_so_many_listings_go_on_at_once() {
    let server = app(Limits::default(), STOP, None);
    let home = tempfile::tempdir().expect("a directory");
    let threads = threads(&home, None).await;
    server.open(threads.clone());
    let asked = Server::run(server.clone(), threads, home).await;
    let mut places: Vec<_> = (0..LISTINGS).map(|_| server.state.listing()).collect();
    assert!(places.iter().all(Result::is_ok));
    let refused = asked.get("/conversations").await;
    assert_eq!(refused.told(), expect(503, "overloaded"));
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    assert!(refused.body.contains(r#""hint":"use limit""#), "{}", refused.body);
    let page = asked.get("/conversations?limit=5").await;
    assert_eq!((page.status, page.body.as_str()), (200, "[]"), "a page needs no place");
    // As often as one likes, with one place: each gives it back.
    places.pop();
    for _ in 0..2 {
        assert_eq!(asked.get("/conversations").await.status, 200);
    }
}

#[tokio::test]
async fn before_its_database_is_there_a_server_tells_so() {
    let server = app(Limits::default(), STOP, None);
    server.database_is_away();
    let home = tempfile::tempdir().expect("a directory");
    let threads = threads(&home, None).await;
    let asked = Server::run(server.clone(), threads.clone(), home).await;
    assert_eq!(asked.get("/health").await.status, 200);
    let ready = asked.get("/health/ready").await;
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("waits for its database"), "{}", ready.body);
    let refused = asked.webhook("{}").await;
    assert_eq!(refused.told(), expect(503, "database_unavailable"));
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    assert_eq!(asked.get("/conversations").await.told(), expect(503, "database_unavailable"));
    server.open(threads);
    assert_eq!(asked.get("/conversations").await.status, 200);
}

/// Whoever asks while the database is just being opened waits for that moment.
#[tokio::test]
async fn a_request_in_the_moment_of_the_start_is_served() {
    let server = app(Limits::default(), STOP, None);
    let home = tempfile::tempdir().expect("a directory");
    let threads = threads(&home, None).await;
    let state = Arc::clone(&server.state);
    let asked = tokio::spawn(async move { state.threads().await.map(|_| ()) });
    tokio::task::yield_now().await;
    server.open(threads);
    assert!(asked.await.expect("no panic").is_ok());
}

#[tokio::test]
async fn a_shutdown_ends_idle_connections_at_once_and_stuck_ones_by_its_deadline() {
    for request in ["", "GET /health HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let server = Server::start().await;
        let mut idle = server.connect().await;
        idle.write_all(request.as_bytes()).await.expect("a request");
        let mut stuck = server.connect().await;
        let half = "POST /webhooks/sms HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{";
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
    let threads = threads(&home, None).await;
    server.open(threads.clone());
    let server = Server::run(server, threads, home).await;
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
