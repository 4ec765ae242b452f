//! Who a message is from: another sender than was asked for, one without a number, one of our own;
//! and numbers as they are pasted.

use serde_json::{Value, json};

use crate::on_both_databases;
use crate::support::{
    Answer, CONTACT, Event, FakeServer, Home, OWN, Reply, Server, Signer, TestDatabase, inbound,
    is_id, response,
};

const USED: &str = "+18005550199";
/// A second number of ours.
const OTHER: &str = "+15557654321";

/// A server between a stand-in for Telnyx and a database that its home's commands open too.
struct Place {
    home: Home,
    server: Server,
    signer: Signer,
    telnyx: FakeServer,
}

impl Place {
    /// Telnyx takes every message and says that it is from `sender`.
    async fn where_telnyx_sends_from(sender: &str, db: &TestDatabase) -> Self {
        let data = json!({"id": "m-{n}", "direction": "outbound", "from": {"phone_number": sender},
            "to": [{"phone_number": CONTACT, "status": "queued"}]});
        let body = json!({ "data": data }).to_string();
        let telnyx = FakeServer::replying(&[Reply::Raw(response("200 OK", "", &body))]).await;
        let signer = Signer::new(7);
        let home = Home::new()
            .with_database(db)
            .sending_to(&telnyx.base_url())
            .set("TELNYX_PHONE_NUMBER", format!("{OWN}, {OTHER}"))
            .accepting(&signer);
        let server = Server::start(&home);
        Self { home, server, signer, telnyx }
    }

    async fn told(&self, event: Event) -> String {
        self.signer.post(&self.server, event.to_string()).await
    }

    async fn api_send(&self, to: &str, body: Value) -> Answer {
        self.server.post(&format!("/conversations/{to}/send"), "", &body.to_string()).await
    }

    /// The messages of a thread, with their histories.
    #[track_caller]
    fn messages(&self, contact: &str) -> Vec<Value> {
        let thread = self.home.run(&["show", contact, "--history", "--json"]).silent().json();
        let messages = thread["messages"].as_array().expect("messages").clone();
        assert_eq!(thread["message_count"], messages.len());
        messages
    }

    /// The sender of a message, as the API tells it.
    async fn sender(&self, id: &str) -> Value {
        self.server.get(&format!("/messages/{id}")).await.json()["from"].clone()
    }

    /// How many conversations end with a message from or to a number of ours.
    fn listed_by(&self, number: &str) -> usize {
        let list = ["list", "--number", number, "--format", "ids"];
        self.home.run(&list).silent().out.lines().count()
    }

    /// The bodies of the requests to send.
    fn offered(&self) -> Vec<Value> {
        let asked = self.telnyx.requests();
        asked.iter().map(crate::support::Request::json).collect()
    }
}

async fn the_sender_in_the_answer_is_the_messages(db: TestDatabase) {
    let place = Place::where_telnyx_sends_from(USED, &db).await;
    let answer = place.api_send(CONTACT, json!({"message": "Hi", "from": "ACME"})).await;
    assert_eq!((answer.status, &answer.json()["from"]), (201, &json!(USED)));
    let sent = place.home.run(&["send", CONTACT, "Hi", "--from", "ACME"]).exits(0);
    assert_eq!(place.sender(sent.id()).await, USED);
    assert!(place.messages(CONTACT).iter().all(|message| message["from"] == USED));
    assert_eq!((place.listed_by(USED), place.listed_by("ACME")), (1, 0));
    assert!(place.offered().iter().all(|body| body["from"] == "ACME"), "what was asked for");
}

async fn the_sender_in_a_report_is_the_messages(db: TestDatabase) {
    let place = Place::where_telnyx_sends_from("ACME", &db).await;
    for (status, sender) in [
        ("delivered", USED),
        ("queued", USED),
        // Words that move no status.
        ("webhook_delivered", "+18005550198"),
    ] {
        let sent = place.home.run(&["send", CONTACT, "Hi", "--from", "ACME"]).exits(0);
        assert_eq!(place.sender(sent.id()).await, "ACME");
        let n = place.telnyx.requests().len();
        let report = |id: String| {
            let event = Event::report(&id, &format!("m-{n:03}"), CONTACT, status);
            event.with("from", json!({"phone_number": sender}))
        };
        place.told(report(format!("e{n}"))).await;
        assert_eq!(place.sender(sent.id()).await, sender, "{status}");
        let later = report(format!("f{n}")).with("from", Value::Null);
        place.told(later).await;
        assert_eq!(place.sender(sent.id()).await, sender, "one that names no sender");
    }
    assert_eq!(place.messages(CONTACT).len(), 3, "none became another program's");
    assert_eq!((place.listed_by("+18005550198"), place.listed_by("ACME")), (1, 0));
}

