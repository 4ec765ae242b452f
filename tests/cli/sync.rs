//! `convo sync`, and what a server does by itself: whatever no webhook has brought is found, dated and
//! ordered as Telnyx has it, and wakes nobody.

use convo::sandbox::Behaviour;
use serde_json::{Value, json};

use crate::on_both_databases;
use crate::support::{
    CONTACT, DEADLINE, Home, OWN, Server, TestDatabase, World, connect, eventually, execute,
    local_client, query_one, wait_for, wait_until,
};

const OTHER: &str = "+442079460958";
const DAY: i64 = 24 * 3_600;

/// A server that syncs by itself.
fn syncing(home: Home) -> Home {
    home.set("CONVO_SYNC", "10m")
}

fn report(home: &Home, args: &[&str]) -> Value {
    home.run(&[&["sync", "--json"], args].concat()).exits(0).json()
}

/// What a report says of a source: how much was read and found.
fn source<'a>(report: &'a Value, name: &str) -> &'a Value {
    let sources = report["sources"].as_array().expect("sources");
    sources.iter().find(|source| source["source"] == name).expect(name)
}

fn found(report: &Value, name: &str) -> u64 {
    source(report, name)["found"].as_u64().expect("a number")
}

fn messages(home: &Home, contact: &str) -> Vec<Value> {
    let thread = home.run(&["show", contact, "--json"]);
    if thread.code != 0 {
        return Vec::new();
    }
    thread.json()["messages"].as_array().expect("messages").clone()
}

fn bodies(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["body"].as_str().expect("a text")).collect()
}

/// What the simulated Telnyx lists.
async fn listed(base_url: &str, path: &str) -> Vec<Value> {
    let url = format!("{base_url}/{path}");
    let answer =
        local_client(DEADLINE).get(url).bearer_auth("KEY").send().await.expect("an answer");
    let list: Value = answer.json().await.expect("JSON");
    list["data"].as_array().expect("a list").clone()
}

/// The server is down while texts come, statuses change and STOP is said. It comes up, and nothing is
/// missing; dates and order are Telnyx's; it says so in the feed, and once is enough.
async fn what_happens_while_the_server_is_down_is_not_missing(db: TestDatabase) {
    let world = World::with(db, syncing).await;
    wait_until("the first sync", || world.asked("/v2/messaging_optouts") > 0);
    let World { home, server, telnyx, .. } = &world;
    let before = convo::clock::now();
    let address = server.address;
    server.signal(rustix::process::Signal::KILL);
    wait_until("the end of the server", || std::net::TcpStream::connect(address).is_err());
    let sent = home.run(&["send", CONTACT, "please say STOP"]).exits(0).id().to_owned();
    let first = world.receive(OTHER, "One", 7_200).await;
    let second = world.receive(OTHER, "Two", 60).await;
    // Sent, delivered, STOP; and the two texts.
    let base_url = telnyx.base_url();
    eventually("five webhooks to fail", async || {
        listed(&base_url, "webhook_deliveries?filter[status][eq]=failed").await.len() == 5
    })
    .await;

    let server = Server::start(home);
    wait_until("the texts", || messages(home, OTHER).len() == 2);
    let texts = messages(home, OTHER);
    assert_eq!(bodies(&texts), ["One", "Two"]);
    let unread = home.run(&["list", "--unread", "--contact", OTHER, "--json"]).silent().json();
    assert_eq!(unread[0]["unread_count"], 2, "what sync brings counts, however old");
    for (text, id) in texts.iter().zip([first, second]) {
        assert_eq!((&text["telnyx_message_id"], &text["recovered"]), (&json!(id), &json!(true)));
        assert!(text["created_at"].as_str().expect("a time") < before.to_string().as_str());
    }
    wait_until("the opt-out", || {
        home.run(&["show", CONTACT, "--json"]).json()["opted_out_at"].is_string()
    });
    let thread = messages(home, CONTACT);
    assert_eq!((&thread[0]["id"], &thread[0]["status"]), (&json!(sent), &json!("delivered")));
    assert_eq!(thread[0]["recovered"], false, "convo sent it");
    assert_eq!((&thread[1]["body"], &thread[1]["recovered"]), (&json!("STOP"), &json!(true)));
    home.run(&["send", CONTACT, "Hello?"]).exits(7);

    let since = before.to_string().replace('+', "%2B");
    let page = server.get(&format!("/events?since={since}&limit=1000")).await.json();
    let events = page["events"].as_array().expect("events").iter();
    let told: Vec<_> = events.map(|event| (&event["kind"], &event["recovered"])).collect();
    let kinds = |recovered: &Value| {
        let mut kinds: Vec<_> = told
            .iter()
            .filter(|(_, flag)| *flag == recovered)
            .map(|(kind, _)| kind.as_str().expect("a kind"))
            .collect();
        kinds.dedup();
        kinds
    };
    assert_eq!(told.iter().filter(|one| **one == (&json!("message"), &json!(true))).count(), 3);
    assert!(told.contains(&(&json!("opt_out"), &json!(true))), "{told:?}");
    assert!(told.contains(&(&json!("status"), &json!(true))), "{told:?}");
    assert!(!kinds(&Value::Null).contains(&"opt_out"), "{told:?}");
    let again = report(home, &[]);
    assert_eq!(found(&again, "deliveries"), 0, "{again}");
    assert_eq!(again["complete"], true);
    assert_eq!(messages(home, OTHER).len(), 2);

    let ready = server.get("/health/ready").await.json();
    let checks = ready["checks"].as_array().expect("checks").iter();
    let sync = checks.clone().find(|check| check["name"] == "sync").expect("a check");
    assert!(sync["age_seconds"].is_u64() && sync["ok"] == true, "{sync}");
    let metrics = server.get("/metrics").await.body;
    let line = |start: &str| metrics.lines().any(|line| line.starts_with(start));
    assert!(line("convo_sync_found_total{source=\"deliveries\"} 5"), "{metrics}");
    assert!(line("convo_sync_age_seconds{source=\"records\"}"));
}

