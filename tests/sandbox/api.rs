//! Requests and their answers.

use convo::sandbox::Behaviour;
use convo::secret::Secret;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{DEADLINE, Play, answer, code, message};

const CONTACT: &str = "+12125551234";

#[tokio::test]
async fn an_accepted_message_is_returned_in_full() {
    let play = Play::start().await;
    let body =
        json!({"from": "+12025550100", "to": CONTACT, "text": "Hi [you]", "tags": ["convo:7"]});
    let sent = play.post(None, body.to_string()).send().await.expect("an answer");
    let (status, body) = answer(sent).await;
    assert_eq!(status, StatusCode::OK);
    let data = &body["data"];
    assert_eq!(data["to"][0]["status"], "queued");
    assert_eq!(data["to"][0]["phone_number"], CONTACT);
    assert_eq!(data["from"]["phone_number"], "+12025550100");
    assert_eq!((&data["encoding"], &data["parts"]), (&json!("GSM-7"), &json!(1)));
    assert_eq!((&data["num_chars"], &data["tags"]), (&json!(8), &json!(["convo:7"])));
    assert_eq!(data["cost"], json!({"amount": "0.0051", "currency": "USD"}));
    assert_eq!(data["errors"], json!([]));
}

#[tokio::test]
async fn a_scheduled_message_waits() {
    let play = Play::start().await;
    let at = (chrono::Utc::now() + chrono::TimeDelta::minutes(5)).to_rfc3339();
    let body = json!({"from": "+12025550100", "to": CONTACT, "text": "Later", "send_at": at});
    let sent = play.post(None, body.to_string()).send().await.expect("an answer");
    let (status, body) = answer(sent).await;
    assert_eq!((status, &body["data"]["to"][0]["status"]), (StatusCode::OK, &json!("scheduled")));
    // One that is sent at once runs its whole life meanwhile.
    play.send(CONTACT, "Now").await;
    play.receiver.first(3).await;
    let (_, body) = play.show(body["data"]["id"].as_str().expect("an id")).await;
    assert_eq!(body["data"]["to"][0]["status"], "scheduled");
}

