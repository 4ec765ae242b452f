//! The steps of the process that fetches media, written under its lease.

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, Set};
use uuid::Uuid;

use super::FoundMedium;
use super::remove::discard;
use crate::domain::{ContentHash, FeedCursor, MediaState, Timestamp};
use crate::error::Error;
use crate::store::entity::media::{Column as C, Entity as Media, state};
use crate::store::entity::media_progress::{Column as P, Entity as Progress};
use crate::store::entity::{media, media_garbage, media_progress, micros};
use crate::store::job::Settlement;
use crate::store::lease::Lease;
use crate::store::transaction::WriteTransaction;
use crate::store::writer::Writer;

/// The key of the only row about progress.
const PROGRESS: i32 = 1;
/// How many rows are inserted by one statement.
const ROWS: usize = 500;

/// A step of the process that fetches media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MediaStep {
    /// Begins, or begins anew: at a place in the feed, and with all earlier messages.
    Begin { at: FeedCursor },
    /// These were found up to a place in the feed.
    Follow { found: Vec<FoundMedium>, to: FeedCursor },
    /// These were found in earlier messages, down to one; `None` if these were the last.
    Walk { found: Vec<FoundMedium>, to: Option<Uuid> },
    /// An attempt to fetch one has ended.
    End { message_id: Uuid, number: i32, end: MediumEnd },
    /// Content was deleted from the store, or is used again.
    Swept { hash: ContentHash },
}

/// How an attempt to fetch a medium ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MediumEnd {
    /// It is in the store.
    Kept { hash: ContentHash, size: u64, content_type: &'static str },
    /// It will not be fetched.
    Closed { state: MediaState, error: String },
    /// It is to be tried again.
    Failed { next: Timestamp, error: String },
}

/// Looks at all messages from before the feed once more: some have come that are not in it.
pub(in crate::store) async fn walk_again(db: &WriteTransaction) -> Result<(), DbErr> {
    Progress::update_many()
        .col_expr(P::Walked, Expr::value(0_i16))
        .col_expr(P::WalkedTo, Expr::value(None::<Uuid>))
        .exec(db)
        .await
        .map(drop)
}

impl Writer {
    /// Writes a step. Returns whether the lease is still held; if not, nothing is written.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn media_step(
        &self,
        lease: &Lease,
        now: Timestamp,
        step: MediaStep,
    ) -> Result<bool, Error> {
        self.settle(LeasedMediaStep { lease: lease.clone(), now: micros(now), step }).await
    }
}

#[derive(Debug)]
struct LeasedMediaStep {
    lease: Lease,
    now: i64,
    step: MediaStep,
}

impl Settlement for LeasedMediaStep {
    type Output = bool;

    async fn write(&self, db: &WriteTransaction) -> Result<bool, DbErr> {
        if !self.lease.hold(db).await? {
            return Ok(false);
        }
        match &self.step {
            MediaStep::Begin { at } => begin(db, *at).await?,
            MediaStep::Follow { found, to } => {
                self.insert(db, found).await?;
                let update = Progress::update_many().col_expr(P::Position, Expr::val(to.position));
                update.col_expr(P::Nonce, Expr::val(to.nonce.cast_signed())).exec(db).await?;
            }
            MediaStep::Walk { found, to } => {
                self.insert(db, found).await?;
                let update = Progress::update_many().col_expr(P::WalkedTo, Expr::val(*to));
                let walked = i16::from(to.is_none());
                update.col_expr(P::Walked, Expr::val(walked)).exec(db).await?;
            }
            MediaStep::End { message_id, number, end } => {
                end_attempt(db, (*message_id, *number), end).await?;
            }
            MediaStep::Swept { hash } => {
                media_garbage::Entity::delete_by_id(hash.as_bytes().to_vec()).exec(db).await?;
            }
        }
        Ok(true)
    }
}

impl LeasedMediaStep {
    /// Adds media that are to be fetched now, unless they are known.
    async fn insert(&self, db: &WriteTransaction, found: &[FoundMedium]) -> Result<(), DbErr> {
        let row = |found: &FoundMedium| media::ActiveModel {
            message_id: Set(found.message_id),
            number: Set(found.number),
            state: Set(state(MediaState::Waiting)),
            attempts: Set(0),
            created_at: Set(micros(found.created_at)),
            next_attempt_at: Set(Some(self.now)),
            content_size: Set(None),
            hash: Set(None),
            content_type: Set(None),
            last_error: Set(None),
        };
        for rows in found.chunks(ROWS) {
            let known = OnConflict::columns([C::MessageId, C::Number]).do_nothing().to_owned();
            let insert = Media::insert_many(rows.iter().map(row)).on_conflict(known);
            insert.exec_without_returning(db).await?;
        }
        Ok(())
    }
}

async fn begin(db: &WriteTransaction, at: FeedCursor) -> Result<(), DbErr> {
    let row = media_progress::ActiveModel {
        id: Set(PROGRESS),
        position: Set(at.position),
        nonce: Set(at.nonce.cast_signed()),
        walked: Set(0),
        walked_to: Set(None),
    };
    let anew = OnConflict::column(P::Id)
        .update_columns([P::Position, P::Nonce, P::Walked, P::WalkedTo])
        .to_owned();
    Progress::insert(row).on_conflict(anew).exec_without_returning(db).await.map(drop)
}

async fn end_attempt(
    db: &WriteTransaction,
    (message_id, number): (Uuid, i32),
    end: &MediumEnd,
) -> Result<(), DbErr> {
    let waiting = C::State.eq(state(MediaState::Waiting));
    let update = Media::update_many()
        .filter(C::MessageId.eq(message_id))
        .filter(C::Number.eq(number))
        .filter(waiting)
        .col_expr(C::Attempts, Expr::col(C::Attempts).add(1));
    let update = match end {
        MediumEnd::Kept { hash, size, content_type } => update
            .col_expr(C::State, Expr::val(state(MediaState::Kept)))
            .col_expr(C::Hash, Expr::val(hash.as_bytes().to_vec()))
            .col_expr(C::ContentSize, Expr::val(i64::try_from(*size).unwrap_or(i64::MAX)))
            .col_expr(C::ContentType, Expr::val(*content_type))
            .col_expr(C::LastError, Expr::val(None::<String>))
            .col_expr(C::NextAttemptAt, Expr::val(None::<i64>)),
        MediumEnd::Closed { state: closed, error } => update
            .col_expr(C::State, Expr::val(state(*closed)))
            .col_expr(C::LastError, Expr::val(error.as_str()))
            .col_expr(C::NextAttemptAt, Expr::val(None::<i64>)),
        MediumEnd::Failed { next, error } => update
            .col_expr(C::LastError, Expr::val(error.as_str()))
            .col_expr(C::NextAttemptAt, Expr::val(micros(*next))),
    };
    let is_written = update.exec(db).await?.rows_affected == 1;
    match end {
        // Its message was removed meanwhile.
        MediumEnd::Kept { hash, .. } if !is_written => {
            discard(db, vec![hash.as_bytes().to_vec()]).await
        }
        _ => Ok(()),
    }
}
