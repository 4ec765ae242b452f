//! The log of a server: one line per request, with what an operator needs and nothing else.

use convo::sandbox::Behaviour;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::{CONTACT, Home, Server, Signer, World, inbound, until};
use crate::support::TestDatabase;

const TOKEN: &str = "t0ken-of-the-log";

/// The lines about requests, as soon as there are so many.
#[track_caller]
fn requests(server: &Server, count: usize) -> Vec<Value> {
    until("a line for each request", || {
        let log = server.log();
        let lines = log.lines().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
            line
        });
        let lines: Vec<_> = lines.filter(|line| line["message"] == "request").collect();
        (lines.len() >= count).then_some(lines)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_one_line() {
    let signer = Signer::new(7);
    let home =
        Home::new().set("CONVO_API_TOKEN", TOKEN).set("TELNYX_PUBLIC_KEY", signer.public_key());
    let server = Server::start(&home);
    signer.post(&server, inbound("e1", "m1", CONTACT, "Hello")).await;
    let get = async |path: &str, lines: &str| {
        let lines = format!("host: localhost\r\nconnection: close\r\n{lines}");
        server.raw(format!("GET {path} HTTP/1.1\r\n{lines}\r\n")).await
    };
    let token = format!("authorization: Bearer {TOKEN}\r\n");
    get("/health", "").await;
    let thread = get(&format!("/conversations/{CONTACT}"), &token).await;
    let mine = format!("{token}x-request-id: Mine-7\r\n");
    assert_eq!(get("/messages/1", &mine).await.header("x-request-id"), Some("mine-7"));
    get("/conversations/%2B12125551234?limit=x", "").await;
    get("/nowhere/+12125551234", "").await;
    server.post("/webhooks/sms", "", "{}").await;
    let expected = [
        ("POST", "/webhooks/sms", 200, None),
        ("GET", "/health", 200, None),
        ("GET", "/conversations/{id or number}", 200, None),
        ("GET", "/messages/{id}", 404, Some("message_not_found")),
        ("GET", "/conversations/{id or number}", 401, Some("unauthorized")),
        ("GET", "none", 404, Some("not_found")),
        ("POST", "/webhooks/sms", 401, Some("invalid_signature")),
    ];
    let lines = requests(&server, expected.len());
    let told = lines.iter().map(|line| {
        let [method, route] = ["method", "route"].map(|name| line[name].as_str().expect(name));
        assert!(line["ms"].as_f64().is_some_and(|ms| ms > 0.0), "{line}");
        assert!(line["span"]["id"].as_str().is_some_and(|id| !id.is_empty()), "{line}");
        assert_eq!((line["level"].as_str(), line.get("cut")), (Some("INFO"), None), "{line}");
        (method, route, line["status"].as_u64().expect("a status"), line["code"].as_str())
    });
    assert_eq!(told.collect::<Vec<_>>(), expected);
    assert_eq!(lines[2]["bytes"], thread.body.len());
    assert_eq!(lines[3]["span"]["id"], "Mine-7");
    // What is logged on the way belongs to its request.
    let log = server.log();
    let refused = log.lines().find(|line| line.contains("refused a webhook")).expect("a warning");
    let refused: Value = serde_json::from_str(refused).expect("JSON");
    assert_eq!(refused["span"]["id"], lines[6]["span"]["id"], "{refused}");
}

/// A caller that leaves before its answer is a line, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_hangs_up_is_a_line() {
    let world = World::start(TestDatabase::sqlite()).await;
    let to = Behaviour::Vanished.number();
    let body = r#"{"message":"Hi"}"#;
    let head = format!("POST /conversations/{to}/send HTTP/1.1\r\nhost: localhost\r\n");
    let head = format!("{head}content-type: application/json\r\ncontent-length: {}", body.len());
    let mut stream = TcpStream::connect(world.server.address).await.expect("a connection");
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.expect("written");
    until("the offer", || (world.offers() > 0).then_some(()));
    drop(stream);
    let line = until("the line", || {
        let lines = requests(&world.server, 1);
        lines.into_iter().find(|line| line["route"] == "/conversations/{number}/send")
    });
    assert_eq!((&line["cut"], line.get("status")), (&json!("no answer went out"), None), "{line}");
}

/// Whoever posts rubbish does not fill the log with warnings.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_refusals_are_said_once_in_a_while() {
    let server = Server::start(&Home::new().set("TELNYX_PUBLIC_KEY", Signer::new(7).public_key()));
    for _ in 0..100 {
        server.post("/webhooks/sms", "", "{}").await;
    }
    let lines = requests(&server, 100);
    assert_eq!(lines.len(), 100);
    let log = server.log();
    let warnings = log.lines().filter(|line| line.contains("refused a webhook")).count();
    // A machine that is slow may take longer than the pause between two of them.
    assert!((1..20).contains(&warnings), "{warnings}:\n{log}");
}
