//! Messages of another program to several at once: one message, shown with everybody it went to.

use serde_json::{Value, json};

use crate::on_both_databases;
use crate::support::{Event, Home, Server, Signer, TestDatabase};

const A: &str = "+12125550001";
const B: &str = "+12125550002";
const C: &str = "+12125550003";
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// A server that accepts webhooks, and a home whose commands open its database.
fn receiver(db: &TestDatabase) -> (Home, Server, Signer) {
    let signer = Signer::new(7);
    let home = Home::new().with_database(db).accepting(&signer);
    let server = Server::start(&home);
    (home, server, signer)
}

fn to(states: &[(&str, &str)]) -> Value {
    let party = |(number, status): &(&str, &str)| json!({"phone_number": number, "status": status});
    states.iter().map(party).collect()
}

/// A report about a message to several: the recipients it names, with their statuses.
fn part(id: &str, message: &str, states: &[(&str, &str)]) -> Event {
    Event::report(id, message, "", "").with("to", to(states)).with("type", "MMS")
}

/// The only message there is, from its thread as the API gives it.
#[track_caller]
fn only(home: &Home) -> Value {
    let list = home.run(&["list", "--json"]).silent().json();
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(list[0]["message_count"], 1);
    let contact = list[0]["contact_number"].as_str().expect("a number");
    let thread = home.run(&["show", contact, "--history", "--json"]).silent().json();
    assert_eq!(thread["messages"][0]["to"], contact, "in the thread of its first recipient");
    thread["messages"][0].clone()
}

/// Everybody a message went to, sorted.
fn everybody(message: &Value) -> Vec<&str> {
    let others = message["cc"].as_array().expect("a list").iter();
    let mut all: Vec<_> = others.chain([&message["to"]]).filter_map(Value::as_str).collect();
    all.sort_unstable();
    all
}

async fn one_report_about_three_is_shown_with_all_of_them(db: TestDatabase) {
    let (home, server, signer) = receiver(&db);
    let all = [(A, "sent"), (B, "sent"), (C, "queued")];
    signer.post(&server, part("e1", "m1", &all).with("group_message_id", "g1").to_string()).await;
    let message = only(&home);
    assert_eq!((&message["to"], &message["cc"]), (&json!(A), &json!([B, C])));
    assert_eq!(message["status"], "queued", "the lowest");
    let id = message["id"].as_str().expect("an id");
    for path in [format!("/conversations/{A}"), format!("/messages/{id}"), "/conversations".into()]
    {
        let answer = server.get(&path).await.json();
        let found = match (&answer["cc"], &answer["messages"][0]["cc"]) {
            (Value::Null, Value::Null) => &answer[0]["last_message"]["cc"],
            (Value::Null, cc) | (cc, _) => cc,
        };
        assert_eq!(*found, json!([B, C]), "{path}: {answer}");
    }
    let shown = [&["show", A][..], &["list"]];
    for (args, with) in shown.into_iter().zip([&*format!("with {B}, {C}"), "[with 2 others] Hi"]) {
        let line = home.run(args).silent();
        let others = format!("{B} {C}");
        assert!(line.line().split('\t').any(|field| field == others), "{args:?}");
        let table = home.run(&[args, &["--format", "table"]].concat()).silent().out;
        assert!(table.contains(with), "{table}");
    }
    let done = [(A, "delivered"), (B, "delivered"), (C, "delivery_failed")];
    signer.post(&server, part("e2", "m1", &done).with("group_message_id", "g1").to_string()).await;
    assert_eq!(only(&home)["status"], "delivery_failed");
}

/// Each recipient has an event with a message id of its own, tied by the group's id.
async fn reports_one_by_one_are_one_message_in_every_order(db: TestDatabase) {
    for (states, status) in [
        ([(A, "delivered"), (B, "sent"), (C, "delivered")], "sent"),
        ([(A, "delivered"), (B, "delivery_failed"), (C, "delivered")], "delivery_failed"),
        ([(A, "delivered"), (B, "delivered"), (C, "delivered")], "delivered"),
    ] {
        for order in ORDERS {
            one_by_one(&db, &states, status, order).await;
        }
    }
}

