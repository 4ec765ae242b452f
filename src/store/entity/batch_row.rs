//! Rows of batches, each with the message that it was sent as.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "batch_rows")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub batch_id: String,
    /// The fingerprint that tells it from the others of its batch.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Blob")]
    pub row: Vec<u8>,
    pub message_id: Uuid,
    /// The fingerprint of its contact and text.
    #[sea_orm(column_type = "Blob")]
    pub content: Vec<u8>,
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
