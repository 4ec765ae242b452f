//! Removing webhooks that are about a contact.

use sea_orm::{ColumnTrait, Condition, DbErr, EntityTrait, ExprTrait, QueryFilter};

use crate::domain::StoredEventCursor;
use crate::error::Error;
use crate::store::Store;
use crate::store::entity::TelnyxId;
use crate::store::entity::event::{Column as C, Entity as Events};
use crate::store::job::Settlement;
use crate::store::transaction::WriteTransaction;

impl Store {
    /// Removes some webhooks. Returns how many there were.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn remove_webhooks_at(
        &self,
        places: Vec<StoredEventCursor>,
    ) -> Result<u64, Error> {
        if places.is_empty() {
            return Ok(0);
        }
        self.writer()?.settle(Remove { places }).await
    }
}

#[derive(Debug)]
struct Remove {
    places: Vec<StoredEventCursor>,
}

impl Settlement for Remove {
    type Output = u64;

    async fn write(&self, db: &WriteTransaction) -> Result<u64, DbErr> {
        let any = self.places.iter().fold(Condition::any(), |any, place| {
            any.add(C::OccurredAt.eq(place.occurred_at).and(C::Id.eq(TelnyxId::new(&place.id))))
        });
        Events::delete_many().filter(any).exec(db).await.map(|removed| removed.rows_affected)
    }
}
