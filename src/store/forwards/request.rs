//! What people ask of forwarding. It is written without the lease, and touches columns that a failed or
//! successful delivery sets anew.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, Set};

use super::write::new_range;
use super::{at_after, lag};
use crate::domain::FeedCursor;
use crate::error::Error;
use crate::store::entity::forward::{Column as F, Entity as Forwards};
use crate::store::entity::forward_range::{Column as R, Entity as Ranges, state};
use crate::store::entity::{forward, forward_range};
use crate::store::job::Settlement;
use crate::store::transaction::WriteTransaction;
use crate::store::writer::Writer;

impl Writer {
    /// Ends a pause, and makes the next attempt due. Returns whether the name has begun.
    ///
    /// # Errors
    /// `database_unavailable`, like the other method here.
    pub(crate) async fn enable_forward(&self, name: &str) -> Result<bool, Error> {
        self.settle(EnableForward { name: name.to_owned() }).await
    }

    /// Replays what was given up, or everything from a place up to the present one. Returns how many
    /// entries these are; `None` if the name has not begun.
    pub(crate) async fn replay_forward(
        &self,
        name: &str,
        since: Option<FeedCursor>,
    ) -> Result<Option<u64>, Error> {
        self.settle(ReplayForward { name: name.to_owned(), since }).await
    }
}

#[derive(Debug)]
struct EnableForward {
    name: String,
}

impl Settlement for EnableForward {
    type Output = bool;

    async fn write(&self, db: &WriteTransaction) -> Result<bool, DbErr> {
        let enabled = Forwards::update_many()
            .filter(F::Name.eq(&self.name))
            .col_expr(F::Paused, Expr::val(0_i16))
            .col_expr(F::Attempts, Expr::val(0))
            .col_expr(F::NextAttemptAt, Expr::val(None::<i64>))
            .exec(db)
            .await?;
        Ranges::update_many()
            .filter(R::Name.eq(&self.name))
            .col_expr(R::NextAttemptAt, Expr::val(None::<i64>))
            .exec(db)
            .await?;
        Ok(enabled.rows_affected == 1)
    }
}

#[derive(Debug)]
struct ReplayForward {
    name: String,
    since: Option<FeedCursor>,
}

impl Settlement for ReplayForward {
    type Output = Option<u64>;

    async fn write(&self, db: &WriteTransaction) -> Result<Option<u64>, DbErr> {
        let Some(row) = Forwards::find_by_id(self.name.clone()).one(db).await? else {
            return Ok(None);
        };
        match self.since {
            Some(since) => replay_since(db, &row, since).await.map(Some),
            None => self.replay_given_up(db).await.map(Some),
        }
    }
}

impl ReplayForward {
    async fn replay_given_up(&self, db: &impl ConnectionTrait) -> Result<u64, DbErr> {
        let mine = R::Name.eq(&self.name).and(R::State.eq(state::GIVEN_UP));
        let mut entries = 0;
        for range in Ranges::find().filter(mine.clone()).all(db).await? {
            entries += lag(db, range.after_position, range.until_position).await?.entries;
        }
        Ranges::update_many()
            .filter(mine)
            .col_expr(R::State, Expr::val(state::REPLAYING))
            .col_expr(R::Attempts, Expr::val(0))
            .col_expr(R::FailingSince, Expr::val(None::<i64>))
            .col_expr(R::NextAttemptAt, Expr::val(None::<i64>))
            .exec(db)
            .await?;
        Ok(entries)
    }
}

async fn replay_since(
    db: &impl ConnectionTrait,
    row: &forward::Model,
    since: FeedCursor,
) -> Result<u64, DbErr> {
    let entries = lag(db, since.position, row.position).await?.entries;
    if entries > 0 {
        let from_at = at_after(db, since.position).await?.unwrap_or_default();
        let until_at = at_after(db, row.position - 1).await?.unwrap_or(from_at);
        let range = new_range(&row.name, state::REPLAYING, since, row.position);
        let range =
            forward_range::ActiveModel { from_at: Set(from_at), until_at: Set(until_at), ..range };
        Ranges::insert(range).exec_without_returning(db).await?;
    }
    Ok(entries)
}
