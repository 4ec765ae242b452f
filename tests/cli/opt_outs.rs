//! What Telnyx's answers and reports say of opt-outs and failures, ordered by Telnyx's clock alone.

use serde_json::{Value, json};

use crate::on_both_databases;
use crate::support::{
    CONTACT, Event, FakeServer, Home, Reply, Server, Signer, TestDatabase, response,
};

const OTHER: &str = "+12125550003";
const BLOCKED: &str = r#"{"errors":[{"code":"40300","title":"Blocked due to STOP message"}]}"#;

/// A server with a Telnyx that answers every send alike.
struct Setting {
    home: Home,
    server: Server,
    signer: Signer,
    telnyx: FakeServer,
}

impl Setting {
    async fn start(db: &TestDatabase, reply: Reply) -> Self {
        let telnyx = FakeServer::replying(&[reply]).await;
        let signer = Signer::new(7);
        let home = Home::new().with_database(db).sending_to(&telnyx.base_url()).accepting(&signer);
        let server = Server::start(&home);
        Self { home, server, signer, telnyx }
    }

    async fn post(&self, event: Event) -> String {
        self.signer.post(&self.server, event.to_string()).await
    }

    /// Since when the contact counts as opted out.
    fn opted_out_at(&self, contact: &str) -> Value {
        let list = self.home.run(&["list", "--json"]).silent().json();
        let threads = list.as_array().expect("an array").clone();
        let found = threads.into_iter().find(|thread| thread["contact_number"] == contact);
        found.map_or(Value::Null, |thread| thread["opted_out_at"].clone())
    }
}

fn word(id: &str, word: &str, at: &str) -> Event {
    Event::inbound(id, id, CONTACT, word).autoresponse(word).received_at(at)
}

async fn a_report_of_a_block_is_an_opt_out(db: TestDatabase) {
    let setting = Setting::start(&db, Reply::Accept).await;
    let sent = setting.home.run(&["send", CONTACT, "Hi", "--json"]).exits(0).json();
    let telnyx_id = sent["telnyx_message_id"].as_str().expect("an id");
    let errors = json!([{"code": "40300", "title": "Blocked due to STOP message"}]);
    let report = Event::report("e1", telnyx_id, CONTACT, "sending_failed").with("errors", errors);
    assert_eq!(setting.post(report).await, "updated");
    assert_eq!(setting.opted_out_at(CONTACT), "2026-11-22T13:00:00.000000Z");
    setting.home.run(&["send", CONTACT, "Again"]).exits(7);
    // The same code with other words is another matter.
    let sent = setting.home.run(&["send", OTHER, "Hi", "--json"]).exits(0).json();
    let telnyx_id = sent["telnyx_message_id"].as_str().expect("an id");
    let errors = json!([{"code": "40300", "title": "Number not assigned"}]);
    let report = Event::report("e2", telnyx_id, OTHER, "sending_failed").with("errors", errors);
    assert_eq!(setting.post(report).await, "updated");
    assert_eq!(setting.opted_out_at(OTHER), Value::Null);
}

async fn an_acceptance_that_has_failed_says_why(db: TestDatabase) {
    let reply = |id: &str| {
        let errors = json!([{"code": "40010", "title": "Not 10DLC registered"}]);
        let data = json!({"id": id, "to": [{"status": "sending_failed"}], "errors": errors});
        Reply::Raw(response("200 OK", "", &json!({ "data": data }).to_string()))
    };
    let setting = Setting::start(&db, reply("m-1")).await;
    let path = format!("/conversations/{CONTACT}/send");
    let lines = "content-type: application/json\r\nidempotency-key: k\r\n";
    let answer = setting.server.post(&path, lines, r#"{"message":"Hi"}"#).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let sent = answer.json();
    assert_eq!(
        (&sent["status"], &sent["error"]["code"]),
        (&json!("sending_failed"), &json!("40010"))
    );
    let again = setting.server.post(&path, lines, r#"{"message":"Hi"}"#).await;
    assert_eq!((again.status, again.json()["id"].clone()), (201, sent["id"].clone()));
    let path = format!("/messages/{}", sent["id"].as_str().expect("an id"));
    let history = setting.server.get(&path).await.json()["history"].clone();
    assert_eq!(
        (&history[0]["status"], &history[0]["error"]["code"]),
        (&json!("sending_failed"), &json!("40010")),
        "{history}"
    );
    let home = &setting.home;
    setting.telnyx.now_replying(&[reply("m-2")]);
    let done = home.run(&["send", OTHER, "Hi"]).exits(6).reports("Not 10DLC registered");
    assert!(!done.err.contains("idempotency-key"), "no key was given: {}", done.err);
    assert_eq!(done.out.lines().count(), 1);
}

/// Telnyx's answer is dated in whole seconds by its own clock, which may be behind ours.
async fn a_refusal_is_dated_by_telnyx(db: TestDatabase) {
    let date = "date: Sun, 22 Nov 2026 13:00:05 GMT\r\n";
    let setting = Setting::start(&db, Reply::Raw(response("403 Forbidden", date, BLOCKED))).await;
    setting.home.run(&["send", CONTACT, "Hi"]).exits(7);
    assert_eq!(setting.opted_out_at(CONTACT), "2026-11-22T13:00:05.000000Z");
    let early = word("before", "START", "2026-11-22T13:00:04.999999Z");
    assert_eq!(setting.post(early).await, "stored");
    assert_ne!(setting.opted_out_at(CONTACT), Value::Null, "START was said before the refusal");
    let start = word("start", "START", "2026-11-22T13:00:05.300Z");
    assert_eq!(setting.post(start).await, "stored");
    assert_eq!(setting.opted_out_at(CONTACT), Value::Null, "START was said after it");
}

async fn the_latest_word_decides_in_any_order(db: TestDatabase) {
    let setting = Setting::start(&db, Reply::Accept).await;
    let (first, later, last) =
        ("2026-11-22T13:00:01Z", "2026-11-22T13:00:02Z", "2036-11-22T13:00:03Z");
    for (id, said, at, is_out) in [
        ("1", "STOP", later, true),
        ("2", "START", first, true),
        ("3", "START", later, false),
        ("4", "STOP", later, false),
        // However far ahead of ours Telnyx's clock is.
        ("5", "STOP", last, true),
        ("6", "START", later, true),
        ("7", "START", last, false),
    ] {
        assert_eq!(setting.post(word(id, said, at)).await, "stored");
        assert_eq!(setting.opted_out_at(CONTACT) != Value::Null, is_out, "{id}: {said} at {at}");
    }
}

async fn a_report_of_any_name_is_a_report(db: TestDatabase) {
    let setting = Setting::start(&db, Reply::Accept).await;
    let sent = setting.home.run(&["send", CONTACT, "Hi", "--json"]).exits(0).json();
    let telnyx_id = sent["telnyx_message_id"].as_str().expect("an id");
    let report = Event::report("e1", telnyx_id, CONTACT, "delivered").to_string();
    let unlisted = report.replace("message.finalized", "message.delivered");
    assert_eq!(setting.signer.post(&setting.server, unlisted).await, "updated");
    let shown = setting.home.run(&["show", CONTACT, "--json"]).silent().json();
    assert_eq!(shown["messages"][0]["status"], "delivered");
}

on_both_databases!(
    a_report_of_a_block_is_an_opt_out,
    an_acceptance_that_has_failed_says_why,
    a_refusal_is_dated_by_telnyx,
    the_latest_word_decides_in_any_order,
    a_report_of_any_name_is_a_report
);
