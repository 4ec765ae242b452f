//! Removing idempotency keys that have expired.

use sea_orm::{
    ColumnTrait, Condition, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::STEP;
use crate::domain::{REPLY_KEYS_LIKE, Timestamp};
use crate::error::Error;
use crate::store::Store;
use crate::store::db_error::OrTell;
use crate::store::entity::idempotency_key::{Column as C, Entity as Keys};
use crate::store::entity::micros;
use crate::store::job::Settlement;
use crate::store::transaction::WriteTransaction;

impl Store {
    /// How many idempotency keys are from before a time.
    ///
    /// # Errors
    /// `database_unavailable`, like the other method here.
    pub(crate) async fn count_old_keys(&self, before: Timestamp) -> Result<u64, Error> {
        Keys::find().filter(is_old(micros(before))).count(&self.reader).await.or_tell()
    }

    /// Removes some of the idempotency keys from before a time. Returns how many: 0 at the end.
    pub(crate) async fn remove_old_keys(&self, before: Timestamp) -> Result<u64, Error> {
        self.writer()?.settle(RemoveKeys { before: micros(before) }).await
    }
}

/// The key of an answer does not expire: a message is answered once, however late.
fn is_old(before: i64) -> Condition {
    Condition::all().add(C::CreatedAt.lt(before)).add(C::Key.not_like(REPLY_KEYS_LIKE))
}

#[derive(Debug)]
struct RemoveKeys {
    before: i64,
}

impl Settlement for RemoveKeys {
    type Output = u64;

    async fn write(&self, db: &WriteTransaction) -> Result<u64, DbErr> {
        let old: Vec<String> = Keys::find()
            .select_only()
            .column(C::Key)
            .filter(is_old(self.before))
            .order_by_asc(C::CreatedAt)
            .limit(STEP)
            .into_tuple()
            .all(db)
            .await?;
        if old.is_empty() {
            return Ok(0);
        }
        let removed = Keys::delete_many().filter(C::Key.is_in(old)).exec(db).await?;
        Ok(removed.rows_affected)
    }
}
