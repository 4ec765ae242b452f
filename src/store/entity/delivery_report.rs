//! What was reported about outbound messages, one row a recipient.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use super::from_json;
use crate::domain::{Cost, StatusReport, Timestamp};

/// One recipient's state in one event.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "delivery_reports")]
pub struct Model {
    /// The event that told it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: String,
    /// Whom it is about; empty when the event does not say.
    #[sea_orm(primary_key, auto_increment = false)]
    pub recipient: String,
    /// The message it is about, by Telnyx's id.
    pub telnyx_message_id: String,
    /// The status word as it came.
    pub status: String,
    /// Its rank, when the word moves anything.
    pub status_rank: Option<i16>,
    /// The error that came with it, as JSON.
    pub error: Option<String>,
    /// What else the event told, as JSON of [`Facts`].
    pub facts: Option<String>,
    /// When it happened.
    pub occurred_at: i64,
    /// Since when it waits for the message it may be about.
    pub waiting_since: Option<i64>,
}

/// What a report tells beside the status; taken over with the status that wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// What it cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// The alphabet it travelled in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// How many segments it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segments: Option<u32>,
    /// When it was handed to the carrier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// When Telnyx closed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
}

impl From<Model> for StatusReport {
    fn from(row: Model) -> Self {
        Self {
            error: from_json(row.error.as_deref()),
            recipient: (!row.recipient.is_empty()).then_some(row.recipient),
            status: row.status,
            occurred_at: Timestamp::from_micros(row.occurred_at),
            event_id: row.event_id,
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
/// None.
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
