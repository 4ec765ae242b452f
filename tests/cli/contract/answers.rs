//! Real answers of a running server, one of each kind that the document describes.

use std::collections::BTreeSet;

use convo::sandbox::Behaviour;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::Contract;
use crate::support::{
    Answer, CONTACT, Event, FakeServer, Home, Reply, Server, Signer, TestDatabase, World,
    eventually, example, execute, inbound, opt, request, wait_until,
};

const HI: &str = r#"{"message":"Hi"}"#;
const LIST: &str = "GET /conversations";
const THREAD: &str = "GET /conversations/{id}";
const SEND: &str = "POST /conversations/{number}/send";
const MARK_READ: &str = "POST /conversations/{id}/read";
const MARK_UNREAD: &str = "POST /conversations/{id}/unread";
const CONTACTS: &str = "GET /contacts";
const NAME_CONTACTS: &str = "PUT /contacts";
const WHO: &str = "GET /contacts/{id}";
const NAME: &str = "PUT /conversations/{id}/name";
const UNNAME: &str = "DELETE /conversations/{id}/name";
const MESSAGES: &str = "GET /messages";
const MESSAGE: &str = "GET /messages/{id}";
const STATS: &str = "GET /stats";
const MEDIA: &str = "GET /messages/{id}/media/{n}";
const RETRY: &str = "POST /messages/{id}/retry";
const CANCEL: &str = "POST /messages/{id}/cancel";
const WEBHOOK: &str = "POST /webhooks/sms";
const HEALTH: &str = "GET /health";
const READY: &str = "GET /health/ready";
const OPENAPI: &str = "GET /openapi.json";
const METRICS: &str = "GET /metrics";
const EVENTS: &str = "GET /events";
const STORED_EVENTS: &str = "GET /webhooks/events";
const STORED_EVENT: &str = "GET /webhooks/events/{id}";
const EXPORT: &str = "GET /export";
const FORGET: &str = "DELETE /conversations/{id}";
const FORGOTTEN: &str = "GET /forgotten";
const FORWARDS: &str = "GET /forwards";
const TEST_FORWARD: &str = "POST /forwards/{name}/test";
const ENABLE_FORWARD: &str = "POST /forwards/{name}/enable";
const REPLAY_FORWARD: &str = "POST /forwards/{name}/replay";
const SYNC: &str = "POST /sync";
const BATCH: &str = "POST /batches/{id}";
const CHECK_BATCH: &str = "POST /batches/{id}/check";
/// What asks for a token, with a path of it.
const GUARDED: [(&str, &str); 31] = [
    (LIST, "/conversations"),
    (THREAD, "/conversations/1"),
    (SEND, "/conversations/1/send"),
    (MARK_READ, "/conversations/1/read"),
    (MARK_UNREAD, "/conversations/1/unread"),
    (CONTACTS, "/contacts"),
    (NAME_CONTACTS, "/contacts"),
    (WHO, "/contacts/1"),
    (NAME, "/conversations/1/name"),
    (UNNAME, "/conversations/1/name"),
    (MESSAGES, "/messages"),
    (MESSAGE, "/messages/1"),
    (STATS, "/stats"),
    (MEDIA, "/messages/1/media/1"),
    (RETRY, "/messages/1/retry"),
    (CANCEL, "/messages/1/cancel"),
    (OPENAPI, "/openapi.json"),
    (METRICS, "/metrics"),
    (EVENTS, "/events"),
    (STORED_EVENTS, "/webhooks/events"),
    (STORED_EVENT, "/webhooks/events/x"),
    (EXPORT, "/export"),
    (FORGET, "/conversations/1"),
    (FORGOTTEN, "/forgotten"),
    (FORWARDS, "/forwards"),
    (TEST_FORWARD, "/forwards/x/test"),
    (ENABLE_FORWARD, "/forwards/x/enable"),
    (REPLAY_FORWARD, "/forwards/x/replay"),
    (SYNC, "/sync"),
    (BATCH, "/batches/x"),
    (CHECK_BATCH, "/batches/x/check"),
];

/// Tokens for reading, for sending, for metrics, and for all.
const TOKENS: &str = "reader:read:0123456789abcdef,sender:send:fedcba9876543210,\
                      scraper:metrics:0f1e2d3c4b5a6978,all-0123456789abc";
