//! Statistics about messages: what is asked, and the answer.

mod offsets;
mod sums;

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cost, MessageSearch, Timestamp};
use crate::error::{Code, Error};

pub use offsets::UtcOffsets;
pub(crate) use sums::{Amount, Collector, QUARTER_MICROS, Sum, SumKey, quarter_of};

/// How many rows an answer has at most, and how many by contact if nothing is said.
pub const MAX_ROWS: u64 = 1_000;
const CONTACTS: u64 = 20;

/// What the messages are grouped by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatsBy {
    /// The day in which they are dated.
    #[default]
    Day,
    /// The contact.
    Contact,
    /// The number of ours.
    Number,
    /// The status.
    Status,
    /// Telnyx's error code.
    Error,
}

impl StatsBy {
    /// Every grouping.
    pub const ALL: [Self; 5] = [Self::Day, Self::Contact, Self::Number, Self::Status, Self::Error];

    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Contact => "contact",
            Self::Number => "number",
            Self::Status => "status",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for StatsBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for StatsBy {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|by| by.as_str() == word);
        found.ok_or("not a grouping: use day, contact, number, status or error")
    }
}

/// What statistics are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatsQuery {
    /// Which messages are counted. It has no words.
    pub filter: MessageSearch,
    /// What they are grouped by.
    pub by: StatsBy,
    /// When days begin.
    pub offsets: UtcOffsets,
    /// How many groups to return: of days the last ones, of others those with the most messages.
    pub limit: Option<u64>,
}

impl StatsQuery {
    /// The parameters that ask a server the same.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = self.filter.parameters();
        parameters.push(("by", self.by.to_string()));
        if !self.offsets.is_utc() {
            parameters.push(("utc_offset", self.offsets.to_string()));
        }
        parameters.extend(self.limit.map(|limit| ("limit", limit.to_string())));
        parameters
    }

    /// How many groups the answer has at most.
    pub(crate) fn most_rows(&self) -> usize {
        let default = if self.by == StatsBy::Contact { CONTACTS } else { u64::MAX };
        usize::try_from(self.limit.unwrap_or(default)).unwrap_or(usize::MAX)
    }
}

/// How many messages there are, and what became of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessageCounts {
    /// How many came in.
    pub inbound: u64,
    /// How many went out, whatever became of them.
    pub outbound: u64,
    /// Of those that went out, how many were `delivered` or `read`.
    pub delivered: u64,
    /// How many are `delivery_unconfirmed`.
    pub unconfirmed: u64,
    /// How many failed: `expired`, `sending_failed` or `delivery_failed`.
    pub failed: u64,
    /// How many were `cancelled`.
    pub cancelled: u64,
    /// How many have no final status yet.
    pub open: u64,
    /// `delivered` / (`delivered` + `unconfirmed` + `failed`), with four decimals; null if all are 0.
    pub delivery_rate: Option<f64>,
    /// The segments of the messages of which they are known.
    pub segments: u64,
    /// What Telnyx charged, one sum a currency.
    pub cost: Vec<Cost>,
    /// How long delivered messages took.
    pub delivery_times: DeliveryTimes,
}

/// How many messages were delivered in how much time: since Telnyx handed them to the carrier, or if it does
/// not say when, since they were stored. Each is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryTimes {
    /// Up to 5 seconds.
    pub within_5s: u64,
    /// Up to 15 seconds.
    pub within_15s: u64,
    /// Up to a minute.
    pub within_1m: u64,
    /// Up to 5 minutes.
    pub within_5m: u64,
    /// Up to an hour.
    pub within_1h: u64,
    /// Longer.
    pub later: u64,
}

impl DeliveryTimes {
    /// The buckets with their names for people, shortest first.
    #[must_use]
    pub fn buckets(&self) -> [(&'static str, u64); 6] {
        [
            ("up to 5 s", self.within_5s),
            ("up to 15 s", self.within_15s),
            ("up to 1 min", self.within_1m),
            ("up to 5 min", self.within_5m),
            ("up to 1 h", self.within_1h),
            ("longer", self.later),
        ]
    }
}

impl From<[u64; 6]> for DeliveryTimes {
    fn from(buckets: [u64; 6]) -> Self {
        let [within_5s, within_15s, within_1m, within_5m, within_1h, later] = buckets;
        Self { within_5s, within_15s, within_1m, within_5m, within_1h, later }
    }
}

/// A group of messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatsRow {
    /// What they have in common: a date such as `2026-11-30`, a number, a status, an error code.
    pub key: String,
    /// How many they are, and what became of them.
    #[serde(flatten)]
    pub counts: MessageCounts,
}

/// Messages with an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorCount {
    /// Telnyx's error code; null for failures that convo itself detected.
    pub code: Option<String>,
    /// Its title.
    pub title: String,
    /// What can be done about it.
    pub hint: Option<String>,
    /// How many messages have it.
    pub messages: u64,
}

/// Statistics about messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// The messages are dated at this time or later.
    pub since: Option<Timestamp>,
    /// They are dated before this time.
    pub until: Option<Timestamp>,
    /// Whether every stored message is counted. False while the sums are still being made, as after an upgrade.
    pub complete: bool,
    /// All of the messages.
    pub total: MessageCounts,
    /// Their errors, most frequent first.
    pub errors: Vec<ErrorCount>,
    /// What the rows are grouped by.
    pub by: StatsBy,
    /// The groups: days in their order, statuses in theirs, others from the most messages to the fewest.
    pub rows: Vec<StatsRow>,
    /// Whether there are more groups.
    pub more: bool,
}

/// The error after statistics that do not have all messages.
#[must_use]
pub fn stats_incomplete() -> Error {
    Error::new(Code::StatsIncomplete, "messages are missing: their sums are still being made")
        .hint("ask again later: every `convo stats` and `convo serve` go on with them")
}