/// What never had a webhook is found in the list of all messages: once, and with one request each.
async fn what_never_had_a_webhook_is_found(db: TestDatabase) {
    let world = World::losing(db, 1.0, |home| home).await;
    world.receive(CONTACT, "Nine days ago", 9 * DAY).await;
    world.receive(CONTACT, "Yesterday", DAY).await;
    world.receive(CONTACT, "An hour ago", 3_600).await;
    world.receive(CONTACT, "Just now", 0).await;
    let body = json!({"from": OWN, "to": Behaviour::Silent.number(), "text": "From elsewhere"});
    let url = format!("{}/messages", world.telnyx.base_url());
    let sent = local_client(DEADLINE).post(url).bearer_auth("KEY").json(&body).send().await;
    assert_eq!(sent.expect("an answer").status(), 200);
    let unrelated = json!({"from": CONTACT, "to": OTHER, "text": "Not for us"});
    let inbound = world.telnyx.base_url().replace("/v2", "/sandbox/inbound");
    local_client(DEADLINE).post(inbound).json(&unrelated).send().await.expect("an answer");

    let dry = report(&world.home, &["--dry-run"]);
    assert_eq!((found(&dry, "records"), &dry["dry_run"]), (2, &json!(true)), "{dry}");
    assert!(messages(&world.home, CONTACT).is_empty() && world.asked("/v2/messages/") == 0);
    let first = report(&world.home, &[]);
    assert_eq!((found(&first, "records"), &source(&first, "records")["recent"]), (2, &json!(2)));
    let thread = messages(&world.home, CONTACT);
    assert_eq!(bodies(&thread), ["Yesterday", "An hour ago"]);
    assert_eq!(world.asked("/v2/messages/"), 2);

    world.telnyx.age_by(std::time::Duration::from_secs(600));
    let all = report(&world.home, &["--since", "10d"]);
    assert_eq!(
        (found(&all, "records"), &source(&all, "records")["recent"]),
        (3, &json!(0)),
        "{all}"
    );
    let thread = messages(&world.home, CONTACT);
    assert_eq!(bodies(&thread), ["Nine days ago", "Yesterday", "An hour ago", "Just now"]);
    let elsewhere = messages(&world.home, Behaviour::Silent.number());
    assert_eq!(
        (&elsewhere[0]["status"], &elsewhere[0]["recovered"]),
        (&json!("delivered"), &json!(true))
    );
    let at = elsewhere[0]["created_at"].as_str().expect("a time");
    assert!(
        at < convo::clock::now().plus_seconds(-500).to_string().as_str(),
        "Telnyx's time: {at}"
    );
    let asked = world.asked("/v2/messages/");
    assert_eq!(asked, 5);
    let again = report(&world.home, &["--since", "10d"]);
    assert_eq!((found(&again, "records"), world.asked("/v2/messages/")), (0, asked), "{again}");
    world.home.run(&["sync", "--since", "11d"]).exits(2).reports("ten days");
    assert_eq!(world.home.run(&["show", OTHER]).code, 3, "it is not from or to our numbers");
    let shown = world.home.run(&["show", CONTACT, "--history", "--json"]).exits(0).json();
    assert_eq!(shown["messages"][0]["recovered"], true);
}

