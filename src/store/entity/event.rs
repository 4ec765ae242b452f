//! Webhook events as they came.

use sea_orm::entity::prelude::*;

/// One accepted event.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "events")]
pub struct Model {
    /// Telnyx's id of it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// Telnyx's name of its kind.
    pub event_type: String,
    /// When it happened, by Telnyx's clock.
    pub occurred_at: Option<i64>,
    /// When it came.
    pub received_at: i64,
    /// Its bytes.
    #[sea_orm(column_type = "Blob")]
    pub body: Vec<u8>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
/// None.
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
