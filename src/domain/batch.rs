//! Batches: one text to many. Which batch and which of its rows a message belongs to, and what is known of
//! a row before it is sent.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{IdempotencyKey, PhoneNumber, Status, Timestamp};
use crate::error::Error;

/// The most rows that are checked in one request.
pub const MAX_CHECKED: usize = 1_000;
/// The format of a batch's name, as the OpenAPI document states it.
pub const BATCH_ID_PATTERN: &str = "^[A-Za-z0-9_:-]{1,64}$";
/// The format of a [`Fingerprint`].
pub const FINGERPRINT_PATTERN: &str = "^[0-9a-f]{32}$";

/// The name of a batch: the caller's, or the fingerprint of its file and template.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BatchId(String);

impl BatchId {
    /// Parses a name, which must match [`BATCH_ID_PATTERN`].
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn parse(name: &str) -> Result<Self, Error> {
        let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"_:-".contains(&b);
        if (1..=64).contains(&name.len()) && name.bytes().all(is_allowed) {
            return Ok(Self(name.to_owned()));
        }
        Err(Error::invalid("the id of a batch is not 1 to 64 letters, digits, '_', ':' or '-'")
            .hint("choose one that says what is sent, for example december-2026"))
    }

    /// The name of a batch that was given none.
    #[must_use]
    pub fn of_content(content: Fingerprint) -> Self {
        let mut name = content.to_string();
        name.truncate(16);
        Self(name)
    }

    /// The name as it is stored and sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for BatchId {
    type Error = Error;

    fn try_from(name: String) -> Result<Self, Error> {
        Self::parse(&name)
    }
}

impl From<BatchId> for String {
    fn from(id: BatchId) -> Self {
        id.0
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The first half of a SHA-256: of a row, of what a row sends to whom, or of a whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// That of some parts, each told from the next by its length.
    #[must_use]
    pub fn of(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Self::from_digest(&hash.finalize())
    }

    /// That of what a hash has read.
    #[must_use]
    pub fn from_digest(digest: &[u8]) -> Self {
        let mut half = [0; 16];
        for (byte, of) in half.iter_mut().zip(digest) {
            *byte = *of;
        }
        Self(half)
    }

    /// That of a row with a key of its own.
    #[must_use]
    pub fn of_key(key: &str) -> Self {
        Self::of(&["key", key])
    }

    /// That of a text to a contact.
    #[must_use]
    pub fn of_text(to: &PhoneNumber, text: &str) -> Self {
        Self::of(&["text", to.as_str(), text])
    }

    /// Its bytes, as they are stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// One that was stored; `None` if it has another length.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let value = Some(text).filter(|text| text.len() == 32 && text.bytes().all(is_hex));
        let value = value.and_then(|text| u128::from_str_radix(text, 16).ok());
        value
            .map(|value| Self(value.to_be_bytes()))
            .ok_or_else(|| Error::invalid("a fingerprint is not 32 hex digits in lower case"))
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

/// The place of a message in a batch. Each row of a batch is sent once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "The place of a message in a batch: each row of a batch is sent once.")]
pub struct BatchPlace {
    /// The batch.
    #[schemars(with = "String", extend("pattern" = BATCH_ID_PATTERN))]
    pub id: BatchId,
    /// The row: any 32 hex digits that tell it from the others.
    #[schemars(with = "String", extend("pattern" = FINGERPRINT_PATTERN))]
    pub row: Fingerprint,
}

impl BatchPlace {
    /// The idempotency key of the send.
    #[must_use]
    pub fn key(&self) -> IdempotencyKey {
        IdempotencyKey::for_batch(Fingerprint::of(&[self.id.as_str(), &self.row.to_string()]))
    }
}

/// Rows of a batch, to be checked before they are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "Rows of a batch, to be checked: at most 1,000.")]
pub struct BatchRows {
    /// The rows.
    pub rows: Vec<BatchRowQuery>,
}

/// One row of a batch, to be checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchRowQuery {
    /// Which row of the batch it is.
    #[schemars(with = "String", extend("pattern" = FINGERPRINT_PATTERN))]
    pub row: Fingerprint,
    /// The recipient's number.
    pub to: String,
    /// The text.
    pub message: String,
}

/// What is known of a batch and of some of its rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(description = "What is known of a batch and of some of its rows.")]
pub struct BatchCheck {
    /// The batch; null before anything of it was sent.
    pub batch: Option<BatchInfo>,
    /// The numbers that texts are sent from.
    pub numbers: Vec<PhoneNumber>,
    /// What a segment of the latest outbound messages cost on average; null if none tells.
    pub cost: Option<SegmentCost>,
    /// The rows, in the order of the request.
    pub rows: Vec<BatchRow>,
}

/// A batch as it was recorded when sending it began, and again when nothing was left to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Batch", description = "A batch.")]
pub struct BatchInfo {
    /// Its name.
    #[schemars(with = "String", extend("pattern" = BATCH_ID_PATTERN))]
    pub id: BatchId,
    /// The fingerprint of its file and template.
    #[schemars(with = "String", extend("pattern" = FINGERPRINT_PATTERN))]
    pub content: Fingerprint,
    /// How many rows it has.
    pub rows: u64,
    /// When sending it first began.
    pub created_at: Timestamp,
    /// When nothing was left to be sent; null before.
    pub finished_at: Option<Timestamp>,
}

/// What a caller records of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "What is recorded of a batch.")]
pub struct BatchRecord {
    /// The fingerprint of its file and template.
    #[schemars(with = "String", extend("pattern" = FINGERPRINT_PATTERN))]
    pub content: Fingerprint,
    /// How many rows it has.
    pub rows: u64,
    /// Whether nothing is left to be sent.
    pub finished: bool,
}

/// The average cost of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SegmentCost {
    /// A decimal number.
    pub amount: String,
    /// Its currency.
    pub currency: String,
}

