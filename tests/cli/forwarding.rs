//! Forwarding: events reach another program signed, in order and at least once, whatever becomes of it or
//! of the server; `convo forward` tells and changes where it stands.

use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::on_both_databases;
use crate::support::{
    CONTACT, Home, Manner, OWN, Received, Receiver, Running, Server, Signer, TestDatabase, bearer,
    inbound, variable, wait_for, wait_until,
};

/// 32 bytes, the first of which are 0, 1, 2, ….
const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const TOKEN: &str = "boss:admin:0123456789abcdef0123456789abcdef";

fn key() -> Vec<u8> {
    (0..32).collect()
}

/// A server that forwards to a receiver.
struct Forwarding {
    home: Home,
    signer: Signer,
    server: Server,
    _db: TestDatabase,
}

impl Forwarding {
    fn start(db: TestDatabase, url: &str) -> Self {
        Self::with(db, url, |home| home)
    }

    fn with(db: TestDatabase, url: &str, change: impl FnOnce(Home) -> Home) -> Self {
        let signer = Signer::new(7);
        let home = Home::new()
            .with_database(&db)
            .accepting(&signer)
            .set("TELNYX_PHONE_NUMBER", OWN)
            .set("CONVO_FORWARD_URL", url)
            .set("CONVO_FORWARD_SECRET", SECRET);
        let home = change(home);
        let server = Server::start(&home);
        let started = Self { home, signer, server, _db: db };
        wait_until("forwarding to begin", || {
            started.list().iter().all(|forward| forward["state"] != "waiting")
        });
        started
    }

    fn list(&self) -> Vec<Value> {
        let list = self.home.run(&["forward", "list", "--json"]).silent().json();
        list.as_array().expect("an array").clone()
    }

    fn state(&self) -> Value {
        self.list().into_iter().find(|forward| forward["name"] == "default").expect("a name")
    }

    /// The contact writes a text.
    async fn hear(&self, text: &str) {
        let event = inbound(&format!("e-{text}"), &format!("m-{text}"), CONTACT, text);
        self.signer.post(&self.server, event).await;
    }

    /// Makes the next attempt due.
    fn retry_now(&self) {
        self.home.run(&["forward", "enable", "default"]).exits(0);
    }
}

async fn every_event_is_posted_signed_and_as_in_the_feed(db: TestDatabase) {
    let receiver = Receiver::start(Manner::Answer(200));
    let secrets = format!("{OTHER_SECRET},{SECRET}");
    let url = format!("{}?token=hidden", receiver.url());
    let forwarding =
        Forwarding::with(db, &url, |home| home.set("CONVO_FORWARD_SECRET", secrets.as_str()));
    for text in ["one", "two", "three"] {
        forwarding.hear(text).await;
    }
    receiver.wait_for(Manner::Answer(200), 3);
    assert_eq!(receiver.texts(), ["one", "two", "three"]);
    for event in receiver.accepted() {
        let json = event.json();
        assert!(event.head.starts_with("POST /events?token=hidden HTTP/1.1"), "{}", event.head);
        assert_eq!(event.header("content-type"), "application/json");
        assert_eq!(event.id(), format!("evt_{}", json["cursor"].as_str().expect("a cursor")));
        assert_eq!((&json["kind"], &json["contact_number"]), (&"message".into(), &CONTACT.into()));
        assert!(event.is_signed_with(&key()), "{}", event.head);
        assert_eq!(event.header("webhook-signature").split(' ').count(), 2);
    }
    wait_until("the place to be stored", || forwarding.state()["events_behind"] == 0);
    let state = forwarding.state();
    assert_eq!(state["state"], "active");
    assert_eq!(state["url"], receiver.url(), "without the query");
    assert!(state["last_success_at"].is_string() && state["last_error"].is_null(), "{state}");
    assert!(!forwarding.server.log().contains("hidden"));
}

