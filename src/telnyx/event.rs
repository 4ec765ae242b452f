//! Webhook events and messages of Telnyx's API in convo's types.

use serde_json_borrow::Value;
use thiserror::Error;
use uuid::Uuid;

pub use super::lenient_json::Address;
use super::{content, lenient_json};
use crate::domain::text::repair_json;
use crate::domain::{Cost, Media, MessageError, PhoneNumber, Timestamp};

/// The prefix of the tag on each message that convo sends; convo's id follows.
pub const TAG_PREFIX: &str = "convo:";
/// The longest id accepted from Telnyx, whose ids have 36 characters.
const LONGEST_ID: usize = 255;

/// One webhook delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The event's id, which is the same in every delivery of the event. `None` for the few types
    /// without one, which convo does not act on.
    pub id: Option<String>,
    /// Telnyx's name of the type.
    pub event_type: String,
    /// When it happened, by Telnyx's clock.
    pub occurred_at: Option<Timestamp>,
    /// What convo does with it.
    pub content: Content,
}

/// The content of an event, as far as convo acts on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// An inbound message.
    Inbound(Payload),
    /// A delivery report about an outbound message.
    Report(Payload),
    /// Anything else.
    Other,
}

/// The error for a body that is not a Telnyx event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the body is not a Telnyx event")]
pub struct NotAnEvent;

/// A message as Telnyx describes it in an event or an API response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Telnyx's id of the message.
    pub id: String,
    /// Telnyx's id of the group message, of which this is one recipient's part.
    pub group_id: Option<String>,
    /// The sender.
    pub from: Option<PhoneNumber>,
    /// The recipients.
    pub to: Vec<Address>,
    /// The other participants of a group message.
    pub cc: Vec<Address>,
    /// The text; empty if the message has only media.
    pub text: String,
    /// The subject of an MMS.
    pub subject: Option<String>,
    /// Media files.
    pub media: Vec<Media>,
    /// The encoding it was sent in.
    pub encoding: Option<String>,
    /// How many segments it took.
    pub segments: Option<u32>,
    /// What it cost.
    pub cost: Option<Cost>,
    /// Why it failed.
    pub errors: Vec<MessageError>,
    /// When Telnyx received it.
    pub received_at: Option<Timestamp>,
    /// When Telnyx handed it to the carrier.
    pub sent_at: Option<Timestamp>,
    /// When Telnyx completed it.
    pub completed_at: Option<Timestamp>,
    /// convo's own id of the message, from the tag it was sent with.
    pub tag: Option<Uuid>,
    /// `STOP`, `START` or `HELP` if Telnyx replied to the contact automatically.
    pub autoresponse: Option<String>,
    /// The id of its messaging profile.
    pub profile: Option<String>,
}

impl Event {
    /// Parses a webhook body.
    ///
    /// # Errors
    /// [`NotAnEvent`] when it is not a JSON object with the envelope of an event. An unknown type of
    /// event is not an error: it has [`Content::Other`].
    pub fn parse(raw: &[u8]) -> Result<Self, NotAnEvent> {
        let text = repair_json(raw);
        let body: Value = serde_json::from_str(&text).map_err(|_| NotAnEvent)?;
        let data = Some(body.get("data")).filter(|data| data.is_object()).ok_or(NotAnEvent)?;
        let event_type = lenient_json::text(data, "event_type")
            .or_else(|| lenient_json::text(data, "record_type"))
            .filter(|name| name.len() <= LONGEST_ID)
            .ok_or(NotAnEvent)?;
        let payload = Payload::read(data.get("payload"));
        let id = lenient_json::text(data, "id").or_else(|| {
            // An event without an id is identified by its type and message.
            payload.as_ref().map(|payload| format!("{event_type}:{}", payload.id))
        });
        if id.as_ref().is_some_and(|id| id.len() > LONGEST_ID) {
            return Err(NotAnEvent);
        }
        let direction = data.get("payload").get("direction").as_str();
        let content = match (event_type.as_str(), payload) {
            ("message.received", Some(payload)) if payload.from.is_some() => {
                Content::Inbound(payload)
            }
            ("message.sent" | "message.finalized" | "message.read", Some(payload))
                if direction != Some("inbound") =>
            {
                Content::Report(payload)
            }
            // Whatever its type, an event about an outbound message with statuses is a report, and so
            // is the echo of a message that was sent with the WhatsApp app.
            (name, Some(payload))
                if direction == Some("outbound")
                    && (name == "message.echo"
                        || payload.to.iter().any(|to| to.status.is_some())) =>
            {
                Content::Report(payload)
            }
            _ => Content::Other,
        };
        Ok(Self { id, occurred_at: lenient_json::time(data, "occurred_at"), event_type, content })
    }
}

