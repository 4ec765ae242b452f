//! How many SMS a text becomes on the air, which is what it costs.

use std::collections::HashSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most segments Telnyx takes for one message; beyond it answers error 40302.
pub const MAX_SEGMENTS: u32 = 10;

/// The alphabet a text travels in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Encoding {
    /// GSM 03.38 with its extension table: 160 units in one segment, 153 in each of several.
    #[serde(rename = "GSM-7")]
    Gsm7,
    /// UTF-16: 70 units in one segment, 67 in each of several.
    #[serde(rename = "UCS-2")]
    Ucs2,
}

impl Encoding {
    /// Most units a text may have in [`MAX_SEGMENTS`] segments.
    #[must_use]
    pub fn capacity(self) -> u32 {
        match self {
            Self::Gsm7 => 153 * MAX_SEGMENTS,
            Self::Ucs2 => 67 * MAX_SEGMENTS,
        }
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

/// The size of a text on the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segments {
    /// The alphabet it needs.
    pub encoding: Encoding,
    /// Segments it fills; 0 for an empty text.
    pub segments: u32,
    /// Units it has in that alphabet: septets for GSM-7 (`€[]{}~^|\` count two), UTF-16 code
    /// units for UCS-2 (most emoji count two).
    pub units: u32,
}

impl Segments {
    /// Measures a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let split = sms_splitter::SplitSms::default().split(String::from(text));
        let (encoding, units) = if split.character_set == "GSM" {
            (Encoding::Gsm7, split.bytes)
        } else {
            (Encoding::Ucs2, split.bytes / 2)
        };
        let count = if text.is_empty() { 0 } else { split.parts.len() };
        let bounded = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { encoding, segments: bounded(count), units: bounded(units) }
    }

    /// Whether Telnyx would refuse the text for its length.
    #[must_use]
    pub fn is_too_long(self) -> bool {
        self.segments > MAX_SEGMENTS
    }
}

/// The first character of `text` that GSM-7 cannot carry: the reason it travels as UCS-2.
#[must_use]
pub fn first_outside_gsm7(text: &str) -> Option<char> {
    let is_outside = |c: char| Segments::of(c.encode_utf8(&mut [0; 4])).encoding == Encoding::Ucs2;
    // The alphabet is small, and a hostile text is long: each character is judged once.
    let mut seen = HashSet::new();
    text.chars().find(|c| seen.insert(*c) && is_outside(*c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> (Encoding, u32, u32) {
        let size = Segments::of(text);
        (size.encoding, size.segments, size.units)
    }

    #[test]
    fn the_limits_are_where_the_standard_puts_them() {
        use Encoding::{Gsm7, Ucs2};
        assert_eq!(of(""), (Gsm7, 0, 0));
        assert_eq!(of("Hello"), (Gsm7, 1, 5));
        assert_eq!(of(&"a".repeat(160)), (Gsm7, 1, 160));
        assert_eq!(of(&"a".repeat(161)), (Gsm7, 2, 161));
        assert_eq!(of(&"a".repeat(1530)), (Gsm7, 10, 1530));
        assert_eq!(of(&"a".repeat(1531)), (Gsm7, 11, 1531));
        assert_eq!(of("€[]"), (Gsm7, 1, 6));
        assert_eq!(of(&"ж".repeat(70)), (Ucs2, 1, 70));
        assert_eq!(of(&"ж".repeat(71)), (Ucs2, 2, 71));
        assert_eq!(of(&"ж".repeat(670)), (Ucs2, 10, 670));
        assert_eq!(of("😀"), (Ucs2, 1, 2));
        assert_eq!(of("“Hi”"), (Ucs2, 1, 4));
    }

    #[test]
    fn the_culprit_is_named() {
        assert_eq!(first_outside_gsm7("It’s"), Some('’'));
        assert_eq!(first_outside_gsm7("It's 5 € [ÄÖÜ]"), None);
        assert_eq!(first_outside_gsm7(&"é".repeat(500_000)), None, "and that takes no time");
    }

    proptest! {
        #[test]
        fn every_text_fits_its_segments(text in "\\PC{1,400}") {
            let size = Segments::of(&text);
            let (single, multi) = if size.encoding == Encoding::Gsm7 { (160, 153) } else { (70, 67) };
            if size.encoding == Encoding::Ucs2 {
                prop_assert_eq!(size.units as usize, text.encode_utf16().count());
            }
            let least = if size.units <= single { 1 } else { size.units.div_ceil(multi) };
            // A pair that must stay together may push one unit into the next segment.
            prop_assert!(size.segments >= least && size.segments <= least + 1, "{size:?}");
        }
    }
}
