//! Webhook events as they came.

use sea_orm::entity::prelude::*;

use super::TelnyxId;

/// The type of inbound messages, which is not stored.
pub const USUAL_TYPE: &str = "message.received";

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "events")]
pub struct Model {
    /// By Telnyx's clock; 0 if it did not say.
    #[sea_orm(primary_key, auto_increment = false)]
    pub occurred_at: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TelnyxId,
    /// NULL for [`USUAL_TYPE`].
    pub event_type: Option<String>,
    pub received_at: i64,
    /// How `body` is compressed: see [`RawEvent`](crate::store::RawEvent).
    pub dictionary: i16,
    /// The bytes of the request, compressed.
    #[sea_orm(column_type = "Blob")]
    pub body: Vec<u8>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
