//! What reports make of messages.
//!
//! Reports are rows first and status second: whatever came in whatever order, a message's status
//! is the fold of all rows about it, so every order ends the same.

use std::collections::{BTreeMap, HashMap};

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query, SimpleExpr, Value};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::entity::{delivery_report, from_json, id, message, micros, to_json};
use super::row::{NewMessage, NewReport};
use super::sql::{Values, is_unset, lock_rows, or_kept, own};
use super::{Facts, messages};
use crate::domain::{Direction, Status, StatusReport, Timestamp};

/// How long a report about an unknown message waits while one of ours between the same two
/// numbers has an open outcome: it may be that one's.
pub(super) const WAIT_SECONDS: i64 = 600;

/// Stores reports and moves the messages they are about.
pub(super) async fn write(
    db: &impl ConnectionTrait,
    reports: &[&NewReport],
    now: Timestamp,
) -> Result<(), DbErr> {
    if reports.is_empty() {
        return Ok(());
    }
    insert_rows(db, reports).await?;
    let waiting = join(db, reports, Some(now)).await?;
    mark_waiting(db, waiting, now).await
}

/// Brings stored reports to the messages they are about, and makes those that another program
/// sent. Returns the reports that wait because they may be about one of ours; without a time they
/// have waited long enough.
pub(super) async fn join<'a>(
    db: &impl ConnectionTrait,
    reports: &[&'a NewReport],
    now: Option<Timestamp>,
) -> Result<Vec<&'a NewReport>, DbErr> {
    let ids = reports.iter().map(|report| report.telnyx_message_id.as_str());
    let known = messages::known(db, ids).await?;
    let (mut foreign, mut waiting): (Vec<&NewMessage>, Vec<&NewReport>) = Default::default();
    for report in reports {
        if known.contains(&report.telnyx_message_id) || attach_by_tag(db, report).await? {
            continue;
        }
        let Some(message) = &report.foreign else { continue };
        match now {
            Some(now) if may_be_ours(db, message, now).await? => waiting.push(report),
            _ => foreign.push(message),
        }
    }
    messages::insert(db, &foreign).await?;
    fold(db, reports.iter().map(|report| report.telnyx_message_id.as_str())).await?;
    Ok(waiting)
}

/// Notes since when some reports wait; they are the exception.
async fn mark_waiting(
    db: &impl ConnectionTrait,
    reports: Vec<&NewReport>,
    now: Timestamp,
) -> Result<(), DbErr> {
    use delivery_report::Column as C;
    if reports.is_empty() {
        return Ok(());
    }
    delivery_report::Entity::update_many()
        .col_expr(C::WaitingSince, Expr::value(micros(now)))
        .filter(C::EventId.is_in(reports.into_iter().map(|report| report.event_id.as_str())))
        .exec(db)
        .await?;
    Ok(())
}

async fn insert_rows(db: &impl ConnectionTrait, reports: &[&NewReport]) -> Result<(), DbErr> {
    use delivery_report::Column as C;
    let mut insert = Query::insert();
    insert.into_table(delivery_report::Entity).columns([
        C::EventId,
        C::Recipient,
        C::TelnyxMessageId,
        C::Status,
        C::StatusRank,
        C::Error,
        C::Facts,
        C::OccurredAt,
    ]);
    let mut rows = 0;
    for report in reports {
        for recipient in &report.recipients {
            rows += 1;
            let row: [SimpleExpr; 8] = [
                report.event_id.clone().into(),
                recipient.number.clone().into(),
                report.telnyx_message_id.clone().into(),
                recipient.word.clone().into(),
                Status::from_report(&recipient.word).map(Status::rank).into(),
                report.error.as_ref().and_then(to_json).into(),
                to_json(&report.facts).into(),
                micros(report.occurred_at).into(),
            ];
            insert.values(row).map_err(|error| DbErr::Custom(error.to_string()))?;
        }
    }
    if rows > 0 {
        let same = OnConflict::columns([C::EventId, C::Recipient]).do_nothing().to_owned();
        db.execute(insert.on_conflict(same)).await?;
    }
    Ok(())
}

/// Gives a tagged message of ours the Telnyx id of the report, if it has none yet. A report may
/// come before the answer of the send itself.
async fn attach_by_tag(db: &impl ConnectionTrait, report: &NewReport) -> Result<bool, DbErr> {
    let Some(tag) = report.tag else { return Ok(false) };
    let changed = message::Entity::update_many()
        .col_expr(message::Column::TelnyxMessageId, report.telnyx_message_id.clone().into())
        .filter(message::Column::Id.eq(id(tag)))
        .filter(message::Column::Direction.eq(Direction::Outbound.as_str()))
        .filter(message::Column::TelnyxMessageId.is_null())
        .exec(db)
        .await?;
    Ok(changed.rows_affected > 0)
}

