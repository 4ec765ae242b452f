//! Names of contacts: which contact has a name, and the list of those that have one.

mod write;

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait, JoinType, LikeExpr};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Select,
};

use super::Store;
use super::db_error::OrTell;
use super::entity::{contact_name, conversation};
use super::sql::padded;
use crate::domain::contact::fold;
use crate::domain::{Contact, ContactCursor, ContactFilter, Conversation, Page, PhoneNumber};
use crate::error::Error;
use contact_name::{Column as C, Entity as Names};

pub(crate) use write::NameContacts;

/// How many contacts an ambiguous name is answered with.
const CANDIDATES: u64 = 6;
/// The character before one that has no meaning in a pattern of LIKE.
const ESCAPE: char = '\\';

impl Store {
    /// Some of the contacts that have a name, given as names are compared.
    ///
    /// # Errors
    /// `database_unavailable`, like the other methods here.
    pub(crate) async fn contacts_named(&self, name: &str) -> Result<Vec<Contact>, Error> {
        self.contacts_where(Names::find().filter(C::FoldedName.eq(name))).await
    }

    /// Some of the contacts whose names have a part, given as names are compared. It reads all names, of
    /// which there are not many.
    pub(crate) async fn contacts_named_in_part(&self, part: &str) -> Result<Vec<Contact>, Error> {
        self.contacts_where(Names::find().filter(has_part(part))).await
    }

    /// Those of them with whom there is a conversation.
    pub(crate) async fn correspondents_named_in_part(
        &self,
        part: &str,
    ) -> Result<Vec<Contact>, Error> {
        let is_same = Expr::col((conversation::Entity, conversation::Column::ContactNumber))
            .equals((Names, C::ContactNumber));
        let mut query = Names::find().filter(has_part(part));
        QuerySelect::query(&mut query).join(JoinType::InnerJoin, conversation::Entity, is_same);
        self.contacts_where(query).await
    }

    async fn contacts_where(&self, query: Select<Names>) -> Result<Vec<Contact>, Error> {
        let query = query.order_by_asc(C::FoldedName).order_by_asc(C::ContactNumber);
        let rows = query.limit(CANDIDATES).all(&self.reader).await.or_tell()?;
        Ok(rows.into_iter().map(Contact::from).collect())
    }

    /// A contact with its name, if it has one.
    pub(crate) async fn contact(&self, number: &PhoneNumber) -> Result<Contact, Error> {
        let row = Names::find_by_id(number.as_str()).one(&self.reader).await.or_tell()?;
        let nameless =
            Contact { contact_number: number.clone(), contact_name: None, named_at: None };
        Ok(row.map_or(nameless, Contact::from))
    }

    /// A page of the contacts that have a name, in the order of their names, after a position.
    pub(crate) async fn contacts(
        &self,
        filter: &ContactFilter,
        after: Option<&ContactCursor>,
        limit: u64,
    ) -> Result<Page<Contact, ContactCursor>, Error> {
        let mut query = Names::find();
        if let Some(part) = &filter.part {
            query = query.filter(has_part(&fold(part)));
        }
        if let Some(after) = after {
            let place = Expr::tuple([C::FoldedName.into_expr(), C::ContactNumber.into_expr()]);
            let last = Expr::tuple([after.folded.as_str().into(), after.number.as_str().into()]);
            query = query.filter(place.gt(last));
        }
        // One row more than asked for shows whether there is a next page.
        let query = query.order_by_asc(C::FoldedName).order_by_asc(C::ContactNumber);
        let query = query.limit(limit.saturating_add(1));
        let mut rows = query.all(&self.reader).await.or_tell()?;
        let is_all = rows.len() as u64 <= limit;
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let rows: Vec<_> = rows.into_iter().map(Contact::from).collect();
        let next = rows.last().filter(|_| !is_all).map(ContactCursor::of);
        Ok(Page { rows, next })
    }

    /// The names of those of some contacts that have one, by their numbers.
    pub(crate) async fn names<'a>(
        &self,
        contacts: impl Iterator<Item = &'a PhoneNumber>,
    ) -> Result<HashMap<String, String>, Error> {
        names_of(&self.reader, contacts.map(PhoneNumber::as_str)).await.or_tell()
    }

    /// Adds the contacts' names to some conversations.
    pub(super) async fn add_names(&self, conversations: &mut [Conversation]) -> Result<(), DbErr> {
        let contacts = conversations.iter().map(|row| row.contact_number.as_str());
        let mut names = names_of(&self.reader, contacts).await?;
        for row in conversations {
            row.contact_name = names.remove(row.contact_number.as_str());
        }
        Ok(())
    }
}

/// The names of those of some contacts that have one, by their numbers, in one statement.
pub(super) async fn names_of(
    db: &impl ConnectionTrait,
    contacts: impl Iterator<Item = &str>,
) -> Result<HashMap<String, String>, DbErr> {
    let mut contacts: Vec<&str> = contacts.collect();
    contacts.sort_unstable();
    contacts.dedup();
    let Some(last) = contacts.last().copied() else { return Ok(HashMap::new()) };
    // Few numbers of contacts make few statements to prepare and cache.
    contacts.resize(padded(contacts.len()), last);
    let rows: Vec<(String, String)> = Names::find()
        .select_only()
        .columns([C::ContactNumber, C::Name])
        .filter(C::ContactNumber.is_in(contacts))
        .into_tuple()
        .all(db)
        .await?;
    Ok(rows.into_iter().collect())
}

/// Whether a name has a part, given as names are compared.
fn has_part(part: &str) -> Condition {
    let mut pattern = "%".to_owned();
    for c in part.chars() {
        if matches!(c, '%' | '_' | ESCAPE) {
            pattern.push(ESCAPE);
        }
        pattern.push(c);
    }
    pattern.push('%');
    let like = LikeExpr::new(pattern).escape(ESCAPE);
    Condition::all().add(C::FoldedName.into_expr().like(like))
}