const READER: &str = "authorization: Bearer 0123456789abcdef\r\n";
const SENDER: &str = "authorization: Bearer fedcba9876543210\r\n";
const SCRAPER: &str = "authorization: Bearer 0f1e2d3c4b5a6978\r\n";
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
        let answer = self.server.ask(method, path, &lines, body).await;
        self.contract.holds(name, &answer);
        answer
    }

    async fn refuses(
        &self,
        name: &str,
        path: &str,
        lines: &str,
        body: &str,
        expected: (u16, &str),
    ) {
        let answer = self.ask(name, path, lines, body).await;
        assert_eq!(answer.status_and_code(), (expected.0, expected.1.to_owned()), "{name} {path}");
    }

    async fn send(&self, number: &str, body: &str) -> Answer {
        self.ask(SEND, &format!("/conversations/{number}/send"), "", body).await
    }

    async fn refuses_a_send(&self, number: &str, body: &str, expected: (u16, &str)) {
        let path = format!("/conversations/{number}/send");
        self.refuses(SEND, &path, "", body, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_matches_the_document() {
    let contract = Contract::read();
    let world = World::with(TestDatabase::sqlite(), |home| {
        home.set("CONVO_API_TOKEN", TOKENS)
            .set("CONVO_SEND_TIMEOUT", "2")
            .set("CONVO_REPLY_LIMIT", "1")
            .set("CONVO_SEND_LIMIT", "20")
            .set("CONVO_MEDIA", "media")
            .set("CONVO_FORWARD_URL", "http://127.0.0.1:9/")
            .set("CONVO_FORWARD_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    });
    let world = world.await;
    let asker = Asker { contract: &contract, server: &world.server, lines: ALL };
    webhooks(&contract, &world).await;
    sending(&asker, &world).await;
    retrying(&asker, &world).await;
    cancelling(&asker).await;
    answering(&asker, &world).await;
    batches(&asker).await;
    reading(&asker).await;
    marking(&asker).await;
    naming(&asker).await;
    stored_events(&asker).await;
    media(&asker, &world).await;
    following(&asker).await;
    exporting(&asker).await;
    forwarding(&asker, &world).await;
    forgetting(&asker, &world).await;
    syncing(&asker).await;
    other_settings(&contract).await;
    bounds(&contract).await;
    guards(&contract, &world.server).await;
    without_its_tables(&asker, &world).await;
    let unseen: BTreeSet<_> = contract.unseen().into_iter().filter(|a| !out_of_reach(a)).collect();
    assert!(unseen.is_empty(), "described, but never answered: {unseen:#?}");
}

async fn signed(contract: &Contract, world: &World, body: &[u8]) -> Answer {
    let lines = world.signer.lines(body);
    let body = std::str::from_utf8(body).expect("text");
    let answer = world.server.post("/webhooks/sms", &lines, body).await;
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
    asker.refuses(WEBHOOK, "/webhooks/sms", "", "{}", (401, "invalid_signature")).await;
    let large = "x".repeat(1024 * 1024 + 1);
    asker.refuses(WEBHOOK, "/webhooks/sms", "", &large, (413, "payload_too_large")).await;
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
    for (number, body, expected) in [
        (CONTACT, "{", (400, "invalid_request")),
        ("12125551234", HI, (400, "invalid_number")),
        (CONTACT, &long, (400, "message_too_long")),
        (CONTACT, &large, (413, "payload_too_large")),
        (Behaviour::Refused.number(), HI, (422, "telnyx_refused")),
        (Behaviour::OptedOut.number(), HI, (403, "opted_out")),
        (Behaviour::Unauthorized.number(), HI, (401, "invalid_api_key")),
    ] {
        asker.refuses_a_send(number, body, expected).await;
    }
    let path = format!("/conversations/{CONTACT}/send");
    let form = "content-type: text/plain\r\n";
    asker.refuses(SEND, &path, form, HI, (415, "unsupported_media_type")).await;
    let key = "idempotency-key: order:17\r\n";
    assert_eq!(asker.ask(SEND, &path, key, HI).await.header("idempotency-key"), Some("order:17"));
    let other = r#"{"message":"Ho"}"#;
    asker.refuses(SEND, &path, key, other, (422, "idempotency_key_reused")).await;
    let id = sent.json()["id"].as_str().expect("an id").to_owned();
    wait_until("reports", || {
        let row = world.home.run(&["show", CONTACT, "--history", "--json"]).json();
        row["messages"][0]["history"].as_array().is_some_and(|all| all.len() > 1)
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
    asker.refuses(RETRY, &sent, "", "{}", (409, "not_retryable")).await;
    let stop = opt("e-stop", "m-stop", vanished, "STOP");
    signed(asker.contract, world, stop.as_bytes()).await;
    asker.refuses(RETRY, &lost, "", "{}", (403, "opted_out")).await;
    let nobody = "/messages/01a20685-7f6b-7790-99a8-f178d4040dda/retry";
    asker.refuses(RETRY, nobody, "", "{}", (404, "message_not_found")).await;
    asker.refuses(RETRY, &format!("{nobody}?force=1"), "", "{}", (400, "invalid_request")).await;
}

async fn cancelling(asker: &Asker<'_>) {
    let at = convo::clock::now().plus_seconds(3_600);
    let later = json!({"message": "Hi", "send_at": at}).to_string();
    let scheduled = asker.send(CONTACT, &later).await.json();
    let scheduled = format!("/messages/{}/cancel", scheduled["id"].as_str().expect("an id"));
    assert_eq!(asker.ask(CANCEL, &scheduled, "", "{}").await.status, 200);
    let sent = asker.send(CONTACT, HI).await.json();
    let sent = format!("/messages/{}/cancel", sent["id"].as_str().expect("an id"));
    asker.refuses(CANCEL, &sent, "", "{}", (409, "not_cancellable")).await;
    asker.refuses(CANCEL, "/messages/%00/cancel", "", "{}", (400, "invalid_request")).await;
    let nobody = "/messages/01a20685-7f6b-7790-99a8-f178d4040dda/cancel";
    asker.refuses(CANCEL, nobody, "", "{}", (404, "message_not_found")).await;
}

async fn answering(asker: &Asker<'_>, world: &World) {
    let mut answers = Vec::new();
    for name in ["question-1", "question-2"] {
        let text = inbound(name, name, CONTACT, name);
        signed(asker.contract, world, text.as_bytes()).await;
        let thread = world.home.run(&["show", CONTACT, "--json"]).json();
        let all = thread["messages"].as_array().expect("messages");
        let text = all.iter().find(|message| message["body"] == name).expect("the text");
        answers.push(json!({"message": "Hi", "in_reply_to": text["id"]}).to_string());
    }
    assert_eq!(asker.send(CONTACT, &answers[0]).await.status, 201);
    asker.refuses_a_send(CONTACT, &answers[1], (429, "reply_limit")).await;
    let nobody = r#"{"message":"Hi","in_reply_to":"01a20685-7f6b-7790-99a8-f178d4040dda"}"#;
    asker.refuses_a_send(CONTACT, nobody, (404, "message_not_found")).await;
    let (pestered, text) = ("+12125550020", r#"{"message":"Hi"}"#);
    for _ in 0..20 {
        assert_eq!(asker.send(pestered, text).await.status, 201);
    }
    asker.refuses_a_send(pestered, text, (429, "send_limit")).await;
    let despite = r#"{"message":"Hi","despite_send_limit":true}"#;
    assert_eq!(asker.send(pestered, despite).await.status, 201);
}

async fn marking(asker: &Asker<'_>) {
    let path = |mark: &str| format!("/conversations/{CONTACT}/{mark}");
    let marked = asker.ask(MARK_READ, &path("read"), "", "{}").await;
    assert_eq!(marked.json()["unread_count"].as_u64(), Some(0));
    let marked = asker.ask(MARK_UNREAD, &path("unread"), "", "{}").await;
    assert_eq!(marked.json()["unread_count"].as_u64(), Some(1));
    let arrived = &marked.json()["arrived"];
    let marked = asker.ask(MARK_READ, &path(&format!("read?arrived={arrived}")), "", "{}").await;
    assert_eq!(marked.json()["unread_count"].as_u64(), Some(0));
    let nothing = "01a20685-7f6b-7790-99a8-f178d4040dda";
    let unknown = path(&format!("read?up_to={nothing}"));
    asker.refuses(MARK_READ, &unknown, "", "{}", (404, "message_not_found")).await;
    for bad in ["read?up_to=x", "read?arrived=-1", &format!("read?up_to={nothing}&arrived=1")] {
        asker.refuses(MARK_READ, &path(bad), "", "{}", (400, "invalid_request")).await;
    }
    let list = asker.ask(LIST, "/conversations", "", "").await.json();
    let id = list[0]["id"].as_str().expect("an id").to_owned();
    asker
        .refuses(MARK_UNREAD, "/conversations/%00/unread", "", "{}", (400, "invalid_request"))
        .await;
    for (name, mark) in [(MARK_READ, "read"), (MARK_UNREAD, "unread")] {
        let nobody = format!("/conversations/+19995550000/{mark}");
        asker.refuses(name, &nobody, "", "{}", (404, "conversation_not_found")).await;
        let several = format!("/conversations/{}/{mark}", &id[..4]);
        asker.refuses(name, &several, "", "{}", (400, "ambiguous_id")).await;
    }
}

async fn batches(asker: &Asker<'_>) {
    let row = "0123456789abcdef".repeat(2);
    let (to, text) = ("+12125550030", "To many");
    let send = json!({"message": text, "batch": {"id": "may", "row": row}}).to_string();
    assert_eq!(asker.send(to, &send).await.status, 201);
    let again = json!({"message": text, "batch": {"id": "june", "row": row}}).to_string();
    asker.refuses_a_send(to, &again, (409, "already_sent")).await;
    let record = json!({"content": row, "rows": 1, "finished": true}).to_string();
    assert_eq!(asker.ask(BATCH, "/batches/may", "", &record).await.json()["rows"], 1);
    let rows = json!({"rows": [{"row": row, "to": to, "message": text}]}).to_string();
    let path = "/batches/may/check";
    let check = asker.ask(CHECK_BATCH, path, "", &rows).await.json();
    assert_eq!(
        (&check["rows"][0]["state"], &check["batch"]["id"]),
        (&"sent".into(), &"may".into())
    );
    let rows = rows.replace(to, "nobody");
    asker.refuses(CHECK_BATCH, path, "", &rows, (400, "invalid_number")).await;
    for (name, path) in [(BATCH, "/batches/may"), (CHECK_BATCH, path)] {
        asker.refuses(name, path, "", "[]", (400, "invalid_request")).await;
        asker.refuses(name, &format!("{path}?x=1"), "", &record, (400, "unknown_parameter")).await;
        let text = "content-type: text/plain\r\n";
        asker.refuses(name, path, text, &record, (415, "unsupported_media_type")).await;
        let long = format!("{{\"rows\":\"{}\"}}", "x".repeat(1 << 20));
        asker.refuses(name, path, "", &long, (413, "payload_too_large")).await;
    }
}

async fn reading(asker: &Asker<'_>) {
    let all = asker.ask(LIST, "/conversations", "", "").await;
    let conversations = all.json().as_array().expect("an array").clone();
    assert!(conversations.len() > 3);
    let page = asker.ask(LIST, "/conversations?limit=1", "", "").await;
    assert!(page.header("link").is_some());
    let filters = "status=delivered,read&direction=outbound&reverse=true&opted_out=false";
    let filtered = format!("/conversations?{filters}&since=2026-01-01T00:00:00Z&limit=1");
    assert_eq!(asker.ask(LIST, &filtered, "", "").await.status, 200);
    asker.refuses(LIST, "/conversations?limit=0", "", "", (400, "invalid_request")).await;
    let found = asker.ask(MESSAGES, "/messages?q=hi&not=never&limit=1", "", "").await;
    assert!(found.header("link").is_some());
    let filters = "status=delivered,read&direction=outbound&since=2026-01-01T00:00:00Z";
    assert_eq!(asker.ask(MESSAGES, &format!("/messages?{filters}"), "", "").await.status, 200);
    asker.refuses(MESSAGES, "/messages?not=never", "", "", (400, "invalid_request")).await;
    asker.refuses(MESSAGES, "/messages?number=1", "", "", (400, "invalid_number")).await;
    asker.refuses(LIST, "/conversations?number=1", "", "", (400, "invalid_number")).await;
    let zone =
        "by=day&utc_offset=%2B01:00&limit=5&number=%2B15551234567&until=2036-01-01T00:00:00Z";
    assert_eq!(asker.ask(STATS, &format!("/stats?{filters}&{zone}"), "", "").await.status, 200);
    let contact = format!("/stats?by=contact&contact={CONTACT}");
    assert_eq!(asker.ask(STATS, &contact, "", "").await.status, 200);
    asker.refuses(STATS, "/stats?by=week", "", "", (400, "invalid_request")).await;
    asker.refuses(STATS, "/stats?number=1", "", "", (400, "invalid_number")).await;
    for (name, path) in [
        (LIST, "/conversations".to_owned()),
        (MESSAGES, "/messages".to_owned()),
        (STATS, "/stats".to_owned()),
        (THREAD, format!("/conversations/{CONTACT}")),
        (SEND, format!("/conversations/{CONTACT}/send")),
        (MARK_READ, format!("/conversations/{CONTACT}/read")),
        (MARK_UNREAD, format!("/conversations/{CONTACT}/unread")),
        (RETRY, "/messages/1/retry".to_owned()),
        (CANCEL, "/messages/1/cancel".to_owned()),
    ] {
        let path = format!("{path}?no_such_parameter=1");
        asker.refuses(name, &path, "", HI, (400, "unknown_parameter")).await;
    }
    for thread in &conversations {
        let path = format!("/conversations/{}?history=true", thread["id"].as_str().expect("an id"));
        assert_eq!(asker.ask(THREAD, &path, "", "").await.status, 200);
    }
    let prefix = &conversations[0]["id"].as_str().expect("an id")[..4];
    let nobody =
        format!("/conversations/{CONTACT}?limit=1&before=00000000-0000-0000-0000-000000000000");
    for (path, expected) in [
        (format!("/conversations/{prefix}"), (400, "ambiguous_id")),
        ("/conversations/%00".to_owned(), (400, "invalid_request")),
        ("/conversations/+19995550000".to_owned(), (404, "conversation_not_found")),
        (nobody, (404, "message_not_found")),
    ] {
        asker.refuses(THREAD, &path, "", "", expected).await;
    }
    asker.refuses(MESSAGE, "/messages/%00", "", "", (400, "invalid_request")).await;
    asker.refuses(MESSAGE, "/messages/1", "", "", (404, "message_not_found")).await;
    assert_eq!(asker.ask(READY, "/health/ready", "", "").await.status, 200);
    assert_eq!(asker.ask(METRICS, "/metrics", "", "").await.status, 200);
    assert_eq!(asker.ask(OPENAPI, "/openapi.json", "", "").await.status, 200);
}

/// Two contacts of one name, with neither of whom there is a conversation.
async fn naming(asker: &Asker<'_>) {
    let name = r#"{"name":"Twin"}"#;
    for path in ["/conversations/+13125550101/name", "/conversations/+13125550102/name"] {
        let named = asker.ask(NAME, path, "", name).await;
        assert_eq!(named.json()["contact_name"], "Twin", "{}", named.body);
    }
    let who = asker.ask(WHO, "/contacts/+13125550101", "", "").await;
    assert_eq!(who.json()["contact_name"], "Twin");
    let page = asker.ask(CONTACTS, "/contacts?limit=1&name=win", "", "").await;
    assert!(page.header("link").is_some());
    assert_eq!(asker.ask(CONTACTS, "/contacts", "", "").await.status, 200);
    asker.refuses(CONTACTS, "/contacts?limit=0", "", "", (400, "invalid_request")).await;
    asker.refuses(CONTACTS, "/contacts?x=1", "", "", (400, "unknown_parameter")).await;
    let id = "01a20685-7f6b-7790-99a8-f178d4040dda";
    for (contact, expected) in [
        ("twin", (400, "ambiguous_name")),
        ("12125551234", (400, "invalid_number")),
        (id, (404, "conversation_not_found")),
        ("%00", (400, "invalid_request")),
        ("twin?no_such_parameter=1", (400, "unknown_parameter")),
    ] {
        let (contact, query) = contact.split_once('?').unwrap_or((contact, ""));
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        let path = format!("/conversations/{contact}/name{query}");
        asker.refuses(NAME, &path, "", name, expected).await;
        asker.refuses(UNNAME, &path, "", "", expected).await;
        asker.refuses(WHO, &format!("/contacts/{contact}{query}"), "", "", expected).await;
    }
    let row = |number: &str| {
        let contact = json!({ "contact_number": number, "contact_name": "Ada" });
        json!({ "contacts": [contact] }).to_string()
    };
    for path in ["/contacts?dry_run=true", "/contacts"] {
        let named = asker.ask(NAME_CONTACTS, path, "", &row("+13125550103")).await;
        assert_eq!(named.json()[0]["outcome"], "added", "{path}");
    }
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(1024 * 1024));
    let form = "content-type: text/plain\r\n";
    let one = "/conversations/+13125550101/name";
    for (operation, path, lines, body, expected) in [
        (NAME_CONTACTS, "/contacts", "", row("3125550103"), (400, "invalid_number")),
        (NAME_CONTACTS, "/contacts", "", "[]".to_owned(), (400, "invalid_request")),
        (NAME_CONTACTS, "/contacts?x=1", "", row("72975"), (400, "unknown_parameter")),
        (NAME_CONTACTS, "/contacts", form, row("72975"), (415, "unsupported_media_type")),
        (NAME_CONTACTS, "/contacts", "", large.clone(), (413, "payload_too_large")),
        (NAME, one, form, name.to_owned(), (415, "unsupported_media_type")),
        (NAME, one, "", large, (413, "payload_too_large")),
        (THREAD, "/conversations/twin", "", String::new(), (400, "ambiguous_name")),
        (STATS, "/stats?contact=twin", "", String::new(), (400, "ambiguous_name")),
        (MARK_READ, "/conversations/twin/read", "", "{}".to_owned(), (400, "ambiguous_name")),
        (MARK_UNREAD, "/conversations/twin/unread", "", "{}".to_owned(), (400, "ambiguous_name")),
        (FORGET, "/conversations/twin", "", String::new(), (400, "ambiguous_name")),
        (LIST, "/conversations?contact=twin", "", String::new(), (400, "ambiguous_name")),
        (MESSAGES, "/messages?contact=twin", "", String::new(), (400, "ambiguous_name")),
        (EVENTS, "/events?contact=twin", "", String::new(), (400, "ambiguous_name")),
        (EXPORT, "/export?contact=twin", "", String::new(), (400, "ambiguous_name")),
        (
            STORED_EVENTS,
            "/webhooks/events?contact=twin",
            "",
            String::new(),
            (400, "ambiguous_name"),
        ),
    ] {
        asker.refuses(operation, path, lines, &body, expected).await;
    }
    asker.refuses_a_send("twin", HI, (400, "ambiguous_name")).await;
    asker.refuses_a_send(id, HI, (404, "conversation_not_found")).await;
    let path = "/conversations/+13125550103/name";
    assert!(asker.ask(UNNAME, path, "", "").await.json()["contact_name"].is_null());
}

async fn media(asker: &Asker<'_>, world: &World) {
    let host = world.telnyx.base_url().replace("/v2", "");
    let files =
        ["picture.png", "none"].map(|name| json!({"url": format!("{host}/sandbox/{name}")}));
    let event =
        Event::inbound("e-media", "m-media", "+13125550177", "").with("media", json!(files));
    let event = event.received_at(convo::clock::now()).to_string();
    assert_eq!(signed(asker.contract, world, event.as_bytes()).await.status, 200);
    let thread = asker.ask(THREAD, "/conversations/+13125550177", "", "").await.json();
    let path = format!("/messages/{}/media", thread["messages"][0]["id"].as_str().expect("an id"));
    let first = format!("{path}/1");
    eventually("a picture", async || asker.ask(MEDIA, &first, "", "").await.status == 200).await;
    let part = asker.ask(MEDIA, &first, "range: bytes=1-3\r\n", "").await;
    assert_eq!((part.status, part.body.as_str()), (206, "PNG"));
    let beyond = asker.ask(MEDIA, &first, "range: bytes=1000000-\r\n", "").await;
    assert_eq!(beyond.status_and_code(), (416, "range_not_satisfiable".to_owned()));
    for (path, expected) in [
        (format!("{path}/2"), (503, "media_unavailable")),
        (format!("{path}/3"), (404, "media_not_found")),
        ("/messages/%00/media/1".to_owned(), (400, "invalid_request")),
        ("/messages/1/media/1".to_owned(), (404, "message_not_found")),
    ] {
        asker.refuses(MEDIA, &path, "", "", expected).await;
    }
}

async fn following(asker: &Asker<'_>) {
    let page = asker.ask(EVENTS, "/events?since=2026-01-01T00:00:00Z&limit=1000", "", "").await;
    assert!(
        page.json()["events"].as_array().is_some_and(|events| events.len() > 5),
        "{}",
        page.body
    );
    let last = page.json()["next"].as_str().expect("a cursor").to_owned();
    let page = asker.ask(EVENTS, &format!("/events?after={last}&wait=1"), "", "").await;
    assert_eq!((page.status, page.json()["next"].as_str()), (200, Some(&*last)));
    for (query, expected) in [
        ("no_such_parameter=1", (400, "unknown_parameter")),
        ("after=1", (400, "invalid_request")),
        ("number=1", (400, "invalid_number")),
        ("after=1-00000000", (410, "cursor_expired")),
    ] {
        asker.refuses(EVENTS, &format!("/events?{query}"), "", "", expected).await;
    }
}

async fn stored_events(asker: &Asker<'_>) {
    let conversations = asker.ask(LIST, "/conversations?limit=1", "", "").await.json();
    let conversation = conversations[0]["id"].as_str().expect("an id");
    let list = asker.ask(STORED_EVENTS, "/webhooks/events?limit=1", "", "").await;
    let id = list.json()[0]["id"].as_str().expect("an id").to_owned();
    assert!(list.header("link").is_some());
    assert_eq!(asker.ask(STORED_EVENTS, "/webhooks/events", "", "").await.status, 200);
    assert_eq!(
        asker.ask(STORED_EVENT, &format!("/webhooks/events/{id}"), "", "").await.status,
        200
    );
    for (query, expected) in [
        ("no_such_parameter=1", (400, "unknown_parameter")),
        ("after=1", (400, "invalid_request")),
        ("contact=nobody", (404, "conversation_not_found")),
        (&format!("contact={}", &conversation[..4]), (400, "ambiguous_id")),
    ] {
        asker.refuses(STORED_EVENTS, &format!("/webhooks/events?{query}"), "", "", expected).await;
    }
    asker.refuses(STORED_EVENT, "/webhooks/events/x", "", "", (404, "event_not_found")).await;
    asker.refuses(STORED_EVENT, "/webhooks/events/%FF", "", "", (400, "invalid_request")).await;
}

async fn exporting(asker: &Asker<'_>) {
    let whole = asker.ask(EXPORT, "/export?raw=true&since=2026-01-01T00:00:00Z", "", "").await;
    assert!(whole.body.contains(r#"{"type":"event""#), "{}", whole.body);
    for (query, expected) in [
        ("no_such_parameter=1", (400, "unknown_parameter")),
        ("until=yesterday", (400, "invalid_request")),
        ("contact=%2B19995550000", (404, "conversation_not_found")),
    ] {
        asker.refuses(EXPORT, &format!("/export?{query}"), "", "", expected).await;
    }
}

/// Nothing is sent to this contact later.
async fn forgetting(asker: &Asker<'_>, world: &World) {
    let contact = "+12125550177";
    let path = format!("/conversations/{contact}");
    asker.refuses(FORGET, &path, "", "", (404, "conversation_not_found")).await;
    asker.refuses(FORGET, "/conversations/2125550177", "", "", (400, "invalid_number")).await;
    let unknown = (400, "unknown_parameter");
    asker.refuses(FORGET, &format!("{path}?no_such_parameter=1"), "", "", unknown).await;
    asker.refuses(FORGOTTEN, "/forgotten?no_such_parameter=1", "", "", unknown).await;
    let flag = (400, "invalid_request");
    asker.refuses(FORGET, &format!("{path}?dry_run=yes"), "", "", flag).await;
    let scheduled = world.home.run(&["send", contact, "later", "--at", "2h"]).exits(0);
    asker.refuses(FORGET, &path, "", "", (409, "contact_busy")).await;
    world.home.run(&["cancel", scheduled.id()]).exits(0);
    for query in ["?dry_run=true", ""] {
        let answer = asker.ask(FORGET, &format!("{path}{query}"), "", "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(asker.ask(FORGOTTEN, "/forgotten", "", "").await.status, 200);
}

async fn forwarding(asker: &Asker<'_>, world: &World) {
    wait_until("forwarding to begin", || world.server.log().contains("\"forwarding\""));
    let list = asker.ask(FORWARDS, "/forwards", "", "").await;
    assert_eq!(list.json()[0]["name"], "default");
    let unknown = (400, "unknown_parameter");
    asker.refuses(FORWARDS, "/forwards?no_such_parameter=1", "", "", unknown).await;
    for (name, action) in
        [(TEST_FORWARD, "test"), (ENABLE_FORWARD, "enable"), (REPLAY_FORWARD, "replay")]
    {
        let path = format!("/forwards/default/{action}");
        assert_eq!(asker.ask(name, &path, "", "{}").await.status, 200, "{path}");
        asker.refuses(name, &format!("{path}?no_such_parameter=1"), "", "{}", unknown).await;
        let nobody = format!("/forwards/nobody/{action}");
        asker.refuses(name, &nobody, "", "{}", (404, "forward_not_found")).await;
        let bad = format!("/forwards/%00/{action}");
        asker.refuses(name, &bad, "", "{}", (400, "invalid_request")).await;
    }
}

async fn syncing(asker: &Asker<'_>) {
    for query in ["", "?no_fetch=true", "?dry_run=true&since=2000-01-01T00:00:00Z"] {
        let answer = asker.ask(SYNC, &format!("/sync{query}"), "", "{}").await;
        let is_done = answer.body.contains("\"report\"");
        assert_eq!(
            (answer.status == 200, is_done),
            (!query.contains("2000"), !query.contains("2000"))
        );
    }
    for (query, code) in
        [("no_such_parameter=1", "unknown_parameter"), ("since=1", "invalid_request")]
    {
        asker.refuses(SYNC, &format!("/sync?{query}"), "", "{}", (400, code)).await;
    }
}

fn sending_to(base_url: &str) -> Home {
    Home::new().sending_to(base_url).set("CONVO_SEND_TIMEOUT", "2")
}

/// What a server answers whose Telnyx does not cancel.
async fn cancelling_elsewhere(contract: &Contract) {
    let id = "40319f00-0000-4000-8000-000000000001";
    let to = json!([{ "phone_number": CONTACT, "status": "scheduled" }]);
    let body = json!({ "data": { "id": id, "direction": "outbound", "to": to } }).to_string();
    let length = body.len();
    let scheduled =
        Reply::Raw(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"));
    let key = r#"{"errors":[{"code":"10009","title":"Authentication failed"}]}"#;
    for (reply, expected) in [
        (Some(Reply::RateLimit(7)), (429, "rate_limited")),
        (Some(Reply::Status(401, key)), (401, "invalid_api_key")),
        (None, (503, "telnyx_unreachable")),
    ] {
        let script: Vec<_> = std::iter::once(scheduled.clone()).chain(reply).collect();
        let telnyx = match script.len() {
            1 => FakeServer::replying_then_gone(&script).await,
            _ => FakeServer::replying(&script).await,
        };
        telnyx.knows(id, "scheduled");
        let home = sending_to(&telnyx.base_url());
        let server = Server::start(&home);
        let asker = Asker { contract, server: &server, lines: "" };
        let at = convo::clock::now().plus_seconds(3_600);
        let sent = asker.send(CONTACT, &json!({"message": "Hi", "send_at": at}).to_string()).await;
        let path = format!("/messages/{}/cancel", sent.json()["id"].as_str().expect("an id"));
        asker.refuses(CANCEL, &path, "", "{}", expected).await;
    }
}

/// What only servers with other settings answer.
async fn other_settings(contract: &Contract) {
    let poor = r#"{"errors":[{"code":"20012","title":"Account inactive"}]}"#;
    let busy = FakeServer::replying(&[Reply::RateLimit(7)]).await;
    let poor = FakeServer::replying(&[Reply::Status(402, poor)]).await;
    for (base_url, expected) in [
        (busy.base_url().as_str(), (429, "rate_limited")),
        (&poor.base_url(), (402, "telnyx_refused")),
        ("http://127.0.0.1:9/v2", (503, "telnyx_unreachable")),
    ] {
        let home = sending_to(base_url);
        let server = Server::start(&home);
        let asker = Asker { contract, server: &server, lines: "" };
        asker.refuses_a_send(CONTACT, HI, expected).await;
    }
    cancelling_elsewhere(contract).await;
    let telnyx = FakeServer::replying(&[Reply::Status(500, "{}"), Reply::Accept]).await;
    let home = sending_to(&telnyx.base_url());
    let server = Server::start(&home);
    let asker = Asker { contract, server: &server, lines: "" };
    let lost = unknown(&asker, CONTACT).await;
    assert_eq!(asker.ask(RETRY, &lost, "", "{}").await.status, 201);
    let home = Home::new();
    let server = Server::start(&home);
    let asker = Asker { contract, server: &server, lines: "" };
    asker.refuses_a_send(CONTACT, HI, (503, "not_configured")).await;
    let retry = "/messages/01a20685-7f6b-7790-99a8-f178d4040dda/retry";
    asker.refuses(RETRY, retry, "", "", (503, "not_configured")).await;
    asker.refuses(SYNC, "/sync", "", "{}", (503, "not_configured")).await;
    let cancel = "/messages/01a20685-7f6b-7790-99a8-f178d4040dda/cancel";
    asker.refuses(CANCEL, cancel, "", "", (503, "not_configured")).await;
    assert_eq!(asker.ask(READY, "/health/ready", "", "").await.status, 503);
    let form = "content-type: text/plain\r\n";
    for (name, path) in [
        (MARK_READ, "/conversations/1/read"),
        (MARK_UNREAD, "/conversations/1/unread"),
        (RETRY, retry),
        (CANCEL, cancel),
        (TEST_FORWARD, "/forwards/x/test"),
        (ENABLE_FORWARD, "/forwards/x/enable"),
        (REPLAY_FORWARD, "/forwards/x/replay"),
        (SYNC, "/sync"),
    ] {
        asker.refuses(name, path, form, "{}", (415, "unsupported_media_type")).await;
    }
    let encoded = "content-encoding: gzip\r\n";
    asker.refuses(WEBHOOK, "/webhooks/sms", encoded, "{}", (415, "unsupported_media_type")).await;
}

/// What a server says that has no room, and to whoever takes too long.
async fn bounds(contract: &Contract) {
    let home = sending_to("http://127.0.0.1:9/v2").set("CONVO_REQUEST_TIMEOUT", "1");
    let signer = Signer::new(7);
    let home = home.accepting(&signer);
    let server = Server::start(&home);
    let signature = signer.lines("another body");
    let late = async |name: &str, path: &str| {
        let head = "host: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n";
        let method = name.split(' ').next().expect("a method");
        let answer =
            server.raw(format!("{method} {path} HTTP/1.1\r\n{signature}{head}\r\n{{")).await;
        contract.holds(name, &answer);
        assert_eq!(answer.status_and_code(), (408, "request_timeout".into()), "{name}");
    };
    let send = format!("/conversations/{CONTACT}/send");
    let name = format!("/conversations/{CONTACT}/name");
    let routes = [
        (WEBHOOK, "/webhooks/sms"),
        (SEND, &send),
        (BATCH, "/batches/x"),
        (CHECK_BATCH, "/batches/x/check"),
        (NAME, &name),
        (NAME_CONTACTS, "/contacts"),
    ];
    futures_util::future::join_all(routes.map(|(name, path)| late(name, path))).await;
    // The only place is held by a send that Telnyx does not answer.
    let telnyx = FakeServer::replying(&[Reply::Silence]).await;
    let home = sending_to(&telnyx.base_url()).set("CONVO_MAX_CONNECTIONS", "1");
    let home = home.set("CONVO_SEND_TIMEOUT", "30");
    let server = Server::start(&home);
    let mut busy = TcpStream::connect(server.address).await.expect("a connection");
    let send = request("POST", &format!("/conversations/{CONTACT}/send"), "", HI);
    busy.write_all(send.as_bytes()).await.expect("a send");
    telnyx.wait_for_offers(1).await;
    let asker = Asker { contract, server: &server, lines: "" };
    for (name, path) in GUARDED.iter().chain(&[(WEBHOOK, "/webhooks/sms")]) {
        asker.refuses(name, path, "", "{}", (503, "overloaded")).await;
    }
}

async fn guards(contract: &Contract, server: &Server) {
    let asker = Asker { contract, server, lines: "" };
    for (name, path) in GUARDED {
        let poor = match name {
            // Whoever may read or send finds out whom a name means.
            WHO => SCRAPER,
            _ if name.starts_with("GET") => SENDER,
            _ => READER,
        };
        asker.refuses(name, path, "", "{}", (401, "unauthorized")).await;
        asker.refuses(name, path, poor, "{}", (403, "forbidden")).await;
    }
    asker.refuses(READY, "/health/ready", WRONG, "", (401, "unauthorized")).await;
    while asker.ask(LIST, "/conversations", WRONG, "").await.status == 401 {}
    asker.refuses(READY, "/health/ready", WRONG, "", (429, "too_many_attempts")).await;
    // Each of these is held back for a while, all at the same time.
    let slowed = GUARDED
        .map(|(name, path)| asker.refuses(name, path, WRONG, "{}", (429, "too_many_attempts")));
    futures_util::future::join_all(slowed).await;
}

/// What a database answers in which something is missing.
async fn without_its_tables(asker: &Asker<'_>, world: &World) {
    for table in [
        "messages",
        "conversations",
        "events",
        "feed",
        "forgotten",
        "forwards",
        "sync_sources",
        "batches",
        "batch_rows",
        "contact_names",
        "stats_place",
    ] {
        execute(&world.db.url, &format!("ALTER TABLE {table} RENAME TO {table}_away")).await;
    }
    let away = (503, "database_unavailable");
    let id = "01a20685-7f6b-7790-99a8-f178d4040dda";
    asker.refuses(LIST, "/conversations", "", "", away).await;
    asker.refuses(THREAD, &format!("/conversations/{CONTACT}"), "", "", away).await;
    for (name, mark) in [(MARK_READ, "read"), (MARK_UNREAD, "unread")] {
        let path = format!("/conversations/{CONTACT}/{mark}");
        asker.refuses(name, &path, "", "{}", away).await;
    }
    asker.refuses(CONTACTS, "/contacts", "", "", away).await;
    asker.refuses(WHO, "/contacts/ada", "", "", away).await;
    asker
        .refuses(
            NAME_CONTACTS,
            "/contacts?dry_run=true",
            "",
            r#"{"contacts":[{"contact_number":"72975","contact_name":"Ada"}]}"#,
            away,
        )
        .await;
    asker.refuses(NAME, "/conversations/1/name", "", r#"{"name":"Ada"}"#, away).await;
    asker.refuses(UNNAME, "/conversations/1/name", "", "", away).await;
    asker.refuses(MESSAGES, "/messages", "", "", away).await;
    asker.refuses(MESSAGE, &format!("/messages/{id}"), "", "", away).await;
    asker.refuses(STATS, "/stats", "", "", away).await;
    asker.refuses(MEDIA, &format!("/messages/{id}/media/1"), "", "", away).await;
    asker.refuses(RETRY, &format!("/messages/{id}/retry"), "", "{}", away).await;
    asker.refuses(CANCEL, &format!("/messages/{id}/cancel"), "", "{}", away).await;
    asker.refuses(EVENTS, "/events", "", "", away).await;
    asker.refuses(STORED_EVENTS, "/webhooks/events", "", "", away).await;
    asker.refuses(STORED_EVENT, "/webhooks/events/x", "", "", away).await;
    asker.refuses(EXPORT, &format!("/export?contact={CONTACT}"), "", "", away).await;
    asker.refuses(FORGET, &format!("/conversations/{CONTACT}"), "", "", away).await;
    asker.refuses(FORGOTTEN, "/forgotten", "", "", away).await;
    asker.refuses(FORWARDS, "/forwards", "", "", away).await;
    asker.refuses(SYNC, "/sync", "", "{}", away).await;
    asker.refuses(ENABLE_FORWARD, "/forwards/x/enable", "", "{}", away).await;
    asker.refuses(REPLAY_FORWARD, "/forwards/x/replay", "", "{}", away).await;
    let row = "0".repeat(32);
    let record = json!({"content": row, "rows": 1, "finished": true}).to_string();
    asker.refuses(BATCH, "/batches/x", "", &record, away).await;
    let rows = json!({"rows": [{"row": row, "to": CONTACT, "message": "Hi"}]}).to_string();
    asker.refuses(CHECK_BATCH, "/batches/x/check", "", &rows, away).await;
    asker.refuses_a_send(CONTACT, HI, away).await;
    let late = inbound("e-late", "m-late", CONTACT, "Hi");
    assert_eq!(signed(asker.contract, world, late.as_bytes()).await.status, 503);
}
