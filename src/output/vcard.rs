//! Contacts as vCards, version 4.0.

use std::io::{self, Write};

use super::escape;
use crate::domain::{Contact, PhoneNumber};

/// The most bytes of a line, without its end.
const LONGEST_LINE: usize = 75;

/// Writes a card for each contact. For a terminal, what would drive it is escaped.
///
/// # Errors
/// Writing to `out` failed.
pub fn write(out: &mut impl Write, contacts: &[Contact], for_terminal: bool) -> io::Result<()> {
    contacts.iter().try_for_each(|contact| {
        let name = contact.contact_name.as_deref().unwrap_or_default();
        let name = if for_terminal { escape::line(name) } else { name.to_owned() };
        line(out, "BEGIN:VCARD")?;
        line(out, "VERSION:4.0")?;
        line(out, &format!("FN:{}", escaped(&name)))?;
        line(out, &telephone(&contact.contact_number))?;
        line(out, "END:VCARD")
    })
}

/// The property with a number: a URI for one in E.164, a text for any other.
fn telephone(number: &PhoneNumber) -> String {
    let number = number.as_str();
    let digits = number.strip_prefix('+').unwrap_or_default();
    match !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => format!("TEL;VALUE=uri:tel:{number}"),
        false => format!("TEL;VALUE=text:{}", escaped(&escape::line(number))),
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | ',' | ';') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Writes a line, folded if it is long.
fn line(out: &mut impl Write, text: &str) -> io::Result<()> {
    let mut rest = text;
    let mut room = LONGEST_LINE;
    while rest.len() > room {
        let (head, tail) = rest.split_at(rest.floor_char_boundary(room));
        write!(out, "{head}\r\n ")?;
        rest = tail;
        // The blank that continues a line is a part of it.
        room = LONGEST_LINE - 1;
    }
    write!(out, "{rest}\r\n")
}

#[cfg(test)]
mod tests {
    use super::super::samples::{number, time};
    use super::*;

    fn written(contact_number: &str, name: &str, for_terminal: bool) -> String {
        let contact = Contact {
            contact_number: number(contact_number),
            contact_name: Some(name.to_owned()),
            named_at: Some(time("2026-06-18T14:30:00Z")),
        };
        let mut out = Vec::new();
        write(&mut out, &[contact], for_terminal).expect("a vector takes all");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_card_has_the_name_and_the_number() {
        assert_eq!(
            written("+12125551234", "Lovelace; Ada, \\", false),
            "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Lovelace\\; Ada\\, \\\\\r\n\
             TEL;VALUE=uri:tel:+12125551234\r\nEND:VCARD\r\n"
        );
        assert!(written("72975", "Bank", false).contains("TEL;VALUE=text:72975\r\n"));
        assert!(written("72975", "\u{202e}", true).contains("FN:\\\\u{202e}\r\n"));
    }

    #[test]
    fn no_line_is_too_long() {
        let card = written("+12125551234", &"漢字".repeat(100), false);
        assert!(card.split("\r\n").all(|line| line.len() <= LONGEST_LINE), "{card}");
        assert!(card.replace("\r\n ", "").contains(&"漢字".repeat(100)));
    }
}
