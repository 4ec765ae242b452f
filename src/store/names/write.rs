//! Naming contacts, and removing names.

use std::collections::HashMap;

use sea_orm::sea_query::Query;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::names_of;
use crate::domain::contact::ContactName;
use crate::domain::naming::{Naming, NamingOutcome};
use crate::domain::{PhoneNumber, Timestamp};
use crate::error::Error;
use crate::store::Store;
use crate::store::db_error::OrTell;
use crate::store::entity::contact_name::{Column as C, Entity as Names};
use crate::store::entity::micros;
use crate::store::job::Settlement;
use crate::store::sql::{self, BulkInsert};
use crate::store::transaction::WriteTransaction;

/// How many contacts are read at once.
const PAGE: u64 = 1_000;

const NEWEST_WINS: &str = "ON CONFLICT (contact_number) DO UPDATE SET name = excluded.name, \
                           folded_name = excluded.folded_name, named_at = excluded.named_at";
const FIRST_WINS: &str = "ON CONFLICT (contact_number) DO NOTHING";

/// Gives names to contacts, each of which is there once.
#[derive(Clone, Debug)]
pub(crate) struct NameContacts {
    pub(crate) names: Vec<(PhoneNumber, ContactName)>,
    /// Whether a contact that has another name gets the new one.
    pub(crate) replace: bool,
    pub(crate) at: Timestamp,
}

impl Store {
    /// Names contacts. Returns what became of each.
    ///
    /// # Errors
    /// `database_unavailable`, like the other methods here.
    pub(crate) async fn name_contacts(&self, names: NameContacts) -> Result<Vec<Naming>, Error> {
        self.writer()?.settle(names).await
    }

    /// What would become of each.
    pub(crate) async fn rehearse_names(&self, names: &NameContacts) -> Result<Vec<Naming>, Error> {
        let contacts = names.names.iter().map(|(contact, _)| contact.as_str());
        let before = names_of(&self.reader, contacts).await.or_tell()?;
        Ok(names.outcomes(before))
    }

    /// Removes a contact's name.
    pub(crate) async fn remove_name(&self, contact: &PhoneNumber) -> Result<(), Error> {
        let removal = RemoveName { contact: contact.as_str().to_owned(), until: None };
        self.writer()?.settle(removal).await
    }

    /// Removes a contact's name if it was given at a time or before.
    pub(crate) async fn drop_name(&self, contact: String, until: Timestamp) -> Result<(), Error> {
        let removal = RemoveName { contact, until: Some(micros(until)) };
        self.writer()?.settle(removal).await
    }

    /// The next contacts after another that have a name.
    pub(crate) async fn named_after(&self, after: &str) -> Result<Vec<String>, Error> {
        Names::find()
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
}

impl NameContacts {
    /// What becomes of each contact, whose names so far are given by their numbers.
    fn outcomes(&self, mut before: HashMap<String, String>) -> Vec<Naming> {
        let naming = |(contact, name): &(PhoneNumber, ContactName)| {
            let previous_name = before.remove(contact.as_str());
            let outcome = match &previous_name {
                None => NamingOutcome::Added,
                Some(before) if before == name.as_str() => NamingOutcome::Known,
                Some(_) if self.replace => NamingOutcome::Changed,
                Some(_) => NamingOutcome::Conflict,
            };
            Naming {
                contact_number: contact.clone(),
                contact_name: name.as_str().to_owned(),
                outcome,
                previous_name,
            }
        };
        self.names.iter().map(naming).collect()
    }

    fn contacts(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|(contact, _)| contact.as_str())
    }
}

impl Settlement for NameContacts {
    type Output = Vec<Naming>;

    async fn write(&self, db: &WriteTransaction) -> Result<Vec<Naming>, DbErr> {
        let mut lock = Query::select();
        lock.column(C::ContactNumber)
            .from(Names)
            .and_where(C::ContactNumber.is_in(self.contacts()))
            .order_by(C::ContactNumber, sea_orm::Order::Asc);
        sql::lock_rows(&mut lock, db);
        db.query_all(&lock).await?;
        let outcomes = self.outcomes(names_of(db, self.contacts()).await?);
        let writes = |naming: &Naming| {
            matches!(naming.outcome, NamingOutcome::Added | NamingOutcome::Changed)
        };
        let written = self.names.iter().zip(&outcomes).filter(|(_, naming)| writes(naming));
        // In the same order on every server, so that two of them do not deadlock.
        let mut rows: Vec<_> = written.map(|(named, _)| named).collect();
        rows.sort_by_key(|(contact, _)| contact.as_str());
        let rows = rows.into_iter().map(|(contact, name)| {
            let folded = name.folded();
            [contact.as_str().into(), name.as_str().into(), folded.into(), micros(self.at).into()]
        });
        let columns = &["contact_number", "name", "folded_name", "named_at"];
        let rows: Vec<_> = rows.collect();
        let insert = BulkInsert::new("contact_names", columns, rows);
        let insert = insert.on_conflict(if self.replace { NEWEST_WINS } else { FIRST_WINS });
        sql::run_all(db, vec![insert]).await?;
        if self.replace {
            return Ok(outcomes);
        }
        // Another server may have named one of them in between.
        let now = names_of(db, self.contacts()).await?;
        Ok(outcomes.into_iter().map(|naming| settled(naming, &now)).collect())
    }
}

/// What became of a contact that now has one of some names.
fn settled(naming: Naming, now: &HashMap<String, String>) -> Naming {
    let stored = now.get(naming.contact_number.as_str());
    match stored.filter(|stored| **stored != naming.contact_name) {
        Some(stored) if naming.outcome == NamingOutcome::Added => {
            let previous_name = Some(stored.clone());
            Naming { outcome: NamingOutcome::Conflict, previous_name, ..naming }
        }
        _ => naming,
    }
}

#[derive(Debug)]
struct RemoveName {
    contact: String,
    /// Only a name that was given at this time or before; in microseconds.
    until: Option<i64>,
}

impl Settlement for RemoveName {
    type Output = ();

    async fn write(&self, db: &WriteTransaction) -> Result<(), DbErr> {
        let mut removal = Names::delete_by_id(&self.contact);
        if let Some(until) = self.until {
            removal = removal.filter(C::NamedAt.lte(until));
        }
        removal.exec(db).await.map(drop)
    }
}
