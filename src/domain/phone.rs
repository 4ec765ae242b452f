//! Phone numbers, judged by shape and length alone: whether one is assigned is Telnyx's to say.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Digits in an E.164 number: at most 15 (ITU-T E.164); nobody has fewer than 7.
const E164_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// Digits in a short code.
const SHORT_CODE_DIGITS: std::ops::RangeInclusive<usize> = 5..=6;
/// Characters in an alphanumeric sender.
const ALPHANUMERIC_LENGTH: std::ops::RangeInclusive<usize> = 1..=11;
/// Longest address taken from a webhook; anything longer is no address at all.
const LONGEST_ADDRESS: usize = 64;

/// One end of a message: an E.164 number (`+12125551234`), a short code (`72975`) or an
/// alphanumeric sender (`ACME`).
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct PhoneNumber(String);

/// Why what a person typed is not a number to write to, with what to type instead where that can
/// be guessed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NumberError {
    /// Nothing, or only separators.
    #[error("the phone number is empty")]
    Empty,
    /// A letter or sign that no number has.
    #[error("'{0}' is not a phone number: it contains {1:?}")]
    Character(String, char),
    /// Digits, but no `+` and country code in front of them.
    #[error("'{typed}' has no country code")]
    NoCountryCode {
        /// What was typed.
        typed: String,
        /// The number that was probably meant.
        proposal: String,
    },
    /// A `+` followed by too few or too many digits.
    #[error("'{0}' has {1} digits after the plus; a number has 7 to 15 including its country code")]
    Length(String, usize),
    /// A `+0…`: no country code begins with zero.
    #[error("'{0}' has no country code after the plus: none begins with 0")]
    LeadingZero(String),
    /// An alphanumeric sender that is too long or has a forbidden character.
    #[error(
        "'{0}' is neither a number nor an alphanumeric sender (1 to 11 letters, digits and spaces)"
    )]
    Sender(String),
}

impl NumberError {
    /// What to do next, as one sentence without its first word capitalised.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoCountryCode { proposal, .. } => {
                format!("write it with its country code, for example {proposal}")
            }
            _ => "write it in E.164 form, for example +12125551234".to_owned(),
        }
    }
}

impl PhoneNumber {
    /// Understands a recipient as people write it: `+1 (212) 555-1234`, `+44 (0)20 7946 0958`, or
    /// a short code of 5 or 6 digits.
    ///
    /// # Errors
    /// [`NumberError`] when it is not a number, or one without its country code.
    pub fn parse(typed: &str) -> Result<Self, NumberError> {
        let digits = strip_separators(typed)?;
        match digits.strip_prefix('+') {
            Some(rest) => e164(typed, rest),
            None if digits.is_empty() => Err(NumberError::Empty),
            None if SHORT_CODE_DIGITS.contains(&digits.len()) => Ok(Self(digits)),
            None => Err(NumberError::NoCountryCode {
                typed: typed.trim().to_owned(),
                proposal: propose(&digits),
            }),
        }
    }