#[tokio::test]
async fn a_request_without_a_key_is_unauthorized() {
    let play = Play::with(|options| options.api_key = Some(Secret::new("KEY0123"))).await;
    assert_eq!(play.send(CONTACT, "Hello").await.0, StatusCode::OK);
    for header in [None, Some("Bearer "), Some("Basic KEY0123"), Some("Bearer KEY01234")] {
        let mut request = play.client.post(play.url("/messages")).body(message(CONTACT, "Hello"));
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        let (status, body) = answer(request.send().await.expect("an answer")).await;
        assert_eq!((status, code(&body)), (StatusCode::UNAUTHORIZED, "10009"), "{header:?}");
    }
    let request = play.client.get(play.url("/messages/x")).send().await.expect("an answer");
    assert_eq!(request.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_bad_request_is_refused_with_telnyxs_code() {
    let play = Play::start().await;
    let long = message(CONTACT, &"a".repeat(1_531));
    for (body, status, expected) in [
        ("{\"to\":".to_owned(), 400, "10023"),
        ("[]".to_owned(), 400, "10015"),
        (message("2125551234", "Hello"), 422, "40310"),
        (message(CONTACT, ""), 422, "40316"),
        (long, 422, "40302"),
        ("x".repeat((1 << 20) + 1), 413, "10015"),
    ] {
        let sent = play.post(None, body).send().await.expect("an answer");
        let (got, body) = answer(sent).await;
        assert_eq!((got.as_u16(), code(&body)), (status, expected));
        assert!(body["errors"][0]["title"].is_string() && body["errors"][0]["detail"].is_string());
    }
    assert!(play.receiver.so_far().is_empty());
}

#[tokio::test]
async fn unknown_routes_are_answered_in_telnyxs_envelope() {
    let play = Play::start().await;
    let request = |method, path: &str| play.client.request(method, play.url(path));
    let unknown = request(reqwest::Method::GET, "/nowhere").send().await.expect("an answer");
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert_eq!(code(&unknown.json::<Value>().await.expect("JSON")), "10005");
    let wrong = request(reqwest::Method::PUT, "/messages").send().await.expect("an answer");
    assert_eq!(wrong.status(), StatusCode::METHOD_NOT_ALLOWED);
    for id in ["nonsense", "00000000-0000-4000-8000-000000000000"] {
        let (status, body) = play.show(id).await;
        assert_eq!((status, code(&body)), (StatusCode::NOT_FOUND, "40303"));
    }
    let form = request(reqwest::Method::POST, "/messages").header("content-type", "text/plain");
    let form = form.body("to=1").send().await.expect("an answer");
    assert_eq!(form.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn the_same_key_and_bytes_send_once() {
    let play = Play::start().await;
    let body = message(CONTACT, "Hello");
    let first = answer(play.post(Some("k:1"), body.clone()).send().await.expect("sent")).await;
    let again = answer(play.post(Some("k:1"), body.clone()).send().await.expect("sent")).await;
    assert_eq!(first.0, StatusCode::OK);
    assert_eq!(first, again);
    let other = answer(play.post(Some("k:2"), body).send().await.expect("sent")).await;
    assert_ne!(first.1["data"]["id"], other.1["data"]["id"]);
    let events = play.receiver.first(6).await;
    assert_eq!(events.iter().filter(|one| one.event() == "message.received").count(), 2);
}

#[tokio::test]
async fn the_same_key_with_other_bytes_is_refused() {
    let play = Play::start().await;
    play.post(Some("k"), message(CONTACT, "Hello")).send().await.expect("sent");
    // Even a space more is another request.
    let other = play.post(Some("k"), message(CONTACT, "Hello") + " ").send().await.expect("sent");
    let (status, body) = answer(other).await;
    assert_eq!((status, code(&body)), (StatusCode::UNPROCESSABLE_ENTITY, "10027"));
}

#[tokio::test]
async fn a_refusal_leaves_its_key_free() {
    let play = Play::start().await;
    let refused = play.post(Some("k"), message(CONTACT, "")).send().await.expect("an answer");
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let accepted = play.post(Some("k"), message(CONTACT, "Hello")).send().await.expect("sent");
    assert_eq!(accepted.status(), StatusCode::OK);
}

#[tokio::test]
async fn repeats_at_the_same_time_send_once() {
    let play = Play::start().await;
    let requests = (0..16).map(|_| play.post(Some("k"), message(CONTACT, "Hello")).send());
    let mut ids = Vec::new();
    for response in futures_util::future::join_all(requests).await {
        ids.push(answer(response.expect("sent")).await.1["data"]["id"].clone());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[tokio::test]
async fn an_invalid_key_is_refused() {
    let play = Play::start().await;
    for key in ["", "a b", "\"quoted\"", &"k".repeat(256)] {
        let sent = play.post(Some(key), message(CONTACT, "Hello")).send().await.expect("an answer");
        assert_eq!(sent.status(), StatusCode::BAD_REQUEST, "{key}");
    }
}

#[tokio::test]
async fn it_lists_the_requests_that_it_received() {
    let play = Play::start().await;
    play.post(Some("k"), message(CONTACT, "Hello")).send().await.expect("sent");
    play.show("nonsense").await;
    let asked = play.sandbox.requests();
    assert_eq!(asked.len(), 2);
    assert_eq!((asked[0].method.as_str(), asked[0].path.as_str()), ("POST", "/v2/messages"));
    assert_eq!(asked[0].idempotency_key.as_deref(), Some("k"));
    assert_eq!(asked[0].body, message(CONTACT, "Hello"));
    assert_eq!(
        (asked[1].method.as_str(), asked[1].path.as_str()),
        ("GET", "/v2/messages/nonsense")
    );
    let url = play.sandbox.base_url().replace("/v2", "/sandbox/requests");
    let (_, told) = answer(play.client.get(url).send().await.expect("an answer")).await;
    assert_eq!(told[0]["body"], json!(message(CONTACT, "Hello")));
    assert_eq!(
        (&told[0]["idempotency_key"], told.as_array().map(Vec::len)),
        (&json!("k"), Some(2))
    );
}

#[tokio::test]
async fn a_stop_cuts_off_requests_that_are_never_answered() {
    let play = Play::start().await;
    let hanging = play.post(None, message(Behaviour::AnswerLost.number(), "Hello")).send();
    let hanging = tokio::spawn(hanging);
    play.receiver.first(2).await;
    play.shutdown.cancel();
    tokio::time::timeout(DEADLINE, play.sandbox.stopped()).await.expect("it ends");
    assert!(hanging.await.expect("no panic").is_err());
    assert!(play.client.get(play.url("/messages/x")).send().await.is_err());
}

#[tokio::test]
async fn malformed_requests_do_not_stop_it() {
    let play = Play::start().await;
    let address = play.sandbox.base_url();
    let address = address.trim_start_matches("http://").trim_end_matches("/v2");
    for raw in [
        "CONNECT example.com:443 HTTP/1.1\r\nhost: x\r\n\r\n",
        "\0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    ] {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("connected");
        stream.write_all(raw.as_bytes()).await.expect("written");
        let mut answer = vec![0; 16];
        let read = tokio::time::timeout(DEADLINE, stream.read(&mut answer)).await;
        assert!(read.expect("in time").is_ok());
        assert!(String::from_utf8_lossy(&answer).contains(" 40"), "{raw}: {answer:?}");
    }
    assert_eq!(play.send(CONTACT, "Hello").await.0, StatusCode::OK);
}
