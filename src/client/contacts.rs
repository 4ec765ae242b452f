//! Contacts and their names, as a server has them.

use super::address::is_valid_segment;
use super::exchange::Exchange;
use super::{Client, next};
use crate::domain::contact::nobody;
use crate::domain::cursor::MAX_PAGE;
use crate::domain::naming::{NamesRequest, Naming};
use crate::domain::{
    Contact, ContactCursor, ContactFilter, ContactName, Page, Recipient, Selector,
};
use crate::error::Error;

impl Client {
    /// A page of the contacts that have a name, of at most `limit` after a position.
    ///
    /// # Errors
    /// The server's; `server_unreachable` or `server_mismatch`, as for the other methods here.
    pub async fn contacts(
        &self,
        filter: &ContactFilter,
        after: Option<&ContactCursor>,
        limit: u64,
    ) -> Result<Page<Contact, ContactCursor>, Error> {
        let mut query = filter.parameters();
        query.push(("limit", limit.min(MAX_PAGE).to_string()));
        query.extend(after.map(|cursor| ("after", cursor.to_string())));
        let exchange = Exchange::read(self.address.as_str());
        let request = self.http.get(self.address.join(&["contacts"])).query(&query);
        let (headers, rows) = exchange.run(request).await?;
        let next = next(&exchange, &headers, "after")?;
        Ok(Page { rows, next })
    }

    /// The contact with a number, a whole name or a whole id.
    ///
    /// # Errors
    /// `conversation_not_found`, `ambiguous_name`, `invalid_number`.
    pub async fn contact(&self, selector: &Selector) -> Result<Contact, Error> {
        self.read(&["contacts", segment(selector)?], &[]).await
    }

    /// Gives a contact a name, or with `None` removes it.
    ///
    /// # Errors
    /// `conversation_not_found`, `ambiguous_name`, `invalid_number`.
    pub async fn name_contact(
        &self,
        selector: &Selector,
        name: Option<&ContactName>,
    ) -> Result<Contact, Error> {
        let url = self.address.join(&["conversations", segment(selector)?, "name"]);
        let request = match name {
            Some(name) => self.http.put(url).json(&serde_json::json!({ "name": name.as_str() })),
            None => self.http.delete(url),
        };
        self.run(request).await
    }

    /// Gives several contacts names, or only tells what would become of each.
    ///
    /// # Errors
    /// `invalid_number`, `invalid_request`.
    pub async fn name_contacts(
        &self,
        request: &NamesRequest,
        is_dry: bool,
    ) -> Result<Vec<Naming>, Error> {
        let query: &[_] = if is_dry { &[("dry_run", "true")] } else { &[] };
        let put = self.http.put(self.address.join(&["contacts"]));
        self.run(put.query(query).json(request)).await
    }
}

/// What names a contact, as a segment of a path.
fn segment(selector: &Selector) -> Result<&str, Error> {
    let typed = selector.as_str();
    if is_valid_segment(typed) {
        return Ok(typed);
    }
    Recipient::parse(typed)?;
    Err(nobody(typed))
}
