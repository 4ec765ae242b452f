//! The recipients of rows that have a name instead of a number.

use std::collections::HashMap;

use super::rows::{BadRow, BatchLine, RowReader, UnaddressedRow, reason};
use crate::backend::Backend;
use crate::domain::{PhoneNumber, Recipient, Selector};
use crate::error::{Code, Error};

/// Looks names up, each once: whom a name meant when the file was checked is who gets the text.
pub(super) struct Recipients<'a> {
    pub(super) backend: &'a Backend,
    known: HashMap<String, Result<PhoneNumber, String>>,
}

impl<'a> Recipients<'a> {
    pub(super) fn new(backend: &'a Backend) -> Self {
        Self { backend, known: HashMap::new() }
    }

    /// Completes a row with the number of its recipient.
    ///
    /// # Errors
    /// The database or the server cannot be reached.
    pub(super) async fn address(
        &mut self,
        row: UnaddressedRow,
        reader: &mut RowReader<'_>,
    ) -> Result<Result<BatchLine, BadRow>, Error> {
        let number = match row.recipient() {
            Ok(Recipient::Number(number)) => Ok(number),
            Ok(Recipient::Named(name)) => self.named(name).await?,
            Err(bad) => return Ok(Err(bad)),
        };
        Ok(match number {
            Ok(number) => reader.address(row, &number),
            Err(why) => Err(BadRow { line: row.line, why }),
        })
    }

    /// The number of the contact with a name, or why there is none.
    async fn named(&mut self, name: Selector) -> Result<Result<PhoneNumber, String>, Error> {
        if let Some(known) = self.known.get(name.as_str()) {
            return Ok(known.clone());
        }
        let found = match self.backend.recipient(&Recipient::Named(name.clone())).await {
            Ok(number) => Ok(number),
            Err(error) if is_about_the_name(error.code()) => Err(reason(&error)),
            Err(error) => return Err(error),
        };
        self.known.insert(name.as_str().to_owned(), found.clone());
        Ok(found)
    }
}

fn is_about_the_name(code: Code) -> bool {
    matches!(
        code,
        Code::AmbiguousName
            | Code::AmbiguousId
            | Code::ConversationNotFound
            | Code::InvalidNumber
            | Code::InvalidRequest
    )
}
