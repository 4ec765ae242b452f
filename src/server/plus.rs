//! Plus signs that became spaces. In a query an unencoded plus stands for a space, and a client may
//! decode a number in the same way before it puts it into a path.

use std::borrow::Cow;

use crate::domain::PhoneNumber;
use crate::domain::phone::NumberError;
use crate::domain::text::is_format;

/// A number with its plus sign: digits after a space that would lack their country code otherwise. Any
/// other text is unchanged.
pub(super) fn in_number(text: &str) -> Cow<'_, str> {
    let digits = text.trim_start_matches(|c: char| c.is_whitespace() || is_format(c));
    let is_incomplete = matches!(PhoneNumber::parse(text), Err(NumberError::NoCountryCode { .. }));
    let leading = &text[..text.len() - digits.len()];
    if is_incomplete && leading.contains(' ') {
        let number = format!("+{digits}");
        if PhoneNumber::parse(&number).is_ok() {
            return number.into();
        }
    }
    text.into()
}

/// A time with the plus sign of its zone: `2026-11-22T15:00:00 02:00` is two hours ahead of UTC.
pub(super) fn in_time(text: &str) -> Cow<'_, str> {
    let is_zone = |zone: &str| {
        let shape = zone.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
        shape.eq(*b"00:00")
    };
    match text.rsplit_once(' ') {
        Some((time, zone)) if is_zone(zone) => format!("{time}+{zone}").into(),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_before_a_number_was_a_plus() {
        for (text, number) in [
            (" 17735550002", "+17735550002"),
            ("  1 (773) 555-0002", "+1 (773) 555-0002"),
            ("\u{202a} 17735550002\u{202c}", "+17735550002\u{202c}"),
        ] {
            assert_eq!(in_number(text), number, "{text:?}");
        }
        for text in
            ["17735550002", " +17735550002", " 72975", " ACME", " ", "", " 07735550002", " e6f7"]
        {
            assert_eq!(in_number(text), text);
        }
    }

    #[test]
    fn a_space_before_a_zone_was_a_plus() {
        assert_eq!(in_time("2026-11-22T15:00:00.5 02:00"), "2026-11-22T15:00:00.5+02:00");
        for text in ["2026-11-22T15:00:00-02:00", "2026-11-22 15:00:00Z", "x 2:00", " ", ""] {
            assert_eq!(in_time(text), text);
        }
    }
}
