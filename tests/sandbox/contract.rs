//! Answers and webhooks, held against Telnyx's own API document and sample events.

use convo::sandbox::{Behaviour, OWN_NUMBER};
use serde_json::{Map, Value, json};

use crate::harness::{Play, answer, code, message};
use crate::json_schema;

fn document() -> Value {
    let json = include_str!("../telnyx/openapi-messaging.json");
    serde_json::from_str(json).expect("the document parses")
}

/// One schema of the document. It is OpenAPI 3.1, whose schemas are plain JSON
/// Schema; only the place of the references has to be kept.
fn schema(name: &str) -> String {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": format!("#/components/schemas/{name}"),
        "components": document()["components"],
    });
    schema.to_string()
}

#[track_caller]
fn assert_holds(name: &str, value: &Value) {
    let faults = json_schema::faults(&schema(name), value);
    assert!(faults.is_empty(), "{name}: {faults:#?}\n{value:#}");
}

fn keys(object: &Value) -> impl Iterator<Item = &String> {
    object.as_object().into_iter().flat_map(Map::keys)
}

/// Every field that the document knows is there: the schemas themselves require none.
#[track_caller]
fn assert_complete(name: &str, value: &Value, except: &[&str]) {
    let properties = &document()["components"]["schemas"][name]["properties"];
    assert!(properties.is_object());
    for key in keys(properties).filter(|key| !except.contains(&key.as_str())) {
        assert!(value.get(key).is_some(), "{name}: {key} is missing");
    }
}

/// Every field of a sample event is there, at every depth.
#[track_caller]
fn assert_covers(sample: &Value, ours: &Value, at: &str) {
    for key in keys(sample) {
        let (theirs, ours) = (&sample[key], ours.get(key));
        assert!(ours.is_some(), "{at}/{key} is missing");
        assert_covers(theirs, ours.unwrap_or(&Value::Null), &format!("{at}/{key}"));
    }
    if let (Some(theirs), Some(ours)) = (sample.get(0), ours.get(0)) {
        assert_covers(theirs, ours, &format!("{at}/0"));
    }
}

fn sample(json: &str) -> Value {
    serde_json::from_str(json).expect("a sample parses")
}

#[test]
fn the_validator_finds_faults() {
    let good = sample(include_str!("../telnyx/events/message_sent.json"));
    assert_holds("OutboundMessageEvent", &good);
    for (pointer, value) in [
        ("/data/payload/to/0/status", json!("gone")),
        ("/data/payload/cost/amount", json!(0.0051)),
        ("/data/id", json!("7")),
        ("/data/payload/received_at", json!("yesterday")),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).expect("it is there") = value;
        let faults = json_schema::faults(&schema("OutboundMessageEvent"), &bad);
        assert!(
            faults.iter().any(|fault| !fault.starts_with("the schema")),
            "{pointer}: {faults:?}"
        );
    }
}

#[tokio::test]
async fn answers_match_telnyxs_document() {
    let play = Play::start().await;
    let plain = json!({"from": OWN_NUMBER, "to": "+12125551234", "text": "Hello", "tags": ["t"]});
    let mms = json!({"messaging_profile_id": "p", "to": "72975", "subject": "Look", "text": "\u{1f600}",
        "media_urls": ["https://example.com/a.png"], "webhook_url": "https://example.com/hook"});
    for body in [plain, mms] {
        assert_holds("CreateMessageRequest", &body);
        let sent = play.post(None, body.to_string()).send().await.expect("an answer");
        let (_, body) = answer(sent).await;
        assert_holds("OutboundMessagePayload", &body["data"]);
        assert_complete("OutboundMessagePayload", &body["data"], &[]);
        let (_, shown) = play.show(body["data"]["id"].as_str().expect("an id")).await;
        assert_holds("OutboundMessagePayload", &shown["data"]);
    }
}

