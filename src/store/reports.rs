//! Storing delivery reports, and matching them with messages.
//!
//! A report is stored as a row before it changes any message. In whatever order reports arrive, a
//! message's status is the [`fold`] of all rows about it.

use std::collections::{HashMap, HashSet};

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query, SimpleExpr};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use uuid::Uuid;

use super::entity::message::direction;
use super::entity::{TelnyxId, delivery_report, message, micros, to_json};
use super::feed::FeedChange;
use super::fold::fold;
use super::model::{NewMessage, NewReport};
use super::opt_outs;
use super::sql::{is_unset, lock_rows};
use super::transaction::WriteTransaction;
use super::{messages, sql};
use crate::domain::{Direction, Status, StatusReport, Timestamp};

/// How long a report about an unknown message waits while a message of ours between the same two
/// numbers is open, because it may be about that one.
pub(super) const WAIT_SECONDS: i64 = 600;

/// Stores reports and updates their messages. Returns how many rows, one for each recipient, were not
/// stored yet.
pub(super) async fn write(
    db: &WriteTransaction,
    reports: &[&NewReport],
    now: Timestamp,
) -> Result<u64, DbErr> {
    if reports.is_empty() {
        return Ok(0);
    }
    let inserted = insert_rows(db, reports).await?;
    // What is new because of a webhook is told as such.
    let (recovered, live): (Vec<_>, Vec<_>) =
        reports.iter().copied().partition(|report| report.recovered);
    apply(db, &live, now).await?;
    db.set_recovering(true);
    let applied = apply(db, &recovered, now).await;
    db.set_recovering(false);
    applied.map(|()| inserted)
}

/// Makes stored reports count.
async fn apply(db: &WriteTransaction, reports: &[&NewReport], now: Timestamp) -> Result<(), DbErr> {
    if reports.is_empty() {
        return Ok(());
    }
    decide_opt_outs(db, reports).await?;
    let waiting = match_messages(db, reports, Some(now)).await?;
    mark_waiting(db, waiting, now).await
}

/// Matches stored reports with their messages, stores the messages that another program sent, and
/// folds the reports into all of them. Returns the reports that have to wait because they may be about
/// a message of ours; without `now`, none waits any longer.
pub(super) async fn match_messages<'a>(
    db: &WriteTransaction,
    reports: &[&'a NewReport],
    now: Option<Timestamp>,
) -> Result<Vec<&'a NewReport>, DbErr> {
    let ids = reports.iter().map(|report| report.telnyx_message_id.as_str());
    let existing = messages::existing(db, Direction::Outbound, ids).await?;
    let mut foreign: Vec<&NewMessage> = Vec::new();
    let mut waiting: Vec<&NewReport> = Vec::new();
    for report in reports {
        if existing.contains(&report.telnyx_message_id) || attach_by_tag(db, report).await? {
            continue;
        }
        let Some(message) = &report.foreign else { continue };
        match now {
            Some(now) if !report.is_group && may_be_ours(db, message, now).await? => {
                waiting.push(report);
            }
            _ => foreign.push(message),
        }
    }
    messages::insert(db, &foreign).await?;
    fold(db, reports.iter().map(|report| report.telnyx_message_id.as_str())).await?;
    Ok(waiting)
}

/// Records the opt-outs that the errors in reports name.
async fn decide_opt_outs(db: &WriteTransaction, reports: &[&NewReport]) -> Result<(), DbErr> {
    for report in reports {
        let Some(change) = &report.opt_out else { continue };
        for recipient in &report.recipients {
            let status = Status::from_report(&recipient.word);
            if !recipient.number.is_empty() && status.is_some_and(Status::is_failure) {
                opt_outs::decide(db, &recipient.number, change).await?;
            }
        }
    }
    Ok(())
}

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
        .filter(of_events(reports))
        .exec(db)
        .await?;
    Ok(())
}

/// The rows of some reports.
pub(super) fn of_events<'a>(reports: impl IntoIterator<Item = &'a NewReport>) -> Condition {
    use delivery_report::Column as C;
    let (messages, events): (Vec<_>, Vec<_>) = reports
        .into_iter()
        .map(|report| (TelnyxId::new(&report.telnyx_message_id), TelnyxId::new(&report.event_id)))
        .unzip();
    // The key begins with the message; the events alone tell the rows.
    Condition::all().add(C::TelnyxMessageId.is_in(messages)).add(C::EventId.is_in(events))
}

/// The ids of the events whose reports on the same messages are stored, among those of some reports.
pub(super) async fn existing<'a>(
    db: &impl ConnectionTrait,
    reports: &[&'a NewReport],
) -> Result<HashSet<&'a str>, DbErr> {
    let keys = reports.iter().map(|report| {
        [TelnyxId::new(&report.telnyx_message_id).into(), TelnyxId::new(&report.event_id).into()]
    });
    let condition = "delivery_reports WHERE telnyx_message_id = v.column2 AND event_id = v.column3";
    let places = sql::existing(db, condition, keys).await?;
    Ok(places.into_iter().filter_map(|place| Some(reports.get(place)?.event_id.as_str())).collect())
}

