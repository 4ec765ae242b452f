//! Lenient reading of Telnyx's JSON: every field may be missing, null or in an older format.
//!
//! Telnyx's documentation contradicts itself (`to` is a list of objects, or a string; `cc` holds
//! objects, or strings; an amount is a string, or a number), so nothing here fails: a field that
//! cannot be read counts as absent.

use serde_json_borrow::Value;

use crate::domain::text::storable;
use crate::domain::{Cost, MessageError, PhoneNumber, Timestamp};

/// A sender or recipient in a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The number, or what identifies the party instead.
    pub number: PhoneNumber,
    /// The delivery status for this recipient, as Telnyx spells it.
    pub status: Option<String>,
}

/// A string in storable form; an empty one counts as absent.
pub(super) fn text(value: &Value, field: &str) -> Option<String> {
    let text = value.get(field).as_str()?;
    (!text.is_empty()).then(|| storable(text).into_owned())
}

/// A string or a number, as a string.
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

/// A party: an object with a number or another identity, or the bare number.
fn address(value: &Value) -> Option<Address> {
    if let Some(raw) = value.as_str() {
        return Some(Address { number: PhoneNumber::from_wire(raw)?, status: None });
    }
    let status = text(value, "status");
    let number = identity(value, &["phone_number", "agent_id", "user_id", "from_user_id"])
        // A status counts even if it does not name its recipient.
        .or_else(|| status.is_some().then(|| PhoneNumber::from_stored(String::new())))?;
    Some(Address { number, status })
}

/// The first of the fields that identifies a party.
fn identity(value: &Value, fields: &[&'static str]) -> Option<PhoneNumber> {
    fields.iter().find_map(|field| PhoneNumber::from_wire(value.get(*field).as_str()?))
}

/// The sender. A WhatsApp user may hide the number, in which case the user id takes its place.
pub(super) fn sender(payload: &Value) -> Option<PhoneNumber> {
    address(payload.get("from"))
        .map(|address| address.number)
        .filter(|number| !number.as_str().is_empty())
        .or_else(|| identity(payload.get("body"), &["from", "from_user_id"]))
        .or_else(|| identity(payload, &["from_user_id"]))
}

/// A list of parties, or a single one.
pub(super) fn addresses(payload: &Value, field: &str) -> Vec<Address> {
    match payload.get(field) {
        Value::Array(list) => list.iter().filter_map(address).collect(),
        one => address(one).into_iter().collect(),
    }
}

/// The items of a list; empty when the field is missing or not a list.
pub(super) fn items<'a>(value: &'a Value<'a>, field: &'static str) -> &'a [Value<'a>] {
    value.get(field).as_array().unwrap_or_default()
}

pub(super) fn cost(payload: &Value) -> Option<Cost> {
    let cost = payload.get("cost");
    Some(Cost { amount: scalar(cost, "amount")?, currency: text(cost, "currency")? })
}

/// The errors of an envelope or a payload. The title of one without a title is its code.
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