#[tokio::test]
async fn a_scheduled_answer_matches_telnyxs_document() {
    let play = Play::start().await;
    let at = (chrono::Utc::now() + chrono::TimeDelta::days(1)).to_rfc3339();
    let body = json!({"from": OWN_NUMBER, "to": "72975", "text": "Hello", "send_at": at});
    assert_holds("CreateMessageRequest", &body);
    let sent = play.post(None, body.to_string()).send().await.expect("an answer");
    // The only schema that knows the status `scheduled`; its fields are the same.
    assert_holds("OutboundMessagePayloadCancelled", &answer(sent).await.1["data"]);
}

#[tokio::test]
async fn the_account_matches_telnyxs_document() {
    let play = Play::start().await;
    let get = async |path: &str| {
        let request = play.client.get(play.url(path)).bearer_auth("KEY0123");
        answer(request.send().await.expect("an answer")).await
    };
    let (status, list) = get("/phone_numbers/messaging?page[size]=250").await;
    assert_eq!(status, 200);
    assert_holds("messaging_PaginationMeta", &list["meta"]);
    let number = &list["data"][0];
    assert_eq!(number["phone_number"], OWN_NUMBER);
    assert_holds("PhoneNumberWithMessagingSettings", number);
    assert_complete("PhoneNumberWithMessagingSettings", number, &[]);
    for beyond in ["page[number]=2", "filter[phone_number]=%2B15550000000"] {
        let (_, list) = get(&format!("/phone_numbers/messaging?{beyond}")).await;
        assert_eq!(list["data"], json!([]), "{beyond}");
    }
    let profile = number["messaging_profile_id"].as_str().expect("a profile").to_owned();
    let path = format!("/messaging_profiles/{profile}");
    let (_, shown) = get(&path).await;
    assert_holds("MessagingProfile", &shown["data"]);
    assert_complete("MessagingProfile", &shown["data"], &[]);
    assert_eq!(shown["data"]["webhook_url"], play.receiver.url);
    let (status, error) = get("/messaging_profiles/none").await;
    assert_eq!((status.as_u16(), code(&error)), (404, "10005"));
}

#[tokio::test]
async fn webhooks_go_where_the_profile_was_set_to() {
    let play = Play::with(|options| options.webhook_url = None).await;
    let path = "/messaging_profiles/5a5db0c5-0000-4000-8000-000000000001";
    let patch = async |body: &Value| {
        assert_holds("UpdateMessagingProfileRequest", body);
        let request = play.client.patch(play.url(path)).bearer_auth("KEY0123").json(body);
        answer(request.send().await.expect("an answer")).await
    };
    let change = json!({"webhook_url": play.receiver.url, "webhook_api_version": "2"});
    let (status, changed) = patch(&change).await;
    assert_eq!((status.as_u16(), &changed["data"]["webhook_url"]), (200, &change["webhook_url"]));
    assert_holds("MessagingProfile", &changed["data"]);
    play.send("+12125551234", "Hello").await;
    play.receiver.first(1).await;
    let request = play.client.patch(play.url(path)).bearer_auth("KEY0123");
    let wrong = request.json(&json!({"webhook_api_version": "3"})).send().await.expect("an answer");
    let (status, error) = answer(wrong).await;
    assert_eq!((status.as_u16(), code(&error)), (422, "10032"));
    let unsigned = play.client.patch(play.url(path)).json(&change).send().await.expect("an answer");
    assert_eq!(unsigned.status(), 401);
}

#[tokio::test]
async fn errors_match_telnyxs_document() {
    let play = Play::start().await;
    let refused = Behaviour::Refused.number();
    for body in ["{".to_owned(), "{}".to_owned(), message(refused, "Hello"), message(refused, "")] {
        let (status, body) = answer(play.post(None, body).send().await.expect("an answer")).await;
        assert!(status.is_client_error());
        assert_holds("messaging_Errors", &body);
        assert_eq!(body["errors"].as_array().map(Vec::len), Some(1));
        assert_complete("messaging_Error", &body["errors"][0], &["source"]);
    }
    let (_, body) = play.show("nonsense").await;
    assert_holds("messaging_Errors", &body);
}