impl Payload {
    /// Reads a message; `None` when it has no usable id.
    fn read(value: &Value) -> Option<Self> {
        let id = lenient_json::text(value, "id").filter(|id| id.len() <= LONGEST_ID)?;
        let segments = value.get("parts").as_u64();
        let tags = lenient_json::texts(value, "tags");
        Some(Self {
            id,
            group_id: lenient_json::text(value, "group_message_id")
                .filter(|id| id.len() <= LONGEST_ID),
            from: lenient_json::sender(value),
            to: lenient_json::addresses(value, "to"),
            cc: lenient_json::addresses(value, "cc"),
            text: content::message_text(value),
            subject: lenient_json::text(value, "subject"),
            media: content::message_media(value),
            encoding: lenient_json::text(value, "encoding"),
            segments: segments.and_then(|parts| u32::try_from(parts).ok()),
            cost: lenient_json::cost(value),
            errors: lenient_json::errors(value),
            received_at: lenient_json::time(value, "received_at"),
            sent_at: lenient_json::time(value, "sent_at"),
            completed_at: lenient_json::time(value, "completed_at"),
            tag: tags.iter().find_map(|tag| tag.strip_prefix(TAG_PREFIX)?.parse().ok()),
            autoresponse: lenient_json::text(value, "autoresponse_type"),
            profile: lenient_json::text(value, "messaging_profile_id"),
        })
    }

