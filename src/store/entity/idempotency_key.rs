//! Callers' idempotency keys.

use sea_orm::entity::prelude::*;

/// One key, bound to a request and to the message that it created.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// SHA-256 of the request as received.
    #[sea_orm(column_type = "Blob")]
    pub request_hash: Vec<u8>,
    pub message_id: Uuid,
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
