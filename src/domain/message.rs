//! One message of a thread, as the command line and the API show it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{MediaState, PhoneNumber, Status, Timestamp};
use crate::error::{Code, Error};

/// The direction of a message.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the contact to one of your numbers.
    Inbound,
    /// From one of your numbers to the contact, whichever program sent it.
    Outbound,
}

impl Direction {
    /// The word in the API and the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }

    /// Parses the word in the API and the database.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Inbound, Self::Outbound].into_iter().find(|d| d.as_str() == word)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A media file of a message. Telnyx's links to inbound media expire after 30 days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Media {
    /// Its URL.
    pub url: String,
    /// Its media type: as found in its bytes once it is kept, before that as Telnyx has it.
    #[serde(default)]
    pub content_type: Option<String>,
    /// The SHA-256 of its bytes, in hexadecimal.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Its size in bytes.
    #[serde(default)]
    pub size: Option<u64>,
    /// Of a file in an inbound message: whether convo keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<MediaState>,
}

impl Media {
    /// A file of which only the URL is known.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), content_type: None, sha256: None, size: None, state: None }
    }
}

/// What Telnyx charged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    /// A decimal number as text, exactly as Telnyx wrote it, so that nothing is rounded.
    pub amount: String,
    /// An ISO 4217 code.
    pub currency: String,
}

/// What a report says besides the status. A message takes it from the report that decides its status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The sender that Telnyx really used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<PhoneNumber>,
    /// The price of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// The character encoding, such as GSM-7.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// The number of segments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segments: Option<u32>,
    /// When Telnyx handed it to the carrier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// When Telnyx finalized it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
}

/// Why a message was not delivered, in Telnyx's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageError {
    /// Telnyx's error code, a string of digits; null for a failure that convo itself detected.
    #[serde(default)]
    pub code: Option<String>,
    /// A short title.
    pub title: String,
    /// An explanation, if Telnyx gives one.
    #[serde(default)]
    pub detail: Option<String>,
}

impl MessageError {
    /// Whether it says that the contact has opted out. The code alone does not: Telnyx's documentation
    /// also gives 40300 other meanings, so its text must name STOP or the block rule.
    #[must_use]
    pub fn speaks_of_stop(&self) -> bool {
        let words = format!("{} {}", self.title, self.detail.as_deref().unwrap_or_default());
        let words = words.to_lowercase();
        let names_stop = words.split(|c: char| !c.is_alphanumeric()).any(|word| word == "stop");
        self.code.as_deref() == Some("40300") && (names_stop || words.contains("block rule"))
    }
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        match &self.code {
            Some(code) => write!(f, " (Telnyx error {code})"),
            None => Ok(()),
        }
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// convo's id, a UUIDv7.
    pub id: Uuid,
    /// The conversation it belongs to.
    pub conversation_id: Uuid,
    /// Its direction.
    pub direction: Direction,
    /// The sender that Telnyx used, which may differ from the one requested.
    pub from: PhoneNumber,
    /// The recipient; the first one when there are several.
    pub to: PhoneNumber,
    /// The text; empty if the message has only media.
    pub body: String,
    /// Its delivery status.
    pub status: Status,
    /// Inbound: when Telnyx received it. Outbound: when it was stored.
    pub created_at: Timestamp,
    /// Telnyx's id, once known.
    pub telnyx_message_id: Option<String>,
    /// The recipients after the first, or the other participants, of a group message.
    pub cc: Vec<String>,
    /// The subject of an MMS.
    pub subject: Option<String>,
    /// Its media files.
    pub media: Vec<Media>,
    /// The encoding it was sent in, as Telnyx spells it.
    pub encoding: Option<String>,
    /// How many SMS segments it took.
    pub segments: Option<u32>,
    /// What it cost; final once the status is final.
    pub cost: Option<Cost>,
    /// Why it failed: the error reported with the current status.
    pub error: Option<MessageError>,
    /// The time it is scheduled for, if any.
    pub send_at: Option<Timestamp>,
    /// When Telnyx handed it to the carrier.
    pub sent_at: Option<Timestamp>,
    /// When Telnyx finished processing it.
    pub completed_at: Option<Timestamp>,
    /// The inbound message that a program answered with it.
    #[serde(default)]
    pub in_reply_to: Option<Uuid>,
    /// The word that Telnyx recognised in an inbound message and answered by itself: STOP, START or HELP.
    #[serde(default)]
    pub autoresponse_type: Option<String>,
    /// Whether convo fetched it from Telnyx because no webhook brought it. No program is to answer it.
    #[serde(default)]
    pub recovered: bool,
    /// All delivery reports about it, ordered by the time they occurred; only if requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Vec<StatusReport>>,
}

impl Message {
    /// The message without its history.
    #[must_use]
    pub fn without_history(self) -> Self {
        Self { history: None, ..self }
    }

    /// Your number: the one that it was sent from or to.
    #[must_use]
    pub fn own(&self) -> &PhoneNumber {
        match self.direction {
            Direction::Inbound => &self.to,
            Direction::Outbound => &self.from,
        }
    }

    /// The other party's number.
    #[must_use]
    pub fn contact(&self) -> &PhoneNumber {
        match self.direction {
            Direction::Inbound => &self.from,
            Direction::Outbound => &self.to,
        }
    }
}

/// One delivery report in a message's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusReport {
    /// The status as reported; values unknown to convo are kept, too.
    pub status: String,
    /// The recipient it is about.
    pub recipient: Option<String>,
    /// The error reported with it.
    pub error: Option<MessageError>,
    /// When it happened, by Telnyx's clock.
    pub occurred_at: Timestamp,
    /// The event that carried it.
    pub event_id: String,
}

/// The error when no stored message has the id.
pub(crate) fn not_found() -> Error {
    Error::new(Code::MessageNotFound, "Message not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_that_names_stop_is_an_opt_out() {
        let speaks = |code: &str, title: &str, detail: Option<&str>| {
            let detail = detail.map(str::to_owned);
            MessageError { code: Some(code.into()), title: title.into(), detail }.speaks_of_stop()
        };
        assert!(speaks("40300", "Blocked due to STOP message", None));
        assert!(speaks("40300", "Blocked", Some("there is an existing block rule")));
        assert!(!speaks("40300", "Number not assigned to the profile", None));
        assert!(!speaks("40300", "Nonstop traffic", Some("unstoppable")));
        assert!(!speaks("40310", "STOP", None));
    }
}
