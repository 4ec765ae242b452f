//! Updating messages from all of their reports: the status, the sender that Telnyx used, and the
//! recipients of another program's message.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait, Query, UpdateStatement, Value};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, Order, QueryFilter, QueryOrder, QueryResult,
};
use uuid::Uuid;

use super::entity::message::direction;
use super::entity::{TelnyxId, delivery_report, from_json, list_to_json, message, micros};
use super::feed::FeedChange;
use super::sql::{Values, lock_rows, or_kept, qualified};
use super::transaction::WriteTransaction;
use super::{Facts, messages};
use crate::domain::fold::{Reported, deciding_report};
use crate::domain::{Direction, Status, Timestamp};

/// Folds the reports about some messages, given by their Telnyx ids, into the messages. Idempotent.
pub(super) async fn fold(
    db: &WriteTransaction,
    ids: impl Iterator<Item = &str>,
) -> Result<(), DbErr> {
    let ids: Vec<_> = messages::distinct(ids).into_iter().map(TelnyxId::new).collect();
    if ids.is_empty() {
        // A condition that is never true would be tried on every message.
        return Ok(());
    }
    let mut targets = targets(db, &ids).await?;
    if targets.is_empty() {
        return Ok(());
    }
    let rows = delivery_report::Entity::find()
        .filter(delivery_report::Column::TelnyxMessageId.is_in(ids))
        .order_by_asc(delivery_report::Column::OccurredAt)
        .order_by_asc(delivery_report::Column::EventId)
        .all(db)
        .await?;
    let mut reports: HashMap<&TelnyxId, Vec<&delivery_report::Model>> = HashMap::new();
    for row in &rows {
        reports.entry(&row.telnyx_message_id).or_default().push(row);
    }
    for target in &mut targets {
        let Some(reports) = reports.get(&target.telnyx_message_id) else { continue };
        if target.is_ours {
            correct_sender(db, target, reports).await?;
        } else {
            add_recipients(db, target, reports).await?;
        }
    }
    let mut updates = Vec::new();
    for target in &mut targets {
        let Some(reports) = reports.get(&target.telnyx_message_id) else { continue };
        if let Some((status, update)) = status_update(target, reports) {
            target.rank = Ord::max(target.rank, status.rank());
            updates.push(update);
        }
        if target.rank != target.rank_before {
            let status = message::status(target.rank)?;
            db.record(FeedChange::Status { message: target.id, status, replaces: None });
        } else {
            // Its cost, error or sender may be another.
            db.recount([target.id]);
        }
    }
    if updates.is_empty() {
        return Ok(());
    }
    db.execute(&guarded_update(updates)).await.map(drop)
}

/// An outbound message that reports may update.
struct Target {
    id: Uuid,
    telnyx_message_id: TelnyxId,
    from: String,
    /// Never empty.
    recipients: Vec<String>,
    /// Whether convo sent it.
    is_ours: bool,
    /// The rank of its status, and what it was before.
    rank: i16,
    rank_before: i16,
}

async fn targets(db: &impl ConnectionTrait, ids: &[TelnyxId]) -> Result<Vec<Target>, DbErr> {
    use message::Column as C;
    let mut query = Query::select();
    query
        .columns([C::Id, C::TelnyxMessageId, C::FromNumber, C::ToNumber, C::Recipients])
        .expr(Expr::col(C::RequestBody).is_not_null())
        .column(C::StatusRank)
        .from(message::Entity)
        .and_where(C::TelnyxMessageId.is_in(ids.iter().cloned()))
        .and_where(C::Direction.eq(direction(Direction::Outbound)))
        .order_by(C::Id, Order::Asc);
    lock_rows(&mut query, db);
    let read = |row: QueryResult| {
        let first: String = row.try_get_by_index(3)?;
        let recipients: Option<String> = row.try_get_by_index(4)?;
        Ok(Target {
            id: row.try_get_by_index(0)?,
            telnyx_message_id: row.try_get_by_index(1)?,
            from: row.try_get_by_index(2)?,
            recipients: from_json(recipients.as_deref()).unwrap_or_else(|| vec![first]),
            is_ours: row.try_get_by_index(5)?,
            rank: row.try_get_by_index(6)?,
            rank_before: row.try_get_by_index(6)?,
        })
    };
    db.query_all(&query).await?.into_iter().map(read).collect()
}

