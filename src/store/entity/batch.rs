//! Batches: when sending each began and ended.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "batches")]
pub(in crate::store) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The fingerprint of its file and template.
    #[sea_orm(column_type = "Blob")]
    pub content: Vec<u8>,
    pub row_count: i64,
    pub created_at: i64,
    /// NULL while something is left to be sent.
    pub finished_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
