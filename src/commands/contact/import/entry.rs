//! What a file says that a number is to be named.

use std::fmt;

use crate::domain::{ContactName, PhoneNumber};
use crate::error::Error;

/// One number in a file.
#[derive(Clone, Debug)]
pub(super) struct ImportEntry {
    /// The line that it is in, from 1.
    pub(super) line: u64,
    /// The contact and its name, or why it cannot be named.
    pub(super) named: Result<(PhoneNumber, ContactName), String>,
}

impl ImportEntry {
    /// Checks a number and a name as a file has them.
    pub(super) fn new(line: u64, number: &str, name: &str) -> Self {
        let parse =
            || -> Result<_, Error> { Ok((PhoneNumber::parse(number)?, ContactName::parse(name)?)) };
        Self { line, named: parse().map_err(|error| explained(&error)) }
    }

    /// What cannot be read.
    pub(super) fn refused(line: u64, why: &str) -> Self {
        Self { line, named: Err(why.to_owned()) }
    }
}

/// An error with its hint, on one line.
fn explained(error: &Error) -> String {
    let hint = error.hint_text().map(|hint| format!("; {hint}"));
    format!("{error}{}", hint.unwrap_or_default())
}

impl fmt::Display for ImportEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.named {
            Ok((number, name)) => write!(f, "{} {number} {}", self.line, name.as_str()),
            Err(why) => write!(f, "{} {why}", self.line),
        }
    }
}
