//! Delivery reports on outbound messages: a row for each event and recipient.

use sea_orm::entity::prelude::*;

use super::{TelnyxId, from_json};
use crate::domain::{StatusReport, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "delivery_reports")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub telnyx_message_id: TelnyxId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: TelnyxId,
    /// Empty if the event names none.
    #[sea_orm(primary_key, auto_increment = false)]
    pub recipient: String,
    /// Telnyx's status word as it came.
    pub status: String,
    /// The rank of the status; NULL for a word that changes no status.
    pub status_rank: Option<i16>,
    /// JSON.
    pub error: Option<String>,
    /// JSON of [`Facts`](crate::domain::Facts).
    pub facts: Option<String>,
    pub occurred_at: i64,
    /// Since when it has been waiting for its message to be known; NULL if it is not.
    pub waiting_since: Option<i64>,
}

impl From<Model> for StatusReport {
    fn from(row: Model) -> Self {
        Self {
            error: from_json(row.error.as_deref()),
            recipient: (!row.recipient.is_empty()).then_some(row.recipient),
            status: row.status,
            occurred_at: Timestamp::from_micros(row.occurred_at),
            event_id: row.event_id.into_string(),
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
