//! What every caller gets before the threads are asked.

use super::*;
use crate::domain::{Listing, Selector};
use crate::error::Code;

#[tokio::test]
async fn health_is_open_and_exact() {
    let server = Server::start().await;
    let answer = server.raw("GET /health HTTP/1.0\r\n\r\n").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"ok"}"#));
    let head = server.raw(format!("HEAD /health HTTP/1.1\r\n{LINES}\r\n")).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[tokio::test]
async fn what_is_nowhere_is_404_in_the_same_shape() {
    let server = Server::start().await;
    for line in [
        "GET /",
        "GET /nothing",
        "GET //",
        "GET /webhooks",
        "POST /conversations//send",
        "GET /conversations/a/b/c",
        "OPTIONS *",
        "CONNECT example.com:443",
        "GET http://localhost/nothing",
    ] {
        let answer = server.raw(format!("{line} HTTP/1.1\r\n{LINES}\r\n")).await;
        assert_eq!(answer.told(), expect(404, "not_found"), "{line}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_and_names_the_right_ones() {
    let server = Server::start().await;
    for (line, allow) in [
        ("GET /webhooks/sms", "post"),
        ("POST /health", "get, head"),
        ("DELETE /conversations", "get, head"),
        ("PUT /conversations/+12125551234", "get, head"),
        ("GET /conversations/+12125551234/send", "post"),
        ("PATCH /messages/1", "get, head"),
        ("POST /health/ready", "get, head"),
    ] {
        let answer = server.raw(format!("{line} HTTP/1.1\r\n{LINES}\r\n")).await;
        assert_eq!(answer.told(), expect(405, "method_not_allowed"), "{line}");
        assert!(answer.head.contains(&format!("allow: {allow}")), "{line}: {}", answer.head);
    }
}

#[tokio::test]
async fn a_webhook_without_a_good_signature_is_refused() {
    let server = Server::start().await;
    let refusal = r#"{"error":"invalid signature","code":"invalid_signature"}"#;
    let plain = server.post("/webhooks/sms", "x-forwarded-for: 192.0.2.1\r\n", "{}").await;
    assert_eq!((plain.status, plain.body.as_str()), (401, refusal));
    let chunked = "transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    let chunked = server.raw(format!("POST /webhooks/sms HTTP/1.1\r\n{LINES}{chunked}")).await;
    assert_eq!((chunked.status, chunked.body.as_str()), (401, refusal));
    let empty = server.raw(format!("POST /webhooks/sms HTTP/1.1\r\n{LINES}\r\n")).await;
    assert_eq!((empty.status, empty.body.as_str()), (401, refusal));
}

#[tokio::test]
async fn a_body_over_1_mib_is_413() {
    let server = Server::start().await;
    let large = "x".repeat(Limits::default().body + 1);
    let signature = fresh_signature();
    for path in ["/webhooks/sms", "/conversations/+12125551234/send"] {
        let answer = server.post_json(path, &large).await;
        assert_eq!(answer.told(), expect(413, "payload_too_large"), "{path}");
    }
    let head =
        format!("POST /webhooks/sms HTTP/1.1\r\n{LINES}{signature}transfer-encoding: chunked\r\n");
    let chunked = format!("{head}\r\n{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    assert_eq!(server.raw(chunked).await.told(), expect(413, "payload_too_large"));
}

/// Nobody waits for the body of a webhook whose head is refused anyway.
#[tokio::test]
async fn what_the_head_condemns_is_answered_before_the_body() {
    let server = Server::start().await;
    let stale = signature_lines(clock::now().as_micros() / 1_000_000 - 301);
    let fresh = fresh_signature();
    for (lines, expected) in [
        ("content-length: 9\r\n".to_owned(), (401, "invalid_signature")),
        ("transfer-encoding: chunked\r\n".to_owned(), (401, "invalid_signature")),
        (format!("{stale}content-length: 9\r\n"), (401, "invalid_signature")),
        (format!("{fresh}content-length: 99999999\r\n"), (413, "payload_too_large")),
        (
            format!("{fresh}content-encoding: gzip\r\ncontent-length: 9\r\n"),
            (415, "unsupported_media_type"),
        ),
    ] {
        let mut stream = server.connect().await;
        let head = format!("POST /webhooks/sms HTTP/1.1\r\n{LINES}{lines}\r\n");
        stream.write_all(head.as_bytes()).await.expect("a head");
        let since = Instant::now();
        assert_eq!(
            Answer::read(&mut stream).await.told(),
            expect(expected.0, expected.1),
            "{lines}"
        );
        assert!(since.elapsed() < Limits::default().webhook_time, "{lines}");
    }
}

#[tokio::test]
async fn an_encoded_body_is_415() {
    let server = Server::start().await;
    let json = "content-type: application/json\r\n";
    let send = "/conversations/+12125551234/send?dry_run=true";
    for encoding in ["gzip", "br", "identity, gzip", ""] {
        let lines = format!("{json}content-encoding: {encoding}\r\n");
        for path in ["/webhooks/sms", send] {
            let answer = server.post(path, &lines, "{}").await;
            assert_eq!(answer.told(), expect(415, "unsupported_media_type"), "{path} {encoding}");
        }
    }
    let plain = server.post(send, &format!("{json}content-encoding: identity\r\n"), "{}").await;
    assert_eq!(plain.told(), expect(400, "invalid_request"));
}

#[tokio::test]
async fn a_token_guards_all_but_the_webhook_and_health() {
    let server = Server::with_token("t0ken").await;
    for path in ["/conversations", "/conversations/1", "/messages/1", "/metrics"] {
        let answer = server.get(path).await;
        assert_eq!(answer.told(), expect(401, "unauthorized"), "{path}");
        assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
    }
    let wrong = "authorization: Bearer other\r\n";
    let answer = server.post("/conversations/1/send", wrong, "{}").await;
    assert_eq!(answer.told(), expect(401, "unauthorized"));
    let good = "authorization: Bearer t0ken\r\n";
    let answer = server.post("/conversations/1/send", good, "nonsense").await;
    assert_eq!(answer.told(), expect(400, "invalid_request"));
    let form = format!("{good}content-type: text/plain\r\n");
    let answer = server.post("/conversations/1/send", &form, "{}").await;
    assert_eq!(answer.told(), expect(415, "unsupported_media_type"));
    assert_eq!(server.get("/health").await.status, 200);
}

#[tokio::test]
async fn without_a_token_only_local_programs_are_served() {
    let server = Server::start().await;
    for line in ["host: evil.example", "host: localhost\r\nx-forwarded-for: 127.0.0.1"] {
        let request = format!("GET /conversations HTTP/1.1\r\n{line}\r\nconnection: close\r\n\r\n");
        let answer = server.raw(request).await;
        assert_eq!(answer.told(), expect(403, "forbidden"), "{line}");
        assert!(answer.body.contains("CONVO_API_TOKEN"), "{}", answer.body);
    }
    let answer =
        server.raw(format!("GET http://evil.example/conversations HTTP/1.1\r\n{LINES}\r\n"));
    assert_eq!(answer.await.told(), expect(403, "forbidden"));
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    let answer = server.post("/conversations/+12125551234/send", form, "{}").await;
    assert_eq!(answer.told(), expect(415, "unsupported_media_type"));
}

#[tokio::test]
async fn nonsense_is_400_and_says_where() {
    let server = Server::start().await;
    let send = "/conversations/+12125551234/send";
    let answer = server.post_json(send, "{\"message\":}").await;
    assert_eq!(answer.told(), expect(400, "invalid_request"));
    assert!(answer.body.contains("line 1, column 12"), "{}", answer.body);
    for path in [
        "/conversations?limit=0",
        "/conversations?after=here",
        "/conversations/%00",
        "/conversations/a%00b?limit=5",
        "/conversations/1?before=2&limit=5",
        "/messages/%00",
    ] {
        assert_eq!(server.get(path).await.told(), expect(400, "invalid_request"), "{path}");
    }
    let typo = server.get("/conversations?limt=5").await;
    assert_eq!(typo.told(), expect(400, "unknown_parameter"));
    for path in ["/conversations/%00/send", "/conversations/1/send?dry_run=yes"] {
        let answer = server.post_json(path, "{}").await;
        assert_eq!(answer.told(), expect(400, "invalid_request"), "{path}");
    }
    let lines = "content-type: application/json\r\nidempotency-key: a b\r\n";
    assert_eq!(server.post(send, lines, "{}").await.told(), expect(400, "invalid_request"));
    assert_eq!(server.get("/messages/1").await.told(), expect(404, "message_not_found"));
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    let twice = "GET /health HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2);
    stream.write_all(twice.as_bytes()).await.expect("two requests");
    stream.write_all(format!("GET /x HTTP/1.1\r\n{LINES}\r\n").as_bytes()).await.expect("a third");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.expect("answers");
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 404").count(), 1, "{answers}");
}

#[tokio::test]
async fn the_client_tells_the_servers_refusals() {
    let server = Server::with_token("t0ken").await;
    let client = |token: Option<&str>| {
        let token = token.map(Secret::new);
        Client::new(&format!("http://{}", server.address), token.as_ref()).expect("a client")
    };
    for token in [None, Some("other")] {
        let error = client(token).list(&Listing::default(), None, 1).await.expect_err("refused");
        assert_eq!((error.code(), error.exit_code()), (Code::Unauthorized, 4));
        assert!(error.hint_text().is_some_and(|hint| hint.contains("CONVO_API_TOKEN")));
    }
    let error = client(Some("t0ken")).find(&Selector::new("a\0b")).await.expect_err("refused");
    assert_eq!((error.code(), error.exit_code()), (Code::InvalidRequest, 2));
}

#[tokio::test]
async fn every_answer_carries_the_id_of_its_request() {
    let server = Server::with_token("secret").await;
    for path in ["/health", "/conversations", "/nowhere"] {
        let request = format!("GET {path} HTTP/1.1\r\n{LINES}x-request-id: Mine-7\r\n\r\n");
        let answer = server.raw(request).await;
        assert!(answer.head.contains("\r\nx-request-id: mine-7"), "{path}: {}", answer.head);
        let answer = server.get(path).await;
        assert!(answer.head.contains("\r\nx-request-id: "), "{path}: {}", answer.head);
    }
}
