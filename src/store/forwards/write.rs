//! The steps of the process that forwards to a name, written under its lease.

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, Set};
use uuid::Uuid;

use super::{ForwardPart, at_after};
use crate::domain::{FeedCursor, Timestamp};
use crate::error::Error;
use crate::store::entity::forward::{Column as F, Entity as Forwards};
use crate::store::entity::forward_range::{Column as R, Entity as Ranges, state};
use crate::store::entity::{forward, forward_range, micros};
use crate::store::job::Settlement;
use crate::store::lease::Lease;
use crate::store::transaction::WriteTransaction;
use crate::store::writer::Writer;

/// A step of the process that forwards to a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ForwardStep {
    /// A new name begins at a place, unless it has begun.
    Begin { at: FeedCursor },
    /// Everything up to a place was delivered, at a time, or matched no filter.
    Advance { part: ForwardPart, to: FeedCursor, delivered_at: Option<Timestamp> },
    /// An attempt failed.
    Fail { part: ForwardPart, attempts: u32, next: Timestamp, error: String },
    /// The receiver wants no more.
    Pause { error: String },
    /// Everything after a place up to another one, stored at a time, is given up.
    GiveUp { after: FeedCursor, to: FeedCursor, until_at: Timestamp },
    /// The feed no longer has the place: forwarding begins anew at another one.
    Restart { at: FeedCursor },
    /// A replay has failed for too long: what is left of it is given up again.
    GiveUpReplay { id: Uuid },
    /// A replay has ended, or what it needs is no longer kept.
    EndReplay { id: Uuid },
}

impl Writer {
    /// Writes a step. Returns whether the lease is still held; if not, nothing is written.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn forward_step(
        &self,
        lease: &Lease,
        name: &str,
        now: Timestamp,
        step: ForwardStep,
    ) -> Result<bool, Error> {
        let (lease, name) = (lease.clone(), name.to_owned());
        self.settle(LeasedStep { lease, name, now: micros(now), step }).await
    }
}

#[derive(Debug)]
struct LeasedStep {
    lease: Lease,
    name: String,
    now: i64,
    step: ForwardStep,
}

impl Settlement for LeasedStep {
    type Output = bool;

    async fn write(&self, db: &WriteTransaction) -> Result<bool, DbErr> {
        if !self.lease.hold(db).await? {
            return Ok(false);
        }
        match &self.step {
            ForwardStep::Begin { at } => self.begin(db, *at).await?,
            ForwardStep::Advance { part, to, delivered_at } => {
                self.advance(db, *part, *to, *delivered_at).await?;
            }
            ForwardStep::Fail { part, attempts, next, error } => {
                self.fail(db, *part, attempts.cast_signed(), micros(*next)).await?;
                self.note(db, error, false).await?;
            }
            ForwardStep::Pause { error } => self.note(db, error, true).await?,
            ForwardStep::GiveUp { after, to, until_at } => {
                self.give_up(db, *after, *to, micros(*until_at)).await?;
            }
            ForwardStep::Restart { at } => self.restart(db, *at).await?,
            ForwardStep::GiveUpReplay { id } => give_up_replay(db, *id).await?,
            ForwardStep::EndReplay { id } => Ranges::delete_by_id(*id).exec(db).await.map(drop)?,
        }
        Ok(true)
    }
}

impl LeasedStep {
    async fn begin(&self, db: &impl ConnectionTrait, at: FeedCursor) -> Result<(), DbErr> {
        let row = forward::ActiveModel {
            name: Set(self.name.clone()),
            position: Set(at.position),
            nonce: Set(at.nonce.cast_signed()),
            paused: Set(0),
            attempts: Set(0),
            created_at: Set(self.now),
            restarted_at: Set(None),
            failing_since: Set(None),
            next_attempt_at: Set(None),
            last_success_at: Set(None),
            last_error: Set(None),
            last_error_at: Set(None),
        };
        let insert =
            Forwards::insert(row).on_conflict(OnConflict::column(F::Name).do_nothing().to_owned());
        insert.exec_without_returning(db).await.map(drop)
    }

    async fn advance(
        &self,
        db: &impl ConnectionTrait,
        part: ForwardPart,
        to: FeedCursor,
        delivered_at: Option<Timestamp>,
    ) -> Result<(), DbErr> {
        match part {
            ForwardPart::Live => {
                let place = self.update().col_expr(F::Position, Expr::val(to.position));
                let mut place = place.col_expr(F::Nonce, Expr::val(to.nonce.cast_signed()));
                if delivered_at.is_some() {
                    place = place
                        .col_expr(F::Attempts, Expr::val(0))
                        .col_expr(F::FailingSince, Expr::val(None::<i64>))
                        .col_expr(F::NextAttemptAt, Expr::val(None::<i64>));
                }
                place.exec(db).await?;
            }
            ForwardPart::Replay { id, .. } => {
                Ranges::update_many()
                    .filter(R::Id.eq(id))
                    .col_expr(R::AfterPosition, Expr::val(to.position))
                    .col_expr(R::AfterNonce, Expr::val(to.nonce.cast_signed()))
                    .col_expr(R::Attempts, Expr::val(0))
                    .col_expr(R::FailingSince, Expr::val(None::<i64>))
                    .col_expr(R::NextAttemptAt, Expr::val(None::<i64>))
                    .exec(db)
                    .await?;
            }
        }
        let Some(at) = delivered_at else { return Ok(()) };
        self.update().col_expr(F::LastSuccessAt, Expr::val(micros(at))).exec(db).await.map(drop)
    }

