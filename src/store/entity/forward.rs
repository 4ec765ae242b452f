//! Where forwarding to each name stands.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "forwards")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// The entry up to which everything was delivered or given up.
    pub position: i64,
    pub nonce: i32,
    /// 1 while nothing is delivered, until somebody enables it.
    pub paused: i16,
    /// The failed attempts to deliver the entry that is next.
    pub attempts: i32,
    pub created_at: i64,
    /// When its place was last lost with the feed, so that it began anew.
    pub restarted_at: Option<i64>,
    pub failing_since: Option<i64>,
    pub next_attempt_at: Option<i64>,
    pub last_success_at: Option<i64>,
    pub last_error: Option<String>,
    pub last_error_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
