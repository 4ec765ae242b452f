//! More at once than a server takes: whom it turns away, and who makes room.

use futures_util::FutureExt as _;

use super::super::state::MAX_STREAMS;
use super::*;

#[tokio::test]
async fn whoever_comes_when_all_places_are_taken_is_told_so_and_health_answers() {
    // Two sends hold them, which nobody answers.
    let telnyx = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let limits = Limits { connections: 2, ..Limits::default() };
    let server = Server::of(limits, None, telnyx.local_addr().ok()).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        let body = r#"{"message":"Hello"}"#;
        let lines = format!("{LINES}content-type: application/json\r\n");
        let send = format!(
            "POST /conversations/+12125551234/send HTTP/1.1\r\n{lines}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(send.as_bytes()).await.expect("a send");
        busy.push((stream, telnyx.accept().await.expect("an offer")));
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

/// The first of the bodies that were held back gives its place to a webhook that comes at once.
#[tokio::test]
async fn the_body_that_has_been_arriving_longest_makes_room() {
    let limits = Limits { connections: 2, webhook_time: PATIENCE, ..Limits::default() };
    let server = Server::with(limits).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        let lines = format!("host: x\r\n{}content-length: 9\r\n", fresh_signature());
        let half = format!("POST /webhooks/sms HTTP/1.1\r\n{lines}\r\n{{");
        stream.write_all(half.as_bytes()).await.expect("half a body");
        slow.push(stream);
        // Meanwhile the head was read.
        assert_eq!(server.get("/health").await.status, 200);
    }
    let body = r#"{"data":{"event_type":"x","id":"e1"}}"#;
    // A body has a moment to arrive in any case.
    let mut status = 503;
    while status == 503 {
        status = server.webhook(body).await.status;
    }
    assert_eq!(status, 200);
    let evicted = Answer::read(&mut slow[0]).await;
    assert_eq!(evicted.told(), expect(408, "request_timeout"));
    assert!(evicted.head.contains("connection: close"), "{}", evicted.head);
    // The other one still has its place, and gets the answer to its whole body.
    slow[1].write_all(b"12345678").await.expect("the rest");
    assert!(one_answer(&mut slow[1]).await.starts_with("HTTP/1.1 401"));
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
    let conversations = conversations(&home, None).await;
    let asked = Server::run(server.clone(), conversations.clone(), home).await;
    // Whichever comes first waits for the database, in the only place.
    let body = r#"{"data":{"event_type":"x","id":"e1"}}"#;
    let both = [Box::pin(asked.webhook(body)), Box::pin(asked.webhook(body))];
    let (refused, _, mut waiting) = futures_util::future::select_all(both).await;
    assert_eq!(refused.told(), expect(503, "overloaded"));
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    server.open(conversations);
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
    let conversations = conversations(&home, None).await;
    server.open(conversations.clone());
    let asked = Server::run(server.clone(), conversations, home).await;
    let client = "".into();
    let places = (0..MAX_STREAMS / 2).map(|_| server.state.stream_permit(&client));
    let mut places = places.collect::<Vec<_>>();
    assert!(places.iter().all(Result::is_ok));
    assert!(server.state.stream_permit(&"another".into()).is_ok(), "others have their share");
    let refused = asked.get("/conversations").await;
    assert_eq!(refused.told(), expect(503, "overloaded"));
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    assert!(refused.body.contains(r#""hint":"use the limit parameter""#), "{}", refused.body);
    let page = asked.get("/conversations?limit=5").await;
    assert_eq!((page.status, page.body.as_str()), (200, "[]"), "a page needs no place");
    // As often as one likes, with one place: each gives it back.
    places.pop();
    for _ in 0..2 {
        assert_eq!(asked.get("/conversations").await.status, 200);
    }
}

/// A client is whoever has a token, on however many connections.
#[tokio::test]
async fn each_token_has_its_own_share_of_the_listings() {
    let server = app(Limits::default(), STOP, Some("abc,another"));
    let home = tempfile::tempdir().expect("a directory");
    let conversations = conversations(&home, None).await;
    server.open(conversations.clone());
    let asked = Server::run(server.clone(), conversations, home).await;
    // A token without a name is known by the beginning of its hash.
    let client = "ba7816bf".into();
    let places = (0..MAX_STREAMS / 2).map(|_| server.state.stream_permit(&client));
    let places = places.collect::<Vec<_>>();
    assert!(places.iter().all(Result::is_ok));
    let list = async |token| {
        let token = format!("authorization: Bearer {token}\r\n");
        asked.raw(format!("GET /conversations HTTP/1.1\r\n{LINES}{token}\r\n")).await
    };
    assert_eq!(list("abc").await.told(), expect(503, "overloaded"));
    assert_eq!(list("another").await.status, 200);
}

/// Pages that are held here take the same memory as those that a client is slow to read.
#[tokio::test]
async fn answers_that_are_not_read_take_only_so_much_memory() {
    let server = app(Limits::default(), STOP, None);
    let home = tempfile::tempdir().expect("a directory");
    let conversations = conversations(&home, None).await;
    server.open(conversations.clone());
    let asked = Server::run(server.clone(), conversations, home).await;
    let page_of =
        |client: &str| server.state.answer_memory(&client.into()).reserve_next().now_or_never();
    let mut pages: Vec<_> = std::iter::from_fn(|| page_of("")).take(100).collect();
    assert_eq!(pages.len(), 8, "four megabytes each: half of the budget");
    assert!(page_of("another").is_some(), "others have their share");
    // Together, because each waits a while for its memory.
    let paths = ["/conversations", "/conversations?limit=5"];
    let refused = futures_util::future::join_all(paths.map(|path| asked.get(path))).await;
    for (path, refused) in paths.iter().zip(refused) {
        assert_eq!(refused.told(), expect(503, "overloaded"), "{path}");
        assert!(refused.head.contains("retry-after: 1"), "{path}: {}", refused.head);
    }
    pages.pop();
    assert_eq!(asked.get("/conversations").await.status, 200);
}