/// Whether a message of ours between the same two numbers still waits for its Telnyx id.
async fn may_be_ours(
    db: &impl ConnectionTrait,
    message: &NewMessage,
    now: Timestamp,
) -> Result<bool, DbErr> {
    use message::Column as C;
    let open = message::Entity::find()
        .select_only()
        .column(C::Id)
        .filter(C::FromNumber.eq(message.from.as_str()))
        .filter(C::ToNumber.eq(message.first_recipient().as_str()))
        .filter(C::StatusRank.lte(Status::Unknown.rank()))
        .filter(is_unset(C::TelnyxMessageId))
        .filter(C::CreatedAt.gt(micros(now.plus_seconds(-WAIT_SECONDS))))
        .limit(1)
        .into_tuple::<String>()
        .one(db)
        .await?;
    Ok(open.is_some())
}

/// The row of a report that decides a message's status.
#[derive(Clone)]
struct Verdict {
    status: Status,
    row: delivery_report::Model,
}

impl Verdict {
    fn read(row: delivery_report::Model) -> Option<Self> {
        let status = Status::from_report(&row.status)?;
        Some(Self { status, row })
    }

    /// Among equal statuses the latest report decides, so that its error is the one shown.
    fn weight(&self) -> (Status, i64, &str) {
        (self.status, self.row.occurred_at, &self.row.event_id)
    }
}

