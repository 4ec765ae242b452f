//! What is left to settle: offers without an outcome, reports without a message.
//!
//! Who may work on a message is decided by the time in its row until which its attempt runs:
//! whoever moves that time from the value it has seen owns the next attempt. So two servers never
//! settle the same message at once, and what a dead process left is free when its time is over.

use sea_orm::sea_query::{Expr, Query, SimpleExpr};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, Set};
use uuid::Uuid;

use super::entity::{delivery_report, id, message, micros};
use super::reports::{self, WAIT_SECONDS};
use super::row::NewReport;
use super::sends;
use crate::domain::{Message, Status, Timestamp};

/// One step of settling, written in one transaction.
#[derive(Clone, Debug)]
pub enum Step {
    /// Every attempt that was over before an instant and has no outcome: `unknown`.
    Lapse {
        /// The instant.
        before: Timestamp,
    },
    /// Begin an attempt on one message.
    Claim(Claim),
    /// A message that may or may not have been stored will not be offered.
    Withdraw {
        /// The message.
        id: Uuid,
        /// The key it took, or would have.
        key: String,
        /// The end of the attempt that is not made.
        until: Timestamp,
    },
    /// What Telnyx told on being asked.
    Told(Box<NewReport>),
    /// Reports that wait: those that wait no longer find their message or make one.
    Adopt {
        /// The reports, read again.
        waiting: Vec<Waiting>,
        /// Events that cannot be read again; nothing waits for them.
        lost: Vec<String>,
        /// The present.
        now: Timestamp,
    },
}

/// A wish to work on a message, which only one of several gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The message.
    pub id: Uuid,
    /// The end of its last attempt, as it was seen.
    pub seen: Timestamp,
    /// The end of the new one at the latest.
    pub until: Timestamp,
    /// What for.
    pub work: Work,
}

/// What may be done with a message whose outcome is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Offer it on a person's word.
    Retry,
    /// Offer it by itself, which uses up the one repeat.
    Repeat,
    /// Ask Telnyx about it.
    Look,
}

/// A report that waits for the message it may be about.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The report, read again from its event.
    pub report: NewReport,
    /// Since when.
    pub since: Timestamp,
}

/// A message that settling has moved, or may now work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// convo's id of it.
    pub id: Uuid,
    /// Its status now.
    pub status: Status,
}

/// Writes one step. Returns the messages it is about that it could change.
pub(super) async fn step(db: &impl ConnectionTrait, step: &Step) -> Result<Vec<Settled>, DbErr> {
    match step {
        Step::Lapse { before } => lapse(db, *before).await,
        Step::Claim(wish) => claim(db, wish).await,
        Step::Withdraw { id, key, until } => withdraw(db, *id, key, *until).await,
        Step::Told(report) => told(db, report).await,
        Step::Adopt { waiting, lost, now } => adopt(db, waiting, lost, *now).await,
    }
}

async fn lapse(db: &impl ConnectionTrait, before: Timestamp) -> Result<Vec<Settled>, DbErr> {
    use message::Column as C;
    let mut update = Query::update();
    update
        .table(message::Entity)
        .value(C::Status, Status::Unknown.as_str())
        .value(C::StatusRank, Status::Unknown.rank())
        .and_where(open())
        .and_where(C::StatusRank.eq(Status::Pending.rank()))
        .and_where(C::AttemptUntil.lt(micros(before)))
        .returning_col(C::Id);
    let read = |row: &sea_orm::QueryResult| {
        let id = row.try_get_by_index::<sea_orm::prelude::TextUuid>(0)?.0;
        Ok(Settled { id, status: Status::Unknown })
    };
    db.query_all(&update).await?.iter().map(read).collect()
}

/// The condition of the index on open messages, in the words that let it be used.
pub(super) fn open() -> SimpleExpr {
    message::Column::StatusRank.lte(Status::Unknown.rank())
}