/// A message whose reports are lost gets its status all the same; so does an opt-out.
async fn lost_reports_and_opt_outs_are_made_up_for(db: TestDatabase) {
    let world = World::losing(db, 1.0, |home| home).await;
    let silent = Behaviour::Silent.number();
    let id = world.home.run(&["send", silent, "Hello"]).exits(0).id().to_owned();
    assert_eq!(found(&report(&world.home, &[]), "outbound"), 0, "it is too young");
    execute(&world.db.url, "UPDATE messages SET attempt_until = attempt_until - 600000000").await;
    let base_url = world.telnyx.base_url();
    eventually("its delivery", async || {
        let records = listed(&base_url, "detail_records?filter[record_type]=messaging").await;
        records.iter().any(|record| record["status"] == "delivered")
    })
    .await;
    assert_eq!(found(&report(&world.home, &[]), "outbound"), 1);
    let shown = messages(&world.home, silent);
    assert_eq!((&shown[0]["id"], &shown[0]["recovered"]), (&json!(id), &json!(false)));
    world.receive(CONTACT, "STOP", 0).await;
    let stopped = report(&world.home, &[]);
    assert_eq!((found(&stopped, "opt_outs"), found(&stopped, "records")), (1, 0), "{stopped}");
    world.home.run(&["send", CONTACT, "Hello"]).exits(7);
    assert_eq!(found(&report(&world.home, &[]), "opt_outs"), 0, "it is known");
}

/// Telnyx's rate limit is heeded; beyond patience, the rest is left to the next sync, which finds it.
async fn a_rate_limit_delays_and_loses_nothing(db: TestDatabase) {
    let world = World::losing(db, 1.0, |home| home).await;
    world.receive(CONTACT, "Yesterday", DAY).await;
    world.telnyx.refuse_reading(2, 0);
    let patient = report(&world.home, &["--since", "2d"]);
    assert_eq!((found(&patient, "records"), &patient["complete"]), (1, &json!(true)), "{patient}");
    world.receive(CONTACT, "An hour ago", 3_600).await;
    world.telnyx.refuse_reading(1_000, 600);
    let refused = world.home.run(&["sync", "--json"]).exits(5);
    assert_eq!(refused.error()["code"], "rate_limited");
    assert_eq!(refused.json()["complete"], false);
    world.telnyx.refuse_reading(0, 0);
    assert_eq!(found(&report(&world.home, &[]), "records"), 1);
    let lines = world.home.run(&["sync"]).silent().out;
    let states: Vec<_> = lines.lines().map(|line| line.split('\t').nth(1)).collect();
    assert_eq!(states, [Some("complete"); 5], "{lines}");
}

/// A server that runs already takes over the sync of one that is killed in the midst of it: every text is
/// there once.
async fn a_running_server_takes_over_the_sync_of_one_that_is_killed(db: TestDatabase) {
    const TEXTS: usize = 400;
    let world = World::losing(db, 1.0, |home| home).await;
    for n in 0..TEXTS {
        world.receive(CONTACT, &format!("text {n:03}"), 7_200 - n as i64).await;
    }
    let home = world.home.without("CONVO_SYNC").set("CONVO_SYNC", "10m");
    let one = Server::start(&home);
    wait_until("a sync to begin", || world.asked("/v2/messages/") >= 20);
    let two = Server::start(&home);
    wait_until("it to go on", || world.asked("/v2/messages/") >= 60);
    one.kill();
    let stored = messages(&home, CONTACT).len();
    assert!((1..TEXTS).contains(&stored), "in the midst of it: {stored}");
    wait_for("all texts", || (messages(&home, CONTACT).len() == TEXTS).then_some(()));
    let expected: Vec<_> = (0..TEXTS).map(|n| format!("text {n:03}")).collect();
    assert_eq!(bodies(&messages(&home, CONTACT)), expected);
    let again = report(&home, &[]);
    assert_eq!((found(&again, "records"), &again["complete"]), (0, &json!(true)), "{again}");
    let asked = world.asked("/v2/messages/");
    assert!(asked <= TEXTS + 60, "what one had fetched is not fetched again: {asked}");
    let db = connect(&world.db.url).await;
    let count: i64 = query_one(&db, "SELECT count(*) FROM messages").await;
    assert_eq!(count, TEXTS as i64);
    drop(two);
}

/// What a sync brings is found by a search, also where the index had begun before.
async fn recovered_texts_are_found_by_a_search(db: TestDatabase) {
    let world = World::losing(db, 1.0, |home| home).await;
    world.home.run(&["search", "open"]).silent();
    world.receive(CONTACT, "Are you open?", 3_600).await;
    assert_eq!(found(&report(&world.home, &[]), "records"), 1);
    let hits = world.home.run(&["search", "open", "--json"]).silent().json();
    assert_eq!(hits[0]["body"], "Are you open?", "{hits}");
}

