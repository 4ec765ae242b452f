//! Names of contacts: whom a number, a name, an id or a part of one means, and giving names.
//!
//! A number always means the number, and a whole name or id beats a part. What reads may be given an
//! unambiguous part; what sends or destroys wants the whole.

use super::Conversations;
use crate::clock;
use crate::domain::contact::{ContactName, ambiguous_name, nobody, only_a_part};
use crate::domain::conversation::{self, SHORTEST_FRAGMENT, ambiguous_id};
use crate::domain::naming::{NamesRequest, Naming};
use crate::domain::phone::NumberError;
use crate::domain::{
    Contact, ContactCursor, ContactFilter, Conversation, Page, PhoneNumber, Recipient, Selector,
};
use crate::error::Error;
use crate::store::names::NameContacts;

/// The longest name for which the hint proposes a country code.
const LONGEST_PROPOSAL: usize = 40;

impl Conversations {
    /// The conversation that a user named: by number, name, id, or an unambiguous part of a name or of an id.
    ///
    /// # Errors
    /// `conversation_not_found`; `ambiguous_name` or `ambiguous_id` naming the candidates.
    pub async fn find(&self, selector: &Selector) -> Result<Conversation, Error> {
        if let Some(found) = self.store.exactly(selector).await? {
            return Ok(found);
        }
        if let Some(contact) = self.with_whole_name(selector).await? {
            return self.conversation_with(&contact).await;
        }
        let named = match selector.name() {
            Some(part) => self.store.correspondents_named_in_part(&part).await?,
            None => Vec::new(),
        };
        let with_id = self.with_id_part(selector).await?;
        let typed = selector.as_str();
        match (&named[..], &with_id[..]) {
            ([], []) => Err(self.why_not_found(selector).await?),
            ([], [one]) => Ok(one.clone()),
            ([], several) => Err(ambiguous_id(typed, several)),
            (named, with_id) => match &together(named, with_id)[..] {
                [one] => self.conversation_with(one).await,
                several => Err(ambiguous_name(typed, several)),
            },
        }
    }

    /// The contact that is named for something that sends or destroys: by number, whole name or whole id.
    /// There need not be a conversation.
    ///
    /// # Errors
    /// `conversation_not_found` for an id; `ambiguous_name` if several contacts have the name, or it is only a
    /// part of one; `invalid_number` if it is neither a name nor a number.
    pub async fn whole_contact(&self, selector: &Selector) -> Result<PhoneNumber, Error> {
        if let Some(contact) = self.whole(selector).await? {
            return Ok(contact);
        }
        let meant = self.with_part(selector).await?;
        match meant.is_empty() {
            true => Err(nobody(selector.as_str())),
            false => Err(only_a_part(selector.as_str(), &meant)),
        }
    }

    /// Whom a message is to go to.
    ///
    /// # Errors
    /// As [`whole_contact`](Self::whole_contact); `invalid_number` if the contact has no number.
    pub async fn recipient(&self, recipient: &Recipient) -> Result<PhoneNumber, Error> {
        match recipient {
            Recipient::Number(number) => Ok(number.clone()),
            Recipient::Named(selector) => {
                let contact = self.whole_contact(selector).await?;
                Ok(PhoneNumber::parse(contact.as_str())?)
            }
        }
    }

    /// The contact that is named for something that neither sends nor destroys: also by an unambiguous part
    /// of a name or of an id. There need not be a conversation.
    async fn any_contact(&self, selector: &Selector) -> Result<PhoneNumber, Error> {
        if let Some(contact) = self.whole(selector).await? {
            return Ok(contact);
        }
        match &self.with_part(selector).await?[..] {
            [] => Err(nobody(selector.as_str())),
            [one] => Ok(one.contact_number.clone()),
            several => Err(ambiguous_name(selector.as_str(), several)),
        }
    }

    /// The contact with a number, a whole name or a whole id; `None` if nothing matches.
    async fn whole(&self, selector: &Selector) -> Result<Option<PhoneNumber>, Error> {
        let parsed = Recipient::parse(selector.as_str());
        if let Ok(Recipient::Number(number)) = parsed {
            return Ok(Some(number));
        }
        if let Some(found) = self.store.exactly(selector).await? {
            return Ok(Some(found.contact_number));
        }
        if selector.id().is_some() {
            return Err(conversation::not_found());
        }
        parsed?;
        let contact = self.with_whole_name(selector).await?;
        Ok(contact.map(|contact| contact.contact_number))
    }

    /// The contact with a whole name.
    async fn with_whole_name(&self, selector: &Selector) -> Result<Option<Contact>, Error> {
        let Some(name) = selector.name() else { return Ok(None) };
        let mut found = self.store.contacts_named(&name).await?;
        match found.len() {
            0 | 1 => Ok(found.pop()),
            _ => Err(ambiguous_name(selector.as_str(), &found)),
        }
    }

    /// The contacts that a part of a name or of an id may mean.
    async fn with_part(&self, selector: &Selector) -> Result<Vec<Contact>, Error> {
        let named = match selector.name() {
            Some(part) => self.store.contacts_named_in_part(&part).await?,
            None => Vec::new(),
        };
        Ok(together(&named, &self.with_id_part(selector).await?))
    }

