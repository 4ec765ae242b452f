//! Threads.

use sea_orm::entity::prelude::*;

use crate::domain::{Conversation, PhoneNumber, Timestamp};

/// One thread.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "conversations")]
pub struct Model {
    /// convo's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TextUuid,
    /// The other party.
    pub contact_number: String,
    /// How many messages it has.
    pub message_count: i64,
    /// The latest time of its messages.
    pub last_message_at: i64,
    /// When it was begun.
    pub created_at: i64,
    /// When the contact opted out, if it is out.
    pub opted_out_at: Option<i64>,
    /// The own number it was said to.
    pub opted_out_number: Option<String>,
    /// The messaging profile it was said to.
    pub opted_out_profile: Option<String>,
    /// When the latest STOP or START was said.
    pub opt_out_decided_at: Option<i64>,
}

impl From<Model> for Conversation {
    fn from(row: Model) -> Self {
        Self {
            id: row.id.0,
            contact_number: PhoneNumber::from_stored(row.contact_number),
            message_count: u64::try_from(row.message_count).unwrap_or_default(),
            last_message_at: Timestamp::from_micros(row.last_message_at),
            created_at: Timestamp::from_micros(row.created_at),
            opted_out_at: row.opted_out_at.map(Timestamp::from_micros),
            opted_out_number: row.opted_out_number.map(PhoneNumber::from_stored),
            last_message: None,
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
/// None that is loaded.
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
