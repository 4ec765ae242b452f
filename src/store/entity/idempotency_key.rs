//! Callers' own idempotency keys.

use sea_orm::entity::prelude::*;

/// One key, bound to one request and the message it made.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
pub struct Model {
    /// The key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// SHA-256 of the request as received.
    #[sea_orm(column_type = "Blob")]
    pub request_hash: Vec<u8>,
    /// The message it made.
    pub message_id: TextUuid,
    /// When it was first used.
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
/// None.
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
