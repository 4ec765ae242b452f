//! The rows of an export as lines of it.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, IdenStatic, Iterable,
    QueryFilter, QueryResult, QuerySelect, Select,
};

use crate::domain::export::{ExportedBytes, ExportedEvent, ExportedMessage, ExportedReport};
use crate::domain::{Cost, Direction, Timestamp};
use crate::store::RawEvent;
use crate::store::entity::message::{Column, Entity, Model};
use crate::store::entity::{TelnyxId, conversation, delivery_report, event, from_json, message};
use crate::store::weight::{self, Fitting, WEIGHT, if_light, is_heavy};

/// The most events in a page: a body may have a megabyte.
pub(super) const EVENTS: u64 = 250;

/// The reports on messages, by Telnyx's ids of these.
pub(super) type Reports = HashMap<TelnyxId, Vec<ExportedReport>>;

/// Whole messages, as many as fit on a page; and whether these are all.
pub(super) async fn messages(
    db: &impl ConnectionTrait,
    query: Select<Entity>,
    limit: u64,
) -> Result<(Vec<Model>, bool), DbErr> {
    let mut query = query.select_only();
    for column in Column::iter() {
        query = query.expr_as(if_light(column), column.as_str());
    }
    let query = query.expr_as(weight::weight(), WEIGHT);
    let Fitting { rows, is_all } =
        weight::fitting(db, query, limit, |row: &WeighedMessage| row.weight).await?;
    let mut page = Vec::with_capacity(rows.len());
    for WeighedMessage { row, weight } in rows {
        if !is_heavy(weight) {
            page.push(row);
            continue;
        }
        // It may have been deleted meanwhile.
        page.extend(Entity::find().filter(Column::Id.eq(row.id)).one(db).await?);
    }
    Ok((page, is_all))
}

/// A message, without its long columns if it is heavy.
struct WeighedMessage {
    row: Model,
    weight: u64,
}

impl FromQueryResult for WeighedMessage {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        Ok(Self { row: Model::from_query_result(row, prefix)?, weight: weight::read(row, prefix)? })
    }
}

pub(super) fn message(
    row: Model,
    conversation: &conversation::Model,
    reports: Vec<ExportedReport>,
) -> Result<ExportedMessage, DbErr> {
    let time = |micros: Option<i64>| micros.map(Timestamp::from_micros);
    let cost = row.cost_amount.zip(row.cost_currency);
    Ok(ExportedMessage {
        id: row.id,
        conversation_id: conversation.id,
        contact_number: conversation.contact_number.clone(),
        direction: if row.direction == message::direction(Direction::Inbound) {
            Direction::Inbound
        } else {
            Direction::Outbound
        },
        from: row.from_number,
        to: row.to_number,
        body: row.body,
        status: message::status(row.status_rank)?,
        created_at: Timestamp::from_micros(row.created_at),
        telnyx_message_id: row.telnyx_message_id.map(TelnyxId::into_string),
        recipients: from_json(row.recipients.as_deref()).unwrap_or_default(),
        cc: from_json(row.cc.as_deref()).unwrap_or_default(),
        subject: row.subject,
        media: from_json(row.media.as_deref()).unwrap_or_default(),
        encoding: row.encoding,
        segments: row.segments.and_then(|count| u32::try_from(count).ok()),
        cost: cost.map(|(amount, currency)| Cost { amount, currency }),
        error: from_json(row.error.as_deref()),
        send_at: time(row.send_at),
        sent_at: time(row.sent_at),
        completed_at: time(row.completed_at),
        in_reply_to: row.in_reply_to,
        autoresponse_type: row.autoresponse_type,
        recovered: row.recovered.is_some(),
        request: row.request_body.map(ExportedBytes),
        base_url: row.base_url,
        attempt_until: time(row.attempt_until),
        repeats_left: row.repeats_left,
        refusal: from_json(row.refusal.as_deref()),
        reports,
    })
}

pub(super) fn report(row: delivery_report::Model) -> ExportedReport {
    ExportedReport {
        telnyx_message_id: row.telnyx_message_id.into_string(),
        event_id: row.event_id.into_string(),
        recipient: row.recipient,
        status: row.status,
        occurred_at: Timestamp::from_micros(row.occurred_at),
        error: from_json(row.error.as_deref()),
        facts: from_json(row.facts.as_deref()),
        waiting_since: row.waiting_since.map(Timestamp::from_micros),
    }
}

/// The event; `None` if it was damaged, or stored by a later release.
pub(super) fn event(row: event::Model) -> Option<ExportedEvent> {
    let id = row.id.into_string();
    let Some(body) = (RawEvent { dictionary: row.dictionary, bytes: row.body }).restore() else {
        tracing::warn!(event_id = id, "a stored event cannot be read, and is left out");
        return None;
    };
    Some(ExportedEvent {
        id,
        event_type: row.event_type.unwrap_or_else(|| event::USUAL_TYPE.to_owned()),
        occurred_at: (row.occurred_at != 0).then(|| Timestamp::from_micros(row.occurred_at)),
        received_at: Timestamp::from_micros(row.received_at),
        body: ExportedBytes(body),
    })
}

/// Whether a number is a value in the body of an event. In a text, a quotation mark that follows it
/// would be escaped.
pub(super) fn names(event: &ExportedEvent, contact: &str) -> bool {
    let value = format!("\"{contact}\"");
    event.body.0.windows(value.len()).any(|part| part == value.as_bytes())
}