/// Telnyx's events of one text between two numbers of ours: both have the id that the send returns.
async fn a_text_between_our_own_numbers_is_stored_both_ways(db: TestDatabase) {
    let place = Place::where_telnyx_sends_from(OWN, &db).await;
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for (n, order) in (1..).zip(orders) {
        let id = format!("m-{n:03}");
        for step in order {
            match step {
                0 => drop(place.home.run(&["send", OTHER, "Hi", "--from", OWN]).exits(0)),
                1 => {
                    let to = json!([{"phone_number": OTHER}]);
                    let event = Event::inbound(&format!("in-{n}"), &id, OWN, "Hi").with("to", to);
                    assert_eq!(place.told(event.clone()).await, "stored", "{order:?}");
                    assert_eq!(place.told(event).await, "duplicate");
                }
                _ => {
                    let event = Event::report(&format!("out-{n}"), &id, OTHER, "delivered");
                    assert_eq!(place.told(event).await, "updated", "{order:?}");
                }
            }
        }
        let (sent, came) = (place.messages(OTHER), place.messages(OWN));
        assert_eq!((sent.len(), came.len()), (n, n), "{order:?}");
        let last = |all: &[Value]| {
            all.iter().find(|message| message["telnyx_message_id"] == *id).expect("it").clone()
        };
        let (sent, came) = (last(&sent), last(&came));
        assert_eq!(
            (&sent["direction"], &sent["status"]),
            (&json!("outbound"), &json!("delivered"))
        );
        assert_eq!(sent["history"].as_array().map(Vec::len), Some(1), "{order:?}");
        assert_eq!((&came["direction"], &came["status"]), (&json!("inbound"), &json!("received")));
        assert_eq!(came["history"], json!([]), "{order:?}");
    }
}

/// To the very number it was sent from: both are in one thread.
async fn a_text_to_oneself_is_two_messages(db: TestDatabase) {
    let place = Place::where_telnyx_sends_from(OWN, &db).await;
    place.home.run(&["send", OWN, "Hi", "--from", OWN]).exits(0);
    place.told(Event::inbound("e1", "m-001", OWN, "Hi")).await;
    place.told(Event::report("e2", "m-001", OWN, "delivered")).await;
    let all = place.messages(OWN);
    let mut ends: Vec<_> =
        all.iter().map(|m| (m["direction"].as_str(), m["status"].as_str())).collect();
    ends.sort_unstable();
    let expected = [("inbound", "received"), ("outbound", "delivered")];
    assert_eq!(ends, expected.map(|(direction, status)| (Some(direction), Some(status))));
}

async fn a_sender_without_a_number_has_a_thread(db: TestDatabase) {
    let place = Place::where_telnyx_sends_from(OWN, &db).await;
    let user = "US.13491208655302741918";
    let hidden = |id: &str| {
        let body = json!({"type": "text", "from_user_id": user, "text": {"body": "Hello"}});
        let event = Event::inbound(id, id, "", "").with("type", "WHATSAPP").with("to", OWN);
        event.with("text", Value::Null).with("body", body)
    };
    assert_eq!(place.told(hidden("w1")).await, "stored");
    let named = hidden("w2").with("from", json!({"phone_number": "", "from_user_id": user}));
    assert_eq!(place.told(named).await, "stored");
    let beside = hidden("w3").with("body", json!({"text": "Hello"})).with("from_user_id", user);
    assert_eq!(place.told(beside).await, "stored");
    let bounce = format!("bounce+{}@mail.gateway.example", "0123456789".repeat(4) + "abc");
    assert!(bounce.len() >= 70);
    assert_eq!(place.told(Event::inbound("b1", "b1", &bounce, "Hello")).await, "stored");
    for (contact, count) in [(user, 3), (&*bounce, 1)] {
        let all = place.messages(contact);
        assert_eq!(all.len(), count, "{contact}");
        assert!(all.iter().all(|m| m["body"] == "Hello" && m["from"] == contact), "{all:?}");
        let answer = place.server.get(&format!("/conversations/{contact}")).await;
        assert_eq!((answer.status, &answer.json()["contact_number"]), (200, &json!(contact)));
    }
}

