//! How far the fetcher of media has come.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "media_progress")]
pub struct Model {
    /// Always 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    /// The entry of the feed up to which all media are known.
    pub position: i64,
    pub nonce: i32,
    /// 1 once all messages from before the feed were looked at.
    pub walked: i16,
    /// The message down to which they were looked at, newest first.
    pub walked_to: Option<Uuid>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