async fn a_receiver_that_fails_in_every_way_gets_all_events_in_order(db: TestDatabase) {
    let receiver = Receiver::start(Manner::Answer(500));
    let forwarding = Forwarding::start(db, &receiver.url());
    forwarding.hear("one").await;
    receiver.wait_for(Manner::Answer(500), 1);
    wait_until("a failure", || forwarding.state()["state"] == "failing");
    let state = forwarding.state();
    assert_eq!(state["last_error"], "answered 500");
    assert_eq!((&state["attempts"], &state["events_behind"]), (&1.into(), &1.into()));
    let manners = [Manner::Close, Manner::Redirect, Manner::Answer(404), Manner::Answer(503)];
    for (text, manner) in ["two", "three", "four", "five"].into_iter().zip(manners) {
        receiver.set(manner);
        forwarding.hear(text).await;
        forwarding.retry_now();
        receiver.wait_for(manner, 1);
    }
    let tried = receiver.received();
    assert!(tried.iter().all(|event| event.text() == "one"), "nothing overtakes the first");
    assert!(tried.iter().all(|event| event.id() == tried[0].id()), "the id stays the same");
    receiver.set(Manner::Answer(200));
    forwarding.retry_now();
    receiver.wait_for(Manner::Answer(200), 5);
    wait_until("all to be delivered", || forwarding.state()["state"] == "active");
    assert_eq!(receiver.texts(), ["one", "two", "three", "four", "five"]);
}

async fn the_first_retry_comes_by_itself(db: TestDatabase) {
    let receiver = Receiver::start(Manner::Answer(500));
    let forwarding = Forwarding::start(db, &receiver.url());
    forwarding.hear("one").await;
    receiver.wait_for(Manner::Answer(500), 1);
    receiver.set(Manner::Answer(200));
    receiver.wait_for(Manner::Answer(200), 1);
    assert_eq!(receiver.received().len(), 2);
}

async fn a_server_killed_in_mid_delivery_loses_nothing(db: TestDatabase) {
    let receiver = Receiver::start(Manner::Answer(200));
    let mut forwarding = Forwarding::start(db, &receiver.url());
    forwarding.hear("one").await;
    receiver.wait_for(Manner::Answer(200), 1);
    wait_until("the place to be stored", || forwarding.state()["events_behind"] == 0);
    receiver.set(Manner::Hang);
    forwarding.hear("two").await;
    forwarding.hear("three").await;
    receiver.wait_for(Manner::Hang, 1);
    let next = Server::start(&forwarding.home);
    std::mem::replace(&mut forwarding.server, next).kill();
    receiver.set(Manner::Answer(200));
    receiver.wait_for(Manner::Answer(200), 3);
    assert_eq!(receiver.texts(), ["one", "two", "three"]);
    let ids = |text: &str| -> Vec<String> {
        let all = receiver.received();
        let of_text = all.iter().filter(|event| event.text() == text);
        of_text.map(|event| event.id().to_owned()).collect()
    };
    let [first, second] = &ids("two")[..] else { panic!("{:?}", ids("two")) };
    assert_eq!(first, second);
}

async fn a_receiver_that_is_gone_is_left_alone_until_enabled(db: TestDatabase) {
    let receiver = Receiver::start(Manner::Answer(410));
    let forwarding =
        Forwarding::with(db, &receiver.url(), |home| home.set("CONVO_API_TOKEN", TOKEN));
    forwarding.hear("one").await;
    wait_until("a pause", || forwarding.state()["state"] == "paused");
    receiver.set(Manner::Answer(200));
    forwarding.hear("two").await;
    let url = forwarding.server.url();
    let here = forwarding.home.run(&["forward", "list"]).silent();
    let there = forwarding.home.run_with(
        &[("CONVO_API_TOKEN", TOKEN.rsplit(':').next().expect("a token"))],
        &["forward", "list", "--server", &url],
    );
    assert_eq!(
        here.out.split('\t').take(4).collect::<Vec<_>>().join("\t"),
        format!("default\tpaused\t{}\t2", receiver.url())
    );
    assert_eq!(there.silent().out.split('\t').next(), Some("default"));
    assert_eq!(receiver.received().len(), 1, "nothing is posted during a pause");
    forwarding.home.run(&["forward", "test", "default"]).exits(0);
    let test = receiver.accepted().pop().expect("the test event");
    assert_eq!(test.json()["kind"], "test");
    assert!(test.id().starts_with("test_") && test.is_signed_with(&key()));
    let token = bearer(TOKEN.rsplit(':').next().expect("a token"));
    let enabled = forwarding.server.post("/v1/forwards/default/enable", &token, "{}").await;
    assert_eq!(enabled.status, 200, "{}", enabled.body);
    receiver.wait_for(Manner::Answer(200), 3);
    assert_eq!(receiver.texts()[1..], ["one", "two"]);
}

