//! The client against responses of servers, proxies and other programs.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::domain::SendRequest;

const KEY: &str = "order-17";
const NUMBER: &str = "+12125551234";

fn key() -> IdempotencyKey {
    IdempotencyKey::parse(KEY).expect("a good key")
}

fn draft(to: &str) -> Draft {
    let request = SendRequest { message: Some("Hi".into()), ..SendRequest::default() };
    Draft::new(to, request).expect("a good request")
}

/// A server that writes a response to one connection, byte for byte, and closes it. Its handle
/// returns the request.
async fn respond(raw: impl Into<String>) -> (Client, JoinHandle<String>) {
    let raw = raw.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let client = Client::new(&format!("http://{address}"), Some(&Secret::new("t0ken")));
    let request = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = Vec::new();
        while !is_complete(&request) {
            let read = stream.read_buf(&mut request).await.expect("a request");
            assert_ne!(read, 0, "the client disconnected early");
        }
        stream.write_all(raw.as_bytes()).await.expect("a response");
        String::from_utf8(request).expect("a readable request")
    });
    (client.expect("a client"), request)
}

fn is_complete(request: &[u8]) -> bool {
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
    let (client, _server) = respond(raw).await;
    client.list(&Listing::default(), None, 10).await.expect_err("a failure")
}

async fn sending(raw: impl Into<String>) -> Error {
    let (client, _server) = respond(raw).await;
    client.send(&draft(NUMBER), Some(&key())).await.expect_err("a failure")
}

/// A client of an address where nothing listens.
async fn unreachable() -> Client {
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
async fn a_send_has_the_token_the_key_and_the_body() {
    let (client, server) = respond(json("201 Created", &message("queued"))).await;
    let sent = client.send(&draft("+1 212 555 1234"), None).await.expect("sent");
    let written = server.await.expect("a request");
    assert!(written.starts_with("POST /conversations/%2B12125551234/send HTTP/1.1\r\n"));
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
async fn an_unknown_outcome_reported_by_the_server_is_a_result() {
    let (client, _server) = respond(json("202 Accepted", &message("unknown"))).await;
    let sent = client.send(&draft(NUMBER), Some(&key())).await.expect("a response");
    assert_eq!(sent.message.status.as_str(), "unknown");
    assert_eq!(sent.idempotency_key, key());
}

#[tokio::test]
async fn errors_of_the_server_are_the_same_as_local_ones() {
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
    let (client, _server) = respond(json("404 Not Found", missing)).await;
    let error = client.find(&Selector::new("+1")).await.expect_err("no such thread");
    assert_eq!(error.exit_code(), 3);
}

#[tokio::test]
async fn an_unreachable_server_means_that_nothing_was_sent() {
    let client = unreachable().await;
    for error in [
        client.list(&Listing::default(), None, 1).await.expect_err("unreachable"),
        client.send(&draft(NUMBER), None).await.expect_err("unreachable"),
    ] {
        assert_eq!((error.code(), error.exit_code()), (Code::ServerUnreachable, 5));
        assert!(error.to_string().contains("http://127.0.0.1:"), "{error}");
        assert!(error.to_string().contains("refused"), "{error}");
    }
}

#[tokio::test]
async fn an_incomplete_response_is_5_for_a_read_and_9_for_a_send() {
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
async fn another_program_is_not_mistaken_for_convo() {
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
async fn a_proxy_without_its_server_is_5_for_a_read_and_9_for_a_send() {
    let page = http("502 Bad Gateway", "text/html", "<html>502</html>");
    assert_eq!(listing(page.as_str()).await.exit_code(), 5);
    assert_eq!(sending(page).await.exit_code(), 9);
}

#[tokio::test]
async fn a_refused_token_is_hinted_at_by_its_variable() {
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
async fn an_unknown_error_of_a_newer_server_is_passed_on() {
    let body = r#"{"error":"the moon is full","code":"full_moon"}"#;
    let error = listing(json("400 Bad Request", body)).await;
    assert_eq!(error.code(), Code::ServerMismatch);
    assert!(error.to_string().ends_with(": the moon is full"), "{error}");
    assert!(error.to_string().contains("http://127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn names_that_would_change_the_path_are_not_requested() {
    let client = unreachable().await;
    for name in ["", ".", ".."] {
        let error = client.find(&Selector::new(name)).await.expect_err("no such thread");
        assert_eq!(error.code(), Code::ConversationNotFound, "{name}");
    }
}

#[tokio::test]
async fn a_silent_server_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let client = Client::new(&format!("http://{address}"), None).expect("a client");
    let wait = Duration::from_millis(50);
    let request = client.http.get(client.address.join(&["messages"])).timeout(wait);
    let error = client.run::<Vec<Message>>(request).await.expect_err("a timeout");
    assert_eq!(error.exit_code(), 5);
    let post = client.post_send(&draft(NUMBER)).timeout(wait);
    let key = key();
    let exchange = Exchange::send(client.address.as_str(), &key);
    let error = exchange.run::<Message>(post).await.expect_err("a timeout");
    assert_eq!(error.exit_code(), 9);
    drop(listener);
}

#[test]
fn the_token_is_never_shown() {
    let client = Client::new("http://localhost:1", Some(&Secret::new("t0ken"))).expect("a client");
    assert!(!format!("{client:?}").contains("t0ken"));
    let error = Client::new("http://localhost:1", Some(&Secret::new("a\nb"))).expect_err("refused");
    assert_eq!(error.exit_code(), 4);
}