async fn claim(db: &impl ConnectionTrait, wish: &Claim) -> Result<Vec<Settled>, DbErr> {
    use message::Column as C;
    let mut update = message::Entity::update_many()
        .col_expr(C::AttemptUntil, Expr::value(micros(wish.until)))
        .filter(C::Id.eq(id(wish.id)))
        .filter(C::AttemptUntil.eq(micros(wish.seen)));
    if wish.work != Work::Look {
        update = update.filter(C::StatusRank.eq(Status::Unknown.rank()));
    }
    if wish.work == Work::Repeat {
        update = update.col_expr(C::RepeatsLeft, Expr::value(0)).filter(C::RepeatsLeft.gt(0));
    }
    match update.exec(db).await?.rows_affected {
        0 => Ok(Vec::new()),
        _ => Ok(vec![settled(&sends::read(db, wish.id).await?)]),
    }
}

/// Takes back a row that was to be offered and is not, if it was stored at all. The transaction
/// that stores it may still be about to end, unseen: it has taken the key, so whoever takes that
/// waits for it.
async fn withdraw(
    db: &impl ConnectionTrait,
    ours: Uuid,
    key: &str,
    until: Timestamp,
) -> Result<Vec<Settled>, DbErr> {
    use message::Column as C;
    sends::take_key(db, key, &[], ours, until).await?;
    let changed = message::Entity::update_many()
        .col_expr(C::Status, Expr::value(Status::Cancelled.as_str()))
        .col_expr(C::StatusRank, Expr::value(Status::Cancelled.rank()))
        .filter(C::Id.eq(id(ours)))
        .filter(open())
        .filter(C::AttemptUntil.eq(micros(until)))
        .exec(db)
        .await?;
    sends::free_key(db, ours).await?;
    let settled = Settled { id: ours, status: Status::Cancelled };
    Ok(Vec::from_iter((changed.rows_affected > 0).then_some(settled)))
}

async fn told(db: &impl ConnectionTrait, report: &NewReport) -> Result<Vec<Settled>, DbErr> {
    reports::write(db, &[report], report.occurred_at).await?;
    named(db, [report].into_iter()).await
}

/// The messages that some reports are about.
async fn named<'a>(
    db: &impl ConnectionTrait,
    reports: impl Iterator<Item = &'a NewReport>,
) -> Result<Vec<Settled>, DbErr> {
    let ids = reports.map(|report| report.telnyx_message_id.as_str());
    let rows =
        message::Entity::find().filter(message::Column::TelnyxMessageId.is_in(ids)).all(db).await?;
    rows.into_iter().map(|row| row.into_domain().map(|message| settled(&message))).collect()
}

fn settled(message: &Message) -> Settled {
    Settled { id: message.id, status: message.status }
}

async fn adopt(
    db: &impl ConnectionTrait,
    waiting: &[Waiting],
    lost: &[String],
    now: Timestamp,
) -> Result<Vec<Settled>, DbErr> {
    let overdue = now.plus_seconds(-WAIT_SECONDS);
    let those = |is_over: bool| {
        let chosen = waiting.iter().filter(move |waiting| (waiting.since <= overdue) == is_over);
        chosen.map(|waiting| &waiting.report).collect::<Vec<_>>()
    };
    let (over, patient) = (those(true), those(false));
    reports::join(db, &over, None).await?;
    let still = reports::join(db, &patient, Some(now)).await?;
    let done: Vec<_> = over
        .into_iter()
        .chain(patient)
        .filter(|report| still.iter().all(|other| other.event_id != report.event_id))
        .collect();
    let ids = done.iter().map(|report| &report.event_id).chain(lost);
    delivery_report::Entity::update_many()
        .set(delivery_report::ActiveModel { waiting_since: Set(None), ..Default::default() })
        .filter(delivery_report::Column::EventId.is_in(ids))
        .exec(db)
        .await?;
    named(db, done.into_iter()).await
}