async fn a_replay_keeps_the_ids_and_the_order_of_new_events(db: TestDatabase) {
    let receiver = Receiver::start(Manner::Answer(200));
    let forwarding = Forwarding::start(db, &receiver.url());
    for text in ["one", "two"] {
        forwarding.hear(text).await;
    }
    receiver.wait_for(Manner::Answer(200), 2);
    wait_until("the place to be stored", || forwarding.state()["events_behind"] == 0);
    let done = forwarding.home.run(&["forward", "replay", "default", "--since", "1h"]).exits(0);
    assert_eq!(done.out, "2\n");
    receiver.wait_for(Manner::Answer(200), 4);
    let accepted = receiver.accepted();
    assert_eq!(receiver.texts(), ["one", "two", "one", "two"]);
    assert_eq!((accepted[0].id(), accepted[1].id()), (accepted[2].id(), accepted[3].id()));
    wait_until("the replay to end", || forwarding.state()["replaying"] == 0);
    forwarding.hear("three").await;
    receiver.wait_for(Manner::Answer(200), 5);
    assert_eq!(receiver.texts()[4], "three");
    // Nothing was given up, so there is nothing else to replay.
    assert_eq!(forwarding.home.run(&["forward", "replay", "default"]).exits(0).out, "0\n");
    forwarding.home.run(&["forward", "replay", "nobody"]).exits(3).reports("nobody");
}

async fn what_is_given_up_is_listed_and_can_be_replayed(db: TestDatabase) {
    let receiver = Receiver::start(Manner::Answer(500));
    let url = db.url.clone();
    let forwarding = Forwarding::start(db, &receiver.url());
    forwarding.hear("old").await;
    wait_until("a failure", || forwarding.state()["state"] == "failing");
    let days = 4 * 86_400_000_000_i64;
    for sql in [
        format!("UPDATE feed SET at = at - {days} WHERE at > {days}"),
        format!("UPDATE forwards SET failing_since = failing_since - {days}"),
    ] {
        crate::support::execute(&url, &sql).await;
    }
    forwarding.hear("new").await;
    receiver.set(Manner::Answer(200));
    forwarding.retry_now();
    receiver.wait_for(Manner::Answer(200), 1);
    assert_eq!(receiver.texts(), ["new"], "what is older than three days was given up");
    let given_up = forwarding.state()["given_up"].clone();
    assert_eq!((given_up.as_array().map(Vec::len), &given_up[0]["events"]), (Some(1), &1.into()));
    let done = forwarding.home.run(&["forward", "replay", "default"]).exits(0);
    assert_eq!(done.out, "1\n");
    receiver.wait_for(Manner::Answer(200), 2);
    assert_eq!(receiver.texts(), ["new", "old"]);
    wait_until("nothing to be left", || {
        let state = forwarding.state();
        state["replaying"] == 0 && state["given_up"] == Value::Array(Vec::new())
    });
}