    /// Reads the `{"data": …}` of an API response.
    #[must_use]
    pub fn from_answer(body: &[u8]) -> Option<Self> {
        let text = repair_json(body);
        let body: Value = serde_json::from_str(&text).ok()?;
        Self::read(body.get("data"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(name: &str) -> Event {
        let path = format!("{}/tests/telnyx/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let raw = std::fs::read(&path).expect(name);
        Event::parse(&raw).expect(name)
    }

    fn inbound(name: &str) -> Payload {
        match event(name).content {
            Content::Inbound(payload) => payload,
            other => panic!("{name} is no inbound message: {other:?}"),
        }
    }

    fn report(name: &str) -> Payload {
        match event(name).content {
            Content::Report(payload) => payload,
            other => panic!("{name} is no report: {other:?}"),
        }
    }

    #[test]
    fn inbound_messages_of_every_type_are_read() {
        let sms = inbound("inbound_sms");
        assert_eq!((sms.text.as_str(), sms.segments), ("Hello!", Some(1)));
        assert_eq!(sms.from.as_ref().map(PhoneNumber::as_str), Some("+13125550001"));
        assert_eq!(sms.to[0].number.as_str(), "+17735550002");
        assert_eq!(sms.received_at, Timestamp::parse("2026-11-22T13:00:00.503Z"));
        let mms = inbound("inbound_mms");
        assert_eq!((mms.text.as_str(), mms.media[0].size), ("", Some(102_400)));
        assert!(mms.media[0].sha256.is_some());
        assert_eq!(inbound("inbound_group_mms").cc.len(), 3);
        assert_eq!(inbound("inbound_stop").autoresponse.as_deref(), Some("STOP"));
        assert_eq!(inbound("legacy_to_string").to[0].number.as_str(), "+17735550002");
        assert_eq!(inbound("inbound_whatsapp_text").text, "hello via WhatsApp");
    }

    #[test]
    fn reports_have_their_statuses_and_errors() {
        for (name, status) in [
            ("message_sent", "sent"),
            ("finalized_delivered", "delivered"),
            ("finalized_failed", "delivery_failed"),
            ("finalized_sending_failed", "sending_failed"),
        ] {
            assert_eq!(report(name).to[0].status.as_deref(), Some(status), "{name}");
        }
        let failed = report("finalized_failed");
        assert_eq!(failed.errors[0].code.as_deref(), Some("40008"));
        assert_eq!(failed.cost.map(|cost| cost.amount).as_deref(), Some("0.0051"));
    }

    #[test]
    fn documented_variants_of_fields_are_read() {
        let raw = br#"{"data":{"event_type":"message.finalized","id":"e","occurred_at":null,"payload":{
            "id":"m","direction":"outbound","from":"+17735550002","cc":[{"phone_number":"+13125550003","status":"sent"}],
            "to":[{"phone_number":"+13125550001","status":"new_word"}],"cost":{"amount":0.005,"currency":"USD"},
            "errors":[{"code":40008}],"tags":["x","convo:018f0000-0000-7000-8000-000000000001"],"text":null}}}"#;
        let Content::Report(payload) = Event::parse(raw).expect("an event").content else {
            panic!("a report");
        };
        assert_eq!(payload.cost.map(|cost| cost.amount).as_deref(), Some("0.005"));
        assert_eq!(payload.errors[0].title, "40008");
        assert_eq!(payload.cc[0].number.as_str(), "+13125550003");
        assert!(payload.tag.is_some());
    }

    #[test]
    fn the_text_of_other_channels_is_found() {
        for (body, text) in [
            (r#"{"text":"via RCS"}"#, "via RCS"),
            (r#"{"type":"text","text":{"body":"via WhatsApp"}}"#, "via WhatsApp"),
            (r#"{"type":"image","image":{"caption":"a picture","id":"x"}}"#, "a picture"),
            (r#"{"location":{"latitude":1}}"#, ""),
        ] {
            let raw = format!(
                r#"{{"data":{{"event_type":"message.received","id":"e","payload":{{"id":"m","type":"RCS",
                "direction":"inbound","from":{{"phone_number":"+12125551234"}},
                "to":[{{"agent_id":"acme","agent_name":"ACME"}}],"body":{body}}}}}}}"#
            );
            let Content::Inbound(payload) = Event::parse(raw.as_bytes()).expect("an event").content
            else {
                panic!("an inbound message")
            };
            assert_eq!(payload.text, text);
            assert_eq!(payload.to[0].number.as_str(), "acme");
        }
    }

    #[test]
    fn unknown_types_are_events_and_other_json_is_not() {
        let link = br#"{"data":{"record_type":"link_clicked","message_id":"m","to":"+1","url":"https://x"}}"#;
        let event = Event::parse(link).expect("an event");
        assert_eq!((event.content, event.id), (Content::Other, None));
        for raw in
            ["", "{}", "[]", "null", "\"x\"", r#"{"data":[]}"#, r#"{"data":{}}"#, "{\"data\":"]
        {
            assert_eq!(Event::parse(raw.as_bytes()), Err(NotAnEvent), "{raw}");
        }
        let nested = "[".repeat(100_000);
        assert_eq!(Event::parse(nested.as_bytes()), Err(NotAnEvent));
        let long = format!(r#"{{"data":{{"event_type":"x","id":"{}"}}}}"#, "i".repeat(256));
        assert_eq!(Event::parse(long.as_bytes()), Err(NotAnEvent));
    }

    #[test]
    fn a_message_without_sender_is_kept_but_not_threaded() {
        let raw = br#"{"data":{"event_type":"message.received","id":"e","payload":{"id":"m","from":{"phone_number":""}}}}"#;
        assert_eq!(Event::parse(raw).expect("an event").content, Content::Other);
    }

    proptest! {
        #[test]
        fn no_body_causes_a_panic(raw in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Event::parse(&raw);
        }

        #[test]
        fn no_damaged_event_causes_a_panic(at in any::<proptest::sample::Index>(), byte: u8, cut in any::<proptest::sample::Index>()) {
            let mut raw = include_bytes!("../../tests/telnyx/events/finalized_failed.json").to_vec();
            let place = at.index(raw.len());
            raw[place] = byte;
            let _ = Event::parse(&raw);
            let _ = Event::parse(&raw[..cut.index(raw.len())]);
        }
    }
}