    async fn fail(
        &self,
        db: &impl ConnectionTrait,
        part: ForwardPart,
        attempts: i32,
        next: i64,
    ) -> Result<(), DbErr> {
        match part {
            ForwardPart::Live => self
                .update()
                .col_expr(F::Attempts, Expr::val(attempts))
                .col_expr(F::NextAttemptAt, Expr::val(next))
                .col_expr(F::FailingSince, Expr::col(F::FailingSince).if_null(self.now))
                .exec(db)
                .await
                .map(drop),
            ForwardPart::Replay { id, .. } => Ranges::update_many()
                .filter(R::Id.eq(id))
                .col_expr(R::Attempts, Expr::val(attempts))
                .col_expr(R::NextAttemptAt, Expr::val(next))
                .col_expr(R::FailingSince, Expr::col(R::FailingSince).if_null(self.now))
                .exec(db)
                .await
                .map(drop),
        }
    }

    /// Keeps why an attempt failed, and whether nothing more is to be delivered.
    async fn note(&self, db: &impl ConnectionTrait, error: &str, pause: bool) -> Result<(), DbErr> {
        let mut update = self
            .update()
            .col_expr(F::LastError, Expr::val(error))
            .col_expr(F::LastErrorAt, Expr::val(self.now));
        if pause {
            update = update.col_expr(F::Paused, Expr::val(1_i16));
        }
        update.exec(db).await.map(drop)
    }

    /// What follows directly what was given up before is added to it.
    async fn give_up(
        &self,
        db: &impl ConnectionTrait,
        after: FeedCursor,
        to: FeedCursor,
        until_at: i64,
    ) -> Result<(), DbErr> {
        let extended = Ranges::update_many()
            .filter(R::Name.eq(&self.name).and(R::State.eq(state::GIVEN_UP)))
            .filter(R::UntilPosition.eq(after.position))
            .col_expr(R::UntilPosition, Expr::val(to.position))
            .col_expr(R::UntilAt, Expr::val(until_at))
            .exec(db)
            .await?;
        if extended.rows_affected == 0 {
            let from_at = at_after(db, after.position).await?.unwrap_or(until_at);
            let row = new_range(&self.name, state::GIVEN_UP, after, to.position);
            let row = forward_range::ActiveModel {
                from_at: Set(from_at),
                until_at: Set(until_at),
                ..row
            };
            Ranges::insert(row).exec_without_returning(db).await?;
        }
        self.advance(db, ForwardPart::Live, to, None).await
    }

    async fn restart(&self, db: &impl ConnectionTrait, at: FeedCursor) -> Result<(), DbErr> {
        self.update()
            .col_expr(F::Position, Expr::val(at.position))
            .col_expr(F::Nonce, Expr::val(at.nonce.cast_signed()))
            .col_expr(F::Attempts, Expr::val(0))
            .col_expr(F::FailingSince, Expr::val(None::<i64>))
            .col_expr(F::NextAttemptAt, Expr::val(None::<i64>))
            .col_expr(F::RestartedAt, Expr::val(self.now))
            .exec(db)
            .await
            .map(drop)
    }

    fn update(&self) -> sea_orm::UpdateMany<Forwards> {
        Forwards::update_many().filter(F::Name.eq(&self.name))
    }
}

async fn give_up_replay(db: &impl ConnectionTrait, id: Uuid) -> Result<(), DbErr> {
    Ranges::update_many()
        .filter(R::Id.eq(id))
        .col_expr(R::State, Expr::val(state::GIVEN_UP))
        .exec(db)
        .await
        .map(drop)
}

/// A range without its times.
pub(super) fn new_range(
    name: &str,
    state: i16,
    after: FeedCursor,
    until: i64,
) -> forward_range::ActiveModel {
    forward_range::ActiveModel {
        id: Set(Uuid::now_v7()),
        name: Set(name.to_owned()),
        state: Set(state),
        attempts: Set(0),
        after_position: Set(after.position),
        after_nonce: Set(after.nonce.cast_signed()),
        until_position: Set(until),
        from_at: Set(0),
        until_at: Set(0),
        failing_since: Set(None),
        next_attempt_at: Set(None),
    }
}