/// What happened while convo was not running may be old when it is first attempted.
async fn patience_counts_from_the_last_success(db: TestDatabase) {
    let receiver = Receiver::start(Manner::Answer(200));
    let url = db.url.clone();
    let forwarding = Forwarding::start(db, &receiver.url());
    forwarding.hear("one").await;
    receiver.wait_for(Manner::Answer(200), 1);
    wait_until("the place to be stored", || forwarding.state()["events_behind"] == 0);
    receiver.set(Manner::Answer(500));
    forwarding.hear("old").await;
    wait_until("a failure", || forwarding.state()["attempts"] == 1);
    let days = 4 * 86_400_000_000_i64;
    let age = format!("UPDATE feed SET at = at - {days} WHERE at > {days}");
    crate::support::execute(&url, &age).await;
    forwarding.retry_now();
    receiver.wait_for(Manner::Answer(500), 2);
    wait_until("another failure", || forwarding.state()["attempts"] == 1);
    assert_eq!(forwarding.state()["given_up"], Value::Array(Vec::new()), "a success is recent");
    let age = format!("UPDATE forwards SET last_success_at = last_success_at - {days}");
    crate::support::execute(&url, &age).await;
    forwarding.retry_now();
    wait_until("it to be given up", || forwarding.state()["given_up"][0]["events"] == 1);
    receiver.set(Manner::Answer(200));
    forwarding.hear("new").await;
    receiver.wait_for(Manner::Answer(200), 2);
    assert_eq!(receiver.texts(), ["one", "new"]);
}

/// The answer must begin within 15 seconds.
async fn a_receiver_that_never_answers_has_failed(db: TestDatabase) {
    let receiver = Receiver::start(Manner::Hang);
    let forwarding = Forwarding::start(db, &receiver.url());
    let began = std::time::Instant::now();
    forwarding.hear("one").await;
    wait_until("a timeout", || forwarding.state()["attempts"] == 1);
    assert!(began.elapsed().as_secs() >= 15, "{:?}", began.elapsed());
    assert_eq!(forwarding.state()["last_error"], "no answer within 15 seconds");
    let metrics = forwarding.server.get("/metrics").await.body;
    let counted = "convo_forward_deliveries_total{name=\"default\",outcome=\"timeout\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    receiver.set(Manner::Answer(200));
    forwarding.retry_now();
    receiver.wait_for(Manner::Answer(200), 1);
    assert_eq!(receiver.texts(), ["one"]);
}

/// The library of Standard Webhooks verifies what was received.
async fn the_library_of_standard_webhooks_accepts_what_is_posted(db: TestDatabase) {
    let receiver = Receiver::start(Manner::Answer(200));
    let secrets = format!("{OTHER_SECRET},{SECRET}");
    let forwarding = Forwarding::with(db, &receiver.url(), |home| {
        home.set("CONVO_FORWARD_SECRET", secrets.as_str())
    });
    let hostile = "h\u{e9}llo \u{1f600} \u{202e}\u{1b}[31m \"quoted\" \\";
    let event = inbound("e-1", "m-1", CONTACT, hostile);
    forwarding.signer.post(&forwarding.server, event).await;
    receiver.wait_for(Manner::Answer(200), 1);
    forwarding.home.run(&["forward", "test", "default"]).exits(0);
    wait_until("the place to be stored", || forwarding.state()["events_behind"] == 0);
    forwarding.home.run(&["forward", "replay", "default", "--since", "1h"]).exits(0);
    receiver.wait_for(Manner::Answer(200), 3);
    let posted = receiver.accepted();
    for secret in [SECRET, OTHER_SECRET] {
        let kinds: Vec<_> = posted.iter().map(|event| library_verdict(secret, event)).collect();
        assert_eq!(kinds, ["message", "test", "message"], "{secret}");
    }
    assert_eq!(posted[0].id(), posted[2].id());
    let altered = |change: fn(&mut Received)| {
        let mut event = posted[0].clone();
        change(&mut event);
        library_verdict(SECRET, &event)
    };
    assert_eq!(altered(|event| event.body = event.body.replacen('o', "0", 1)), "rejected");
    assert_eq!(altered(|event| event.head = event.head.replace("evt_", "evt_1")), "rejected");
    let unknown = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert_eq!(library_verdict(unknown, &posted[0]), "rejected");
}

