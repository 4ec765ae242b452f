//! Threads as they grow through the server, read back through it and through the client.

use serde_json::{Value, json};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::*;
use crate::domain::{Draft, Listing, Place, SendRequest, Status, Timestamp, Window};
use crate::error::Code;

const EVENT: &str = include_str!("../../../tests/telnyx/events/inbound_sms.json");
const CONTACT: &str = "+12125551234";

/// The `n`th inbound message, from a contact.
fn inbound(n: u32, from: &str) -> String {
    let mut event: Value = serde_json::from_str(EVENT).expect("an event");
    let payload = &mut event["data"]["payload"];
    payload["id"] = json!(format!("message-{n}"));
    payload["text"] = json!(format!("Text {n}"));
    payload["from"]["phone_number"] = json!(from);
    payload["received_at"] = json!(format!("2026-11-22T13:00:{n:02}.000000Z"));
    event["data"]["id"] = json!(format!("event-{n}"));
    event.to_string()
}

fn hello() -> Draft {
    let request = SendRequest { message: Some("Hello".into()), ..SendRequest::default() };
    Draft::new(CONTACT, request).expect("a good request")
}

/// A Telnyx that takes one message and answers it once it is let go.
async fn telnyx() -> (SocketAddr, oneshot::Receiver<()>, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let ((offered, was_offered), (let_go, gate)) = (oneshot::channel(), oneshot::channel());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("an offer");
        let mut request = vec![0; 64 * 1024];
        let _ = stream.read(&mut request).await.expect("a request");
        offered.send(()).expect("the test waits");
        gate.await.expect("the test lets go");
        let to = json!([{ "phone_number": CONTACT, "status": "queued" }]);
        let body = json!({ "data": { "id": "telnyx-1", "direction": "outbound", "to": to } });
        let body = body.to_string();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
        let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.expect("an answer");
    });
    (address, was_offered, let_go)
}

