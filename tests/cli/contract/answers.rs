//! Real answers of a running server, one of each kind that the document describes.

use std::collections::BTreeSet;

use convo::sandbox::Behaviour;
use sea_orm::{ConnectionTrait, Database};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{Contract, ask};
use crate::harness::{Answer, CONTACT, Home, OWN, Server, StandIn, World, inbound};
use crate::support::{TestDatabase, example};

const HI: &str = r#"{"message":"Hi"}"#;
const LIST: &str = "GET /conversations";
const THREAD: &str = "GET /conversations/{id}";
const SEND: &str = "POST /conversations/{number}/send";
const MESSAGE: &str = "GET /messages/{id}";
const RETRY: &str = "POST /messages/{id}/retry";
const WEBHOOK: &str = "POST /webhooks/sms";
const HEALTH: &str = "GET /health";
const READY: &str = "GET /health/ready";
const OPENAPI: &str = "GET /openapi.json";
const METRICS: &str = "GET /metrics";
/// What asks for a token, with a path of it.
const GUARDED: [(&str, &str); 8] = [
    (LIST, "/conversations"),
    (THREAD, "/conversations/1"),
    (SEND, "/conversations/1/send"),
    (MESSAGE, "/messages/1"),
    (RETRY, "/messages/1/retry"),
    (READY, "/health/ready"),
    (OPENAPI, "/openapi.json"),
    (METRICS, "/metrics"),
];

/// Tokens for reading, for sending, and for both.
const TOKENS: &str = "reader:read:0123456789abcdef,sender:send:fedcba9876543210,all-0123456789abc";
const READER: &str = "authorization: Bearer 0123456789abcdef\r\n";
const SENDER: &str = "authorization: Bearer fedcba9876543210\r\n";
const ALL: &str = "authorization: Bearer all-0123456789abc\r\n";
const WRONG: &str = "authorization: Bearer wrong\r\n";

/// What nobody can bring about from outside: a fault of convo itself, a database that breaks off
/// within a commit, and a send that is taken back, which only a command does.
fn out_of_reach(answer: &str) -> bool {
    answer.ends_with(" 500 internal")
        || answer.ends_with(" 202 outcome_unknown")
        || answer.ends_with(" 409 cancelled")
}

/// Asks, and holds the answer against the document.
struct Asker<'a> {
    contract: &'a Contract,
    server: &'a Server,
    lines: &'a str,
}

impl Asker<'_> {
    async fn ask(&self, name: &str, path: &str, lines: &str, body: &str) -> Answer {
        let method = name.split(' ').next().expect("a method");
        let lines = format!("{}{lines}", self.lines);
        let answer = ask(self.server, method, path, &lines, body).await;
        self.contract.holds(name, &answer);
        answer
    }

    async fn told(&self, name: &str, path: &str, lines: &str, body: &str, told: (u16, &str)) {
        let answer = self.ask(name, path, lines, body).await;
        assert_eq!(answer.told(), (told.0, told.1.to_owned()), "{name} {path}");
    }

    async fn send(&self, number: &str, body: &str) -> Answer {
        self.ask(SEND, &format!("/conversations/{number}/send"), "", body).await
    }

    async fn refuses_a_send(&self, number: &str, body: &str, told: (u16, &str)) {
        let path = format!("/conversations/{number}/send");
        self.told(SEND, &path, "", body, told).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_as_described() {
    let contract = Contract::read();
    let world = World::with(TestDatabase::sqlite(), |home| {
        home.set("CONVO_API_TOKEN", TOKENS).set("CONVO_SEND_TIMEOUT", "2")
    });
    let world = world.await;
    let asker = Asker { contract: &contract, server: &world.server, lines: ALL };
    webhooks(&contract, &world).await;
    sending(&asker, &world).await;
    retrying(&asker, &world).await;
    reading(&asker).await;
    other_settings(&contract).await;
    bounds(&contract).await;
    guards(&contract, &world.server).await;
    without_its_tables(&asker, &world).await;
    let unseen: BTreeSet<_> = contract.unseen().into_iter().filter(|a| !out_of_reach(a)).collect();
    assert!(unseen.is_empty(), "described, but never answered: {unseen:#?}");
}

async fn signed(contract: &Contract, world: &World, body: &[u8]) -> Answer {
    let (time, signature) = world.signer.sign(crate::harness::seconds(), body);
    let lines = format!("telnyx-timestamp: {time}\r\ntelnyx-signature-ed25519: {signature}\r\n");
    let body = std::str::from_utf8(body).expect("text");
    let answer = ask(&world.server, "POST", "/webhooks/sms", &lines, body).await;
    contract.holds(WEBHOOK, &answer);
    answer
}

async fn webhooks(contract: &Contract, world: &World) {
    let other = r#"{"data":{"event_type":"call.hangup","id":"e9","payload":{}}}"#;
    for (body, word) in [
        (example("inbound_mms"), "stored"),
        (example("inbound_mms"), "duplicate"),
        (example("finalized_failed"), "updated"),
        (example("message_sent"), "updated"),
        (other.into(), "ignored"),
    ] {
        let answer = signed(contract, world, &body).await;
        assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some(word)));
    }
    assert_eq!(signed(contract, world, b"[]").await.status, 400);
    let asker = Asker { contract, server: &world.server, lines: "" };
    asker.told(WEBHOOK, "/webhooks/sms", "", "{}", (401, "invalid_signature")).await;
    let large = "x".repeat(1024 * 1024 + 1);
    asker.told(WEBHOOK, "/webhooks/sms", "", &large, (413, "payload_too_large")).await;
    assert_eq!(asker.ask(HEALTH, "/health", "", "").await.status, 200);
}