async fn what_a_channel_carries_arrives(db: TestDatabase) {
    let place = Place::where_telnyx_sends_from(OWN, &db).await;
    let file = json!({"user_file": {"payload": {"mime_type": "image/png", "file_name": "a.png",
        "file_uri": "https://rcs.example/a.png", "file_size_bytes": 9}}});
    let spot = json!({"location": {"latitude": 37.5, "longitude": -122.25}});
    let choice = json!({"suggestion_response": {"text": "Yes, please", "postback_data": "yes"}});
    for (n, (body, text, files)) in
        [(choice, "Yes, please", 0), (spot, "geo:37.5,-122.25", 0), (file, "", 1)]
            .into_iter()
            .enumerate()
    {
        let id = format!("r{n}");
        let agent = json!([{"agent_id": "acme", "agent_name": "ACME"}]);
        let event = Event::inbound(&id, &id, CONTACT, "").with("type", "RCS").with("to", agent);
        let event = event.with("text", Value::Null).with("body", body);
        assert_eq!(place.told(event).await, "stored");
        let message = place.messages(CONTACT).pop().expect("a message");
        assert_eq!(message["body"], text);
        assert_eq!(message["media"].as_array().map(Vec::len), Some(files), "{message}");
    }
}

async fn a_sender_of_four_digits_can_be_answered(db: TestDatabase) {
    let place = Place::where_telnyx_sends_from(OWN, &db).await;
    place.signer.post(&place.server, inbound("e1", "m1", "7726", "Thanks")).await;
    let sent = place.home.run(&["send", "7726", "You are welcome"]).exits(0);
    assert!(is_id(sent.id()));
    assert_eq!(place.api_send("7726", json!({"message": "Bye"})).await.status, 201);
    assert_eq!(place.messages("7726").len(), 3);
    assert!(place.offered().iter().all(|body| body["to"] == "7726"));
}

/// What phones, browsers and address books put around and between the digits.
async fn a_pasted_number_is_understood_everywhere(db: TestDatabase) {
    let place = Place::where_telnyx_sends_from(OWN, &db).await;
    let marks = "\u{2066}\u{2067}\u{2068}\u{2069}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{200e}\u{200f}\u{200b}\u{feff}";
    let mut pasted: Vec<_> = marks
        .chars()
        .flat_map(|mark| [format!("{mark}{CONTACT}{mark}"), format!("+1{mark}212{mark}5551234")])
        .collect();
    pasted.push("+1\u{2212}212\u{2212}555\u{2212}1234".to_owned());
    let mut sent = 0;
    for number in &pasted {
        let encoded: String = number.bytes().map(|byte| format!("%{byte:02X}")).collect();
        place.home.run(&["send", number, "Hi"]).exits(0);
        assert_eq!(place.api_send(&encoded, json!({"message": "Hi"})).await.status, 201);
        sent += 2;
        assert_eq!(place.messages(number).len(), sent, "{number:?}");
        let shown = place.server.get(&format!("/conversations/{encoded}?limit=1")).await;
        assert_eq!(shown.json()["contact_number"], CONTACT, "{number:?}");
        let own: String = number.replace("212", "555").replace("5551234", "1234567");
        let own = own.replace("555\u{2212}1234", "123\u{2212}4567");
        let own: String = own.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let found = place.server.get(&format!("/conversations?number={own}")).await.json();
        assert_eq!(found.as_array().map(Vec::len), Some(1), "{number:?}: {found}");
    }
    assert!(place.offered().iter().all(|body| body["to"] == CONTACT));
    let own =
        format!("\u{202a}{OTHER}\u{202c}, \u{2068}+1\u{2212}555\u{2212}123\u{2212}4567\u{2069}");
    let home = ("TELNYX_PHONE_NUMBER", own.as_str());
    let done = place.home.run_with(&[home], &["send", CONTACT, "Hi"]).exits(0);
    assert!(is_id(done.id()));
    assert_eq!(place.offered().pop().expect("a request")["from"], OTHER);
}

on_both_databases!(
    a_pasted_number_is_understood_everywhere,
    a_sender_of_four_digits_can_be_answered,
    a_sender_without_a_number_has_a_thread,
    a_text_between_our_own_numbers_is_stored_both_ways,
    a_text_to_oneself_is_two_messages,
    the_sender_in_a_report_is_the_messages,
    the_sender_in_the_answer_is_the_messages,
    what_a_channel_carries_arrives,
);
