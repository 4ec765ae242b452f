//! Reading CSV: convo's own, and what Google's and Outlook's address books export. Columns are found by
//! their headings.

use std::io::BufRead;

use csv::{ReaderBuilder, StringRecord};

use super::entry::ImportEntry;
use crate::commands::csv_lines;
use crate::error::Error;

/// The most bytes of a file: a quote that is never closed makes one record of all that follows.
const LARGEST_FILE: u64 = 32 * 1024 * 1024;
/// What separates two numbers in one cell of Google's.
const SEPARATOR: &str = ":::";

const NAMES: &[&str] = &["name", "full name", "display name", "contact name"];
const GIVEN: &[&str] = &["first name", "given name"];
const FURTHER: &[&str] = &["middle name", "additional name"];
const FAMILY: &[&str] = &["last name", "family name", "surname"];
const COMPANIES: &[&str] = &["company", "organization name", "organization 1 name"];
const NUMBERS: &[&str] = &["number", "contact number"];
/// Words in the headings of columns with numbers, and in those of other columns about phones.
const PHONES: &[&str] = &["phone", "mobile", "telephone", "tel", "cell"];
const NO_PHONES: &[&str] = &["type", "label", "fax", "pager", "name", "id"];

/// Where things are in a row.
#[derive(Debug)]
struct Columns {
    name: Option<usize>,
    /// Given name, further names, family name.
    parts: Vec<usize>,
    company: Option<usize>,
    numbers: Vec<usize>,
    /// What is missing in the line numbers of the reader.
    line_offset: u64,
}

/// Reads rows, and gives what each of their numbers is to be named.
///
/// # Errors
/// `invalid_request` if it is no CSV with columns for names and numbers, or too large.
pub(super) fn read(
    mut input: impl BufRead,
    mut give: impl FnMut(ImportEntry),
) -> Result<(), Error> {
    let beginning = input.fill_buf().map_err(|error| unreadable(&error))?;
    let (delimiter, line_offset) = (delimiter(beginning), csv_lines::offset(beginning));
    let mut limited = input.take(LARGEST_FILE);
    let mut reader =
        ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(&mut limited);
    let mut columns = Columns::find(reader.headers().map_err(|error| unreadable(&error))?)?;
    columns.line_offset = line_offset;
    let mut row = StringRecord::new();
    loop {
        match reader.read_record(&mut row) {
            Ok(true) => columns.entries(&row).for_each(&mut give),
            Ok(false) => break,
            Err(error) => match error.position().filter(|_| is_encoding(&error)) {
                Some(place) => {
                    give(ImportEntry::refused(place.line() + line_offset, "the row is not UTF-8"));
                }
                None => return Err(unreadable(&error)),
            },
        }
    }
    drop(reader);
    if limited.limit() == 0 {
        return Err(Error::invalid("the file is larger than 32 MiB").hint("split it"));
    }
    Ok(())
}

fn is_encoding(error: &csv::Error) -> bool {
    matches!(error.kind(), csv::ErrorKind::Utf8 { .. })
}

fn unreadable(error: &dyn std::fmt::Display) -> Error {
    Error::invalid(format!("the file cannot be read: {error}"))
}

/// The character that separates most of the headings.
fn delimiter(beginning: &[u8]) -> u8 {
    let first = beginning.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |delimiter: &u8| first.iter().filter(|byte| *byte == delimiter).count();
    // The last of several that are as frequent.
    [b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',')
}