async fn sending(asker: &Asker<'_>, world: &World) {
    let sent = asker.send(CONTACT, HI).await;
    assert_eq!(sent.status, 201);
    let media = r#"{"media_urls":["https://example.com/a.png"],"subject":"Look"}"#;
    assert_eq!(asker.send("+12125559999", media).await.status, 201);
    let dry = format!("/conversations/{CONTACT}/send?dry_run=true");
    assert_eq!(asker.ask(SEND, &dry, "", HI).await.status, 200);
    let long = format!("{{\"message\":\"{}\"}}", "é漢".repeat(800));
    let large = format!("{{\"message\":\"{}\"}}", "x".repeat(1024 * 1024));
    for (number, body, told) in [
        (CONTACT, "{", (400, "invalid_request")),
        ("12125551234", HI, (400, "invalid_number")),
        (CONTACT, &long, (400, "message_too_long")),
        (CONTACT, &large, (413, "payload_too_large")),
        (Behaviour::Refused.number(), HI, (422, "telnyx_refused")),
        (Behaviour::OptedOut.number(), HI, (403, "opted_out")),
        (Behaviour::Unauthorized.number(), HI, (401, "invalid_api_key")),
    ] {
        asker.refuses_a_send(number, body, told).await;
    }
    let path = format!("/conversations/{CONTACT}/send");
    let form = "content-type: text/plain\r\n";
    asker.told(SEND, &path, form, HI, (415, "unsupported_media_type")).await;
    let key = "idempotency-key: order:17\r\n";
    assert_eq!(asker.ask(SEND, &path, key, HI).await.header("idempotency-key"), Some("order:17"));
    let other = r#"{"message":"Ho"}"#;
    asker.told(SEND, &path, key, other, (422, "idempotency_key_reused")).await;
    let id = sent.json()["id"].as_str().expect("an id").to_owned();
    crate::harness::until("reports come", || {
        let row = world.home.run(&["show", CONTACT, "--history", "--json"]).json();
        row["messages"][0]["history"].as_array().filter(|all| all.len() > 1).map(drop)
    });
    let shown = asker.ask(MESSAGE, &format!("/messages/{id}"), "", "").await;
    assert!(
        shown.json()["history"].as_array().is_some_and(|all| !all.is_empty()),
        "{}",
        shown.body
    );
}