/// Brings messages to the status that all their reports together tell. Safe to repeat.
pub(super) async fn fold(
    db: &impl ConnectionTrait,
    ids: impl Iterator<Item = &str>,
) -> Result<(), DbErr> {
    let ids = messages::distinct(ids);
    let targets = targets(db, ids.iter().copied()).await?;
    if targets.is_empty() {
        return Ok(());
    }
    let reports = delivery_report::Entity::find()
        .filter(delivery_report::Column::TelnyxMessageId.is_in(ids))
        .filter(delivery_report::Column::StatusRank.is_not_null())
        .all(db)
        .await?;
    let mut by_message: HashMap<String, Vec<Verdict>> = HashMap::new();
    for verdict in reports.into_iter().filter_map(Verdict::read) {
        by_message.entry(verdict.row.telnyx_message_id.clone()).or_default().push(verdict);
    }
    let rows: Vec<_> = targets
        .iter()
        .filter_map(|target| {
            let verdicts = by_message.get(&target.telnyx_message_id)?;
            Some(update_row(target.id, &decide(&target.recipients, verdicts)?))
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    db.execute(&guarded_update(rows)).await?;
    Ok(())
}

/// An outbound message that reports may move.
struct Target {
    id: Uuid,
    telnyx_message_id: String,
    recipients: Vec<String>,
}

async fn targets(
    db: &impl ConnectionTrait,
    ids: impl Iterator<Item = &str>,
) -> Result<Vec<Target>, DbErr> {
    use message::Column as C;
    let mut query = Query::select();
    query
        .columns([C::Id, C::TelnyxMessageId, C::Recipients])
        .from(message::Entity)
        .and_where(C::TelnyxMessageId.is_in(ids))
        .and_where(C::Direction.eq(Direction::Outbound.as_str()))
        .order_by(C::Id, sea_orm::Order::Asc);
    lock_rows(&mut query, db);
    let read = |row: sea_orm::QueryResult| {
        let recipients: Option<String> = row.try_get_by_index(2)?;
        Ok(Target {
            id: row.try_get_by_index::<sea_orm::prelude::TextUuid>(0)?.0,
            telnyx_message_id: row.try_get_by_index(1)?,
            recipients: from_json(recipients.as_deref()).unwrap_or_default(),
        })
    };
    db.query_all(&query).await?.into_iter().map(read).collect()
}

/// Each recipient is where its highest report says; the message is where its lowest recipient is.
/// While one of several recipients has no report yet, the message stays where it was.
fn decide(recipients: &[String], verdicts: &[Verdict]) -> Option<Verdict> {
    let several = recipients.len() > 1;
    let mut best: BTreeMap<&str, &Verdict> = BTreeMap::new();
    for verdict in verdicts {
        let whom = if several { verdict.row.recipient.as_str() } else { "" };
        let highest = best.entry(whom).or_insert(verdict);
        if verdict.weight() > highest.weight() {
            *highest = verdict;
        }
    }
    if several && recipients.iter().any(|whom| !best.contains_key(whom.as_str())) {
        return None;
    }
    best.into_values().min_by_key(|verdict| verdict.weight()).cloned()
}

fn update_row(message: Uuid, verdict: &Verdict) -> Vec<Value> {
    let facts: Facts = from_json(verdict.row.facts.as_deref()).unwrap_or_default();
    let cost = facts.cost.map(|cost| (cost.amount, cost.currency)).unzip();
    vec![
        id(message).into(),
        verdict.status.as_str().into(),
        verdict.status.rank().into(),
        verdict.row.error.clone().into(),
        cost.0.into(),
        cost.1.into(),
        facts.encoding.into(),
        facts.segments.and_then(|count| i32::try_from(count).ok()).into(),
        facts.sent_at.map(micros).into(),
        facts.completed_at.map(micros).into(),
    ]
}

/// Moves messages forward and never back: one statement, no value read before it is written.
fn guarded_update(rows: Vec<Vec<Value>>) -> sea_orm::sea_query::UpdateStatement {
    use message::Column as C;
    let mut update = Query::update();
    update
        .table(message::Entity)
        .value(C::Status, Values::column(2))
        .value(C::StatusRank, Values::column(3))
        .value(C::Error, Values::column(4));
    let kept =
        [C::CostAmount, C::CostCurrency, C::Encoding, C::Segments, C::SentAt, C::CompletedAt];
    for (place, column) in kept.into_iter().enumerate() {
        update.value(column, or_kept(Values::column(place + 5), column));
    }
    update
        .from(Values::table(rows))
        .and_where(own(C::Id).eq(Values::column(1)))
        .and_where(own(C::StatusRank).lte(Values::column(3)));
    update
}

/// Gives a message of ours the Telnyx id that the answer to its send names. If reports of that id
/// made a row of their own meanwhile, the two become one: ours. Only such a row is ever removed:
/// if Telnyx gives two sends of ours one id, or one send two, the message keeps what it has.
pub(super) async fn attach(
    db: &impl ConnectionTrait,
    ours: Uuid,
    telnyx_message_id: &str,
) -> Result<(), DbErr> {
    if locked_id(db, ours).await?.is_some_and(|known| known != telnyx_message_id) {
        tracing::error!(message_id = %ours, telnyx_message_id,
            "Telnyx's answer names another id than a report did: it may have sent two texts");
        return Ok(());
    }
    let other = message::Entity::find()
        .filter(message::Column::TelnyxMessageId.eq(telnyx_message_id))
        .one(db)
        .await?;
    if let Some(other) = other.filter(|other| other.id.0 != ours) {
        if other.request_body.is_some() || other.direction != Direction::Outbound.as_str() {
            tracing::error!(message_id = %ours, other = %other.id.0, telnyx_message_id,
                "Telnyx's answer names an id that another message has");
            return Ok(());
        }
        messages::remove(db, &other).await?;
    }
    message::Entity::update_many()
        .col_expr(message::Column::TelnyxMessageId, telnyx_message_id.into())
        .filter(message::Column::Id.eq(id(ours)))
        .exec(db)
        .await?;
    fold(db, std::iter::once(telnyx_message_id)).await
}

/// The Telnyx id that a message has, which no report changes until the end of the transaction.
async fn locked_id(db: &impl ConnectionTrait, ours: Uuid) -> Result<Option<String>, DbErr> {
    let mut query = Query::select();
    query
        .column(message::Column::TelnyxMessageId)
        .from(message::Entity)
        .and_where(message::Column::Id.eq(id(ours)));
    lock_rows(&mut query, db);
    db.query_one(&query).await?.map_or(Ok(None), |row| row.try_get_by_index(0))
}

/// What was reported about messages, by Telnyx's ids of them, by the time things happened.
pub(super) async fn histories(
    db: &impl ConnectionTrait,
    ids: impl Iterator<Item = &str>,
) -> Result<HashMap<String, Vec<StatusReport>>, DbErr> {
    let ids = messages::distinct(ids);
    let mut histories: HashMap<String, Vec<StatusReport>> = HashMap::new();
    if ids.is_empty() {
        return Ok(histories);
    }
    let rows = delivery_report::Entity::find()
        .filter(delivery_report::Column::TelnyxMessageId.is_in(ids))
        .order_by_asc(delivery_report::Column::OccurredAt)
        .order_by_asc(delivery_report::Column::StatusRank)
        .order_by_asc(delivery_report::Column::EventId)
        .all(db)
        .await?;
    for row in rows {
        histories.entry(row.telnyx_message_id.clone()).or_default().push(row.into());
    }
    Ok(histories)
}
