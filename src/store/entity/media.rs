//! What became of each medium of an inbound message.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "media")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub message_id: Uuid,
    /// Its place among the message's media, from 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i32,
    /// A [`state`].
    pub state: i16,
    /// How often it was tried to fetch it.
    pub attempts: i32,
    /// Of its message.
    pub created_at: i64,
    /// NULL unless it is waiting.
    pub next_attempt_at: Option<i64>,
    pub content_size: Option<i64>,
    /// The SHA-256 of its content, while that is kept.
    #[sea_orm(column_type = "Blob", nullable)]
    pub hash: Option<Vec<u8>>,
    pub content_type: Option<String>,
    pub last_error: Option<String>,
}

/// The value of a state in the database.
pub fn state(state: crate::domain::MediaState) -> i16 {
    use crate::domain::MediaState;
    match state {
        MediaState::Waiting => 0,
        MediaState::Kept => 1,
        MediaState::TooLarge => 2,
        MediaState::Refused => 3,
        MediaState::Gone => 4,
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