/// A heading in lower case, its words separated by spaces.
fn plain(heading: &str) -> String {
    let lower = heading.trim_start_matches('\u{feff}').to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

fn has_numbers(heading: &str) -> bool {
    let has = |words: &[&str]| heading.split(' ').any(|word| words.contains(&word));
    NUMBERS.contains(&heading) || (has(PHONES) && !has(NO_PHONES))
}

impl Columns {
    fn find(headings: &StringRecord) -> Result<Self, Error> {
        let headings: Vec<String> = headings.iter().map(plain).collect();
        let find =
            |names: &[&str]| headings.iter().position(|heading| names.contains(&heading.as_str()));
        let is_number = |(_, heading): &(usize, &String)| has_numbers(heading);
        let numbers: Vec<_> =
            headings.iter().enumerate().filter(is_number).map(|(at, _)| at).collect();
        let parts: Vec<_> = [GIVEN, FURTHER, FAMILY].into_iter().filter_map(find).collect();
        let columns =
            Self { name: find(NAMES), parts, company: find(COMPANIES), numbers, line_offset: 0 };
        let has_names =
            columns.name.is_some() || !columns.parts.is_empty() || columns.company.is_some();
        if !has_names || columns.numbers.is_empty() {
            let what = if has_names { "numbers" } else { "names" };
            return Err(Error::invalid(format!("the first line names no column for {what}"))
                .hint("it must name the columns, for example: name,number"));
        }
        Ok(columns)
    }

    /// What each number of a row is to be named.
    fn entries<'a>(&'a self, row: &'a StringRecord) -> impl Iterator<Item = ImportEntry> + 'a {
        let line = row.position().map_or(0, csv::Position::line) + self.line_offset;
        let name = self.name_in(row);
        let cells = self.numbers.iter().filter_map(|at| row.get(*at)).map(cell);
        let numbers = cells.flat_map(|cell| cell.split(SEPARATOR)).map(str::trim);
        let numbers = numbers.filter(|number| !number.is_empty());
        numbers.map(move |number| ImportEntry::new(line, number, &name))
    }

    fn name_in(&self, row: &StringRecord) -> String {
        let at = |place: usize| row.get(place).map(cell).unwrap_or_default().trim();
        let whole = self.name.map(at).unwrap_or_default();
        if !whole.is_empty() {
            return whole.to_owned();
        }
        let parts = self.parts.iter().map(|place| at(*place)).filter(|part| !part.is_empty());
        let joined = parts.collect::<Vec<_>>().join(" ");
        match joined.is_empty() {
            true => self.company.map(at).unwrap_or_default().to_owned(),
            false => joined,
        }
    }
}

/// A cell without the apostrophe that keeps a spreadsheet from executing it.
fn cell(text: &str) -> &str {
    let rest = text.strip_prefix('\'').filter(|rest| rest.starts_with(['=', '+', '-', '@']));
    rest.unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(text: &str) -> Vec<String> {
        let mut all = Vec::new();
        let give = |entry: ImportEntry| all.push(entry.to_string());
        read(text.as_bytes(), give).expect("columns");
        all
    }

    #[test]
    fn columns_are_found_by_their_headings() {
        let ada = ["2 +12125551234 Ada Lovelace"];
        for text in [
            "name,number\nAda Lovelace,+12125551234\n",
            "\u{feff}Number;Name\r\n+1 (212) 555-1234;Ada Lovelace\r\n",
            "contact_number\tcontact_name\n'+12125551234\tAda Lovelace",
            "First Name,Middle Name,Last Name,Phonetic First Name,Phone 1 - Label,Phone 1 - Value\n\
             Ada,,Lovelace,Ay-da,Mobile,+12125551234\n",
            "First Name,Last Name,Company,Business Fax,Mobile Phone,Government ID Number\n\
             Ada,Lovelace,Engines,+13125550001,+12125551234,7\n",
        ] {
            assert_eq!(entries(text), ada, "{text}");
        }
        let two = "Name,Phone 1 - Value\n\"Lovelace, Ada\",+12125551234 ::: +13125550001\nBob,\n";
        let name = "Lovelace, Ada";
        assert_eq!(
            entries(two),
            [format!("2 +12125551234 {name}"), format!("2 +13125550001 {name}")]
        );
        assert_eq!(entries("First Name,Company,Phone\n,ACME,72975\n"), ["2 72975 ACME"]);
    }

    #[test]
    fn what_cannot_be_read_is_told_by_line() {
        let rows = entries("name,number\nAda,12125551234\n,+12125551234\n72975,+12125551234\n");
        assert!(rows[0].starts_with("2 '12125551234' has no country code; write"), "{rows:?}");
        assert!(rows[1].starts_with("3 the name is empty"), "{rows:?}");
        assert!(rows[2].starts_with("4 '72975' cannot be a name"), "{rows:?}");
        for text in ["", "a,b\n1,2\n", "name,x\n", "number\n+12125551234\n"] {
            assert_eq!(read(text.as_bytes(), |_| ()).map_err(|error| error.exit_code()), Err(2));
        }
    }

    proptest! {
        #[test]
        fn no_input_causes_a_panic(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&[b"name,number\n", &raw[..]].concat()[..], |_| ());
        }
    }
}
