//! Reading vCards, of which only names and numbers matter. Cards are read line by line, so that the
//! pictures in them take no memory.
//!
//! The format is simple, and the maintained crates for it bring calendars and time zones along.

use std::io::{self, BufRead, Read};

use percent_encoding::percent_decode_str;

use super::entry::ImportEntry;

/// The most bytes that are kept of one property.
const LONGEST_PROPERTY: usize = 16 * 1024;

/// One property: a line with those that continue it.
#[derive(Debug, PartialEq, Eq)]
struct Property {
    /// In capitals, without its group.
    name: String,
    value: String,
    line: u64,
}

/// A card that has begun.
#[derive(Debug)]
struct Card {
    line: u64,
    version: String,
    /// FN, the name as it is shown.
    full_name: String,
    /// N, the parts of the name.
    parts: String,
    numbers: Vec<(u64, String)>,
}

/// Reads cards, and gives what each of their numbers is to be named.
///
/// # Errors
/// Reading failed.
pub(super) fn read(input: impl BufRead, mut give: impl FnMut(ImportEntry)) -> io::Result<()> {
    let mut lines = PropertyReader::new(input);
    let mut card: Option<Card> = None;
    while let Some(property) = lines.next()? {
        let property = match property {
            Ok(property) => property,
            Err(refused) => {
                give(refused);
                continue;
            }
        };
        let is_card = property.value.trim().eq_ignore_ascii_case("VCARD");
        match (property.name.as_str(), &mut card) {
            ("BEGIN", _) if is_card => card = Some(Card::begun(property.line)),
            ("END", _) if is_card => {
                card.take().into_iter().flat_map(Card::entries).for_each(&mut give);
            }
            (_, None) => {}
            ("VERSION", Some(card)) => card.version = property.value.trim().to_owned(),
            ("FN", Some(card)) if card.full_name.is_empty() => card.full_name = property.value,
            ("N", Some(card)) if card.parts.is_empty() => card.parts = property.value,
            ("TEL", Some(card)) => card.numbers.push((property.line, number(&property))),
            _ => {}
        }
    }
    if let Some(card) = card {
        give(ImportEntry::refused(card.line, "the card has no END: the file is cut off"));
    }
    Ok(())
}

impl Card {
    fn begun(line: u64) -> Self {
        let (version, full_name, parts) = Default::default();
        Self { line, version, full_name, parts, numbers: Vec::new() }
    }

    fn entries(self) -> Vec<ImportEntry> {
        if self.version.starts_with('2') {
            let what = "vCard 2.1 is not read: export the contacts as vCard 3.0 or 4.0";
            return vec![ImportEntry::refused(self.line, what)];
        }
        let full_name = unescaped(&self.full_name);
        let name = if full_name.trim().is_empty() { joined(&self.parts) } else { full_name };
        let entry = |(line, number): (u64, String)| ImportEntry::new(line, &number, &name);
        self.numbers.into_iter().map(entry).collect()
    }
}

/// The number of a TEL property: a text, or a URI such as `tel:+1-212-555-1234;ext=102`. An extension is
/// left out.
fn number(property: &Property) -> String {
    let value = unescaped(&property.value);
    let value = value.trim();
    let is_uri = value.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("tel:"));
    let number = if is_uri { &value[4..] } else { value };
    let number = number.split(';').next().unwrap_or_default();
    match is_uri {
        true => percent_decode_str(number).decode_utf8_lossy().into_owned(),
        false => number.to_owned(),
    }
}

/// The parts of N in the order in which they are spoken.
fn joined(parts: &str) -> String {
    let parts = split(parts);
    let part = |at: usize| parts.get(at).map(|part| unescaped(part)).unwrap_or_default();
    // Prefix, given name, further names, family name, suffix.
    let spoken = [3, 1, 2, 0, 4].map(part);
    let spoken = spoken.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    spoken.collect::<Vec<_>>().join(" ")
}

/// Splits at semicolons that are not escaped.
fn split(value: &str) -> Vec<&str> {
    let (mut parts, mut start, mut is_escaped) = (Vec::new(), 0, false);
    for (at, c) in value.char_indices() {
        if c == ';' && !is_escaped {
            parts.push(&value[start..at]);
            start = at + 1;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    parts.push(&value[start..]);
    parts
}

/// A text without its escapes; a line break becomes a space.
fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'N') => text.push(' '),
                Some(escaped) => text.push(escaped),
                None => {}
            },
            c => text.push(c),
        }
    }
    text
}

/// Reads properties, joining lines that were folded.
struct PropertyReader<R> {
    input: R,
    /// The number of the next line, from 1.
    line: u64,
    /// A line that was read ahead.
    ahead: Option<Vec<u8>>,
}

impl<R: BufRead> PropertyReader<R> {
    fn new(input: R) -> Self {
        Self { input, line: 1, ahead: None }
    }

