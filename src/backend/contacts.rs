//! Contacts and their names, here or at a server.

use super::Backend;
use crate::domain::naming::{NamesRequest, Naming};
use crate::domain::{
    Contact, ContactCursor, ContactFilter, ContactName, Page, PhoneNumber, Recipient, Selector,
};
use crate::error::Error;

impl Backend {
    /// Whom a message is to go to. A name is looked up, a number is not.
    ///
    /// # Errors
    /// `ambiguous_name` if several contacts have the name, or it is only a part of one; `invalid_number` if
    /// nobody has it; `conversation_not_found` for an id.
    pub async fn recipient(&self, recipient: &Recipient) -> Result<PhoneNumber, Error> {
        match (recipient, self) {
            (Recipient::Number(number), _) => Ok(number.clone()),
            (recipient, Self::Local(conversations)) => conversations.recipient(recipient).await,
            (Recipient::Named(selector), Self::Remote(client)) => {
                let contact = client.contact(selector).await?.contact_number;
                Ok(PhoneNumber::parse(contact.as_str())?)
            }
        }
    }

    /// A page of the contacts that have a name, in the order of their names.
    ///
    /// # Errors
    /// The database or the server cannot be reached.
    pub async fn contacts(
        &self,
        filter: &ContactFilter,
        after: Option<&ContactCursor>,
        limit: u64,
    ) -> Result<Page<Contact, ContactCursor>, Error> {
        match self {
            Self::Local(conversations) => conversations.contacts(filter, after, limit).await,
            Self::Remote(client) => client.contacts(filter, after, limit).await,
        }
    }

    /// Gives a contact a name, or with `None` removes it. Returns the contact as it is then.
    ///
    /// # Errors
    /// No contact is meant, or several are.
    pub async fn name_contact(
        &self,
        selector: &Selector,
        name: Option<ContactName>,
    ) -> Result<Contact, Error> {
        match self {
            Self::Local(conversations) => conversations.name_contact(selector, name).await,
            Self::Remote(client) => client.name_contact(selector, name.as_ref()).await,
        }
    }

    /// Gives several contacts names, or only tells what would become of each.
    ///
    /// # Errors
    /// One of them cannot have its name; then none was given.
    pub async fn name_contacts(
        &self,
        request: &NamesRequest,
        is_dry: bool,
    ) -> Result<Vec<Naming>, Error> {
        match self {
            Self::Local(conversations) => conversations.name_contacts(request, is_dry).await,
            Self::Remote(client) => client.name_contacts(request, is_dry).await,
        }
    }
}
