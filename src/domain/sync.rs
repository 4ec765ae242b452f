//! Bringing back what no webhook has brought: what to do, how far it is, and what was found.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Status, Timestamp};
use crate::error::ErrorBody;

/// What a sync reads at Telnyx, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncSource {
    /// Events that Telnyx could not deliver.
    Deliveries,
    /// Telnyx's list of all messages.
    Records,
    /// Outbound messages whose status is not final, and has not changed for a while.
    Outbound,
    /// Telnyx's list of opt-outs.
    OptOuts,
}

impl SyncSource {
    /// Every source.
    pub const ALL: [Self; 4] = [Self::Deliveries, Self::Records, Self::Outbound, Self::OptOuts];

    /// The word in the API and the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deliveries => "deliveries",
            Self::Records => "records",
            Self::Outbound => "outbound",
            Self::OptOuts => "opt_outs",
        }
    }
}

impl fmt::Display for SyncSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a sync is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncRequest {
    /// Read everything from this time on; otherwise each source from where it was last read.
    pub since: Option<Timestamp>,
    /// Whether to read from Telnyx after settling.
    pub fetch: bool,
    /// Change nothing, and tell what would be found.
    pub dry_run: bool,
}

/// How far a source has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncState {
    /// Not begun.
    Waiting,
    /// Being read.
    Running,
    /// Read completely.
    Complete,
    /// Not read to its end; the next sync goes on from there.
    Incomplete,
}

impl SyncState {
    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
        }
    }
}

/// What a sync has found in a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceReport {
    /// Which source.
    pub source: SyncSource,
    /// How far it was read.
    pub state: SyncState,
    /// From when on it was read, by Telnyx's clock.
    pub since: Option<Timestamp>,
    /// Up to when it has been read, by Telnyx's clock.
    pub until: Option<Timestamp>,
    /// How many items were read.
    pub listed: u64,
    /// How many of them were not known, or changed something.
    pub found: u64,
    /// How many are so new that their webhook may still come; the next sync looks at them again.
    pub recent: u64,
    /// How many Telnyx no longer has.
    pub gone: u64,
    /// Why it was not read to its end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<ErrorBody>,
}

impl SourceReport {
    /// Nothing has been read yet.
    #[must_use]
    pub fn new(source: SyncSource) -> Self {
        Self {
            source,
            state: SyncState::Waiting,
            since: None,
            until: None,
            listed: 0,
            found: 0,
            recent: 0,
            gone: 0,
            error: None,
        }
    }
}

/// A message that settling has given another status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettledMessage {
    /// convo's id of the message.
    pub id: Uuid,
    /// Its new status.
    pub status: Status,
}

/// What a sync has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncReport {
    /// Whether everything was done that was asked for.
    pub complete: bool,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// The messages left open by processes that died, and what became of them.
    pub settled: Vec<SettledMessage>,
    /// What was found, by source; empty if nothing was to be read.
    pub sources: Vec<SourceReport>,
}

/// A line of a sync in progress: how far a source is, or at the end what was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncNews {
    /// A source has been read further.
    Progress(SyncProgress),
    /// The sync is over.
    Report(SyncReport),
    /// The sync could not be done.
    Error(ErrorBody),
}

/// How far a source is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncProgress {
    /// What has been found so far.
    pub found: SourceReport,
    /// How many items the source has in all, as far as it is known.
    pub total: Option<u64>,
}
