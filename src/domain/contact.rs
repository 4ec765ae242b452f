//! Contacts and their names: what may be a name, how names are compared, and whom a message is to go to.

use std::fmt::{self, Write};
use std::str::FromStr;

use caseless::Caseless;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::cursor::BadCursor;
use super::phone::NumberError;
use super::text::{is_blank, is_format};
use super::{PhoneNumber, Selector, Timestamp};
use crate::error::{Code, Error};

/// The most characters of a name.
pub const LONGEST_NAME: usize = 200;
/// A contact and its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Contact {
    /// The contact's number.
    pub contact_number: PhoneNumber,
    /// Its name; null if it has none.
    pub contact_name: Option<String>,
    /// When it was given that name; null if it has none.
    pub named_at: Option<Timestamp>,
}

/// A name that a contact may have: in NFC, without white space at its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactName(String);

impl ContactName {
    /// Checks a name as it was typed, or read from a file.
    ///
    /// # Errors
    /// `invalid_request` if it is empty or too long, has a control character, or reads as a phone number
    /// or an id: a number always means the number.
    pub fn parse(typed: &str) -> Result<Self, Error> {
        let name: String = Selector::new(typed).as_str().nfc().collect();
        if is_blank(&name) {
            return Err(Error::invalid("the name is empty"));
        }
        if name.chars().count() > LONGEST_NAME {
            return Err(Error::invalid(format!("a name has at most {LONGEST_NAME} characters")));
        }
        if name.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
            return Err(Error::invalid("a name is one line without control characters"));
        }
        match Recipient::parse(&name) {
            Ok(Recipient::Named(selector)) if selector.id().is_none() => Ok(Self(name)),
            _ => Err(Error::invalid(format!(
                "'{name}' cannot be a name: it reads as a number or an id"
            ))
            .hint("a name has a letter, so that a number always means the number")),
        }
    }

    /// The name as it is stored and shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as it is compared.
    #[must_use]
    pub fn folded(&self) -> String {
        fold(&self.0)
    }
}

/// A text as names are compared: without regard to letter case, invisible characters, and how much white
/// space there is between words. It is computed here and stored, so that every database compares alike.
#[must_use]
pub fn fold(text: &str) -> String {
    let visible = text.nfd().filter(|c| !is_format(*c));
    // Folding the case can compose again, and decomposing can uncover another capital letter.
    let once: String = visible.default_case_fold().collect();
    let twice: String = once.nfd().default_case_fold().nfc().collect();
    twice.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whom a message is to go to, as far as what was typed says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// The contact with this number.
    Number(PhoneNumber),
    /// The contact with this name, or that of the conversation with this id.
    Named(Selector),
}

impl Recipient {
    /// Tells a number from what may be a name or an id.
    ///
    /// # Errors
    /// `invalid_number` for what looks like a number but is not a valid one.
    pub fn parse(typed: &str) -> Result<Self, NumberError> {
        let selector = Selector::new(typed);
        if selector.id().is_some() {
            return Ok(Self::Named(selector));
        }
        match PhoneNumber::parse(typed) {
            Ok(number) => Ok(Self::Number(number)),
            Err(NumberError::Character(..)) if !is_meant_as_number(selector.as_str()) => {
                Ok(Self::Named(selector))
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether a text begins as only numbers do: a mistyped number is not looked up as a name.
fn is_meant_as_number(text: &str) -> bool {
    let digit = text.strip_prefix('+').and_then(|rest| rest.trim_start().chars().next());
    digit.is_some_and(char::is_numeric)
}

/// Which named contacts to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactFilter {
    /// Only contacts whose name has this part, without regard to letter case.
    pub part: Option<String>,
}

impl ContactFilter {
    /// The same as query parameters of the API.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        self.part.iter().map(|part| ("name", part.clone())).collect()
    }
}

/// A position in the list of named contacts, which is ordered by name and number. Its text form is opaque
/// to callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactCursor {
    /// The name as it is compared.
    pub folded: String,
    /// The contact's number.
    pub number: String,
}

impl ContactCursor {
    /// The position of a named contact.
    #[must_use]
    pub fn of(contact: &Contact) -> Self {
        let name = contact.contact_name.as_deref().unwrap_or_default();
        Self { folded: fold(name), number: contact.contact_number.as_str().to_owned() }
    }
}

impl fmt::Display for ContactCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.bytes().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_char('_')?;
        self.folded.bytes().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for ContactCursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let (number, folded) = text.split_once('_').ok_or(BadCursor)?;
        Ok(Self { folded: from_hex(folded)?, number: from_hex(number)? })
    }
}

fn from_hex(digits: &str) -> Result<String, BadCursor> {
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) || !digits.len().is_multiple_of(2) {
        return Err(BadCursor);
    }
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| BadCursor);
    let bytes = (0..digits.len()).step_by(2).map(byte).collect::<Result<Vec<u8>, _>>()?;
    let text = String::from_utf8(bytes).map_err(|_| BadCursor)?;
    if text.contains('\0') { Err(BadCursor) } else { Ok(text) }
}