#[tokio::test]
async fn a_signed_webhook_is_stored_once_and_read_back() {
    let server = Server::start().await;
    let event = inbound(1, CONTACT);
    for word in ["stored", "duplicate"] {
        let answer = server.webhook(&event).await;
        let expected = format!("{{\"status\":\"{word}\"}}");
        assert_eq!((answer.status, answer.body), (200, expected));
    }
    for name in ["+12125551234", "%2B12125551234", "%2B1%20(212)%20555-1234"] {
        let answer = server.get(&format!("/conversations/{name}")).await;
        let thread: Value = serde_json::from_str(&answer.body).expect(&answer.body);
        assert_eq!(thread["contact_number"], CONTACT, "{name}");
        assert_eq!(thread["messages"][0]["body"], "Text 1", "{name}");
        assert_eq!(thread["messages"].as_array().map(Vec::len), Some(1));
    }
    let missing = server.get("/conversations/+12125550000").await;
    assert_eq!(missing.told(), expect(404, "conversation_not_found"));
    assert!(missing.body.starts_with(r#"{"error":"Conversation not found","#), "{}", missing.body);
}

#[tokio::test]
async fn only_fresh_signed_events_count() {
    let server = Server::start().await;
    let now = clock::now().as_micros() / 1_000_000;
    for seconds in [now - 600, now + 600] {
        let answer = server.signed_at(seconds, &inbound(1, CONTACT)).await;
        assert_eq!(answer.told(), expect(401, "invalid_signature"));
    }
    assert_eq!(
        server.webhook(r#"{"not":"an event"}"#).await.told(),
        expect(400, "invalid_request")
    );
    assert_eq!(server.get("/conversations").await.body, "[]");
}

#[tokio::test]
async fn pages_follow_their_links_to_the_end() {
    let server = Server::start().await;
    for n in 1..=5 {
        let answer = server.webhook(&inbound(n, &format!("+1212555000{n}"))).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let all = server.get("/conversations").await;
    let all: Vec<Value> = serde_json::from_str(&all.body).expect("an array");
    let (mut paged, mut next) = (Vec::new(), Some("/conversations?limit=2".to_owned()));
    while let Some(path) = next {
        let page = server.get(&path).await;
        let rows: Vec<Value> = serde_json::from_str(&page.body).expect("an array");
        assert!((1..=2).contains(&rows.len()), "{}", page.body);
        paged.extend(rows);
        let link = page.head.lines().find_map(|line| line.strip_prefix("link: <"));
        let query = link.and_then(|link| link.strip_suffix(">; rel=\"next\""));
        next = query.map(|query| format!("/conversations{query}"));
    }
    assert_eq!(paged, all);
    assert_eq!(all[0]["contact_number"], "+12125550005");
}

#[tokio::test]
async fn the_client_reads_what_the_threads_hold() {
    let server = Server::start().await;
    for n in 1..=7 {
        assert_eq!(server.webhook(&inbound(n, CONTACT)).await.status, 200);
    }
    let (here, there) = (&server.conversations, server.client(None));
    let conversations = here.conversations(None, 10).await.expect("threads");
    let page = there.list(&Listing::default(), None, 10).await.expect("threads");
    assert_eq!((&page.rows, page.next), (&conversations, None));
    let thread = there.find(&crate::domain::Selector::new(CONTACT)).await.expect("the thread");
    assert_eq!(thread, conversations[0]);
    let all = Window::Oldest { after: None, limit: 100 };
    let all = here.messages(thread.id, all, false).await.expect("messages").rows;
    let middle = Some(all[3].id);
    for window in [
        Window::Oldest { after: None, limit: 100 },
        Window::Oldest { after: None, limit: 3 },
        Window::Oldest { after: middle, limit: 2 },
        Window::Newest { before: None, limit: 3 },
        Window::Newest { before: middle.map(Place::Message), limit: 2 },
        Window::Newest { before: Some(Place::Time(all[2].created_at)), limit: 2 },
        Window::Newest { before: Some(Place::Time(Timestamp::from_micros(0))), limit: 2 },
    ] {
        let expected = here.messages(thread.id, window, true).await.expect("messages");
        let read = there.messages(thread.id, window, true).await.expect("messages");
        assert_eq!(read, expected, "{window:?}");
    }
    let detail = here.message(all[0].id).await.expect("a message");
    assert_eq!(there.message(all[0].id).await.expect("a message"), detail);
    let error = there.message(Uuid::nil()).await.expect_err("no such message");
    assert_eq!(error.code(), Code::MessageNotFound);
}

#[tokio::test]
async fn a_send_answers_201_with_its_key_and_a_repeat_sends_nothing() {
    let (address, _offered, let_go) = telnyx().await;
    let server = Server::sending_to(address).await;
    let client = server.client(None);
    let plan = client.plan(&hello()).await.expect("a plan");
    assert_eq!((plan.segments, plan.from.as_str()), (1, "+15551234567"));
    let_go.send(()).expect("a Telnyx");
    let sent = client.send(&hello(), None).await.expect("sent");
    assert_eq!(sent.message.status, Status::Queued);
    let lines =
        format!("content-type: application/json\r\nidempotency-key: {}\r\n", sent.idempotency_key);
    let path = format!("/conversations/{CONTACT}/send");
    let repeated = server.post(&path, &lines, r#"{"message":"Hello"}"#).await;
    assert_eq!(repeated.status, 201, "{}", repeated.body);
    assert!(repeated.head.contains(&format!("idempotency-key: {}", sent.idempotency_key)));
    assert!(repeated.body.contains(&sent.message.id.to_string()), "{}", repeated.body);
    let other = server.post(&path, &lines, r#"{"message":"Other"}"#).await;
    assert_eq!(other.told(), expect(422, "idempotency_key_reused"));
}

#[tokio::test]
async fn neither_a_hang_up_nor_a_shutdown_stops_a_send() {
    let (address, offered, let_go) = telnyx().await;
    let server = Server::sending_to(address).await;
    let mut caller = server.connect().await;
    let body = r#"{"message":"Hello"}"#;
    let head = format!("POST /conversations/{CONTACT}/send HTTP/1.1\r\n{LINES}");
    let lines = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    let request = format!("{head}{lines}\r\n{body}");
    caller.write_all(request.as_bytes()).await.expect("a request");
    offered.await.expect("an offer");
    drop(caller);
    // The connection is gone once the server has noticed; the send is not.
    assert_eq!(server.get("/health").await.status, 200);
    server.shutdown.asked.cancel();
    let_go.send(()).expect("a Telnyx");
    server.task.await.expect("no panic");
    let thread = &server.conversations.conversations(None, 1).await.expect("threads")[0];
    let last = thread.last_message.as_ref().expect("a message");
    assert_eq!(last.status, Status::Queued);
}

#[tokio::test]
async fn a_telnyx_out_of_reach_is_503_and_exit_5() {
    let (address, ..) = telnyx().await;
    let nobody = SocketAddr::new(address.ip(), 1);
    let server = Server::sending_to(nobody).await;
    let error = server.client(None).send(&hello(), None).await.expect_err("unreachable");
    assert_eq!((error.code(), error.exit_code()), (Code::TelnyxUnreachable, 5));
    assert!(error.extra().message_id.is_some());
}

#[tokio::test]
async fn readiness_names_each_check() {
    let server = Server::start().await;
    let answer = server.get("/health/ready").await;
    let ready: Value = serde_json::from_str(&answer.body).expect(&answer.body);
    assert_eq!((answer.status, &ready["status"]), (503, &json!("not ready")));
    let checks = ready["checks"].as_array().expect("checks");
    let holds = |name| checks.iter().find(|check| check["name"] == name).map(|c| c["ok"].clone());
    for (name, ok) in [("database", true), ("public_key", true), ("api_key", false)] {
        assert_eq!(holds(name), Some(json!(ok)), "{name}");
    }
}
