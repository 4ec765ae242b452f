//! Messages, inbound and outbound.

use sea_orm::DbErr;
use sea_orm::entity::prelude::*;

use super::{TelnyxId, from_json};
use crate::domain::{Cost, Direction, LastMessage, Media, Message, PhoneNumber, Status, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "messages")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The key of its conversation.
    pub conversation_key: i64,
    pub telnyx_message_id: Option<TelnyxId>,
    /// A [`direction`].
    pub direction: i16,
    pub from_number: String,
    /// The first recipient.
    pub to_number: String,
    /// All recipients as a JSON list, if there are several.
    pub recipients: Option<String>,
    /// A JSON list.
    pub cc: Option<String>,
    pub body: String,
    /// The subject of an MMS.
    pub subject: Option<String>,
    /// A JSON list.
    pub media: Option<String>,
    /// The character encoding, such as GSM-7.
    pub encoding: Option<String>,
    pub segments: Option<i32>,
    /// A decimal number.
    pub cost_amount: Option<String>,
    pub cost_currency: Option<String>,
    /// The rank of the status, which only rises.
    pub status_rank: i16,
    /// JSON.
    pub error: Option<String>,
    pub created_at: i64,
    /// The time it is scheduled for.
    pub send_at: Option<i64>,
    /// When Telnyx handed it to the carrier.
    pub sent_at: Option<i64>,
    /// When Telnyx finalized it.
    pub completed_at: Option<i64>,
    /// The exact body of the request to Telnyx.
    #[sea_orm(column_type = "Blob")]
    pub request_body: Option<Vec<u8>>,
    /// The base URL of the API that it is sent to.
    pub base_url: Option<String>,
    /// When the current attempt ends at the latest; after that, any process may settle the message.
    pub attempt_until: Option<i64>,
    /// How often convo may still repeat the request by itself. NULL: not at all, unless its caller is
    /// told that the outcome is unknown.
    pub repeats_left: Option<i16>,
    /// The error that its caller was given, as JSON, if nothing was sent.
    pub refusal: Option<String>,
    /// The inbound message that a program answered with it.
    pub in_reply_to: Option<Uuid>,
    /// The word that Telnyx recognised in it and answered by itself, such as STOP.
    pub autoresponse_type: Option<String>,
    /// 1 for a message that no webhook brought.
    pub recovered: Option<i16>,
    /// Of an inbound message its place in the order in which they arrived in the conversation, from 1; of
    /// an outbound one that of the last inbound message before it. NULL if it was never unread.
    pub arrival: Option<i64>,
}

impl Model {
    /// The message, given the id of its conversation.
    ///
    /// # Errors
    /// As [`MessageRow::into_domain`].
    pub fn into_domain(self, conversation_id: Uuid) -> Result<Message, DbErr> {
        MessageRow::from(self).into_domain(conversation_id)
    }
}

/// The columns of a message that are shown: not those of the request to Telnyx.
#[derive(Clone, Debug, sea_orm::FromQueryResult)]
pub struct MessageRow {
    pub id: Uuid,
    pub telnyx_message_id: Option<TelnyxId>,
    pub direction: i16,
    pub from_number: String,
    pub to_number: String,
    pub recipients: Option<String>,
    pub cc: Option<String>,
    pub body: String,
    pub subject: Option<String>,
    pub media: Option<String>,
    pub encoding: Option<String>,
    pub segments: Option<i32>,
    pub cost_amount: Option<String>,
    pub cost_currency: Option<String>,
    pub status_rank: i16,
    pub error: Option<String>,
    pub created_at: i64,
    pub send_at: Option<i64>,
    pub sent_at: Option<i64>,
    pub completed_at: Option<i64>,
    pub in_reply_to: Option<Uuid>,
    pub autoresponse_type: Option<String>,
    pub recovered: Option<i16>,
}

impl MessageRow {
    pub const COLUMNS: [Column; 23] = [
        Column::Id,
        Column::TelnyxMessageId,
        Column::Direction,
        Column::FromNumber,
        Column::ToNumber,
        Column::Recipients,
        Column::Cc,
        Column::Body,
        Column::Subject,
        Column::Media,
        Column::Encoding,
        Column::Segments,
        Column::CostAmount,
        Column::CostCurrency,
        Column::StatusRank,
        Column::Error,
        Column::CreatedAt,
        Column::SendAt,
        Column::SentAt,
        Column::CompletedAt,
        Column::InReplyTo,
        Column::AutoresponseType,
        Column::Recovered,
    ];

