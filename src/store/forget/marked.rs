//! Finding the contacts whose marks a database has, after marks were imported.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect};

use super::mark::{MarkKey, key};
use crate::domain::Timestamp;
use crate::error::Error;
use crate::store::Store;
use crate::store::db_error::OrTell;
use crate::store::entity::{conversation, forgotten, micros, opt_out};
use crate::store::job::Settlement;
use crate::store::transaction::WriteTransaction;

/// How many contacts are read at once.
const PAGE: u64 = 1_000;

/// All marks with their times, and their key.
#[derive(Clone, Debug)]
pub(crate) struct AllMarks {
    key: MarkKey,
    times: HashMap<Vec<u8>, Timestamp>,
}

impl AllMarks {
    /// When a contact was forgotten.
    pub(crate) fn time_of(&self, contact: &str) -> Option<Timestamp> {
        self.times.get(&self.key.mark(contact)).copied()
    }
}

impl Store {
    /// All marks; `None` if no contact was forgotten.
    ///
    /// # Errors
    /// `database_unavailable`, like the other methods here.
    pub(crate) async fn all_marks(&self) -> Result<Option<AllMarks>, Error> {
        let Some(key) = key(&self.reader).await.or_tell()? else { return Ok(None) };
        let rows = forgotten::Entity::find().all(&self.reader).await.or_tell()?;
        let times =
            rows.into_iter().map(|row| (row.mark, Timestamp::from_micros(row.forgotten_at)));
        Ok(Some(AllMarks { key, times: times.collect() }))
    }

    /// The next conversations after a key, with their contacts.
    pub(crate) async fn contacts_after(&self, after: i64) -> Result<Vec<(i64, String)>, Error> {
        use conversation::Column as C;
        conversation::Entity::find()
            .select_only()
            .columns([C::Key, C::ContactNumber])
            .filter(C::Key.gt(after))
            .order_by_asc(C::Key)
            .limit(PAGE)
            .into_tuple()
            .all(&self.reader)
            .await
            .or_tell()
    }

    /// The next contacts after another for which an opt-out was decided.
    pub(crate) async fn opt_outs_after(&self, after: &str) -> Result<Vec<String>, Error> {
        use opt_out::Column as C;
        opt_out::Entity::find()
            .select_only()
            .column(C::ContactNumber)
            .filter(C::ContactNumber.gt(after))
            .order_by_asc(C::ContactNumber)
            .limit(PAGE)
            .into_tuple()
            .all(&self.reader)
            .await
            .or_tell()
    }

    /// Removes a contact's opt-out that was decided before a time: the contact's mark has it.
    pub(crate) async fn drop_opt_out(
        &self,
        contact: String,
        until: Timestamp,
    ) -> Result<(), Error> {
        self.writer()?.settle(DropOptOut { contact, until: micros(until) }).await
    }
}

#[derive(Debug)]
struct DropOptOut {
    contact: String,
    until: i64,
}

impl Settlement for DropOptOut {
    type Output = ();

    async fn write(&self, db: &WriteTransaction) -> Result<(), DbErr> {
        use opt_out::Column as C;
        opt_out::Entity::delete_by_id(&self.contact)
            .filter(C::DecidedAt.is_null().or(C::DecidedAt.lte(self.until)))
            .exec(db)
            .await
            .map(drop)
    }
}