async fn insert_rows(db: &impl ConnectionTrait, reports: &[&NewReport]) -> Result<u64, DbErr> {
    use delivery_report::Column as C;
    let mut insert = Query::insert();
    insert.into_table(delivery_report::Entity).columns([
        C::TelnyxMessageId,
        C::EventId,
        C::Recipient,
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
                TelnyxId::new(&report.telnyx_message_id).into(),
                TelnyxId::new(&report.event_id).into(),
                recipient.number.clone().into(),
                recipient.word.clone().into(),
                Status::from_report(&recipient.word).map(Status::rank).into(),
                report.error.as_ref().and_then(to_json).into(),
                to_json(&report.facts).into(),
                micros(report.occurred_at).into(),
            ];
            insert.values(row).map_err(|error| DbErr::Custom(error.to_string()))?;
        }
    }
    if rows == 0 {
        return Ok(0);
    }
    let key =
        OnConflict::columns([C::TelnyxMessageId, C::EventId, C::Recipient]).do_nothing().to_owned();
    let inserted = db.execute(insert.on_conflict(key)).await?;
    Ok(inserted.rows_affected())
}

/// Sets the Telnyx id of the message that a report names by its tag, if it has none yet; returns whether
/// it did. A report may arrive before the answer to the send.
async fn attach_by_tag(db: &impl ConnectionTrait, report: &NewReport) -> Result<bool, DbErr> {
    let Some(tag) = report.tag else { return Ok(false) };
    let changed = message::Entity::update_many()
        .col_expr(message::Column::TelnyxMessageId, TelnyxId::new(&report.telnyx_message_id).into())
        .filter(message::Column::Id.eq(tag))
        .filter(message::Column::Direction.eq(direction(Direction::Outbound)))
        .filter(message::Column::TelnyxMessageId.is_null())
        .exec(db)
        .await?;
    Ok(changed.rows_affected > 0)
}

/// Whether a message of ours between the same two numbers is open and has no Telnyx id yet. Telnyx may
/// replace an alphanumeric sender by a number.
async fn may_be_ours(
    db: &impl ConnectionTrait,
    message: &NewMessage,
    now: Timestamp,
) -> Result<bool, DbErr> {
    use message::Column as C;
    let open = message::Entity::find()
        .select_only()
        .column(C::Id)
        .filter(C::FromNumber.eq(message.from.as_str()).or(C::FromNumber.not_like("+%")))
        .filter(C::ToNumber.eq(message.first_recipient().as_str()))
        .filter(C::StatusRank.lte(Status::Unknown.rank()))
        .filter(is_unset(C::TelnyxMessageId))
        .filter(C::CreatedAt.gt(micros(now.plus_seconds(-WAIT_SECONDS))))
        .limit(1)
        .into_tuple::<Uuid>()
        .one(db)
        .await?;
    Ok(open.is_some())
}

/// Sets the Telnyx id of a message of ours from the answer to its send. If reports with that id have
/// created a row as for another program's message, that row is removed, and the reports apply to ours.
/// No other row is ever removed: if Telnyx gives two of our sends the same id, or one send two ids, the
/// message keeps the id it has.
pub(super) async fn attach(
    db: &WriteTransaction,
    ours: Uuid,
    telnyx_message_id: &str,
) -> Result<(), DbErr> {
    if locked_id(db, ours).await?.is_some_and(|existing| existing != telnyx_message_id) {
        tracing::error!(message_id = %ours, telnyx_message_id,
            "Telnyx's response and a report have different ids: two texts may have been sent");
        return Ok(());
    }
    let other = message::Entity::find()
        .filter(message::Column::TelnyxMessageId.eq(TelnyxId::new(telnyx_message_id)))
        .filter(message::Column::Direction.eq(direction(Direction::Outbound)))
        .one(db)
        .await?;
    let other = other.filter(|other| other.id != ours);
    if let Some(other) = &other {
        if other.request_body.is_some() {
            tracing::error!(message_id = %ours, other = %other.id, telnyx_message_id,
                "Telnyx's response has the id of another message");
            return Ok(());
        }
        messages::remove(db, other, ours).await?;
    }
    message::Entity::update_many()
        .col_expr(message::Column::TelnyxMessageId, TelnyxId::new(telnyx_message_id).into())
        .filter(message::Column::Id.eq(ours))
        .exec(db)
        .await?;
    fold(db, std::iter::once(telnyx_message_id)).await?;
    if let Some(other) = other {
        let status = status(db, ours).await?;
        db.record(FeedChange::Status { message: ours, status, replaces: Some(other.id) });
    }
    Ok(())
}

async fn status(db: &impl ConnectionTrait, id: Uuid) -> Result<Status, DbErr> {
    let query = message::Entity::find_by_id(id).select_only().column(message::Column::StatusRank);
    let rank: Option<i16> = query.into_tuple().one(db).await?;
    message::status(rank.unwrap_or_default())
}

/// The Telnyx id of a message, locked against changes until the end of the transaction.
async fn locked_id(db: &impl ConnectionTrait, ours: Uuid) -> Result<Option<String>, DbErr> {
    let mut query = Query::select();
    query
        .column(message::Column::TelnyxMessageId)
        .from(message::Entity)
        .and_where(message::Column::Id.eq(ours));
    lock_rows(&mut query, db);
    let found = db.query_one(&query).await?;
    let stored: Option<TelnyxId> = found.map_or(Ok(None), |row| row.try_get_by_index(0))?;
    Ok(stored.map(TelnyxId::into_string))
}

/// The reports about some messages by their Telnyx ids, each list in the order of `occurred_at`.
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
        .filter(delivery_report::Column::TelnyxMessageId.is_in(ids.into_iter().map(TelnyxId::new)))
        .order_by_asc(delivery_report::Column::OccurredAt)
        .order_by_asc(delivery_report::Column::StatusRank)
        .order_by_asc(delivery_report::Column::EventId)
        .all(db)
        .await?;
    for row in rows {
        histories.entry(row.telnyx_message_id.clone().into_string()).or_default().push(row.into());
    }
    Ok(histories)
}
