//! Lenient reading of Telnyx's JSON: every field may be missing, null or of an older shape.
//!
//! Its own documents contradict each other (`to` is a list of objects, or a string; `cc` holds
//! objects, or strings; an amount is text, or a number), so nothing here fails: what cannot be
//! read is absent.

use serde_json_borrow::Value;

use crate::domain::text::storable;
use crate::domain::{Cost, Media, MessageError, PhoneNumber, Timestamp};

/// One end of a message as a payload names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The number, or whatever identifies the party in its place.
    pub number: PhoneNumber,
    /// The delivery status of this party, in Telnyx's word.
    pub status: Option<String>,
}

/// A text, made storable; empty counts as absent.
pub(super) fn text(value: &Value, field: &str) -> Option<String> {
    let text = value.get(field).as_str()?;
    (!text.is_empty()).then(|| storable(text).into_owned())
}

/// A text or a number, as text.
pub(super) fn scalar(value: &Value, field: &str) -> Option<String> {
    match value.get(field) {
        Value::Str(text) if !text.is_empty() => Some(storable(text).into_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

pub(super) fn time(value: &Value, field: &str) -> Option<Timestamp> {
    Timestamp::parse(value.get(field).as_str()?)
}

/// A party: an object with a number (or an RCS agent), or the bare number.
fn address(value: &Value) -> Option<Address> {
    if let Some(raw) = value.as_str() {
        return Some(Address { number: PhoneNumber::from_wire(raw)?, status: None });
    }
    let number = ["phone_number", "agent_id"]
        .iter()
        .find_map(|field| PhoneNumber::from_wire(value.get(*field).as_str()?))?;
    Some(Address { number, status: text(value, "status") })
}

pub(super) fn sender(payload: &Value) -> Option<PhoneNumber> {
    address(payload.get("from")).map(|address| address.number)
}

/// A list of parties, or a single one in its place.
pub(super) fn addresses(payload: &Value, field: &str) -> Vec<Address> {
    match payload.get(field) {
        Value::Array(list) => list.iter().filter_map(address).collect(),
        one => address(one).into_iter().collect(),
    }
}

/// The items of a list; none when it is missing or something else.
fn items<'a>(value: &'a Value<'a>, field: &'static str) -> &'a [Value<'a>] {
    value.get(field).as_array().unwrap_or_default()
}

/// The text of a message: SMS and MMS have it in `text`, RCS and WhatsApp within `body`.
pub(super) fn message_text(payload: &Value) -> String {
    let in_body = || {
        let body = payload.get("body");
        text(body, "text").or_else(|| text(body.get("text"), "body")).or_else(|| {
            let kind = body.get("type").as_str()?;
            text(body.get(kind), "caption")
        })
    };
    text(payload, "text").or_else(in_body).unwrap_or_default()
}

pub(super) fn media(payload: &Value) -> Vec<Media> {
    let read = |item: &Value| {
        Some(Media {
            url: text(item, "url")?,
            content_type: text(item, "content_type"),
            sha256: text(item, "sha256").or_else(|| text(item, "hash_sha256")),
            size: item.get("size").as_u64(),
        })
    };
    items(payload, "media").iter().filter_map(read).collect()
}

pub(super) fn cost(payload: &Value) -> Option<Cost> {
    let cost = payload.get("cost");
    Some(Cost { amount: scalar(cost, "amount")?, currency: text(cost, "currency")? })
}

/// The errors of an envelope or a payload. One without a title still has its code.
pub(super) fn errors(value: &Value) -> Vec<MessageError> {
    let read = |item: &Value| {
        let code = scalar(item, "code");
        let title = text(item, "title").or_else(|| code.clone())?;
        Some(MessageError { code, title, detail: text(item, "detail") })
    };
    items(value, "errors").iter().filter_map(read).collect()
}

pub(super) fn texts(payload: &Value, field: &'static str) -> Vec<String> {
    let strings = items(payload, field).iter().filter_map(Value::as_str);
    strings.map(|text| storable(text).into_owned()).collect()
}
