//! The client against answers that a server, a proxy or another program may give.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::domain::Timestamp;

const KEY: &str = "order-17";
const NUMBER: &str = "+12125551234";

/// A server that gives one connection one answer, byte for byte, and hangs up. Its handle ends
/// with the request it got.
async fn answer(raw: impl Into<String>) -> (Client, JoinHandle<String>) {
    let raw = raw.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let client = Client::new(&format!("http://{address}"), Some(&Secret::new("t0ken")));
    let request = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = Vec::new();
        while !is_whole(&request) {
            let read = stream.read_buf(&mut request).await.expect("a request");
            assert_ne!(read, 0, "the client hung up early");
        }
        stream.write_all(raw.as_bytes()).await.expect("an answer");
        String::from_utf8(request).expect("a readable request")
    });
    (client.expect("a client"), request)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| body.len() >= length.parse().expect("a length"))
}

fn http(status: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn json(status: &str, body: &str) -> String {
    http(status, "application/json", body)
}

async fn listing(raw: impl Into<String>) -> Error {
    let (client, _server) = answer(raw).await;
    client.list(&Listing::default(), None, 10).await.expect_err("a failure")
}

async fn sending(raw: impl Into<String>) -> Error {
    let (client, _server) = answer(raw).await;
    client.send(NUMBER, &SendRequest::default(), Some(KEY)).await.expect_err("a failure")
}

/// An address at which nobody listens.
async fn nobody() -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    Client::new(&format!("http://{address}"), None).expect("a client")
}

fn message(status: &str) -> String {
    serde_json::json!({
        "id": "8f1c5e2a-3b4d-4f6a-9c8e-1d2f3a4b5c6d",
        "conversation_id": "b2c3d4e5-6f70-4819-a2b3-c4d5e6f70819",
        "direction": "outbound", "from": "+15551234567", "to": NUMBER, "body": "Hi",
        "status": status, "created_at": "2026-06-18T14:30:00.000000Z",
        "cc": [], "media": [],
    })
    .to_string()
}