/// Sends a message whose outcome nobody knows; the path to offer it again.
async fn unknown(asker: &Asker<'_>, number: &str) -> String {
    let answer = asker.send(number, r#"{"message":"Hi","no_retry":true}"#).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (202, Some("unknown")));
    format!("/messages/{}/retry", answer.json()["id"].as_str().expect("an id"))
}

async fn retrying(asker: &Asker<'_>, world: &World) {
    let vanished = Behaviour::Vanished.number();
    let lost = unknown(asker, vanished).await;
    assert_eq!(asker.ask(RETRY, &lost, "", "{}").await.status, 202);
    let sent = asker.send(CONTACT, HI).await.json();
    let sent = format!("/messages/{}/retry", sent["id"].as_str().expect("an id"));
    asker.told(RETRY, &sent, "", "{}", (409, "not_retryable")).await;
    let stop = inbound("e-stop", "m-stop", vanished, "STOP")
        .replace("\"type\":", "\"autoresponse_type\":\"STOP\",\"type\":");
    signed(asker.contract, world, stop.as_bytes()).await;
    asker.told(RETRY, &lost, "", "{}", (403, "opted_out")).await;
    let nobody = "/messages/01a20685-7f6b-7790-99a8-f178d4040dda/retry";
    asker.told(RETRY, nobody, "", "{}", (404, "message_not_found")).await;
    asker.told(RETRY, &format!("{nobody}?force=1"), "", "{}", (400, "invalid_request")).await;
}

async fn reading(asker: &Asker<'_>) {
    let all = asker.ask(LIST, "/conversations", "", "").await;
    let threads = all.json().as_array().expect("an array").clone();
    assert!(threads.len() > 3);
    let page = asker.ask(LIST, "/conversations?limit=1", "", "").await;
    assert!(page.header("link").is_some());
    let filters = "status=delivered,read&direction=outbound&reverse=true&opted_out=false";
    let filtered = format!("/conversations?{filters}&since=2026-01-01T00:00:00Z&limit=1");
    assert_eq!(asker.ask(LIST, &filtered, "", "").await.status, 200);
    asker.told(LIST, "/conversations?limit=0", "", "", (400, "invalid_request")).await;
    asker.told(LIST, "/conversations?number=1", "", "", (400, "invalid_number")).await;
    for (name, path) in [
        (LIST, "/conversations".to_owned()),
        (THREAD, format!("/conversations/{CONTACT}")),
        (SEND, format!("/conversations/{CONTACT}/send")),
        (RETRY, "/messages/1/retry".to_owned()),
    ] {
        let path = format!("{path}?no_such_parameter=1");
        asker.told(name, &path, "", HI, (400, "unknown_parameter")).await;
    }
    for thread in &threads {
        let path = format!("/conversations/{}?history=true", thread["id"].as_str().expect("an id"));
        assert_eq!(asker.ask(THREAD, &path, "", "").await.status, 200);
    }
    let prefix = &threads[0]["id"].as_str().expect("an id")[..4];
    let nobody =
        format!("/conversations/{CONTACT}?limit=1&before=00000000-0000-0000-0000-000000000000");
    for (path, told) in [
        (format!("/conversations/{prefix}"), (400, "ambiguous_id")),
        ("/conversations/%00".to_owned(), (400, "invalid_request")),
        ("/conversations/+19995550000".to_owned(), (404, "conversation_not_found")),
        (nobody, (404, "message_not_found")),
    ] {
        asker.told(THREAD, &path, "", "", told).await;
    }
    asker.told(MESSAGE, "/messages/%00", "", "", (400, "invalid_request")).await;
    asker.told(MESSAGE, "/messages/1", "", "", (404, "message_not_found")).await;
    assert_eq!(asker.ask(READY, "/health/ready", "", "").await.status, 200);
    assert_eq!(asker.ask(METRICS, "/metrics", "", "").await.status, 200);
    assert_eq!(asker.ask(OPENAPI, "/openapi.json", "", "").await.status, 200);
}

fn sending_to(base_url: &str) -> Home {
    Home::new()
        .set("TELNYX_API_KEY", "KEY")
        .set("TELNYX_PHONE_NUMBER", OWN)
        .set("TELNYX_BASE_URL", base_url)
        .set("CONVO_SEND_TIMEOUT", "2")
}

/// What only servers with other settings answer.
async fn other_settings(contract: &Contract) {
    let poor = r#"{"errors":[{"code":"20012","title":"Account inactive"}]}"#;
    let busy = StandIn::with("429 Too Many Requests", "retry-after: 7\r\n", "{}").await;
    let poor = StandIn::with("402 Payment Required", "", poor).await;
    for (base_url, told) in [
        (busy.base_url.as_str(), (429, "rate_limited")),
        (&poor.base_url, (402, "telnyx_refused")),
        ("http://127.0.0.1:9/v2", (503, "telnyx_unreachable")),
    ] {
        let home = sending_to(base_url);
        let server = Server::start(&home);
        let asker = Asker { contract, server: &server, lines: "" };
        asker.refuses_a_send(CONTACT, HI, told).await;
    }
    let fails = StandIn::json("500 Internal Server Error", "", "{}");
    let takes = r#"{"data":{"id":"{n}","to":[{"status":"queued"}]}}"#;
    let forgetful = StandIn::in_turn(&[&fails, &StandIn::json("200 OK", "", takes)]).await;
    let home = sending_to(&forgetful.base_url);
    let server = Server::start(&home);
    let asker = Asker { contract, server: &server, lines: "" };
    let lost = unknown(&asker, CONTACT).await;
    assert_eq!(asker.ask(RETRY, &lost, "", "{}").await.status, 201);
    let home = Home::new();
    let server = Server::start(&home);
    let asker = Asker { contract, server: &server, lines: "" };
    asker.refuses_a_send(CONTACT, HI, (503, "not_configured")).await;
    let retry = "/messages/01a20685-7f6b-7790-99a8-f178d4040dda/retry";
    asker.told(RETRY, retry, "", "", (503, "not_configured")).await;
    assert_eq!(asker.ask(READY, "/health/ready", "", "").await.status, 503);
    let form = "content-type: text/plain\r\n";
    asker.told(RETRY, retry, form, "{}", (415, "unsupported_media_type")).await;
}

/// What a server says that has no room, and to whoever takes too long.
async fn bounds(contract: &Contract) {
    let home = sending_to("http://127.0.0.1:9/v2").set("CONVO_REQUEST_TIMEOUT", "1");
    let server = Server::start(&home);
    let late = async |name: &str, path: &str| {
        let head = "host: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n";
        let answer = server.raw(format!("POST {path} HTTP/1.1\r\n{head}\r\n{{")).await;
        contract.holds(name, &answer);
        assert_eq!(answer.told(), (408, "request_timeout".into()), "{name}");
    };
    futures_util::future::join(
        late(WEBHOOK, "/webhooks/sms"),
        late(SEND, &format!("/conversations/{CONTACT}/send")),
    )
    .await;
    let server =
        Server::start(&sending_to("http://127.0.0.1:9/v2").set("CONVO_MAX_CONNECTIONS", "1"));
    let mut busy = TcpStream::connect(server.address).await.expect("a connection");
    busy.write_all(b"POST /webhooks/sms HTTP/1.1\r\nhost: x\r\n").await.expect("half a request");
    let asker = Asker { contract, server: &server, lines: "" };
    let refused = GUARDED.iter().filter(|(name, _)| *name != READY);
    for (name, path) in refused.chain(&[(WEBHOOK, "/webhooks/sms")]) {
        asker.told(name, path, "", "{}", (503, "overloaded")).await;
    }
}

async fn guards(contract: &Contract, server: &Server) {
    let asker = Asker { contract, server, lines: "" };
    for (name, path) in GUARDED {
        let poor = if name.starts_with("GET") { SENDER } else { READER };
        asker.told(name, path, "", "{}", (401, "unauthorized")).await;
        asker.told(name, path, poor, "{}", (403, "forbidden")).await;
    }
    while asker.ask(LIST, "/conversations", WRONG, "").await.status == 401 {}
    // Each of these is held back for a while, all at the same time.
    let slowed =
        GUARDED.map(|(name, path)| asker.told(name, path, WRONG, "{}", (429, "too_many_attempts")));
    futures_util::future::join_all(slowed).await;
}

/// What a database answers in which something is missing.
async fn without_its_tables(asker: &Asker<'_>, world: &World) {
    let db = Database::connect(format!("sqlite://{}", world.db.file().display())).await;
    let db = db.expect("the database");
    for table in ["messages", "conversations", "events"] {
        let rename = format!("ALTER TABLE {table} RENAME TO {table}_away");
        db.execute_unprepared(&rename).await.expect("renamed");
    }
    let away = (503, "database_unavailable");
    let id = "01a20685-7f6b-7790-99a8-f178d4040dda";
    asker.told(LIST, "/conversations", "", "", away).await;
    asker.told(THREAD, &format!("/conversations/{CONTACT}"), "", "", away).await;
    asker.told(MESSAGE, &format!("/messages/{id}"), "", "", away).await;
    asker.told(RETRY, &format!("/messages/{id}/retry"), "", "{}", away).await;
    asker.refuses_a_send(CONTACT, HI, away).await;
    let late = inbound("e-late", "m-late", CONTACT, "Hi");
    assert_eq!(signed(asker.contract, world, late.as_bytes()).await.status, 503);
}
