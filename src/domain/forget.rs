//! Forgetting a contact: the receipt, and the mark that stays.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{PhoneNumber, Timestamp};

/// What was removed of a contact, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForgetReceipt {
    /// The contact.
    pub contact_number: PhoneNumber,
    /// The conversation with it, if there was one.
    pub conversation_id: Option<Uuid>,
    /// Whether nothing was removed, because it was only asked what would be.
    pub dry_run: bool,
    /// What is older than this is gone, and is not stored again.
    pub forgotten_at: Timestamp,
    /// How many messages it had, with their delivery reports, media and idempotency keys.
    pub messages: u64,
    /// How many webhooks, as they came, were about it.
    pub webhooks: u64,
    /// How many entries of the feed were about it.
    pub feed_entries: u64,
    /// Whether it had opted out: nothing is sent to it as before.
    pub opted_out: bool,
    /// Whether it had a name, which was removed.
    #[serde(default)]
    pub named: bool,
}

/// What stays of a contact that was forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForgottenMark {
    /// HMAC-SHA-256 of its number, in hex.
    pub mark: String,
    /// What is older than this is not stored again.
    pub forgotten_at: Timestamp,
    /// When it opted out; null if it had not.
    pub opted_out_at: Option<Timestamp>,
}

/// The marks of all contacts that were forgotten, and the key that they were made with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForgottenMarks {
    /// The key, in hex: whoever has it can find out whether a number is among them. Null as long as no
    /// contact was forgotten.
    pub key: Option<String>,
    /// The marks, in their order.
    pub marks: Vec<ForgottenMark>,
}