/// Replaces the requested sender by the one that Telnyx used, as the report of the highest status names
/// it.
async fn correct_sender(
    db: &impl ConnectionTrait,
    target: &Target,
    rows: &[&delivery_report::Model],
) -> Result<(), DbErr> {
    let sender = |row: &&delivery_report::Model| {
        let facts: Facts = from_json(row.facts.as_deref())?;
        Some((row.status_rank, row.occurred_at, facts.from?))
    };
    let highest = rows.iter().filter_map(sender).max();
    let Some((.., from)) = highest.filter(|(.., from)| from.as_str() != target.from) else {
        return Ok(());
    };
    messages::reset_route(db, target.id, &from).await?;
    message::Entity::update_many()
        .col_expr(message::Column::FromNumber, from.as_str().into())
        .filter(message::Column::Id.eq(target.id))
        .exec(db)
        .await
        .map(drop)
}

/// Adds the recipients that reports name to another program's message; each recipient has reports of its
/// own. The status then starts over, because a new recipient may have the lowest.
async fn add_recipients(
    db: &impl ConnectionTrait,
    target: &mut Target,
    rows: &[&delivery_report::Model],
) -> Result<(), DbErr> {
    use message::Column as C;
    let known = target.recipients.len();
    for row in rows.iter().filter(|row| !row.recipient.is_empty()) {
        if !target.recipients.iter().any(|number| is_same(number, &row.recipient)) {
            target.recipients.push(row.recipient.clone());
        }
    }
    if target.recipients.len() == known {
        return Ok(());
    }
    target.rank = Status::Queued.rank();
    message::Entity::update_many()
        .col_expr(C::Recipients, Expr::value(list_to_json(&target.recipients)))
        .col_expr(C::StatusRank, Expr::value(Status::Queued.rank()))
        .col_expr(C::Error, Expr::value(None::<String>))
        .filter(C::Id.eq(target.id))
        .exec(db)
        .await
        .map(drop)
}

/// Whether two numbers are the same. Some channels omit the plus.
fn is_same(number: &str, other: &str) -> bool {
    number.trim_start_matches('+') == other.trim_start_matches('+')
}

/// The status that a message's reports decide, if they decide one, and the update to it.
fn status_update(
    target: &Target,
    rows: &[&delivery_report::Model],
) -> Option<(Status, Vec<Value>)> {
    let reports = rows.iter().filter_map(|row| reported(row));
    let decides = deciding_report(&target.recipients, reports)?;
    let row = rows.iter().find(|row| reported(row) == Some(decides))?;
    Some((decides.status, update_row(target.id, decides.status, row)))
}

fn reported(row: &delivery_report::Model) -> Option<Reported<'_>> {
    Some(Reported {
        status: Status::from_report(&row.status)?,
        occurred_at: Timestamp::from_micros(row.occurred_at),
        event_id: row.event_id.as_bytes(),
        recipient: &row.recipient,
    })
}

fn update_row(message: Uuid, status: Status, row: &delivery_report::Model) -> Vec<Value> {
    let facts: Facts = from_json(row.facts.as_deref()).unwrap_or_default();
    let cost = facts.cost.map(|cost| (cost.amount, cost.currency)).unzip();
    vec![
        message.into(),
        status.rank().into(),
        row.error.clone().into(),
        cost.0.into(),
        cost.1.into(),
        facts.encoding.into(),
        facts.segments.and_then(|count| i32::try_from(count).ok()).into(),
        facts.sent_at.map(micros).into(),
        facts.completed_at.map(micros).into(),
    ]
}

/// Raises statuses and never lowers them. The condition is part of the statement, because the answer to a
/// send may have raised the status in the meantime.
fn guarded_update(rows: Vec<Vec<Value>>) -> UpdateStatement {
    use message::Column as C;
    let mut update = Query::update();
    update
        .table(message::Entity)
        .value(C::StatusRank, Values::column(2))
        .value(C::Error, Values::column(3));
    let kept =
        [C::CostAmount, C::CostCurrency, C::Encoding, C::Segments, C::SentAt, C::CompletedAt];
    for (place, column) in kept.into_iter().enumerate() {
        update.value(column, or_kept(Values::column(place + 4), column));
    }
    update
        .from(Values::table(rows))
        .and_where(qualified(C::Id).eq(Values::column(1)))
        .and_where(qualified(C::StatusRank).lte(Values::column(2)));
    update
}