#[tokio::test]
async fn webhooks_match_telnyxs_document_and_examples() {
    let play = Play::start().await;
    let numbers = [Behaviour::Friendly, Behaviour::Undeliverable, Behaviour::SendingFailed];
    for behaviour in numbers {
        play.send(behaviour.number(), "Hello").await;
    }
    let picture =
        json!({"from": OWN_NUMBER, "to": "72975", "media_urls": ["https://example.com/a.png"]});
    play.post(None, picture.to_string()).send().await.expect("sent");
    for told in play.receiver.first(3 + 2 + 1 + 3).await {
        let schema = match told.event() {
            "message.received" => "InboundMessage",
            _ => "OutboundMessage",
        };
        assert_holds(&format!("{schema}Event"), &told.body);
        assert_complete(schema, &told.body["data"], &[]);
        assert_complete(&format!("{schema}Payload"), told.payload(), &[]);
        assert_covers(
            &sample(match (told.event(), told.status()) {
                ("message.sent", _) => include_str!("../telnyx/events/message_sent.json"),
                (_, "delivered") => include_str!("../telnyx/events/finalized_delivered.json"),
                (_, "delivery_failed") => include_str!("../telnyx/events/finalized_failed.json"),
                (_, "sending_failed") => {
                    include_str!("../telnyx/events/finalized_sending_failed.json")
                }
                _ if told.payload()["type"] == "MMS" => {
                    include_str!("../telnyx/events/inbound_mms.json")
                }
                _ => include_str!("../telnyx/events/inbound_sms.json"),
            }),
            &told.body,
            "",
        );
    }
}

#[tokio::test]
async fn lists_match_telnyxs_document() {
    let play = Play::start().await;
    play.receiver.answer_next([http::StatusCode::SERVICE_UNAVAILABLE; 3]);
    play.send("+12125551234", "please say STOP").await;
    play.receiver.first(3 + 2).await;
    let failed = "filter[status][eq]=failed&page[size]=250";
    let deliveries = play.list(&format!("/webhook_deliveries?{failed}"), 1).await;
    assert_holds("webhook_delivery", &deliveries["data"][0]);
    assert_complete("webhook_delivery", &deliveries["data"][0], &[]);
    assert_complete("attempt", &deliveries["data"][0]["attempts"][0], &[]);
    assert_holds("OutboundMessage", &deliveries["data"][0]["webhook"]);
    assert_holds("PaginationMetaSimple", &deliveries["meta"]);
    let opt_outs = play.list("/messaging_optouts", 1).await;
    assert_holds("OptOutListResponse", &opt_outs);
    assert_complete("OptOutItem", &opt_outs["data"][0], &[]);
    // The document has no records: these are the fields of Telnyx's pages about them.
    let records =
        play.list("/detail_records?filter[record_type]=messaging&sort=created_at", 2).await;
    assert_holds("PaginationMetaSimple", &records["meta"]);
    for (record, direction) in (0..2).zip(["outbound", "inbound"]) {
        let record = &records["data"][record];
        assert_eq!(record["direction"], direction);
        for field in ["uuid", "cli", "cld", "created_at", "status", "message_type", "parts"] {
            assert!(!record[field].is_null(), "{field}: {record}");
        }
    }
    for bad in [
        "/detail_records",
        "/messaging_optouts?page[number]=0",
        "/webhook_deliveries?page[size]=251",
    ] {
        let request = play.client.get(play.url(bad)).bearer_auth("KEY0123");
        let (status, body) = answer(request.send().await.expect("an answer")).await;
        assert!(status.is_client_error(), "{bad}");
        assert_holds("messaging_Errors", &body);
    }
}
