//! Removing old webhooks as they came: along their key, oldest first.

use sea_orm::sea_query::{Expr, ExprTrait, SimpleExpr};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::STEP;
use crate::domain::Timestamp;
use crate::error::Error;
use crate::store::Store;
use crate::store::db_error::OrTell;
use crate::store::entity::event::{Column as C, Entity as Events};
use crate::store::entity::{TelnyxId, micros};
use crate::store::job::Settlement;
use crate::store::transaction::WriteTransaction;

/// A stretch of the webhooks that occurred before a time, some of which were received before it, too.
#[derive(Clone, Debug)]
pub(crate) struct OldWebhooks {
    first: (i64, TelnyxId),
    last: (i64, TelnyxId),
    before: i64,
    /// How many were received before it.
    pub(crate) count: u64,
}

impl Store {
    /// The next stretch after another; `None` at the end.
    ///
    /// # Errors
    /// `database_unavailable`, like the other method here.
    pub(crate) async fn old_webhooks(
        &self,
        before: Timestamp,
        after: Option<&OldWebhooks>,
    ) -> Result<Option<OldWebhooks>, Error> {
        let before = micros(before);
        let mut query = Events::find()
            .select_only()
            .columns([C::OccurredAt, C::Id, C::ReceivedAt])
            .filter(C::OccurredAt.lt(before));
        if let Some(after) = after {
            query = query.filter(key().gt(place(&after.last)));
        }
        let rows: Vec<(i64, TelnyxId, i64)> = query
            .order_by_asc(C::OccurredAt)
            .order_by_asc(C::Id)
            .limit(STEP)
            .into_tuple()
            .all(&self.reader)
            .await
            .or_tell()?;
        let count = rows.iter().filter(|(.., received_at)| *received_at < before).count() as u64;
        let mut keys = rows.into_iter().map(|(occurred_at, id, _)| (occurred_at, id));
        let Some(first) = keys.next() else { return Ok(None) };
        let last = keys.next_back().unwrap_or_else(|| first.clone());
        Ok(Some(OldWebhooks { first, last, before, count }))
    }

    /// Removes a stretch. Returns how many rows it had.
    pub(crate) async fn remove_webhooks(&self, old: OldWebhooks) -> Result<u64, Error> {
        self.writer()?.settle(old).await
    }
}

impl Settlement for OldWebhooks {
    type Output = u64;

    async fn write(&self, db: &WriteTransaction) -> Result<u64, DbErr> {
        let removed = Events::delete_many()
            .filter(key().gte(place(&self.first)))
            .filter(key().lte(place(&self.last)))
            .filter(C::ReceivedAt.lt(self.before))
            .exec(db)
            .await?;
        Ok(removed.rows_affected)
    }
}

fn key() -> SimpleExpr {
    Expr::tuple([C::OccurredAt.into_expr(), C::Id.into_expr()])
}

fn place((occurred_at, id): &(i64, TelnyxId)) -> SimpleExpr {
    Expr::tuple([Expr::value(*occurred_at), Expr::value(id.clone())])
}
