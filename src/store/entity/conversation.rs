//! Conversations, one for each contact.

use sea_orm::entity::prelude::*;

use crate::domain::{Conversation, Direction, PhoneNumber, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "conversations")]
pub struct Model {
    /// What messages refer to.
    #[sea_orm(primary_key)]
    pub key: i64,
    pub id: Uuid,
    pub contact_number: String,
    pub message_count: i64,
    /// The latest `created_at` of its messages.
    pub last_message_at: i64,
    /// The `created_at` of the message that started it.
    pub created_at: i64,
    /// When the contact opted out; NULL if it has not, or has opted in again. Copied from `opt_outs`, as
    /// is the number.
    pub opted_out_at: Option<i64>,
    /// The number of ours that received the STOP.
    pub opted_out_number: Option<String>,
    /// The [`route`] of its last message; NULL where only the message itself can tell.
    pub last_route: Option<String>,
    /// How many inbound messages have arrived in it: the [`arrival`](super::message::Model::arrival) of the
    /// last one.
    pub arrived: i64,
    /// The watermark: the `arrival` of the last message that was read.
    pub read_up_to: i64,
    /// How many inbound messages are above the watermark.
    pub unread_count: i64,
}

/// The direction of a message and the number of ours, in one text: a filter on the last message of a
/// conversation is a range of it, which an index can tell without the message.
pub fn route(direction: Direction, own: &str) -> String {
    format!("{}{own}", route_prefix(direction))
}

/// The beginning of every [`route`] of a direction.
pub fn route_prefix(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "in:",
        Direction::Outbound => "out:",
    }
}

impl From<Model> for Conversation {
    fn from(row: Model) -> Self {
        Self {
            id: row.id,
            contact_number: PhoneNumber::from_stored(row.contact_number),
            contact_name: None,
            message_count: u64::try_from(row.message_count).unwrap_or_default(),
            last_message_at: Timestamp::from_micros(row.last_message_at),
            created_at: Timestamp::from_micros(row.created_at),
            opted_out_at: row.opted_out_at.map(Timestamp::from_micros),
            opted_out_number: row.opted_out_number.map(PhoneNumber::from_stored),
            unread_count: u64::try_from(row.unread_count).unwrap_or_default(),
            arrived: u64::try_from(row.arrived).unwrap_or_default(),
            last_message: None,
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
