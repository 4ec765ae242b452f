//! What settling writes: attempts that ended without an outcome, statuses that were looked up, reports
//! that waited for a message.
//!
//! An attempt is leased by compare-and-swap on `attempt_until`, the latest end of a message's last
//! attempt: the process that replaces the value it has read makes the next attempt. So no two servers
//! settle a message at the same time, and the lease of a process that died expires.
//!
//! Each change is a type of its own with a result of its own; [`Writer`] has a method for each.

use sea_orm::sea_query::{Expr, Query, SimpleExpr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryResult, QuerySelect, Set,
};
use uuid::Uuid;

use crate::domain::{Direction, IdempotencyKey, Status, Timestamp};
use crate::error::{Error, ErrorBody};
use crate::store::entity::message::direction;
use crate::store::entity::{TelnyxId, delivery_report, message, micros, to_json};
use crate::store::feed::FeedChange;
use crate::store::job::Settlement;
use crate::store::model::NewReport;
use crate::store::reports::{self, WAIT_SECONDS};
use crate::store::sends;
use crate::store::transaction::WriteTransaction;
use crate::store::writer::Writer;

/// The right to make the next attempt on a message. Of several processes that request it at the same
/// time, one gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AttemptLease {
    pub(crate) id: Uuid,
    /// The end of its last attempt, as it was read.
    pub(crate) seen: Timestamp,
    /// The latest end of the new attempt.
    pub(crate) until: Timestamp,
    pub(crate) purpose: LeasePurpose,
}

/// What an attempt is leased for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeasePurpose {
    /// Offering the message at a user's request.
    Retry,
    /// Offering it while settling, which uses up its one repeat.
    Repeat,
    /// Looking up its status.
    LookUp,
}

/// A report that waits for its message.
#[derive(Clone, Debug)]
pub(crate) struct WaitingReport {
    /// The report, parsed again from its event.
    pub(crate) report: NewReport,
    /// Since when it waits.
    pub(crate) since: Timestamp,
}

/// A message whose status settling has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// convo's id of the message.
    pub id: Uuid,
    /// The new status.
    pub status: Status,
}

impl Writer {
    /// Makes the messages `unknown` whose attempts ended before a time without an outcome, and returns
    /// them.
    ///
    /// # Errors
    /// `database_unavailable`, like the other methods here.
    pub(crate) async fn mark_unknown(&self, before: Timestamp) -> Result<Vec<Settled>, Error> {
        self.settle(MarkUnknown { before }).await
    }

    /// Leases an attempt; returns whether that succeeded.
    pub(crate) async fn lease(&self, lease: AttemptLease) -> Result<bool, Error> {
        self.settle(lease).await
    }

    /// Makes sure that a message which may have been stored is never offered. `key` is the key that it
    /// would have taken, `until` the end of its attempt, and `refusal` the error for its caller.
    pub(crate) async fn withdraw(
        &self,
        id: Uuid,
        key: IdempotencyKey,
        until: Timestamp,
        refusal: ErrorBody,
    ) -> Result<(), Error> {
        self.settle(Withdrawal { id, key, until, refusal }).await
    }

    /// Records the result of looking up a message, and returns the message's status after that.
    pub(crate) async fn record_lookup(&self, id: Uuid, report: NewReport) -> Result<Status, Error> {
        self.settle(Lookup { id, report }).await
    }

    /// Matches waiting reports with their messages. One that has waited long enough is about a message of
    /// another program, which is stored. `unreadable` are events that can no longer be parsed; they stop
    /// waiting. Returns the messages of the reports that no longer wait.
    pub(crate) async fn resolve_waiting(
        &self,
        waiting: Vec<WaitingReport>,
        unreadable: Vec<String>,
        now: Timestamp,
    ) -> Result<Vec<Settled>, Error> {
        self.settle(ResolveWaiting { waiting, unreadable, now }).await
    }
}

/// The condition of the partial index on open messages, written so that the index is used.
pub(in crate::store) fn open() -> SimpleExpr {
    message::Column::StatusRank.lte(Status::Unknown.rank())
}

#[derive(Debug)]
struct MarkUnknown {
    before: Timestamp,
}

impl Settlement for MarkUnknown {
    type Output = Vec<Settled>;

    async fn write(&self, db: &WriteTransaction) -> Result<Vec<Settled>, DbErr> {
        use message::Column as C;
        let mut update = Query::update();
        update
            .table(message::Entity)
            .value(C::StatusRank, Status::Unknown.rank())
            .and_where(open())
            .and_where(C::StatusRank.eq(Status::Pending.rank()))
            .and_where(C::AttemptUntil.lt(micros(self.before)))
            .returning_col(C::Id);
        let read = |row: &QueryResult| {
            let (id, status) = (row.try_get_by_index(0)?, Status::Unknown);
            db.record(FeedChange::Status { message: id, status, replaces: None });
            Ok(Settled { id, status })
        };
        db.query_all(&update).await?.iter().map(read).collect()
    }
}