/// The kind of an event that the library accepts, or `rejected`.
fn library_verdict(secret: &str, event: &Received) -> String {
    const SCRIPT: &str = "\
import json, sys
from standardwebhooks import Webhook, WebhookVerificationError
secret, *headers = sys.argv[1:]
headers = dict(zip(headers[::2], headers[1::2]))
try:
    print(Webhook(secret).verify(sys.stdin.buffer.read(), headers)['kind'])
except WebhookVerificationError:
    print('rejected')
";
    let mut command = Command::new("python3");
    command.args(["-I", "-c"]);
    command.arg(format!(
        "import sys; sys.path.insert(0, {:?})\n{SCRIPT}",
        variable("CONVO_TEST_PYTHON")
    ));
    command.arg(secret);
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        command.args([name, event.header(name)]);
    }
    let done = Running::start(command, Some(event.body.as_bytes())).wait().silent();
    done.line().to_owned()
}

async fn names_are_independent_and_have_filters(db: TestDatabase) {
    let (all, some) = (Receiver::start(Manner::Hang), Receiver::start(Manner::Answer(200)));
    let urls = format!("all={} some={}", all.url(), some.url());
    let filter = "some:contact=+12125551234&direction=inbound";
    let forwarding = Forwarding::with(db, &urls, |home| home.set("CONVO_FORWARD_FILTER", filter));
    let other = inbound("e-0", "m-0", "+12125550000", "other");
    forwarding.signer.post(&forwarding.server, other).await;
    forwarding.hear("mine").await;
    some.wait_for(Manner::Answer(200), 1);
    all.wait_for(Manner::Hang, 1);
    assert_eq!(some.texts(), ["mine"]);
    let metrics = forwarding.server.get("/metrics").await.body;
    assert!(
        metrics.contains("convo_forward_deliveries_total{name=\"some\",outcome=\"delivered\"} 1")
    );
    assert!(metrics.contains("convo_forward_lag_events{name=\"all\"} 2"), "{metrics}");
}

async fn in_another_feed_forwarding_begins_anew(db: TestDatabase) {
    let receiver = Receiver::start(Manner::Answer(200));
    let url = db.url.clone();
    let forwarding = Forwarding::start(db, &receiver.url());
    forwarding.hear("one").await;
    receiver.wait_for(Manner::Answer(200), 1);
    wait_until("the place to be stored", || forwarding.state()["events_behind"] == 0);
    crate::support::execute(&url, "UPDATE forwards SET nonce = nonce - 1").await;
    forwarding.server.wait_for_log("this is another feed");
    wait_until("a new beginning", || forwarding.state()["restarted_at"].is_string());
    forwarding.hear("two").await;
    receiver.wait_for(Manner::Answer(200), 2);
    assert_eq!(receiver.texts(), ["one", "two"]);
}

