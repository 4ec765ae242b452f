//! `convo cancel`: a scheduled text is cancelled, is too late, or nobody knows.

use convo::sandbox::Behaviour;
use serde_json::Value;

use crate::on_both_databases;
use crate::support::{Done, FakeServer, Home, Reply, TestDatabase, World};

const CONTACT: &str = "+12125551234";

/// Schedules a text and returns its id.
fn schedule(home: &Home, remote: &[&str]) -> String {
    let sent = home.run(&[&["send", CONTACT, "Later", "--at", "2h"], remote].concat()).exits(0);
    sent.id().to_owned()
}

async fn a_scheduled_text_is_cancelled_once_and_for_all(db: TestDatabase) {
    let world = World::start(db).await;
    let url = world.server.url();
    for remote in [&[][..], &["--server", &url]] {
        let id = schedule(&world.home, remote);
        let listed =
            world.home.run(&[&["list", "--status", "scheduled", "--json"], remote].concat());
        let last = listed.silent().json()[0]["last_message"].clone();
        assert_eq!(last["id"], id.as_str());
        assert!(last["send_at"].is_string(), "{last}");
        let done = world.home.run(&[&["cancel", &id], remote].concat()).exits(0);
        assert_eq!((done.line(), done.err.trim()), (id.as_str(), "cancelled; it will not be sent"));
        let again = world.home.run(&[&["cancel", &id, "--json"], remote].concat()).silent().json();
        assert_eq!((&again["id"], &again["status"]), (&id.as_str().into(), &"cancelled".into()));
        let shown = world.home.run(&[&["show", CONTACT, "--json", "--history"], remote].concat());
        let thread = shown.silent().json();
        let messages = thread["messages"].as_array().cloned().unwrap_or_default();
        let cancelled = messages.iter().find(|message| message["id"] == id.as_str());
        let reports = cancelled.and_then(|message| message["history"].as_array().cloned());
        let reports: Vec<Value> = reports.unwrap_or_default();
        assert!(reports.iter().any(|report| report["status"] == "cancelled"), "{reports:?}");
        world.home.run(&[&["wait", &id], remote].concat()).exits(6);
    }
    let requests = world.telnyx.requests();
    let asked = requests.iter().filter(|request| request.method == "DELETE").count();
    assert_eq!(asked, 2, "a cancelled text is not cancelled at Telnyx again");
}

async fn what_was_sent_cannot_be_cancelled(db: TestDatabase) {
    let world = World::start(db).await;
    let url = world.server.url();
    let silent = Behaviour::Silent.number();
    let sent = world.home.run(&["send", silent, "Hi", "--wait"]).exits(0);
    for remote in [&[][..], &["--server", &url]] {
        let cancel = ["cancel", sent.id()];
        let late = world.home.run(&[&cancel, remote, &["--json"]].concat()).exits(6);
        assert_eq!(late.error()["code"], "not_cancellable");
        let late = world.home.run(&[&cancel, remote].concat()).exits(6);
        late.reports("too late to cancel: the message is delivered");
        let none = "0190a1b2-c3d4-7000-8000-5e6f70819203";
        world.home.run(&[&["cancel", none], remote].concat()).exits(3);
    }
}

on_both_databases!(
    a_scheduled_text_is_cancelled_once_and_for_all,
    what_was_sent_cannot_be_cancelled,
);

const TELNYX_ID: &str = "40319f00-0000-4000-8000-000000000001";

/// Telnyx's answer to a scheduled text.
fn scheduled() -> Reply {
    let body = serde_json::json!({ "data": {
        "id": TELNYX_ID, "direction": "outbound", "type": "SMS", "text": "Later",
        "from": { "phone_number": "+15551234567" },
        "to": [{ "phone_number": CONTACT, "status": "scheduled" }],
    }})
    .to_string();
    Reply::Raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

/// Cancels a scheduled text at a Telnyx that gives these answers, and says that the text has a status.
async fn cancelled_at(answers: &[Reply], status: &str, json: &[&str]) -> Done {
    let script: Vec<_> = [scheduled()].into_iter().chain(answers.to_vec()).collect();
    let telnyx = FakeServer::replying(&script).await;
    telnyx.knows(TELNYX_ID, status);
    let home = Home::new().sending_to(&telnyx.base_url()).set("CONVO_SEND_TIMEOUT", "2");
    let id = schedule(&home, &[]);
    home.run(&[&["cancel", &id], json].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_settled_by_asking_or_said_to_be_unknown() {
    let lost = [Reply::Reset];
    let done = cancelled_at(&lost, "cancelled", &["--json"]).await.exits(0);
    assert_eq!(done.json()["status"], "cancelled");
    let done = cancelled_at(&lost, "scheduled", &[]).await.exits(9);
    done.reports("it is not known whether the message is cancelled");
    let done = cancelled_at(&lost, "sent", &[]).await.exits(6);
    done.reports("too late to cancel: the message is sent");
    // The first request was carried out although its answer was lost: the second is refused.
    let refused =
        Reply::Status(404, r#"{"errors":[{"code":"40303","title":"Message not found"}]}"#);
    let twice = [Reply::Reset, refused.clone()];
    let done = cancelled_at(&twice, "cancelled", &["--json"]).await.exits(0);
    assert_eq!(done.json()["status"], "cancelled");
    let done = cancelled_at(&[refused], "scheduled", &[]).await.exits(6);
    done.reports("Telnyx refused to cancel the message: Message not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_surely_changed_nothing_is_told_apart() {
    let limited = cancelled_at(&[Reply::RateLimit(7)], "scheduled", &["--json"]).await.exits(5);
    let told = limited.error();
    assert_eq!((&told["code"], &told["retry_after"]), (&"rate_limited".into(), &7.into()));
    let refused =
        Reply::Status(401, r#"{"errors":[{"code":"10009","title":"Authentication failed"}]}"#);
    let done = cancelled_at(&[refused], "scheduled", &["--json"]).await.exits(4);
    assert_eq!(done.error()["code"], "invalid_api_key");
}