/// Neither the texts nor the opt-out of a contact that was forgotten come back, and what is older than it
/// is kept is not fetched.
async fn what_was_let_go_does_not_come_back(db: TestDatabase) {
    let world = World::losing(db, 1.0, |home| home.set("CONVO_KEEP_MESSAGES", "5d")).await;
    world.receive(CONTACT, "STOP", 3_600).await;
    world.receive(OTHER, "Nine days ago", 9 * DAY).await;
    world.receive(OTHER, "Yesterday", DAY).await;
    let body = json!({"from": OWN, "to": Behaviour::Silent.number(), "text": "From elsewhere"});
    let url = format!("{}/messages", world.telnyx.base_url());
    let sent = local_client(DEADLINE).post(url).bearer_auth("KEY").json(&body).send().await;
    assert_eq!(sent.expect("an answer").status(), 200);
    world.telnyx.age_by(std::time::Duration::from_secs(600));
    let first = report(&world.home, &["--since", "10d"]);
    assert_eq!(found(&first, "records"), 3, "{first}");
    assert_eq!(bodies(&messages(&world.home, OTHER)), ["Yesterday"]);
    let asked = world.asked("/v2/messages/");
    assert_eq!(asked, 3, "what would be removed again is not fetched");
    world.home.run(&["forget", CONTACT, "--yes"]).exits(0);
    let again = report(&world.home, &["--since", "10d"]);
    assert!(messages(&world.home, CONTACT).is_empty(), "{again}");
    let db = connect(&world.db.url).await;
    let known = format!("SELECT count(*) FROM opt_outs WHERE contact_number = '{CONTACT}'");
    assert_eq!(query_one::<i64>(&db, &known).await, 0, "{again}");
    world.home.run(&["send", CONTACT, "Hi"]).exits(7);
    // Of a message of another program that was removed, no report brings it back.
    execute(&world.db.url, "DELETE FROM delivery_reports").await;
    let old = "UPDATE messages SET created_at = created_at - 864000000000 WHERE direction = 1";
    execute(&world.db.url, old).await;
    world.home.run(&["prune"]).exits(0);
    world.telnyx.age_by(std::time::Duration::from_secs(8 * 24 * 3_600));
    report(&world.home, &["--since", "10d"]);
    assert!(messages(&world.home, Behaviour::Silent.number()).is_empty());
}

/// Old texts wake no command; `convo sync` says the same here and through a server.
async fn recovered_texts_wake_no_program(db: TestDatabase) {
    let world = World::losing(db, 1.0, |home| home).await;
    world.receive(CONTACT, "Are you open?", 3_600).await;
    let url = world.server.url();
    let there = world.home.run(&["sync", "--json", "--server", &url]).exits(0);
    assert_eq!(found(&there.json(), "records"), 1);
    let watch = ["watch", "--since", "1h", "--count", "1", "--", "touch", "woken"];
    world.home.run(&watch).exits(0);
    assert!(!world.home.file("woken").exists());
    let watch = ["watch", "--since", "1h", "--count", "1"];
    let line = world.home.run(&watch).silent().out;
    assert!(line.trim_end().ends_with("\ttrue"), "{line}");
    let here = world.home.run(&["sync", "--no-fetch"]).silent();
    let there = world.home.run(&["sync", "--no-fetch", "--server", &url]).silent();
    assert_eq!(here.bytes(), there.bytes());
    let here = world.home.run(&["sync", "--since", "11d"]).exits(2);
    let there = world.home.run(&["sync", "--since", "11d", "--server", &url]).exits(2);
    assert_eq!(here.bytes(), there.without_server(&url).bytes());
}

on_both_databases!(
    what_happens_while_the_server_is_down_is_not_missing,
    what_never_had_a_webhook_is_found,
    lost_reports_and_opt_outs_are_made_up_for,
    a_rate_limit_delays_and_loses_nothing,
    a_running_server_takes_over_the_sync_of_one_that_is_killed,
    recovered_texts_wake_no_program,
    recovered_texts_are_found_by_a_search,
    what_was_let_go_does_not_come_back,
);

#[test]
fn without_a_key_it_says_so() {
    let home = Home::new();
    home.run(&["migrate"]).exits(0);
    home.run(&["sync"]).exits(4).reports("TELNYX_API_KEY");
    home.run(&["sync", "--no-fetch"]).silent();
    let home = home.set("CONVO_SYNC", "5");
    home.run(&["serve"]).exits(4).reports("CONVO_SYNC");
    home.run(&["serve", "--lose", "2"]).exits(2);
    home.run(&["serve", "--lose", "0.5"]).exits(4);
}
