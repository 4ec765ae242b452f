//! JSON that is safe to show on a terminal: compact, lossless, with every driving character escaped.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use super::escape::{drives, is_plain};

/// Writes compact JSON with DEL, C1 controls, bidi marks and line separators as `\uXXXX`. (JSON
/// itself escapes the C0 controls.)
struct Shown;

impl Formatter for Shown {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        text: &str,
    ) -> io::Result<()> {
        if is_plain(text) {
            return out.write_all(text.as_bytes());
        }
        let mut rest = text;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| drives(*c)) {
            out.write_all(&rest.as_bytes()[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}

/// Writes one value as JSON, without a line break.
///
/// # Errors
/// Writing to `out` failed.
pub fn write(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut serializer = Serializer::with_formatter(out, Shown);
    value.serialize(&mut serializer).map_err(io::Error::from)
}

/// Writes one value as one line of JSON.
///
/// # Errors
/// Writing to `out` failed.
pub fn write_line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    write(out, value)?;
    out.write_all(b"\n")
}

/// An array written element by element.
#[derive(Debug, Default)]
pub struct Array {
    begun: bool,
}

impl Array {
    /// Writes the next element, preceded by the bracket or comma.
    ///
    /// # Errors
    /// Writing to `out` failed.
    pub fn element(&mut self, out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
        let before: &[u8] = if self.begun { b",\n" } else { b"[" };
        self.begun = true;
        out.write_all(before)?;
        write(out, value)
    }

    /// Closes the array.
    ///
    /// # Errors
    /// Writing to `out` failed.
    pub fn finish(&mut self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(if self.begun { b"]" } else { b"[]" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json(text: &str) -> String {
        let mut out = Vec::new();
        write(&mut out, &text).expect("a vector takes all");
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn characters_that_drive_a_terminal_are_escaped() {
        assert_eq!(json("a\x1b\u{9b}\u{202e}\u{7f}é😀"), r#""a\u001b\u009b\u202e\u007fé😀""#);
    }

    #[test]
    fn an_array_is_valid_with_any_number_of_elements() {
        for (elements, expected) in [(0, "[]"), (1, "[1]"), (3, "[1,\n1,\n1]")] {
            let (mut array, mut out) = (Array::default(), Vec::new());
            for _ in 0..elements {
                array.element(&mut out, &1).expect("a vector takes all");
            }
            array.finish(&mut out).expect("a vector takes all");
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back_whole(text in any::<String>()) {
            let written = json(&text);
            prop_assert!(!written.contains(drives));
            prop_assert_eq!(serde_json::from_str::<String>(&written).ok(), Some(text));
        }
    }
}
