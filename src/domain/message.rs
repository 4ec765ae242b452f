//! One message of a thread, as every door of convo shows it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{PhoneNumber, Status, Timestamp};

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the contact to one of our numbers.
    Inbound,
    /// From one of our numbers to the contact, whoever's program sent it.
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

    /// The direction a stored word names.
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

/// A file that came or went with a message. Telnyx's links to inbound media die after 30 days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Media {
    /// Where it can be fetched.
    pub url: String,
    /// Its media type, once Telnyx has fetched it.
    #[serde(default)]
    pub content_type: Option<String>,
    /// The SHA-256 of its bytes, in hexadecimal.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Its size in bytes.
    #[serde(default)]
    pub size: Option<u64>,
}

impl Media {
    /// A file of which only the address is known.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), content_type: None, sha256: None, size: None }
    }
}

/// What Telnyx charged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    /// A decimal number as text, exactly as Telnyx wrote it: money is not rounded here.
    pub amount: String,
    /// An ISO 4217 code.
    pub currency: String,
}

/// Why a message did not arrive, in Telnyx's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageError {
    /// Telnyx's error code, a string of digits; null for a failure that convo saw by itself.
    #[serde(default)]
    pub code: Option<String>,
    /// A few words.
    pub title: String,
    /// A sentence, where Telnyx gives one.
    #[serde(default)]
    pub detail: Option<String>,
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
    /// convo's own id, a UUIDv7.
    pub id: Uuid,
    /// The thread it belongs to.
    pub conversation_id: Uuid,
    /// Which way it went.
    pub direction: Direction,
    /// The sender.
    pub from: PhoneNumber,
    /// The recipient; the first one when there are several.
    pub to: PhoneNumber,
    /// The text; empty when there is none.
    pub body: String,
    /// What is known of its delivery.
    pub status: Status,
    /// Inbound: when Telnyx received it. Outbound: when it was stored.
    pub created_at: Timestamp,
    /// Telnyx's id of it, once known.
    pub telnyx_message_id: Option<String>,
    /// The other participants of a group message.
    pub cc: Vec<String>,
    /// The subject of an MMS.
    pub subject: Option<String>,
    /// Files that came or went with it.
    pub media: Vec<Media>,
    /// The alphabet it travelled in, in Telnyx's spelling.
    pub encoding: Option<String>,
    /// How many segments it was on the air.
    pub segments: Option<u32>,
    /// What it cost; final once the status is.
    pub cost: Option<Cost>,
    /// Why it failed: the error that came with the shown status.
    pub error: Option<MessageError>,
    /// When it is to be sent, if it was scheduled.
    pub send_at: Option<Timestamp>,
    /// When Telnyx handed it to the carrier.
    pub sent_at: Option<Timestamp>,
    /// When Telnyx closed it.
    pub completed_at: Option<Timestamp>,
    /// Everything that was ever reported about it, by the time it happened; only where it was
    /// asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Vec<StatusReport>>,
}

impl Message {
    /// The message alone, as most answers have it.
    #[must_use]
    pub fn without_history(self) -> Self {
        Self { history: None, ..self }
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

/// One delivery report: a row of a message's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusReport {
    /// The status word as it came; words that convo does not list are kept too.
    pub status: String,
    /// Whom it is about.
    pub recipient: Option<String>,
    /// The error that came with it.
    pub error: Option<MessageError>,
    /// When it happened, by Telnyx's clock.
    pub occurred_at: Timestamp,
    /// The event that told it.
    pub event_id: String,
}
