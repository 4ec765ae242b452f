//! Removing idempotency keys that have expired, oldest first.

use sea_orm::sea_query::{Expr, ExprTrait, SimpleExpr};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::STEP;
use crate::domain::{IdempotencyKey, Timestamp};
use crate::error::Error;
use crate::store::Store;
use crate::store::db_error::OrTell;
use crate::store::entity::idempotency_key::{Column as C, Entity as Keys};
use crate::store::entity::micros;
use crate::store::job::Settlement;
use crate::store::transaction::WriteTransaction;

/// Where a look for old keys has come to. What lies before it stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyPlace {
    created_at: i64,
    key: String,
}

/// A stretch of the keys from before a time.
#[derive(Clone, Debug)]
pub(crate) struct OldKeys {
    /// Its end.
    pub(crate) last: KeyPlace,
    /// Those of them that have expired.
    pub(crate) expired: Vec<String>,
}

impl Store {
    /// The next stretch of the keys from before a time, after a place; `None` at the end.
    ///
    /// # Errors
    /// `database_unavailable`, like the other method here.
    pub(crate) async fn old_keys(
        &self,
        before: Timestamp,
        after: Option<&KeyPlace>,
    ) -> Result<Option<OldKeys>, Error> {
        let mut query = Keys::find()
            .select_only()
            .columns([C::CreatedAt, C::Key])
            .filter(C::CreatedAt.lt(micros(before)));
        if let Some(after) = after {
            query = query.filter(is_after(after));
        }
        let rows: Vec<(i64, String)> = query
            .order_by_asc(C::CreatedAt)
            .order_by_asc(C::Key)
            .limit(STEP)
            .into_tuple()
            .all(&self.reader)
            .await
            .or_tell()?;
        let Some((created_at, key)) = rows.last().cloned() else { return Ok(None) };
        let expired = rows
            .into_iter()
            .map(|(_, key)| key)
            .filter(|key| IdempotencyKey::is_temporary(key))
            .collect();
        Ok(Some(OldKeys { last: KeyPlace { created_at, key }, expired }))
    }

    /// Removes keys that have expired. Returns how many of them there still were.
    pub(crate) async fn remove_keys(
        &self,
        before: Timestamp,
        expired: Vec<String>,
    ) -> Result<u64, Error> {
        self.writer()?.settle(RemoveKeys { before: micros(before), expired }).await
    }
}

#[derive(Debug)]
struct RemoveKeys {
    before: i64,
    expired: Vec<String>,
}

impl Settlement for RemoveKeys {
    type Output = u64;

    async fn write(&self, db: &WriteTransaction) -> Result<u64, DbErr> {
        let removed = Keys::delete_many()
            .filter(C::Key.is_in(&self.expired))
            // A key may have been taken again since.
            .filter(C::CreatedAt.lt(self.before))
            .exec(db)
            .await?;
        Ok(removed.rows_affected)
    }
}

fn is_after(place: &KeyPlace) -> SimpleExpr {
    let key = Expr::tuple([C::CreatedAt.into_expr(), C::Key.into_expr()]);
    key.gt(Expr::tuple([Expr::value(place.created_at), Expr::value(place.key.clone())]))
}