/// Whether a row would be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchRowState {
    /// It would.
    New,
    /// It was sent before, under the same batch.
    Sent,
    /// The same text went to the same contact within the last 24 hours, in another batch or row.
    Double,
    /// The contact has opted out.
    OptedOut,
}

impl BatchRowState {
    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Sent => "sent",
            Self::Double => "double",
            Self::OptedOut => "opted_out",
        }
    }
}

/// What is known of one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BatchRow {
    /// Whether it would be sent.
    pub state: BatchRowState,
    /// The message that it was sent as, or that it is a double of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<Uuid>,
    /// The status of that message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The number of ours that the contact last wrote to, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PhoneNumber>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_tells_parts_apart_and_survives_json() {
        assert_ne!(Fingerprint::of(&["ab", "c"]), Fingerprint::of(&["a", "bc"]));
        let one = Fingerprint::of_key("1");
        assert_eq!(one.to_string().parse::<Fingerprint>().expect("32 digits"), one);
        let json = serde_json::to_string(&one).expect("JSON");
        assert_eq!(serde_json::from_str::<Fingerprint>(&json).expect("a fingerprint"), one);
        for bad in ["", "0", &"g".repeat(32), &"A".repeat(32), &"+".repeat(32)] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }

    #[test]
    fn each_row_of_each_batch_has_a_key_of_its_own() {
        let place = |id: &str, row: &str| BatchPlace {
            id: BatchId::parse(id).expect("a name"),
            row: Fingerprint::of_key(row),
        };
        let key = place("may", "1").key();
        assert_eq!(key, place("may", "1").key());
        assert_ne!(key, place("may", "2").key());
        assert_ne!(key, place("june", "1").key());
        assert!(key.is_of_batch());
        assert_eq!(IdempotencyKey::parse(key.as_str()).expect("a good key"), key);
    }

    #[test]
    fn a_name_is_short_and_plain() {
        for name in ["december-2026", "a", &"x".repeat(64)] {
            assert_eq!(BatchId::parse(name).expect("a name").as_str(), name);
        }
        for name in ["", "a b", "a/b", "é", &"x".repeat(65)] {
            assert!(BatchId::parse(name).is_err(), "{name}");
        }
    }
}