#[tokio::test]
async fn a_send_carries_token_key_and_body() {
    let (client, server) = answer(json("201 Created", &message("queued"))).await;
    let request = SendRequest { message: Some("Hi".into()), ..SendRequest::default() };
    let sent = client.send("+1 212 555 1234", &request, None).await.expect("sent");
    let written = server.await.expect("a request");
    assert!(written.starts_with("POST /conversations/%2B1%20212%20555%201234/send HTTP/1.1\r\n"));
    for line in [
        "authorization: Bearer t0ken",
        "content-type: application/json",
        &format!("idempotency-key: {}", sent.idempotency_key),
    ] {
        assert!(written.contains(line), "{line} is missing in {written}");
    }
    assert!(written.ends_with(r#"{"message":"Hi"}"#), "{written}");
    assert_eq!(sent.message.body, "Hi");
}

#[tokio::test]
async fn an_unknown_outcome_told_by_the_server_is_an_answer() {
    let (client, _server) = answer(json("202 Accepted", &message("unknown"))).await;
    let sent = client.send(NUMBER, &SendRequest::default(), Some(KEY)).await.expect("an answer");
    assert_eq!(sent.message.status.as_str(), "unknown");
    assert_eq!(sent.idempotency_key, KEY);
}

#[tokio::test]
async fn the_servers_refusals_are_told_as_they_would_be_here() {
    let opted_out = r#"{"error":"the contact has opted out","code":"opted_out","hint":"wait"}"#;
    let error = sending(json("403 Forbidden", opted_out)).await;
    assert_eq!((error.code(), error.exit_code()), (Code::OptedOut, 7));
    assert_eq!(
        (error.to_string().as_str(), error.hint_text()),
        ("the contact has opted out", Some("wait"))
    );

    let limited = r#"{"error":"slow down","code":"rate_limited","retry_after":7}"#;
    let error = sending(json("429 Too Many Requests", limited)).await;
    assert_eq!((error.code(), error.extra().retry_after), (Code::RateLimited, Some(7)));

    let missing = r#"{"error":"Conversation not found","code":"conversation_not_found"}"#;
    let (client, _server) = answer(json("404 Not Found", missing)).await;
    let error = client.find(&Selector::new("+1")).await.expect_err("no such thread");
    assert_eq!(error.exit_code(), 3);
}

#[tokio::test]
async fn nobody_there_means_nothing_was_sent() {
    let client = nobody().await;
    for error in [
        client.list(&Listing::default(), None, 1).await.expect_err("nobody"),
        client.send(NUMBER, &SendRequest::default(), None).await.expect_err("nobody"),
    ] {
        assert_eq!((error.code(), error.exit_code()), (Code::ServerUnreachable, 5));
        assert!(error.to_string().contains("http://127.0.0.1:"), "{error}");
        assert!(error.to_string().contains("refused"), "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_5_for_reading_and_9_for_a_send() {
    for raw in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n[\r\n",
    ] {
        let error = listing(raw).await;
        assert_eq!((error.code(), error.exit_code()), (Code::ServerUnreachable, 5), "{raw}");
        let error = sending(raw).await;
        assert_eq!((error.code(), error.exit_code()), (Code::OutcomeUnknown, 9), "{raw}");
        assert_eq!(error.extra().idempotency_key.as_deref(), Some(KEY));
        assert!(error.hint_text().is_some_and(|hint| hint.contains(KEY)));
    }
}

#[tokio::test]
async fn another_program_is_not_taken_for_convo() {
    let page = http("200 OK", "text/html", "<html>It works!</html>");
    let error = listing(page.as_str()).await;
    assert_eq!((error.code(), error.exit_code()), (Code::ServerMismatch, 4));
    assert!(error.to_string().contains("127.0.0.1") && error.to_string().contains("200"));
    assert_eq!(sending(page).await.code(), Code::OutcomeUnknown);
    assert_eq!(listing(json("200 OK", r#"{"hello":"world"}"#)).await.code(), Code::ServerMismatch);
    let missing = http("404 Not Found", "text/html", "<html>nothing here</html>");
    assert_eq!(sending(missing).await.code(), Code::ServerMismatch);
}

#[tokio::test]
async fn a_proxy_without_its_server_is_5_for_reading_and_9_for_a_send() {
    let page = http("502 Bad Gateway", "text/html", "<html>502</html>");
    assert_eq!(listing(page.as_str()).await.exit_code(), 5);
    assert_eq!(sending(page).await.exit_code(), 9);
}

#[tokio::test]
async fn a_refused_token_names_its_variable() {
    let error = listing(http("401 Unauthorized", "text/html", "<html>no</html>")).await;
    assert_eq!((error.code(), error.exit_code()), (Code::Unauthorized, 4));
    assert!(error.hint_text().is_some_and(|hint| hint.contains("CONVO_API_TOKEN")));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let raw = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(listing(raw).await.code(), Code::ServerMismatch);
    assert_eq!(sending(raw).await.code(), Code::ServerMismatch);
}

#[tokio::test]
async fn a_newer_servers_words_are_passed_on() {
    let body = r#"{"error":"the moon is full","code":"full_moon"}"#;
    let error = listing(json("400 Bad Request", body)).await;
    assert_eq!(error.code(), Code::ServerMismatch);
    assert!(error.to_string().ends_with(": the moon is full"), "{error}");
    assert!(error.to_string().contains("http://127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn names_that_would_be_another_address_are_not_asked_for() {
    let client = nobody().await;
    for name in ["", ".", ".."] {
        let error = client.find(&Selector::new(name)).await.expect_err("no such thread");
        assert_eq!(error.code(), Code::ConversationNotFound, "{name}");
        let error = client.send(name, &SendRequest::default(), None).await.expect_err("no number");
        assert_eq!(error.code(), Code::InvalidNumber, "{name}");
    }
}

#[tokio::test]
async fn windows_travel_as_parameters() {
    let id = Uuid::from_u128(7);
    let query = |window| {
        let pairs = window_query(window, 10).into_iter();
        pairs.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    };
    assert_eq!(query(Window::Newest { before: None, limit: 10 }), "limit=10");
    let before = "limit=10&before=00000000-0000-0000-0000-000000000007";
    let place = Some(Place::Message(id));
    assert_eq!(query(Window::Newest { before: place, limit: 10 }), before);
    let time = Some(Place::Time(Timestamp::from_micros(0)));
    let before = "limit=10&before=1970-01-01T00:00:00.000000Z";
    assert_eq!(query(Window::Newest { before: time, limit: 10 }), before);
    let beginning = "limit=10&after=00000000-0000-0000-0000-000000000000";
    assert_eq!(query(Window::Oldest { after: None, limit: 10 }), beginning);
}

#[tokio::test]
async fn a_silent_server_is_left_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let client = Client::new(&format!("http://{address}"), None).expect("a client");
    let wait = Duration::from_millis(50);
    let request = client.http.get(client.address.join(&["messages"])).timeout(wait);
    let asked = client.exchange::<Vec<Message>>(request).await.expect_err("silence");
    assert_eq!(asked.exit_code(), 5);
    let post = client.post_send(NUMBER, &SendRequest::default()).expect("a request").timeout(wait);
    let exchange = Exchange::sending(client.address.as_str(), KEY);
    let error = exchange.run::<Message>(post).await.expect_err("silence");
    assert_eq!(error.exit_code(), 9);
    drop(listener);
}

#[test]
fn the_token_is_never_shown() {
    let client = Client::new("http://localhost:1", Some(&Secret::new("t0ken"))).expect("a client");
    assert!(!format!("{client:?}").contains("t0ken"));
    let broken =
        Client::new("http://localhost:1", Some(&Secret::new("a\nb"))).expect_err("refused");
    assert_eq!(broken.exit_code(), 4);
}
