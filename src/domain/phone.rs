//! Phone numbers, validated by format and length only; whether one is assigned, Telnyx decides.

use std::fmt;

use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::text::is_format;
use crate::error::{Code, Error};

/// Digits in an E.164 number: at most 15 (ITU-T E.164), and no country has fewer than 7.
const E164_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// Digits in a short code: 5 or 6 in most countries, as few as 3 in some.
const SHORT_CODE_DIGITS: std::ops::RangeInclusive<usize> = 3..=6;
/// Characters in an alphanumeric sender.
const ALPHANUMERIC_LENGTH: std::ops::RangeInclusive<usize> = 1..=11;
/// The most bytes stored of an address: a PostgreSQL index entry cannot exceed about 2,700.
const LONGEST_ADDRESS: usize = 1_000;
/// How much is stored of a longer address, together with a hash of the whole.
const KEPT_PREFIX: usize = 900;

/// The sender or recipient of a message: an E.164 number (`+12125551234`), a short code (`72975`),
/// an alphanumeric sender (`ACME`), or any other identifier from a webhook.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct PhoneNumber(String);

/// Why a typed number is invalid, with a proposal where the intended number can be guessed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// It is empty, or has only separators.
    #[error("the phone number is empty")]
    Empty,
    /// A character that phone numbers do not contain.
    #[error("'{0}' is not a phone number: it contains {1:?}")]
    Character(String, char),
    /// Digits without a `+` and country code.
    #[error("'{typed}' has no country code")]
    NoCountryCode {
        /// What was typed.
        typed: String,
        /// The number that was probably intended, if there is a plausible one.
        proposal: Option<String>,
    },
    /// A `+` followed by too few or too many digits.
    #[error("'{0}' has {1} digits after the plus; a number has 7 to 15 including its country code")]
    Length(String, usize),
    /// A `+0…`: no country code begins with zero.
    #[error("'{0}' has no country code after the plus: country codes do not begin with 0")]
    LeadingZero(String),
    /// An alphanumeric sender that is too long or has a forbidden character.
    #[error(
        "'{0}' is neither a number nor an alphanumeric sender (1 to 11 letters, digits and spaces)"
    )]
    Sender(String),
}

impl NumberError {
    /// What to do next, in lower case.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoCountryCode { proposal: Some(proposal), .. } => {
                format!("write it with its country code, for example {proposal}")
            }
            Self::NoCountryCode { proposal: None, .. } => {
                "write it with a plus and its country code".to_owned()
            }
            _ => "write it in E.164 form, for example +12125551234".to_owned(),
        }
    }
}

impl From<NumberError> for Error {
    fn from(error: NumberError) -> Self {
        Self::new(Code::InvalidNumber, error.to_string()).hint(error.hint())
    }
}

impl PhoneNumber {
    /// Parses a recipient as people write it: `+1 (212) 555-1234`, `+44 (0)20 7946 0958`, or a
    /// short code.
    ///
    /// # Errors
    /// [`NumberError`] when it is not a number, or has no country code.
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

    /// Parses a sender: as [`parse`](Self::parse), or an alphanumeric sender with at least one
    /// letter, which is kept as it is.
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

    /// Accepts an address from a webhook: an E.164 number in any notation is normalised, anything
    /// else (an e-mail address, a WhatsApp user id) is kept, because a message belongs to a
    /// conversation even when its sender is not a number. NUL and control characters become U+FFFD.
    /// An address too long for an index is replaced by its beginning and a hash. `None` when it is
    /// empty.
    #[must_use]
    pub fn from_wire(raw: &str) -> Option<Self> {
        let raw = raw.trim();
        if raw.is_empty() {
            return None;
        }
        if let Ok(number) = Self::parse(raw) {
            return Some(number);
        }
        let kept = raw.replace(char::is_control, "\u{fffd}");
        if kept.len() <= LONGEST_ADDRESS {
            return Some(Self(kept));
        }
        let prefix = &kept[..kept.floor_char_boundary(KEPT_PREFIX)];
        let hash = Sha256::digest(kept.as_bytes());
        let hash: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Some(Self(format!("{prefix}…{hash}")))
    }

    /// Wraps a number that was validated when it was stored.
    #[must_use]
    pub fn from_stored(stored: String) -> Self {
        Self(stored)
    }

    /// The number as it is stored and sent.
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

/// The digits of a typed number, after a plus if it begins with one.
fn strip_separators(typed: &str) -> Result<String, NumberError> {
    // The national trunk prefix, which is not dialled from abroad, is often written as "(0)".
    let typed = typed.trim_matches(|c: char| c.is_whitespace() || is_format(c));
    let plain = if typed.starts_with('+') { typed.replace("(0)", "") } else { typed.to_owned() };
    let mut digits = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c {
            '+' | '\u{ff0b}' | '\u{fe62}' if digits.is_empty() => digits.push('+'),
            c if is_separator(c) => {}
            c => match decimal_digit(c) {
                Some(digit) => digits.push(digit),
                None => return Err(NumberError::Character(typed.to_owned(), c)),
            },
        }
    }
    Ok(digits)
}

/// Whether the character is used between or around digits by people or by programs that numbers are
/// copied from: punctuation, dashes, spaces, and invisible marks that prevent reordering.
fn is_separator(c: char) -> bool {
    matches!(
        c,
        '-' | '.' | '(' | ')' | '/' | '\u{2212}' | '\u{b7}' | '\u{ff08}' | '\u{ff09}' | '\u{ff0e}'
    ) || c.is_whitespace()
        || is_format(c)
        || CodePointMapData::<GeneralCategory>::new().get(c) == GeneralCategory::DashPunctuation
}

/// The ASCII digit for a decimal digit as keyboards for English, Arabic, Persian, Hindi and Japanese
/// produce it.
fn decimal_digit(c: char) -> Option<char> {
    let zeros = ['0', '\u{660}', '\u{6f0}', '\u{966}', '\u{ff10}'];
    let value = zeros
        .iter()
        .find_map(|zero| u32::from(c).checked_sub(u32::from(*zero)).filter(|value| *value < 10))?;
    char::from_digit(value, 10)
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

/// The international number that digits without a plus most likely mean, if there is a plausible one.
fn propose(digits: &str) -> Option<String> {
    if let Some(international) = digits.strip_prefix("00").or_else(|| digits.strip_prefix("011")) {
        let number = format!("+{international}");
        return e164(&number, international).is_ok().then_some(number);
    }
    let area_code = !digits.starts_with(['0', '1']);
    match digits.len() {
        10 if area_code => Some(format!("+1{digits}")),
        11 if digits.starts_with('1') => Some(format!("+{digits}")),
        11..=15 if area_code => Some(format!("+{digits}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
