//! Events as Telnyx posts them, and the key that signs them.

use std::fmt;
use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};

use super::OWN;

/// When an event happened, unless a test says otherwise.
const AT: &str = "2026-11-22T13:00:00Z";

/// One event, to be changed field by field.
#[derive(Clone)]
pub struct Event(Value);

impl Event {
    /// A text from a contact to [`OWN`].
    pub fn inbound(id: &str, message: &str, from: &str, text: &str) -> Self {
        Self(json!({"data": {"event_type": "message.received", "id": id, "occurred_at": AT,
            "record_type": "event",
            "payload": {"id": message, "direction": "inbound", "record_type": "message",
                "type": "SMS", "from": {"phone_number": from}, "to": [{"phone_number": OWN}],
                "text": text, "received_at": AT}}}))
    }

    /// A report on a message from [`OWN`] to one contact.
    pub fn report(id: &str, message: &str, to: &str, status: &str) -> Self {
        Self(json!({"data": {"event_type": "message.finalized", "id": id, "occurred_at": AT,
            "record_type": "event",
            "payload": {"id": message, "direction": "outbound", "record_type": "message",
                "from": {"phone_number": OWN}, "to": [{"phone_number": to, "status": status}],
                "text": "Hi"}}}))
    }

    /// The same event under another type.
    pub fn named(mut self, event_type: &str) -> Self {
        self.0["data"]["event_type"] = event_type.into();
        self
    }

    /// The same event with another value in a field of its payload.
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.0["data"]["payload"][field] = value.into();
        self
    }

    /// The same event, as it happened at another time.
    pub fn occurred_at(mut self, time: &str) -> Self {
        self.0["data"]["occurred_at"] = time.into();
        self
    }

    /// The same event, received at another time.
    pub fn received_at(self, time: impl fmt::Display) -> Self {
        self.with("received_at", time.to_string())
    }

    /// The same event, as the word by which a contact opts out or in.
    pub fn autoresponse(self, word: &str) -> Self {
        self.with("autoresponse_type", word)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Event> for Bytes {
    fn from(event: Event) -> Self {
        event.to_string().into()
    }
}

/// The body of a text that a contact has just sent.
pub fn inbound(id: &str, message: &str, from: &str, text: &str) -> String {
    let event = Event::inbound(id, message, from, text);
    event.received_at(convo::clock::now()).to_string()
}

/// The body of a STOP or START that a contact has just sent.
pub fn opt(id: &str, message: &str, from: &str, word: &str) -> String {
    let event = Event::inbound(id, message, from, word).autoresponse(word);
    event.received_at(convo::clock::now()).to_string()
}

fn examples_directory() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/telnyx/events")
}

/// The body of one of the events that Telnyx publishes as examples.
pub fn example(name: &str) -> Vec<u8> {
    std::fs::read(examples_directory().join(format!("{name}.json"))).expect(name)
}

/// The names of those examples.
pub fn examples() -> Vec<String> {
    let files = std::fs::read_dir(examples_directory()).expect("the examples");
    let name = |file: std::io::Result<std::fs::DirEntry>| {
        Some(file.ok()?.file_name().to_str()?.strip_suffix(".json")?.to_owned())
    };
    files.filter_map(name).collect()
}