    async fn with_id_part(&self, selector: &Selector) -> Result<Vec<Conversation>, Error> {
        match selector.fragment().filter(|_| selector.id().is_none()) {
            Some(fragment) => self.store.with_id_part(&fragment).await,
            None => Ok(Vec::new()),
        }
    }

    async fn conversation_with(&self, contact: &Contact) -> Result<Conversation, Error> {
        let number = Selector::new(contact.contact_number.as_str());
        let found = self.store.exactly(&number).await?;
        found.ok_or_else(|| without_conversation(contact))
    }

    async fn why_not_found(&self, selector: &Selector) -> Result<Error, Error> {
        if let [contact, ..] = &self.with_part(selector).await?[..] {
            return Ok(without_conversation(contact));
        }
        if selector.is_too_short() {
            return Ok(conversation::not_found().hint(format!(
                "use at least {SHORTEST_FRAGMENT} hex digits of an id; `convo list` shows eight"
            )));
        }
        Ok(match PhoneNumber::parse(selector.as_str()) {
            Err(error @ NumberError::NoCountryCode { .. })
                if selector.as_str().len() <= LONGEST_PROPOSAL =>
            {
                conversation::not_found().hint(error.hint())
            }
            _ => conversation::not_found(),
        })
    }

    /// A contact to filter by, with its number in place of its name or of an unambiguous part of that. What
    /// is no name stays as it is, so that a filter for a contact of whom nothing is known matches nothing.
    ///
    /// # Errors
    /// `ambiguous_name`, `database_unavailable`.
    pub(super) async fn without_name(
        &self,
        contact: Option<&Selector>,
    ) -> Result<Option<Selector>, Error> {
        let Some(selector) = contact else { return Ok(None) };
        let Some(part) = selector.name() else { return Ok(Some(selector.clone())) };
        if self.store.exactly(selector).await?.is_some() {
            return Ok(Some(selector.clone()));
        }
        let named = match self.with_whole_name(selector).await? {
            Some(contact) => vec![contact],
            None => self.store.contacts_named_in_part(&part).await?,
        };
        match &named[..] {
            [] => Ok(Some(selector.clone())),
            [one] => Ok(Some(Selector::new(one.contact_number.as_str()))),
            several => Err(ambiguous_name(selector.as_str(), several)),
        }
    }

    /// A contact with its name, named as for something that sends.
    ///
    /// # Errors
    /// As [`whole_contact`](Self::whole_contact).
    pub async fn contact(&self, selector: &Selector) -> Result<Contact, Error> {
        self.store.contact(&self.whole_contact(selector).await?).await
    }

    /// A page of the contacts that have a name, in the order of their names, after a position.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn contacts(
        &self,
        filter: &ContactFilter,
        after: Option<&ContactCursor>,
        limit: u64,
    ) -> Result<Page<Contact, ContactCursor>, Error> {
        self.store.contacts(filter, after, limit).await
    }

    /// Gives a contact a name, or with `None` removes it. Returns the contact as it is then.
    ///
    /// # Errors
    /// `conversation_not_found`, `ambiguous_name` or `invalid_number` if no contact is meant.
    pub async fn name_contact(
        &self,
        selector: &Selector,
        name: Option<ContactName>,
    ) -> Result<Contact, Error> {
        let contact = self.any_contact(selector).await?;
        match name {
            Some(name) => {
                let names = vec![(contact.clone(), name)];
                let naming = NameContacts { names, replace: true, at: clock::now() };
                self.store.name_contacts(naming).await?;
            }
            None => self.store.remove_name(&contact).await?,
        }
        self.store.contact(&contact).await
    }

    /// Gives several contacts names, or only tells what would become of each.
    ///
    /// # Errors
    /// `invalid_number` or `invalid_request` if one of them cannot have its name; then none was given.
    pub async fn name_contacts(
        &self,
        request: &NamesRequest,
        is_dry: bool,
    ) -> Result<Vec<Naming>, Error> {
        let names = request.check()?;
        let naming = NameContacts { names, replace: request.replace, at: clock::now() };
        match is_dry {
            true => self.store.rehearse_names(&naming).await,
            false => self.store.name_contacts(naming).await,
        }
    }
}

/// Contacts, and those of some conversations, each once.
fn together(contacts: &[Contact], conversations: &[Conversation]) -> Vec<Contact> {
    let mut all = contacts.to_vec();
    for conversation in conversations {
        if all.iter().all(|contact| contact.contact_number != conversation.contact_number) {
            all.push(Contact {
                contact_number: conversation.contact_number.clone(),
                contact_name: conversation.contact_name.clone(),
                named_at: None,
            });
        }
    }
    all
}

/// The error for a contact that has a name, but no conversation.
fn without_conversation(contact: &Contact) -> Error {
    let name = contact.contact_name.as_deref().unwrap_or_default();
    let number = &contact.contact_number;
    conversation::not_found().hint(format!("there are no messages with {name} ({number}) yet"))
}