on_both_databases!(
    every_event_is_posted_signed_and_as_in_the_feed,
    a_receiver_that_fails_in_every_way_gets_all_events_in_order,
    the_first_retry_comes_by_itself,
    a_server_killed_in_mid_delivery_loses_nothing,
    a_receiver_that_is_gone_is_left_alone_until_enabled,
    a_replay_keeps_the_ids_and_the_order_of_new_events,
    what_is_given_up_is_listed_and_can_be_replayed,
    patience_counts_from_the_last_success,
    a_receiver_that_never_answers_has_failed,
    the_library_of_standard_webhooks_accepts_what_is_posted,
    names_are_independent_and_have_filters,
    in_another_feed_forwarding_begins_anew,
);

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_servers_forwards_and_the_other_takes_over() {
    let receiver = Receiver::start(Manner::Answer(200));
    let forwarding = Forwarding::start(TestDatabase::postgres().await, &receiver.url());
    let other = Server::start(&forwarding.home);
    for text in ["one", "two", "three"] {
        let event = inbound(&format!("e-{text}"), &format!("m-{text}"), CONTACT, text);
        forwarding.signer.post(&other, event).await;
    }
    receiver.wait_for(Manner::Answer(200), 3);
    wait_until("the place to be stored", || forwarding.state()["events_behind"] == 0);
    // A server that stands still for longer than its lease must not go on with it.
    forwarding.server.signal(Signal::STOP);
    let event = inbound("e-four", "m-four", CONTACT, "four");
    forwarding.signer.post(&other, event).await;
    receiver.wait_for(Manner::Answer(200), 4);
    forwarding.server.signal(Signal::CONT);
    forwarding.hear("five").await;
    receiver.wait_for(Manner::Answer(200), 5);
    assert_eq!(receiver.texts(), ["one", "two", "three", "four", "five"]);
    wait_until("the place to be stored", || forwarding.state()["events_behind"] == 0);
    assert_eq!(receiver.received().len(), 5, "nothing is delivered twice");
    other.kill();
    forwarding.hear("six").await;
    receiver.wait_for(Manner::Answer(200), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_quick_and_hands_over_at_once() {
    let receiver = Receiver::start(Manner::Hang);
    let mut forwarding = Forwarding::start(TestDatabase::sqlite(), &receiver.url());
    forwarding.hear("one").await;
    receiver.wait_for(Manner::Hang, 1);
    forwarding.server.signal(Signal::TERM);
    assert_eq!(forwarding.server.wait(), 0);
    receiver.set(Manner::Answer(200));
    forwarding.server = Server::start(&forwarding.home);
    receiver.wait_for(Manner::Answer(200), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_a_dotenv_gets_no_secret_of_another_layer() {
    let home = Home::new().set("CONVO_FORWARD_SECRET", SECRET);
    home.write(".env", "CONVO_FORWARD_URL=https://evil.example/\n");
    home.run(&["serve", "--listen", "127.0.0.1:0"]).exits(4).reports("CONVO_FORWARD_URL is from");
    let home = home.without("CONVO_FORWARD_SECRET");
    home.write(
        ".env",
        format!("CONVO_FORWARD_URL=http://evil.example/\nCONVO_FORWARD_SECRET={SECRET}\n"),
    );
    let done = home.run(&["serve", "--listen", "127.0.0.1:0"]).exits(4).reports("use https");
    assert!(!done.err.contains("evil"), "{}", done.err);
    let shown = home.run(&["config"]);
    assert!(!shown.out.contains("whsec_") && !shown.out.contains("evil"), "{}", shown.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_may_use_forwarding() {
    let db = TestDatabase::sqlite();
    let receiver = Receiver::start(Manner::Answer(500));
    let tokens = format!("{TOKEN},app:read+send:fedcba9876543210fedcba9876543210");
    let forwarding =
        Forwarding::with(db, &receiver.url(), |home| home.set("CONVO_API_TOKEN", tokens.as_str()));
    let (admin, app) =
        (bearer("0123456789abcdef0123456789abcdef"), bearer("fedcba9876543210fedcba9876543210"));
    assert_eq!(forwarding.server.get_with("/forwards", &app).await.status, 403);
    for path in ["test", "enable", "replay"] {
        let path = format!("/forwards/default/{path}");
        assert_eq!(forwarding.server.post(&path, &app, "{}").await.status, 403);
        assert_eq!(forwarding.server.post(&path, &admin, "{}").await.status, 200, "{path}");
    }
    let unknown = forwarding.server.post("/forwards/x%20y/replay", &admin, "{}").await;
    assert_eq!(unknown.status_and_code(), (404, "forward_not_found".to_owned()));
    let bad = forwarding.server.post("/forwards/default/replay?since=now", &admin, "{}").await;
    assert_eq!(bad.status_and_code(), (400, "invalid_request".to_owned()));
    let tested = forwarding.server.post("/forwards/default/test", &admin, "{}").await.json();
    assert_eq!((&tested["delivered"], &tested["status"]), (&false.into(), &500.into()));
    let url = forwarding.server.url();
    let token = [("CONVO_API_TOKEN", "0123456789abcdef0123456789abcdef")];
    let remote = ["forward", "test", "default", "--server", &url];
    let here = forwarding.home.run(&["forward", "test", "default"]).exits(6);
    let there = forwarding.home.run_with(&token, &remote).exits(6);
    assert_eq!((&here.out, &here.err), (&there.out, &there.err));
    wait_for("three test events", || (receiver.received().len() >= 3).then_some(()));
}