impl Settlement for AttemptLease {
    type Output = bool;

    async fn write(&self, db: &WriteTransaction) -> Result<bool, DbErr> {
        use message::Column as C;
        let mut update = message::Entity::update_many()
            .col_expr(C::AttemptUntil, Expr::value(micros(self.until)))
            .filter(C::Id.eq(self.id))
            .filter(C::AttemptUntil.eq(micros(self.seen)));
        if self.purpose != LeasePurpose::LookUp {
            update = update.filter(C::StatusRank.eq(Status::Unknown.rank()));
        }
        if self.purpose == LeasePurpose::Repeat {
            update = update.col_expr(C::RepeatsLeft, Expr::value(0)).filter(C::RepeatsLeft.gt(0));
        }
        Ok(update.exec(db).await?.rows_affected > 0)
    }
}

#[derive(Debug)]
struct Withdrawal {
    id: Uuid,
    key: IdempotencyKey,
    until: Timestamp,
    refusal: ErrorBody,
}

impl Settlement for Withdrawal {
    type Output = ();

    /// The transaction that stores the message may commit after this one has begun. It has taken the
    /// key, so taking the key here waits for it.
    async fn write(&self, db: &WriteTransaction) -> Result<(), DbErr> {
        use message::Column as C;
        sends::take_key(db, &self.key, &[], self.id, self.until).await?;
        let status = Status::Cancelled;
        let cancelled = message::Entity::update_many()
            .col_expr(C::StatusRank, Expr::value(status.rank()))
            .col_expr(C::Refusal, Expr::value(to_json(&self.refusal)))
            .filter(C::Id.eq(self.id))
            .filter(open())
            .filter(C::AttemptUntil.eq(micros(self.until)))
            .exec(db)
            .await?;
        if cancelled.rows_affected > 0 {
            db.record(FeedChange::Status { message: self.id, status, replaces: None });
        }
        sends::free_key(db, self.id).await
    }
}

#[derive(Debug)]
struct Lookup {
    id: Uuid,
    report: NewReport,
}

impl Settlement for Lookup {
    type Output = Status;

    async fn write(&self, db: &WriteTransaction) -> Result<Status, DbErr> {
        reports::write(db, &[&self.report], self.report.occurred_at).await?;
        Ok(sends::read(db, self.id).await?.message.status)
    }
}

#[derive(Debug)]
struct ResolveWaiting {
    waiting: Vec<WaitingReport>,
    unreadable: Vec<String>,
    now: Timestamp,
}

impl Settlement for ResolveWaiting {
    type Output = Vec<Settled>;

    async fn write(&self, db: &WriteTransaction) -> Result<Vec<Settled>, DbErr> {
        let deadline = self.now.plus_seconds(-WAIT_SECONDS);
        let (overdue, recent): (Vec<_>, Vec<_>) =
            self.waiting.iter().partition(|waiting| waiting.since <= deadline);
        let overdue: Vec<_> = overdue.into_iter().map(|waiting| &waiting.report).collect();
        let recent: Vec<_> = recent.into_iter().map(|waiting| &waiting.report).collect();
        reports::match_messages(db, &overdue, None).await?;
        let still_waiting = reports::match_messages(db, &recent, Some(self.now)).await?;
        let is_resolved = |report: &&NewReport| {
            still_waiting.iter().all(|waiting| waiting.event_id != report.event_id)
        };
        let resolved: Vec<_> = overdue.into_iter().chain(recent).filter(is_resolved).collect();
        let events = resolved.iter().map(|report| &report.event_id).chain(&self.unreadable);
        delivery_report::Entity::update_many()
            .set(delivery_report::ActiveModel { waiting_since: Set(None), ..Default::default() })
            // The few that wait have an index.
            .filter(delivery_report::Column::WaitingSince.is_not_null())
            .filter(delivery_report::Column::EventId.is_in(events.map(|id| TelnyxId::new(id))))
            .exec(db)
            .await?;
        messages_of(db, &resolved).await
    }
}

async fn messages_of(
    db: &impl ConnectionTrait,
    reports: &[&NewReport],
) -> Result<Vec<Settled>, DbErr> {
    use message::Column as C;
    let ids = reports.iter().map(|report| TelnyxId::new(&report.telnyx_message_id));
    let rows: Vec<(Uuid, i16)> = message::Entity::find()
        .select_only()
        .columns([C::Id, C::StatusRank])
        .filter(C::TelnyxMessageId.is_in(ids))
        .filter(C::Direction.eq(direction(Direction::Outbound)))
        .into_tuple()
        .all(db)
        .await?;
    let settled = |(id, rank)| Ok(Settled { id, status: message::status(rank)? });
    rows.into_iter().map(settled).collect()
}
