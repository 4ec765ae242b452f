//! Forgetting contacts, as a server does it.

use std::time::Duration;

use super::Client;
use super::address::is_valid_segment;
use crate::domain::{ForgetReceipt, ForgottenMarks, Selector, conversation};
use crate::error::Error;

/// A server looks at every webhook that it has stored.
const FORGET_TIMEOUT: Duration = Duration::from_secs(600);

impl Client {
    /// Removes everything that is about a contact, or only counts it.
    ///
    /// # Errors
    /// The server's; `server_unreachable` or `server_mismatch`, as for the other method here.
    pub async fn forget(&self, contact: &Selector, is_dry: bool) -> Result<ForgetReceipt, Error> {
        if !is_valid_segment(contact.as_str()) {
            return Err(conversation::not_found());
        }
        let request = self.http.delete(self.address.join(&["conversations", contact.as_str()]));
        let query: &[_] = if is_dry { &[("dry_run", "true")] } else { &[] };
        self.run(request.timeout(FORGET_TIMEOUT).query(query)).await
    }

    /// The marks of all contacts that were forgotten, with their key.
    ///
    /// # Errors
    /// The server's.
    pub async fn forgotten(&self) -> Result<ForgottenMarks, Error> {
        self.read(&["forgotten"], &[]).await
    }
}
