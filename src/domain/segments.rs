//! The encoding of a text and the number of SMS segments it takes, which determines its cost.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Code, Error};

/// The most segments Telnyx accepts for one message; more is its error 40302.
pub(crate) const MAX_SEGMENTS: u32 = 10;

/// The encoding a text is sent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Encoding {
    /// GSM 03.38 with its extension table: 160 units in a single segment, 153 in each of several.
    #[serde(rename = "GSM-7")]
    Gsm7,
    /// UTF-16: 70 units in a single segment, 67 in each of several.
    #[serde(rename = "UCS-2")]
    Ucs2,
}

impl Encoding {
    /// How many units fit into a single segment of 140 octets, and into each segment of a
    /// concatenated message, where the header takes 6 of them (3GPP TS 23.040).
    const fn limits(self) -> (u32, u32) {
        match self {
            Self::Gsm7 => (160, 153),
            Self::Ucs2 => (70, 67),
        }
    }
}

impl Encoding {
    /// How many units a concatenated message of this many segments holds.
    const fn units_in(self, segments: u32) -> u32 {
        self.limits().1.saturating_mul(segments)
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Gsm7 => "GSM-7",
            Self::Ucs2 => "UCS-2",
        })
    }
}

/// The size of a text as an SMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// The encoding it needs.
    pub encoding: Encoding,
    /// How many segments it takes; 0 for an empty text.
    pub segments: u32,
    /// Its length in units of that encoding: septets for GSM-7 (`€[]{}~^|\` count two), UTF-16
    /// code units for UCS-2 (most emoji count two).
    pub units: u32,
}

/// A text is too long for [`MAX_SEGMENTS`] segments. How long is unknown: measuring stopped there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong {
    /// The first character outside GSM-7, if one was reached: the reason for UCS-2.
    outside_gsm7: Option<char>,
}

impl From<TooLong> for Error {
    fn from(error: TooLong) -> Self {
        let gsm7 = Encoding::Gsm7.units_in(MAX_SEGMENTS);
        let ucs2 = Encoding::Ucs2.units_in(MAX_SEGMENTS);
        let why = match error.outside_gsm7 {
            Some(c) => format!(
                "{c:?} is not in the GSM-7 alphabet, so the text is sent as UCS-2, in which \
                 {MAX_SEGMENTS} segments hold at most {ucs2} units"
            ),
            None => format!(
                "{MAX_SEGMENTS} segments hold at most {gsm7} units of GSM-7, or {ucs2} of UCS-2"
            ),
        };
        let what = format!(
            "the message would need more than {MAX_SEGMENTS} segments, the most Telnyx sends"
        );
        Self::new(Code::MessageTooLong, what).hint(format!("{why}; shorten it or send it in parts"))
    }
}

impl Segments {
    /// Measures a text of any length.
    pub(crate) fn for_text(text: &str) -> Self {
        measure(text, u32::MAX).0
    }

    /// Measures the text of an SMS. Telnyx limits the units, to those of ten full segments. A text
    /// within that limit may still take eleven segments, since no character is split over two; whether
    /// to accept it is left to Telnyx. Of a text that is too long at most 1,531 characters are read.
    pub(crate) fn for_sms(text: &str) -> Result<Self, TooLong> {
        let (size, outside_gsm7) = measure(text, MAX_SEGMENTS);
        if size.units > size.encoding.units_in(MAX_SEGMENTS) {
            return Err(TooLong { outside_gsm7 });
        }
        Ok(size)
    }

    /// Measures the text of an MMS, which is sent whole, whatever its length. Telnyx reports it as
    /// one part, with the encoding that the text would need as an SMS.
    pub(crate) fn for_mms(text: &str) -> Self {
        Self { segments: 1, ..Self::for_text(text) }
    }
}

/// The size of `text`, and its first character outside GSM-7. Stops once the text has more units than
/// `most` segments hold, since the rest can only add to them. (A text too long for ten segments of GSM-7
/// has more than 760 characters, so it is too long in UCS-2 as well.)
fn measure(text: &str, most: u32) -> (Segments, Option<char>) {
    let (mut gsm7, mut ucs2) = (Packing::new(Encoding::Gsm7), Packing::new(Encoding::Ucs2));
    let mut outside_gsm7 = None;
    for c in text.chars() {
        ucs2.push(c.len_utf16() as u32);
        match septets(c) {
            Some(count) => gsm7.push(count),
            None => outside_gsm7 = outside_gsm7.or(Some(c)),
        }
        let used = if outside_gsm7.is_some() { &ucs2 } else { &gsm7 };
        if used.units > used.encoding.units_in(most) {
            break;
        }
    }
    let used = if outside_gsm7.is_some() { ucs2 } else { gsm7 };
    (used.size(), outside_gsm7)
}

/// Fills segments with characters, without splitting any of them over two.
struct Packing {
    encoding: Encoding,
    /// Units of all characters so far.
    units: u32,
    /// Segments used so far, in a concatenated message.
    joined: u32,
    /// Units still free in the last one.
    free: u32,
}

impl Packing {
    const fn new(encoding: Encoding) -> Self {
        Self { encoding, units: 0, joined: 0, free: 0 }
    }

    /// Adds a character that takes `units` units.
    fn push(&mut self, units: u32) {
        if self.free < units {
            self.joined = self.joined.saturating_add(1);
            self.free = self.encoding.limits().1;
        }
        self.free -= units;
        self.units = self.units.saturating_add(units);
    }

    fn size(&self) -> Segments {
        let fits_alone = self.units <= self.encoding.limits().0;
        let segments = if fits_alone { self.joined.min(1) } else { self.joined };
        Segments { encoding: self.encoding, segments, units: self.units }
    }
}

/// How many septets a character takes in GSM-7 (3GPP TS 23.038, 6.2.1): one in the default alphabet,
/// two in the extension table (it follows an ESC), `None` if it is in neither. The standard has Ç but
/// not ç; Unicode's mapping table has ç in that place, but phones follow the standard.
fn septets(c: char) -> Option<u32> {
    match c {
        '\u{C}' | '[' | '\\' | ']' | '^' | '{' | '|' | '}' | '~' | '€' => Some(2),
        '\n' | '\r' | ' '..='_' | 'a'..='z' => Some(1),
        '¡' | '£' | '¤' | '¥' | '§' | '¿' | 'Ä' | 'Å' | 'Æ' | 'Ç' | 'É' | 'Ñ' | 'Ö' | 'Ø' | 'Ü'
        | 'ß' | 'à' | 'ä' | 'å' | 'æ' | 'è' | 'é' | 'ì' | 'ñ' | 'ò' | 'ö' | 'ø' | 'ù' | 'ü'
        | 'Γ' | 'Δ' | 'Θ' | 'Λ' | 'Ξ' | 'Π' | 'Σ' | 'Φ' | 'Ψ' | 'Ω' => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