/// The error for a name, or a part of one, that several contacts have.
pub(crate) fn ambiguous_name(typed: &str, meant: &[Contact]) -> Error {
    Error::new(Code::AmbiguousName, format!("'{typed}' matches several contacts"))
        .hint(format!("name one of them by its number: {}", listed(meant)))
}

/// The error where a whole name is needed, and only a part of one, or of an id, was given.
pub(crate) fn only_a_part(typed: &str, meant: &[Contact]) -> Error {
    Error::new(Code::AmbiguousName, format!("'{typed}' is only a part of a name or an id"))
        .hint(format!("give the whole name, or the number: {}", listed(meant)))
}

/// The error for what is neither the name of a contact nor a number.
pub(crate) fn nobody(typed: &str) -> Error {
    let shown: String = typed.chars().take(LONGEST_NAME).collect();
    let what = format!("no contact is named '{shown}', and it is not a phone number");
    Error::new(Code::InvalidNumber, what)
        .hint("`convo contact list` shows the names; a number looks like +12125551234")
}

/// Contacts as hints list them: name and number.
fn listed(contacts: &[Contact]) -> String {
    let shown = contacts.iter().map(|contact| match &contact.contact_name {
        Some(name) => format!("{name} ({})", contact.contact_number),
        None => contact.contact_number.to_string(),
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(typed: &str) -> Option<String> {
        ContactName::parse(typed).ok().map(|name| name.0)
    }

    #[test]
    fn a_name_is_trimmed_and_composed() {
        assert_eq!(named("  Ada Lovelace\t").as_deref(), Some("Ada Lovelace"));
        assert_eq!(named("Jose\u{301}").as_deref(), Some("Jos\u{e9}"));
        assert_eq!(named("\u{202a}Ada\u{202c}").as_deref(), Some("Ada"));
        assert_eq!(named("Agent 007").as_deref(), Some("Agent 007"));
        assert_eq!(named("王").as_deref(), Some("王"));
        assert!(named(&"é".repeat(LONGEST_NAME)).is_some());
    }

    #[test]
    fn what_reads_as_a_number_or_an_id_is_not_a_name() {
        let id = "b2c3d4e5-6f70-4819-a2b3-c4d5e6f70819";
        for typed in
            ["+12125551234", "+1212555123x", "212 555-1234", "72975", "٠١٢٣٤٥٦", "-", ".", "..", id]
        {
            assert_eq!(named(typed), None, "{typed}");
        }
        assert_eq!(named(&id.replace('-', "").to_uppercase()), None);
        for typed in ["", " ", "\u{200b}", "a\nb", "a\0b", "a\u{1b}[2J", "a\u{2028}b"] {
            assert_eq!(named(typed), None, "{typed:?}");
        }
        assert_eq!(named(&"x".repeat(LONGEST_NAME + 1)), None);
    }

    #[test]
    fn names_are_compared_without_regard_to_case_and_invisible_characters() {
        for (one, other) in [
            ("ADA", "ada"),
            ("Straße", "STRASSE"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("Jose\u{301}", "JOS\u{c9}"),
            ("Ada  Lovelace", "ada\u{a0}lovelace"),
            ("A\u{200d}da", "ada"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} {other}");
        }
        assert_ne!(fold("Ada"), fold("Adá"));
    }

    #[test]
    fn a_number_is_told_from_a_name() {
        let parse = |typed| Recipient::parse(typed);
        let number = PhoneNumber::from_stored("+12125551234".to_owned());
        assert_eq!(parse("+1 (212) 555-1234"), Ok(Recipient::Number(number)));
        assert_eq!(parse(" Ada "), Ok(Recipient::Named(Selector::new("Ada"))));
        assert!(matches!(parse("2125551234"), Err(NumberError::NoCountryCode { .. })));
        assert!(matches!(parse(""), Err(NumberError::Empty)));
        let id = "b2c3d4e56f704819a2b3c4d5e6f70819";
        assert_eq!(parse(id), Ok(Recipient::Named(Selector::new(id))));
    }

    #[test]
    fn other_text_is_not_a_position() {
        for text in ["", "6", "_6", "61_6g", "61_é", "ff_61", "61_00"] {
            assert_eq!(text.parse::<ContactCursor>(), Err(BadCursor), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_name_is_taken_for_a_number_and_each_names_its_contact(typed in any::<String>()) {
            let Ok(name) = ContactName::parse(&typed) else { return Ok(()) };
            prop_assert_eq!(Selector::new(name.as_str()).name(), Some(name.folded()));
            prop_assert_eq!(named(name.as_str()), Some(name.as_str().to_owned()));
        }

        #[test]
        fn folding_twice_changes_nothing(text in any::<String>()) {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }

        #[test]
        fn a_position_survives_its_text_form(folded in "[^\\x00]{0,20}", number in "[^\\x00]{0,20}") {
            let cursor = ContactCursor { folded, number };
            prop_assert_eq!(cursor.to_string().parse::<ContactCursor>(), Ok(cursor));
        }
    }
}
