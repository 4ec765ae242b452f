//! The log of a server: one line per request, with what an operator needs and nothing else.

use convo::sandbox::Behaviour;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{
    CONTACT, Home, Server, Signer, TestDatabase, World, bearer, inbound, request, wait_for,
    wait_until,
};

const TOKEN: &str = "t0ken-of-the-log";

/// The lines about requests, as soon as there are so many.
#[track_caller]
fn requests(server: &Server, count: usize) -> Vec<Value> {
    wait_for("a line for each request", || {
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
async fn each_request_is_logged_as_one_line() {
    let signer = Signer::new(7);
    let home = Home::new().set("CONVO_API_TOKEN", TOKEN).accepting(&signer);
    let server = Server::start(&home);
    signer.post(&server, inbound("e1", "m1", CONTACT, "Hello")).await;
    let get = async |path: &str, lines: &str| server.get_with(path, lines).await;
    let token = bearer(TOKEN);
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
    let actual = lines.iter().map(|line| {
        let [method, route] = ["method", "route"].map(|name| line[name].as_str().expect(name));
        assert!(line["ms"].as_f64().is_some_and(|ms| ms > 0.0), "{line}");
        assert!(line["span"]["id"].as_str().is_some_and(|id| !id.is_empty()), "{line}");
        assert_eq!((line["level"].as_str(), line.get("cut")), (Some("INFO"), None), "{line}");
        (method, route, line["status"].as_u64().expect("a status"), line["code"].as_str())
    });
    assert_eq!(actual.collect::<Vec<_>>(), expected);
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
async fn a_client_that_disconnects_is_logged() {
    let world = World::start(TestDatabase::sqlite()).await;
    let to = Behaviour::Vanished.number();
    let send = request("POST", &format!("/conversations/{to}/send"), "", r#"{"message":"Hi"}"#);
    let mut stream = TcpStream::connect(world.server.address).await.expect("a connection");
    stream.write_all(send.as_bytes()).await.expect("written");
    wait_until("the offer", || world.offers() > 0);
    drop(stream);
    let line = wait_for("the line", || {
        let lines = requests(&world.server, 1);
        lines.into_iter().find(|line| line["route"] == "/conversations/{number}/send")
    });
    assert_eq!(
        (&line["cut"], line.get("status")),
        (&json!("the client disconnected before the response"), None),
        "{line}"
    );
}

/// Whoever is no known caller causes one line in ten seconds for each kind of request, whatever they
/// ask and however often. The requests of known callers are all there.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_do_not_fill_the_log() {
    let signer = Signer::new(7);
    let home = Home::new().set("CONVO_API_TOKEN", TOKEN).accepting(&signer);
    let server = Server::start(&home);
    let start = std::time::Instant::now();
    for n in 0..100 {
        server.post("/webhooks/sms", "", "{}").await;
        server.get("/conversations").await;
        server.get(&format!("/nowhere/{n}")).await;
        server.get("/health").await;
        server.get("/health/ready").await;
        server.get_with("/messages/1", &bearer(TOKEN)).await;
        signer.post(&server, inbound(&format!("e{n}"), &format!("m{n}"), CONTACT, "Hi")).await;
    }
    // A slow machine may take longer than the pause between two of a kind.
    let most = 1 + usize::try_from(start.elapsed().as_secs()).expect("seconds") / 10;
    let lines = requests(&server, 205);
    for (route, status, expected) in [
        ("/webhooks/sms", 401, 1..=most),
        ("/conversations", 401, 1..=most),
        ("none", 404, 1..=most),
        ("/health", 200, 1..=most),
        ("/health/ready", 503, 1..=most),
        ("/messages/{id}", 404, 100..=100),
        ("/webhooks/sms", 200, 100..=100),
    ] {
        let of_kind = lines.iter().filter(|l| l["route"] == route && l["status"] == status);
        let count = of_kind.count();
        assert!(expected.contains(&count), "{route} {status}: {count}");
    }
    let warnings = server.log().lines().filter(|line| line.contains("refused a webhook")).count();
    assert!((1..=most).contains(&warnings), "{warnings}");
}