/// The message of a fresh group after its reports, in an order; a repeat changes nothing.
async fn one_by_one(db: &TestDatabase, states: &[(&str, &str)], status: &str, order: [usize; 3]) {
    let (home, server, signer) = receiver(db);
    let group = uuid::Uuid::now_v7().to_string();
    let event = |at: usize| {
        let id = format!("{group}-{at}");
        part(&id, &format!("m-{id}"), &states[at..=at])
            .with("group_message_id", &*group)
            .to_string()
    };
    for at in order {
        assert_eq!(signer.post(&server, event(at)).await, "updated");
    }
    assert_eq!(signer.post(&server, event(order[0])).await, "duplicate");
    let first = states[order[0]].0;
    let thread = home.run(&["show", first, "--history", "--json"]).silent().json();
    let messages = thread["messages"].as_array().expect("messages").iter();
    let of_group: Vec<_> =
        messages.filter(|message| message["telnyx_message_id"] == *group).collect();
    assert_eq!(of_group.len(), 1, "{thread}");
    assert_eq!(everybody(of_group[0]), [A, B, C], "{order:?}");
    assert_eq!(of_group[0]["status"], status, "{order:?}");
    assert_eq!(of_group[0]["history"].as_array().map(Vec::len), Some(3));
    let lists = home.run(&["list", "--json"]).silent().json();
    let count: u64 = lists.as_array().expect("threads").iter().filter_map(count).sum();
    assert_eq!(count, messages_in(&home).await, "the counters equal the rows");
}

fn count(thread: &Value) -> Option<u64> {
    thread["message_count"].as_u64()
}

async fn messages_in(home: &Home) -> u64 {
    let ids = [A, B, C].map(|contact| home.run(&["show", contact, "--format", "ids"]).out);
    ids.iter().map(|ids| ids.lines().count() as u64).sum()
}

/// The others are named beside the one recipient of each event, with our own number among them.
async fn the_others_may_be_named_as_cc(db: TestDatabase) {
    let (home, server, signer) = receiver(&db);
    let own = crate::support::OWN;
    let all = [A, B, C];
    for (at, contact) in all.into_iter().enumerate() {
        let others: Vec<_> = all.iter().filter(|other| **other != contact).chain([&own]).collect();
        let event = part(&format!("e{at}"), &format!("m{at}"), &[(contact, "delivered")])
            .with("cc", json!(others))
            .with("group_message_id", "g1");
        signer.post(&server, event.to_string()).await;
        let message = only(&home);
        assert_eq!(everybody(&message), all);
        assert_eq!(message["status"], if at < 2 { "queued" } else { "delivered" });
    }
}

/// Without an id of the group, the id of the message ties them.
async fn recipients_of_one_message_id_are_added(db: TestDatabase) {
    let (home, server, signer) = receiver(&db);
    for (n, states) in [&[(A, "delivered")][..], &[(B, "sent")], &[(B, "delivered"), (A, "sent")]]
        .into_iter()
        .enumerate()
    {
        signer.post(&server, part(&format!("e{n}"), "m1", states).to_string()).await;
        assert_eq!(only(&home)["status"], ["delivered", "sent", "delivered"][n]);
    }
    assert_eq!(everybody(&only(&home)), [A, B]);
    // Written without its plus, it is the same recipient.
    signer.post(&server, part("e9", "m1", &[("12125550001", "read")]).to_string()).await;
    assert_eq!(everybody(&only(&home)), [A, B]);
}

on_both_databases!(
    one_report_about_three_is_shown_with_all_of_them,
    recipients_of_one_message_id_are_added,
    reports_one_by_one_are_one_message_in_every_order,
    the_others_may_be_named_as_cc,
);
