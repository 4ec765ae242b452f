//! Naming several contacts together: what is asked for, and what became of each.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ContactName, PhoneNumber};
use crate::error::Error;

/// The most contacts that one request may name.
pub const MAX_NAMED: usize = 500;

/// A contact to name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedContact {
    /// Its number, with country code, in any common notation.
    pub contact_number: String,
    /// The name that it is to have.
    pub contact_name: String,
}

/// The body of `PUT /contacts`: contacts to name together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "Contacts to name.")]
pub struct NamesRequest {
    /// The contacts, each once; at most 500.
    pub contacts: Vec<NamedContact>,
    /// Whether a contact that has another name gets the new one; otherwise it keeps its name.
    #[serde(default)]
    pub replace: bool,
}

/// What became of a contact that was to be named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Naming {
    /// The contact's number.
    pub contact_number: PhoneNumber,
    /// The name that it was to have.
    pub contact_name: String,
    /// What became of it.
    pub outcome: NamingOutcome,
    /// The name that it had; null if it had none.
    pub previous_name: Option<String>,
}

/// What became of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NamingOutcome {
    /// The contact had no name.
    Added,
    /// The contact had another name, which was replaced.
    Changed,
    /// The contact had this name.
    Known,
    /// The contact has another name, and keeps it.
    Conflict,
}

impl NamingOutcome {
    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Known => "known",
            Self::Conflict => "conflict",
        }
    }
}

impl NamesRequest {
    /// The contacts with their names.
    ///
    /// # Errors
    /// `invalid_number`, or `invalid_request` if there are too many, one is there twice, or a name cannot be
    /// one.
    pub fn check(&self) -> Result<Vec<(PhoneNumber, ContactName)>, Error> {
        if self.contacts.len() > MAX_NAMED {
            return Err(Error::invalid(format!("at most {MAX_NAMED} contacts are named at once")));
        }
        let mut seen = HashSet::new();
        let parse = |contact: &NamedContact| {
            let number = PhoneNumber::parse(&contact.contact_number)?;
            if !seen.insert(number.clone()) {
                return Err(Error::invalid(format!("{number} is there more than once")));
            }
            Ok((number, ContactName::parse(&contact.contact_name)?))
        };
        self.contacts.iter().map(parse).collect()
    }
}
