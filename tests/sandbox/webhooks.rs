//! What is told by webhook, and how often. The receiver verifies every signature.

use convo::sandbox::OWN_NUMBER;
use http::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::{Delivery, Play, Receiver, answer, code, message};

const CONTACT: &str = "+12125551234";

fn events(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(Delivery::event).collect()
}

#[tokio::test]
async fn a_message_is_reported_and_answered() {
    let play = Play::start().await;
    let (_, body) = play.send(CONTACT, "Hello").await;
    let told = play.receiver.first(3).await;
    assert_eq!(events(&told), ["message.sent", "message.finalized", "message.received"]);
    assert_eq!((told[0].status(), told[1].status()), ("sent", "delivered"));
    let id = &body["data"]["id"];
    assert!(told[..2].iter().all(|one| one.payload()["id"] == *id && one.attempt() == 1));
    assert_eq!(told[1].payload()["cost"]["amount"], "0.0051");
    assert!(told[1].payload()["completed_at"].is_string());
    let reply = told[2].payload();
    assert_eq!(
        (&reply["text"], &reply["direction"]),
        (&json!("You said: Hello"), &json!("inbound"))
    );
    assert_eq!(reply["from"]["phone_number"], CONTACT);
    assert_eq!(reply["to"][0]["phone_number"], OWN_NUMBER);
    for (id, status) in [(id, "delivered"), (&reply["id"], "webhook_delivered")] {
        let (_, shown) = play.show(id.as_str().expect("an id")).await;
        assert_eq!(shown["data"]["to"][0]["status"], status);
    }
    assert_eq!(told[2].body["meta"]["delivered_to"], json!(play.receiver.url));
}

#[tokio::test]
async fn a_picture_is_answered_with_a_picture() {
    let play = Play::start().await;
    let body =
        json!({"from": OWN_NUMBER, "to": CONTACT, "media_urls": ["https://example.com/a.png"]});
    play.post(None, body.to_string()).send().await.expect("sent");
    let told = play.receiver.first(3).await;
    let (sent, reply) = (told[0].payload(), told[2].payload());
    assert_eq!((&sent["type"], &reply["type"]), (&json!("MMS"), &json!("MMS")));
    assert_eq!(reply["text"], "You sent 1 file");
    let media = &reply["media"][0];
    let url = media["url"].as_str().expect("an address");
    let picture = play.client.get(url).send().await.expect("fetched");
    assert_eq!(picture.headers()["content-type"], "image/png");
    let picture = picture.bytes().await.expect("a body");
    let hash: String = Sha256::digest(&picture).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!((&media["size"], &media["sha256"]), (&json!(picture.len()), &json!(hash)));
}

#[tokio::test]
async fn a_contact_can_opt_out_and_in_again() {
    let play = Play::start().await;
    play.send(CONTACT, "please say STOP").await;
    let stop = &play.receiver.first(3).await[2];
    assert_eq!(
        (&stop.payload()["text"], &stop.payload()["autoresponse_type"]),
        (&json!("STOP"), &json!("STOP"))
    );
    let (status, body) = play.send(CONTACT, "Hello?").await;
    assert_eq!((status, code(&body)), (StatusCode::FORBIDDEN, "40300"));
    let error = &body["errors"][0];
    let detail = error["detail"].as_str().expect("a detail");
    assert!(
        detail.contains("block rule") && detail.contains(CONTACT) && detail.contains(OWN_NUMBER)
    );
    assert!(error["title"].as_str().expect("a title").contains("STOP"));
    // Another contact is not concerned.
    assert_eq!(play.send("+12125559876", "Hello").await.0, StatusCode::OK);
    play.receiver.first(6).await;
    assert_eq!(play.send(CONTACT, "please say START").await.0, StatusCode::OK);
    let start = &play.receiver.first(9).await[8];
    assert_eq!(start.payload()["autoresponse_type"], "START");
    assert_eq!(play.send(CONTACT, "Hello again").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_contact_can_write_first() {
    let play = Play::start().await;
    let url = play.sandbox.base_url().replace("/v2", "/sandbox/inbound");
    let written = json!({"from": CONTACT, "text": "Is anyone there?", "picture": true});
    let (status, body) =
        answer(play.client.post(&url).json(&written).send().await.expect("sent")).await;
    let told = &play.receiver.first(1).await[0];
    assert_eq!((status, &body["data"]["id"]), (StatusCode::OK, &told.payload()["id"]));
    assert_eq!(told.payload()["text"], "Is anyone there?");
    assert_eq!(told.payload()["media"].as_array().map(Vec::len), Some(1));
    for bad in [json!({"from": "you", "text": ""}), json!({"text": "x"}), json!([])] {
        let refused = play.client.post(&url).json(&bad).send().await.expect("an answer");
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn a_webhook_is_tried_three_times() {
    let play = Play::start().await;
    play.receiver.answer_next([StatusCode::SERVICE_UNAVAILABLE, StatusCode::NO_CONTENT]);
    play.send(CONTACT, "Hello").await;
    let told = play.receiver.first(5).await;
    assert_eq!(
        events(&told[..4]),
        ["message.sent", "message.sent", "message.sent", "message.finalized"]
    );
    assert_eq!(told.iter().map(Delivery::attempt).collect::<Vec<_>>(), [1, 2, 3, 1, 1]);
    assert!(told[..3].iter().all(|one| one.event_id() == told[0].event_id()));
}

#[tokio::test]
async fn a_webhook_is_given_up_and_the_next_one_is_posted() {
    let play = Play::start().await;
    play.receiver.answer_next([StatusCode::MOVED_PERMANENTLY; 3]);
    play.send(CONTACT, "Hello").await;
    let told = play.receiver.first(5).await;
    assert_eq!(events(&told[2..4]), ["message.sent", "message.finalized"]);
}

#[tokio::test]
async fn a_messages_own_webhook_url_takes_precedence() {
    let play = Play::start().await;
    let own = Receiver::start(play.sandbox.public_key()).await;
    let failover = Receiver::start(play.sandbox.public_key()).await;
    own.answer_next([StatusCode::INTERNAL_SERVER_ERROR; 3]);
    let mut body: Value = serde_json::from_str(&message(CONTACT, "Hello")).expect("JSON");
    body["webhook_url"] = json!(own.url);
    body["webhook_failover_url"] = json!(failover.url);
    play.post(None, body.to_string()).send().await.expect("sent");
    // Inbound messages always belong to the profile.
    assert_eq!(events(&play.receiver.first(1).await), ["message.received"]);
    assert_eq!(events(&failover.so_far()), ["message.sent"]);
    assert_eq!(failover.so_far()[0].attempt(), 4);
    assert_eq!(events(&own.so_far())[3..], ["message.finalized"]);
}

#[tokio::test]
async fn without_a_url_no_webhook_is_posted() {
    let play = Play::with(|options| options.webhook_url = None).await;
    let (status, body) = play.send(CONTACT, "Hello").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["data"]["webhook_url"], Value::Null);
    play.shutdown.cancel();
    play.sandbox.stopped().await;
    assert!(play.receiver.so_far().is_empty());
}
