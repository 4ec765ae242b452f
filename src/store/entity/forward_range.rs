//! Entries that forwarding has given up, or delivers again.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "forward_ranges")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    /// See [`state`].
    pub state: i16,
    /// The failed attempts to deliver the entry that is next.
    pub attempts: i32,
    /// The entry before the first of them.
    pub after_position: i64,
    pub after_nonce: i32,
    /// The last of them.
    pub until_position: i64,
    /// The times of the first and the last of them.
    pub from_at: i64,
    pub until_at: i64,
    pub failing_since: Option<i64>,
    pub next_attempt_at: Option<i64>,
}

/// The values of the column `state`.
pub mod state {
    pub const GIVEN_UP: i16 = 0;
    pub const REPLAYING: i16 = 1;
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
