//! Text that can be stored: no database accepts NUL in text, and JSON may contain lone surrogates,
//! which are not characters.

use std::borrow::Cow;

use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;

/// Whether the character is an invisible format character (general category Cf), such as the marks
/// for bidirectional text that programs put around what is copied from them.
#[must_use]
pub fn is_format(c: char) -> bool {
    CodePointMapData::<GeneralCategory>::new().get(c) == GeneralCategory::Format
}

/// Whether a text has nothing but white space and invisible characters.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || is_format(c))
}

/// Replaces every NUL with U+FFFD. The raw event keeps the original.
#[must_use]
pub fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Replaces every unpaired `\uD800`…`\uDFFF` escape with `\ufffd`, so that a body that contains one
/// can be parsed. Invalid UTF-8 becomes U+FFFD as well.
#[must_use]
pub fn repair_json(raw: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(raw);
    // The cheap checks first: many bodies have no escape at all, and few have one of a surrogate.
    if !text.contains('\\') || !(text.contains("\\ud") || text.contains("\\uD")) {
        return text;
    }
    let mut repaired = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some(at) = rest.find('\\') {
        let (plain, escape) = rest.split_at(at);
        repaired.push_str(plain);
        let (kept, length) = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (&escape[..12], 12),
            (Some(0xD800..=0xDFFF), _) => ("\\ufffd", 6),
            _ => {
                let end = escape.chars().take(2).map(char::len_utf8).sum();
                (&escape[..end], end)
            }
        };
        repaired.push_str(kept);
        rest = &escape[length..];
    }
    repaired.push_str(rest);
    Cow::Owned(repaired)
}

/// The UTF-16 code unit of a `\uXXXX` escape at the start of `text`.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text_of(json: &str) -> Option<String> {
        serde_json::from_str(&repair_json(json.as_bytes())).ok()
    }

    #[test]
    fn lone_surrogates_become_the_replacement_character() {
        for (json, text) in [
            (r#""a\ud800b""#, "a\u{fffd}b"),
            (r#""\udc00\ud800""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83d\ude00""#, "😀"),
            (r#""\\ud800""#, "\\ud800"),
            (r#""\ud800\n""#, "\u{fffd}\n"),
            (r#""\ud800\ud83d\ude00""#, "\u{fffd}😀"),
        ] {
            assert_eq!(text_of(json).as_deref(), Some(text), "{json}");
        }
    }

    #[test]
    fn nul_is_replaced() {
        assert_eq!(storable("a\0b"), "a\u{fffd}b");
        assert!(matches!(storable("plain"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn no_input_causes_a_panic(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = repair_json(&raw);
        }

        #[test]
        fn valid_json_keeps_its_meaning(text in "\\PC{0,40}") {
            let json = serde_json::to_string(&text).expect("text serialises");
            prop_assert_eq!(text_of(&json), Some(text));
        }

        #[test]
        fn any_string_of_escapes_parses(units in proptest::collection::vec(any::<u16>(), 0..20)) {
            let json: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let quoted = format!("\"{json}\"");
            prop_assert!(text_of(&quoted).is_some(), "{}", quoted);
        }
    }
}
