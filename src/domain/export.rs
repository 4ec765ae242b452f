//! The lines of an export: everything that a database holds about its conversations, as JSON.
//!
//! The first line names the format and its version, the last one says how many there were before it.
//! Every field that a database can have without the default is written, so that an import loses nothing.
//! A later version of the format gets a number of its own: a reader refuses what it does not know,
//! instead of leaving it out.

mod parse;

use std::borrow::Cow;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::{Cost, Direction, Facts, Media, MessageError, Selector, Status, Timestamp};
use crate::error::ErrorBody;

pub use parse::LineError;

/// The version of the format that this program writes, and the newest that it reads.
pub const EXPORT_VERSION: u32 = 1;
/// The type of the first line.
pub const EXPORT_TYPE: &str = "convo_export";

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ExportLine {
    /// The first line.
    ConvoExport(ExportHeader),
    /// A contact that has opted out, or has opted in again.
    OptOut(ExportedOptOut),
    /// A conversation; its messages follow.
    Conversation(ExportedConversation),
    /// A message.
    Message(Box<ExportedMessage>),
    /// A delivery report on a message that the database does not have.
    Report(Box<ExportedReport>),
    /// A message that turned out to be another one.
    Merged(MergedMessage),
    /// A webhook event as it came.
    Event(ExportedEvent),
    /// The last line.
    End(ExportEnd),
}

/// What an export is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportHeader {
    /// The version of the format.
    pub version: u32,
    /// Whether it is of a sandbox database.
    pub sandbox: bool,
}

/// The end of an export: without it, the file was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportEnd {
    /// The number of lines before this one.
    pub lines: u64,
}

/// An opt-out as the database has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedOptOut {
    /// The contact.
    pub contact_number: String,
    /// When the contact opted out; absent once it has opted in again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opted_out_at: Option<Timestamp>,
    /// The number of ours that it applies to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// The messaging profile that it applies to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// When it was decided, by Telnyx's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
}

/// A conversation without its messages. An import computes its counters anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedConversation {
    /// convo's id.
    pub id: Uuid,
    /// The other party.
    pub contact_number: String,
    /// How many messages it has.
    #[serde(default)]
    pub message_count: u64,
    /// The latest `created_at` of its messages.
    pub last_message_at: Timestamp,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A message with everything that the database holds about it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedMessage {
    /// convo's id.
    pub id: Uuid,
    /// The conversation that it belongs to.
    pub conversation_id: Uuid,
    /// The other party.
    pub contact_number: String,
    /// Its direction.
    pub direction: Direction,
    /// The sender.
    pub from: String,
    /// The first recipient.
    pub to: String,
    /// The text.
    pub body: String,
    /// The status.
    pub status: Status,
    /// Its time in the conversation.
    pub created_at: Timestamp,
    /// Telnyx's id, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telnyx_message_id: Option<String>,
    /// All recipients, if there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
    /// The other participants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cc: Vec<String>,
    /// The subject of an MMS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Its media files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<Media>,
    /// The encoding, as Telnyx spells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// How many segments it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<u32>,
    /// What it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<MessageError>,
    /// The time it is scheduled for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_at: Option<Timestamp>,
    /// When Telnyx handed it to the carrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// When Telnyx finalized it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// The inbound message that a program answered with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<Uuid>,
    /// The word in it that Telnyx answered by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoresponse_type: Option<String>,
    /// Whether it was fetched from Telnyx because no webhook had brought it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recovered: bool,
    /// The exact body of the request to Telnyx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<ExportedBytes>,
    /// The base URL that it was sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The latest end of its last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_until: Option<Timestamp>,
    /// How often the request may still be repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats_left: Option<i16>,
    /// The error that its caller got, if nothing was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<ErrorBody>,
    /// All delivery reports on it, in the order of their times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<ExportedReport>,
}

/// A delivery report on one recipient.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedReport {
    /// Telnyx's id of the message.
    pub telnyx_message_id: String,
    /// The event that carried it.
    pub event_id: String,
    /// The recipient; empty if the event names none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub recipient: String,
    /// Telnyx's word.
    pub status: String,
    /// When it happened, by Telnyx's clock.
    pub occurred_at: Timestamp,
    /// The error reported with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<MessageError>,
    /// What else it says of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
    /// Since when it waits for its message to be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<Timestamp>,
}

/// A message whose row was merged into another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergedMessage {
    /// The id that it had.
    pub id: Uuid,
    /// The message that it turned out to be.
    pub survivor_id: Uuid,
}

/// A webhook event as it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedEvent {
    /// Telnyx's id of the event.
    pub id: String,
    /// Its type.
    pub event_type: String,
    /// By Telnyx's clock, if it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<Timestamp>,
    /// When it was received.
    pub received_at: Timestamp,
    /// The bytes of the request.
    pub body: ExportedBytes,
}

/// Bytes, which are nearly always a text: then they are written as one, else in base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedBytes(pub Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum BytesForm<'a> {
    Text(Cow<'a, str>),
    Coded { base64: String },
}

impl Serialize for ExportedBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => BytesForm::Text(text.into()),
            Err(_) => BytesForm::Coded { base64: BASE64_STANDARD.encode(&self.0) },
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ExportedBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match BytesForm::deserialize(deserializer)? {
            BytesForm::Text(text) => Ok(Self(text.into_owned().into_bytes())),
            BytesForm::Coded { base64 } => {
                let wrong = |_| serde::de::Error::custom("not valid base64");
                BASE64_STANDARD.decode(base64).map(Self).map_err(wrong)
            }
        }
    }
}

/// What to export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportFilter {
    /// Only the conversation with this contact.
    pub contact: Option<Selector>,
    /// Only messages of this time or later.
    pub since: Option<Timestamp>,
    /// Only messages before this time.
    pub until: Option<Timestamp>,
    /// Also the raw webhook events.
    pub raw: bool,
}

impl ExportFilter {
    /// The filter as query parameters of the API.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        [
            ("contact", self.contact.as_ref().map(|contact| contact.as_str().to_owned())),
            ("since", self.since.map(|since| since.to_string())),
            ("until", self.until.map(|until| until.to_string())),
            ("raw", self.raw.then(|| true.to_string())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }

    /// Whether a time is within the filter.
    #[must_use]
    pub fn covers(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }
}