    /// The next property, or why it is refused; `None` at the end.
    fn next(&mut self) -> io::Result<Option<Result<Property, ImportEntry>>> {
        loop {
            let Some(mut whole) = self.read_line()? else { return Ok(None) };
            let line = self.line - 1;
            while let Some(next) = self.read_line()? {
                if !matches!(next.first(), Some(b' ' | b'\t')) {
                    self.ahead = Some(next);
                    self.line -= 1;
                    break;
                }
                let room = LONGEST_PROPERTY.saturating_sub(whole.len());
                whole.extend(next[1..].iter().take(room));
            }
            if let Some(property) = parse(&whole, line) {
                return Ok(Some(property));
            }
        }
    }

    /// The next line without its end, as much of it as is kept.
    fn read_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(ahead) = self.ahead.take() {
            self.line += 1;
            return Ok(Some(ahead));
        }
        let mut kept = Vec::new();
        let limit = LONGEST_PROPERTY as u64;
        if (&mut self.input).take(limit).read_until(b'\n', &mut kept)? == 0 {
            return Ok(None);
        }
        if kept.last() != Some(&b'\n') {
            self.input.skip_until(b'\n')?;
        }
        while matches!(kept.last(), Some(b'\n' | b'\r')) {
            kept.pop();
        }
        self.line += 1;
        Ok(Some(kept))
    }
}

/// Parses a property of those that matter; `None` for any other.
fn parse(whole: &[u8], line: u64) -> Option<Result<Property, ImportEntry>> {
    let colon = colon(whole)?;
    let (head, value) = (String::from_utf8_lossy(&whole[..colon]), &whole[colon + 1..]);
    let head = head.trim_start_matches('\u{feff}').to_ascii_uppercase();
    let name = head.split(';').next().unwrap_or_default();
    let name = name.rsplit('.').next().unwrap_or_default().trim().to_owned();
    if !matches!(name.as_str(), "BEGIN" | "END" | "VERSION" | "FN" | "N" | "TEL") {
        return None;
    }
    Some(match std::str::from_utf8(value) {
        Ok(value) => Ok(Property { name, value: value.to_owned(), line }),
        Err(_) => Err(ImportEntry::refused(line, "the line is not UTF-8")),
    })
}

/// The place of the colon before the value: the first that is not in quotes.
fn colon(line: &[u8]) -> Option<usize> {
    let mut is_quoted = false;
    line.iter().position(|byte| {
        is_quoted ^= *byte == b'"';
        *byte == b':' && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(text: &str) -> Vec<String> {
        let mut all = Vec::new();
        let give = |entry: ImportEntry| all.push(entry.to_string());
        read(text.as_bytes(), give).expect("a slice can be read");
        all
    }

    #[test]
    fn each_number_of_a_card_gets_its_name() {
        let card = "\u{feff}BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Ada Love\r\n lace\\, Countess\r\n\
                    TEL;VALUE=uri;PREF=1;TYPE=\"voice,home\":tel:+1-212-555-1234;ext=102\r\n\
                    item1.TEL;TYPE=CELL:+44 20 7946 0958\r\nEND:VCARD\r\n";
        let name = "Ada Lovelace, Countess";
        assert_eq!(
            entries(card),
            [format!("5 +12125551234 {name}"), format!("6 +442079460958 {name}")]
        );
    }

    #[test]
    fn without_a_full_name_its_parts_are_joined() {
        let card =
            "BEGIN:VCARD\nVERSION:3.0\nN:Love\\;lace;Ada;King;Lady;\nTEL:+12125551234\nEND:VCARD\n";
        assert_eq!(entries(card), ["4 +12125551234 Lady Ada King Love;lace"]);
    }

    #[test]
    fn what_cannot_be_read_is_told_by_line() {
        let number = "BEGIN:VCARD\nFN:Ada\nTEL:2125551234\nEND:VCARD\n";
        assert!(entries(number)[0].starts_with("3 '2125551234' has no country code"));
        let old = "\n\nBEGIN:VCARD\nVERSION:2.1\nFN:Ada\nTEL:+12125551234\nEND:VCARD\n";
        assert!(entries(old)[0].starts_with("3 vCard 2.1 is not read"), "{:?}", entries(old));
        assert!(entries("BEGIN:VCARD\nFN:Ada\n")[0].contains("no END"));
        let nameless = "BEGIN:VCARD\nTEL:+12125551234\nEND:VCARD\n";
        assert!(entries(nameless)[0].contains("the name is empty"), "{:?}", entries(nameless));
        assert_eq!(entries("BEGIN:VCARD\nFN:Ada\nEND:VCARD\n"), [""; 0], "it has no number");
    }

    #[test]
    fn a_picture_takes_no_memory_and_no_other_property_matters() {
        let photo = format!("PHOTO;ENCODING=b:{}\n {}\n", "x".repeat(100_000), "TEL:+1");
        let card =
            format!("BEGIN:VCARD\nFN:Ada\n{photo}NOTE:END:VCARD\nTEL:+12125551234\nEND:VCARD\n");
        assert_eq!(entries(&card), ["6 +12125551234 Ada"]);
    }

    proptest! {
        #[test]
        fn no_input_causes_a_panic(raw in proptest::collection::vec(any::<u8>(), 0..300)) {
            read(&raw[..], |_| ()).expect("a slice can be read");
        }
    }
}
