//! The columns of a message that sums are made of.

use std::collections::BTreeMap;

use sea_orm::{DbErr, QueryResult};
use uuid::Uuid;

use crate::domain::stats::{Amount, Sum, SumKey, quarter_of};
use crate::domain::{Direction, MessageError, Status};
use crate::store::entity::{from_json, message};

/// What a query for messages `m` selects, for [`CountedMessage::read`].
pub(super) const COLUMNS: &str = "m.id, m.created_at, m.direction, m.status_rank, m.from_number, \
     m.to_number, m.segments, m.cost_amount, m.cost_currency, m.error, m.sent_at, m.completed_at";

/// The longest error code, title or currency that is told apart, in characters. Telnyx's are much shorter.
const LONGEST: usize = 80;

/// Sums by what their messages have in common.
pub(super) type Sums = BTreeMap<SumKey, Sum>;

/// A message, as far as it is counted.
pub(super) struct CountedMessage {
    pub(super) id: Uuid,
    pub(super) created_at: i64,
    direction: Direction,
    status: Status,
    number: String,
    segments: Option<i32>,
    cost: Option<(String, String)>,
    error: Option<MessageError>,
    sent_at: Option<i64>,
    completed_at: Option<i64>,
}

impl CountedMessage {
    pub(super) fn read(row: &QueryResult) -> Result<Self, DbErr> {
        let direction = match row.try_get_by_index::<i16>(2)? {
            0 => Direction::Inbound,
            _ => Direction::Outbound,
        };
        let own = if direction == Direction::Inbound { 5 } else { 4 };
        let amount: Option<String> = row.try_get_by_index(7)?;
        let currency: Option<String> = row.try_get_by_index(8)?;
        let error: Option<String> = row.try_get_by_index(9)?;
        Ok(Self {
            id: row.try_get_by_index(0)?,
            created_at: row.try_get_by_index(1)?,
            direction,
            status: message::status(row.try_get_by_index(3)?)?,
            number: row.try_get_by_index(own)?,
            segments: row.try_get_by_index(6)?,
            cost: amount.zip(currency),
            error: from_json(error.as_deref()),
            sent_at: row.try_get_by_index(10)?,
            completed_at: row.try_get_by_index(11)?,
        })
    }

    /// Counts it.
    pub(super) fn add_to(&self, sums: &mut Sums) {
        let cost = self
            .cost
            .as_ref()
            .and_then(|(amount, currency)| Some((Amount::parse(amount)?, shortened(currency))));
        let (cost, currency) = cost.unwrap_or_default();
        let key = SumKey {
            quarter: quarter_of(self.created_at),
            direction: self.direction,
            status: self.status,
            number: self.number.clone(),
            error: self
                .error
                .as_ref()
                .map(SumKey::error_key)
                .as_deref()
                .map_or_else(String::new, shortened),
            currency,
        };
        let mut one = Sum {
            messages: 1,
            segments: self.segments.and_then(|count| u64::try_from(count).ok()).unwrap_or_default(),
            cost,
            title: self.error.as_ref().map_or_else(String::new, |error| shortened(&error.title)),
            ..Sum::default()
        };
        if let Some(time) = self.delivery_time() {
            one.add_time(time);
        }
        sums.entry(key).or_default().add(&one);
    }

    /// How long it took until it was delivered, in microseconds. Telnyx's clock tells both times, if it
    /// tells the first.
    fn delivery_time(&self) -> Option<i64> {
        let is_delivered = matches!(self.status, Status::Delivered | Status::Read);
        let end = self.completed_at.filter(|_| is_delivered)?;
        Some(end.saturating_sub(self.sent_at.unwrap_or(self.created_at)))
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}