    /// Understands a sender: as [`parse`](Self::parse), or an alphanumeric sender with at least
    /// one letter, kept as it is.
    ///
    /// # Errors
    /// [`NumberError`] when it is neither.
    pub fn parse_sender(typed: &str) -> Result<Self, NumberError> {
        let trimmed = typed.trim();
        if !trimmed.chars().any(|c| c.is_ascii_alphabetic()) {
            return Self::parse(typed);
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == ' ';
        if ALPHANUMERIC_LENGTH.contains(&trimmed.chars().count()) && trimmed.chars().all(allowed) {
            Ok(Self(trimmed.to_owned()))
        } else {
            Err(NumberError::Sender(trimmed.to_owned()))
        }
    }

    /// Takes an address from a webhook as it comes: an E.164 number in any writing is normalised,
    /// anything else is kept, because a message must find a thread even when its sender's number
    /// has a shape that E.164 does not allow. `None` when there is no usable address at all.
    #[must_use]
    pub fn from_wire(raw: &str) -> Option<Self> {
        let raw = raw.trim();
        if raw.is_empty() || raw.len() > LONGEST_ADDRESS || raw.contains(char::is_control) {
            return None;
        }
        Some(Self::parse(raw).unwrap_or_else(|_| Self(raw.to_owned())))
    }

    /// Takes a number that was stored before, without judging it again.
    #[must_use]
    pub fn from_stored(stored: String) -> Self {
        Self(stored)
    }

    /// The number as it is kept and sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number with all but its last two digits hidden, for logs: `+*********34`.
    #[must_use]
    pub fn masked(&self) -> String {
        let shown = self.0.chars().count().saturating_sub(2);
        let hide = |(at, c): (usize, char)| if at < shown && c != '+' { '*' } else { c };
        self.0.chars().enumerate().map(hide).collect()
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What remains of a typed number: digits, perhaps behind one plus.
fn strip_separators(typed: &str) -> Result<String, NumberError> {
    // People write the trunk zero that is left out from abroad as "(0)".
    let typed = typed.trim();
    let plain = if typed.starts_with('+') { typed.replace("(0)", "") } else { typed.to_owned() };
    let mut digits = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c {
            '0'..='9' => digits.push(c),
            '+' if digits.is_empty() => digits.push(c),
            '-' | '.' | '(' | ')' | '/' | '\u{2010}'..='\u{2013}' => {}
            c if c.is_whitespace() => {}
            c => return Err(NumberError::Character(typed.to_owned(), c)),
        }
    }
    Ok(digits)
}

fn e164(typed: &str, digits: &str) -> Result<PhoneNumber, NumberError> {
    if digits.starts_with('0') {
        return Err(NumberError::LeadingZero(typed.trim().to_owned()));
    }
    if !E164_DIGITS.contains(&digits.len()) {
        return Err(NumberError::Length(typed.trim().to_owned(), digits.len()));
    }
    Ok(PhoneNumber(format!("+{digits}")))
}

/// The international number that digits without a plus most likely stand for.
fn propose(digits: &str) -> String {
    if let Some(international) = digits.strip_prefix("00").or_else(|| digits.strip_prefix("011")) {
        return format!("+{international}");
    }
    let area_code = !digits.starts_with(['0', '1']);
    match digits.len() {
        10 if area_code => format!("+1{digits}"),
        11 if digits.starts_with('1') => format!("+{digits}"),
        length if E164_DIGITS.contains(&length) && area_code => format!("+{digits}"),
        _ => "+12125551234".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usual_writings_are_understood() {
        for (typed, kept) in [
            ("+12125551234", "+12125551234"),
            ("+1 (212) 555-1234", "+12125551234"),
            (" +1.212.555.1234 ", "+12125551234"),
            ("+44 (0)20 7946 0958", "+442079460958"),
            ("+49\u{a0}30\u{2011}901820", "+4930901820"),
            ("72975", "72975"),
            ("729 756", "729756"),
        ] {
            assert_eq!(PhoneNumber::parse(typed).map(|n| n.0), Ok(kept.to_owned()), "{typed}");
        }
    }

    #[test]
    fn a_missing_country_code_gets_a_proposal() {
        for (typed, meant) in [
            ("2125551234", "+12125551234"),
            ("(212) 555-1234", "+12125551234"),
            ("12125551234", "+12125551234"),
            ("0044 20 7946 0958", "+442079460958"),
            ("011442079460958", "+442079460958"),
            ("442079460958", "+442079460958"),
        ] {
            let error = PhoneNumber::parse(typed).expect_err(typed);
            assert!(error.hint().ends_with(meant), "{typed}: {}", error.hint());
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for typed in [
            "",
            " ",
            "+",
            "+12",
            "+1234567890123456",
            "+0123456789",
            "hello",
            "1234",
            "++1212",
            "+1212555123a",
            "+1 212 555 1234 x5",
            "+1212\u{0}5551234",
        ] {
            assert!(PhoneNumber::parse(typed).is_err(), "{typed:?}");
        }
    }

    #[test]
    fn senders_may_be_words() {
        assert!(PhoneNumber::parse_sender("ACME 24").is_ok());
        assert!(PhoneNumber::parse_sender("+15551234567").is_ok());
        for typed in ["ACME-Support", "ACME Support Line", "Æ", "2125551234"] {
            assert!(PhoneNumber::parse_sender(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn a_webhooks_address_is_kept_whatever_its_shape() {
        let kept = |raw| PhoneNumber::from_wire(raw).map(|n| n.0);
        assert_eq!(kept("+1 212 555 1234").as_deref(), Some("+12125551234"));
        assert_eq!(kept("+12345678901234567890").as_deref(), Some("+12345678901234567890"));
        assert_eq!(kept("2125551234").as_deref(), Some("2125551234"));
        assert_eq!(kept("  "), None);
        assert_eq!(kept("+1212\u{0}"), None);
        assert_eq!(kept(&"9".repeat(65)), None);
    }

    #[test]
    fn logs_see_two_digits() {
        let number = PhoneNumber::parse("+12125551234").expect("a number");
        assert_eq!(number.masked(), "+*********34");
    }

    proptest! {
        #[test]
        fn any_input_is_judged_without_panic(typed in "\\PC{0,40}") {
            if let Ok(number) = PhoneNumber::parse(&typed) {
                prop_assert_eq!(PhoneNumber::parse(number.as_str()), Ok(number));
            }
        }

        #[test]
        fn e164_is_its_own_normal_form(digits in "[1-9][0-9]{6,14}") {
            let number = format!("+{digits}");
            prop_assert_eq!(PhoneNumber::parse(&number).map(|n| n.0), Ok(number));
        }
    }
}
