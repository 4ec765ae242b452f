//! Messages.

use sea_orm::DbErr;
use sea_orm::entity::prelude::*;

use super::from_json;
use crate::domain::{Cost, Direction, LastMessage, Media, Message, PhoneNumber, Status, Timestamp};

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "messages")]
pub struct Model {
    /// convo's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TextUuid,
    /// Its thread.
    pub conversation_id: TextUuid,
    /// Telnyx's id of it.
    pub telnyx_message_id: Option<String>,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// The sender.
    pub from_number: String,
    /// The first recipient.
    pub to_number: String,
    /// Every recipient as a JSON list, when there are several.
    pub recipients: Option<String>,
    /// The other participants, as a JSON list.
    pub cc: Option<String>,
    /// The text.
    pub body: String,
    /// The subject of an MMS.
    pub subject: Option<String>,
    /// Files, as a JSON list.
    pub media: Option<String>,
    /// The alphabet it travelled in.
    pub encoding: Option<String>,
    /// How many segments it was.
    pub segments: Option<i32>,
    /// What it cost, as a decimal number.
    pub cost_amount: Option<String>,
    /// In which currency.
    pub cost_currency: Option<String>,
    /// The status word.
    pub status: String,
    /// Its rank, which a report must exceed.
    pub status_rank: i16,
    /// Why it failed, as JSON.
    pub error: Option<String>,
    /// When.
    pub created_at: i64,
    /// When it is to be sent.
    pub send_at: Option<i64>,
    /// When it was handed to the carrier.
    pub sent_at: Option<i64>,
    /// When Telnyx closed it.
    pub completed_at: Option<i64>,
    /// The exact bytes offered to Telnyx.
    #[sea_orm(column_type = "Blob")]
    pub request_body: Option<Vec<u8>>,
    /// Where they were offered.
    pub base_url: Option<String>,
    /// When the running attempt is over at the latest; then others may settle the message.
    pub attempt_until: Option<i64>,
    /// How often convo may still offer it by itself. Null: not at all, unless its caller is told
    /// that nobody knows its outcome.
    pub repeats_left: Option<i16>,
}

impl Model {
    /// The message as the doors show it.
    ///
    /// # Errors
    /// When a word in the row is none of convo's: the row was not written by it.
    pub fn into_domain(self) -> Result<Message, DbErr> {
        let (direction, status) = words(&self.direction, &self.status)?;
        let time = |micros: Option<i64>| micros.map(Timestamp::from_micros);
        let cost = self.cost_amount.zip(self.cost_currency);
        Ok(Message {
            id: self.id.0,
            conversation_id: self.conversation_id.0,
            direction,
            from: PhoneNumber::from_stored(self.from_number),
            to: PhoneNumber::from_stored(self.to_number),
            body: self.body,
            status,
            created_at: Timestamp::from_micros(self.created_at),
            telnyx_message_id: self.telnyx_message_id,
            cc: from_json(self.cc.as_deref()).unwrap_or_default(),
            subject: self.subject,
            media: from_json(self.media.as_deref()).unwrap_or_default(),
            encoding: self.encoding,
            segments: self.segments.and_then(|count| u32::try_from(count).ok()),
            cost: cost.map(|(amount, currency)| Cost { amount, currency }),
            error: from_json(self.error.as_deref()),
            send_at: time(self.send_at),
            sent_at: time(self.sent_at),
            completed_at: time(self.completed_at),
            history: None,
        })
    }
}

/// The columns of a message that stand for it in a list of threads.
#[derive(Clone, Debug, sea_orm::FromQueryResult)]
pub struct Short {
    /// convo's id.
    pub id: TextUuid,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// The text.
    pub body: String,
    /// Files, as a JSON list.
    pub media: Option<String>,
    /// The status word.
    pub status: String,
    /// When.
    pub created_at: i64,
}

impl Short {
    /// The columns that it is made of.
    pub const COLUMNS: [Column; 6] = [
        Column::Id,
        Column::Direction,
        Column::Body,
        Column::Media,
        Column::Status,
        Column::CreatedAt,
    ];

    /// The message as a list of threads shows it.
    ///
    /// # Errors
    /// As [`Model::into_domain`].
    pub fn into_domain(self) -> Result<LastMessage, DbErr> {
        let (direction, status) = words(&self.direction, &self.status)?;
        let media: Vec<Media> = from_json(self.media.as_deref()).unwrap_or_default();
        Ok(LastMessage {
            id: self.id.0,
            direction,
            body: self.body,
            media_count: u32::try_from(media.len()).unwrap_or(u32::MAX),
            status,
            created_at: Timestamp::from_micros(self.created_at),
        })
    }
}

fn words(direction: &str, status: &str) -> Result<(Direction, Status), DbErr> {
    Direction::parse(direction)
        .zip(Status::parse(status))
        .ok_or_else(|| DbErr::Type(format!("message row with '{direction}' and '{status}'")))
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
/// None that is loaded.
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