    /// The message, given the id of its conversation.
    ///
    /// # Errors
    /// If the direction or the status is invalid: another program wrote the row.
    pub fn into_domain(self, conversation_id: Uuid) -> Result<Message, DbErr> {
        let (direction, status) = parse(self.direction, self.status_rank)?;
        let time = |micros: Option<i64>| micros.map(Timestamp::from_micros);
        let cost = self.cost_amount.zip(self.cost_currency);
        Ok(Message {
            id: self.id,
            conversation_id,
            direction,
            from: PhoneNumber::from_stored(self.from_number),
            to: PhoneNumber::from_stored(self.to_number),
            body: self.body,
            status,
            created_at: Timestamp::from_micros(self.created_at),
            telnyx_message_id: self.telnyx_message_id.map(TelnyxId::into_string),
            cc: others(self.recipients.as_deref(), self.cc.as_deref()),
            subject: self.subject,
            media: from_json(self.media.as_deref()).unwrap_or_default(),
            encoding: self.encoding,
            segments: self.segments.and_then(|count| u32::try_from(count).ok()),
            cost: cost.map(|(amount, currency)| Cost { amount, currency }),
            error: from_json(self.error.as_deref()),
            send_at: time(self.send_at),
            sent_at: time(self.sent_at),
            completed_at: time(self.completed_at),
            in_reply_to: self.in_reply_to,
            autoresponse_type: self.autoresponse_type,
            recovered: self.recovered.is_some(),
            history: None,
        })
    }
}

impl From<Model> for MessageRow {
    fn from(row: Model) -> Self {
        Self {
            id: row.id,
            telnyx_message_id: row.telnyx_message_id,
            direction: row.direction,
            from_number: row.from_number,
            to_number: row.to_number,
            recipients: row.recipients,
            cc: row.cc,
            body: row.body,
            subject: row.subject,
            media: row.media,
            encoding: row.encoding,
            segments: row.segments,
            cost_amount: row.cost_amount,
            cost_currency: row.cost_currency,
            status_rank: row.status_rank,
            error: row.error,
            created_at: row.created_at,
            send_at: row.send_at,
            sent_at: row.sent_at,
            completed_at: row.completed_at,
            in_reply_to: row.in_reply_to,
            autoresponse_type: row.autoresponse_type,
            recovered: row.recovered,
        }
    }
}

/// The columns of a message that a list of conversations shows.
#[derive(Clone, Debug, sea_orm::FromQueryResult)]
pub struct LastMessageRow {
    pub id: Uuid,
    pub direction: i16,
    pub body: String,
    pub subject: Option<String>,
    pub recipients: Option<String>,
    pub cc: Option<String>,
    pub media: Option<String>,
    pub status_rank: i16,
    pub created_at: i64,
    pub send_at: Option<i64>,
}

impl LastMessageRow {
    pub const COLUMNS: [Column; 10] = [
        Column::Id,
        Column::Direction,
        Column::Body,
        Column::Subject,
        Column::Recipients,
        Column::Cc,
        Column::Media,
        Column::StatusRank,
        Column::CreatedAt,
        Column::SendAt,
    ];

    /// # Errors
    /// As [`Model::into_domain`].
    pub fn into_domain(self) -> Result<LastMessage, DbErr> {
        let (direction, status) = parse(self.direction, self.status_rank)?;
        let media: Vec<Media> = from_json(self.media.as_deref()).unwrap_or_default();
        Ok(LastMessage {
            id: self.id,
            direction,
            body: self.body,
            subject: self.subject,
            cc: others(self.recipients.as_deref(), self.cc.as_deref()),
            media_count: u32::try_from(media.len()).unwrap_or(u32::MAX),
            status,
            created_at: Timestamp::from_micros(self.created_at),
            send_at: self.send_at.map(Timestamp::from_micros),
        })
    }
}

/// The recipients after the first, and the other participants.
fn others(recipients: Option<&str>, cc: Option<&str>) -> Vec<String> {
    let recipients: Vec<String> = from_json(recipients).unwrap_or_default();
    let mut others: Vec<_> = recipients.into_iter().skip(1).collect();
    let cc: Vec<String> = from_json(cc).unwrap_or_default();
    for number in cc {
        if !others.contains(&number) {
            others.push(number);
        }
    }
    others
}

/// The value of a direction in the database.
pub fn direction(direction: Direction) -> i16 {
    match direction {
        Direction::Inbound => 0,
        Direction::Outbound => 1,
    }
}

fn parse(stored: i16, rank: i16) -> Result<(Direction, Status), DbErr> {
    let directions = [Direction::Inbound, Direction::Outbound];
    let found = directions.into_iter().find(|each| direction(*each) == stored);
    let unknown = || DbErr::Type(format!("message row with direction {stored}"));
    Ok((found.ok_or_else(unknown)?, status(rank)?))
}

/// The status with a rank.
///
/// # Errors
/// If no status has that rank: another program wrote the row.
pub fn status(rank: i16) -> Result<Status, DbErr> {
    let found = Status::ALL.into_iter().find(|status| status.rank() == rank);
    found.ok_or_else(|| DbErr::Type(format!("message row with status rank {rank}")))
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::conversation::Entity",
        from = "Column::ConversationKey",
        to = "super::conversation::Column::Key"
    )]
    Conversation,
}

impl Related<super::conversation::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Conversation.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
