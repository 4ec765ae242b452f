//! How far the search index has come: one row.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "search_place")]
pub struct Model {
    /// Always 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i16,
    /// Of the rules by which words are made; 0 if it has not begun.
    pub version: i32,
    /// The entry of the feed up to which all messages are in the index.
    pub nonce: Option<i32>,
    pub position: Option<i64>,
    /// Of the messages that are older than the feed, those with this id and higher ones are in it. `None`
    /// once all are.
    pub fill_before: Option<Uuid>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
