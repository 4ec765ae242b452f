//! The file of a batch: CSV or JSON lines. It is copied first, so that what is sent is what was checked, and
//! standard input can be read twice.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::column_name;
use crate::commands::csv_lines;
use crate::domain::Fingerprint;
use crate::error::{Code, Error};
use crate::output::escape;
use crate::stdio;

/// The longest line of JSON, and the longest row of CSV.
const LONGEST_ROW: usize = 1 << 20;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A private copy of the file, which has no name.
#[derive(Debug)]
pub(super) struct BatchSource {
    copy: File,
    format: SourceFormat,
    /// Of its bytes and the template.
    pub(super) content: Fingerprint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SourceFormat {
    /// With the separator of its columns.
    Csv(u8),
    JsonLines,
}

/// A row as it is in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawRow {
    /// The line that it begins on, from 1.
    pub(super) line: u64,
    /// The values by the names of their columns; or what is wrong with the row.
    pub(super) values: Result<BTreeMap<String, String>, String>,
}

impl BatchSource {
    /// Copies a file, or standard input for `-`.
    ///
    /// # Errors
    /// It cannot be read, or is empty.
    pub(super) fn open(name: &str, directory: &Path, template: &str) -> Result<Self, Error> {
        let mut copy = tempfile::tempfile().map_err(|error| failed("copy", name, &error))?;
        let mut hash = Sha256::new();
        hash.update((template.len() as u64).to_be_bytes());
        hash.update(template.as_bytes());
        let copied = match name {
            "-" => copy_all(&mut stdio::stdin(), &mut copy, &mut hash),
            _ => File::open(directory.join(name))
                .and_then(|mut file| copy_all(&mut file, &mut copy, &mut hash)),
        };
        copied.map_err(|error| failed("read", name, &error))?;
        let mut head = Vec::new();
        copy.rewind()
            .and_then(|()| Read::by_ref(&mut copy).take(64 * 1024).read_to_end(&mut head))
            .map_err(|error| failed("read", name, &error))?;
        let is_json = [".jsonl", ".ndjson"].iter().any(|ending| name.ends_with(ending));
        let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&head).trim_ascii_start();
        let format = match head.first() {
            None => return Err(Error::invalid(format!("{} is empty", escape::line(name)))),
            Some(b'{') => SourceFormat::JsonLines,
            Some(_) if is_json => SourceFormat::JsonLines,
            Some(_) => SourceFormat::Csv(separator(head)),
        };
        Ok(Self { copy, format, content: Fingerprint::from_digest(&hash.finalize()) })
    }

    /// Its rows, from the first on.
    ///
    /// # Errors
    /// The copy cannot be read, or the names of the columns are not clear.
    pub(super) fn rows(&self) -> Result<SourceRows, Error> {
        let mut copy = self.copy.try_clone().map_err(|error| unreadable(&error))?;
        copy.rewind().map_err(|error| unreadable(&error))?;
        let mut input = BufReader::with_capacity(64 * 1024, copy);
        let head = input.fill_buf().map_err(|error| unreadable(&error))?;
        let line_offset = csv_lines::offset(head);
        if head.starts_with(BYTE_ORDER_MARK) {
            input.consume(BYTE_ORDER_MARK.len());
        }
        match self.format {
            SourceFormat::JsonLines => Ok(SourceRows::JsonLines { input, line: 0 }),
            SourceFormat::Csv(separator) => {
                let mut reader =
                    ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(input);
                let header = reader.byte_headers().map_err(|error| unreadable(&error))?;
                let columns = columns(header)?;
                Ok(SourceRows::Csv { reader: Box::new(reader), columns, line_offset })
            }
        }
    }
}

/// Reads the rows one by one.
pub(super) enum SourceRows {
    Csv { reader: Box<csv::Reader<BufReader<File>>>, columns: Vec<String>, line_offset: u64 },
    JsonLines { input: BufReader<File>, line: u64 },
}

impl SourceRows {
    /// The names of the columns, if all rows have the same.
    pub(super) fn columns(&self) -> Option<&[String]> {
        match self {
            Self::Csv { columns, .. } => Some(columns),
            Self::JsonLines { .. } => None,
        }
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// The copy cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<RawRow>, Error> {
        match self {
            Self::Csv { reader, columns, line_offset } => {
                let mut record = ByteRecord::new();
                let is_row = reader.read_byte_record(&mut record);
                if !is_row.map_err(|error| unreadable(&error))? {
                    return Ok(None);
                }
                let line = record.position().map_or(0, csv::Position::line) + *line_offset;
                Ok(Some(RawRow { line, values: csv_values(columns, &record) }))
            }
            Self::JsonLines { input, line } => loop {
                let mut text = Vec::new();
                let limit = LONGEST_ROW as u64 + 1;
                let read = Read::by_ref(input).take(limit).read_until(b'\n', &mut text);
                if read.map_err(|error| unreadable(&error))? == 0 {
                    return Ok(None);
                }
                *line += 1;
                if text.len() > LONGEST_ROW {
                    return Err(Error::invalid(format!("line {line} is longer than a megabyte")));
                }
                if !text.trim_ascii().is_empty() {
                    return Ok(Some(RawRow { line: *line, values: json_values(&text) }));
                }
            },
        }
    }
}

fn csv_values(columns: &[String], record: &ByteRecord) -> Result<BTreeMap<String, String>, String> {
    if record.as_slice().len() > LONGEST_ROW {
        return Err("the row is longer than a megabyte: a quote may be missing".to_owned());
    }
    if record.len() != columns.len() {
        return Err(format!("{} columns instead of {}", record.len(), columns.len()));
    }
    let values = columns.iter().zip(record).map(|(name, value)| {
        let value = std::str::from_utf8(value).map_err(|_| "not UTF-8".to_owned())?;
        Ok((name.clone(), value.to_owned()))
    });
    values.collect()
}

fn json_values(line: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let object: Map<String, Value> =
        serde_json::from_slice(line).map_err(|_| "not a JSON object".to_owned())?;
    let mut values = BTreeMap::new();
    for (name, value) in object {
        let value = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Null => String::new(),
            Value::Array(_) | Value::Object(_) => {
                return Err(format!("{} is neither a text nor a number", escape::line(&name)));
            }
        };
        if values.insert(column_name(&name), value).is_some() {
            return Err(format!("{} is there twice", escape::line(&name)));
        }
    }
    Ok(values)
}

/// The names of the columns.
fn columns(header: &ByteRecord) -> Result<Vec<String>, Error> {
    let mut columns: Vec<String> = Vec::with_capacity(header.len());
    for name in header {
        let name = std::str::from_utf8(name)
            .map_err(|_| Error::invalid("the first line, with the columns' names, is not UTF-8"))?;
        let name = column_name(name);
        if !name.is_empty() && columns.contains(&name) {
            let what = format!("the column {} is there twice", escape::line(&name));
            return Err(Error::invalid(what).hint("the first line of a CSV file names its columns"));
        }
        columns.push(name);
    }
    Ok(columns)
}

/// The separator that the first line has most of: a spreadsheet writes a semicolon where the comma is a
/// decimal point.
fn separator(head: &[u8]) -> u8 {
    let first = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |separator: u8| first.iter().filter(|byte| **byte == separator).count();
    // Of those that are there equally often, the last is taken.
    [b'\t', b';', b','].into_iter().max_by_key(|separator| count(*separator)).unwrap_or(b',')
}

fn copy_all(from: &mut impl Read, to: &mut File, hash: &mut Sha256) -> io::Result<()> {
    let mut block = vec![0; 64 * 1024];
    loop {
        let count = match from.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&block[..count]);
        to.write_all(&block[..count])?;
    }
}

fn failed(verb: &str, name: &str, error: &io::Error) -> Error {
    let what = format!("cannot {verb} {}: {error}", escape::line(name));
    match error.kind() {
        io::ErrorKind::StorageFull => Error::new(Code::Internal, what),
        _ => Error::invalid(what),
    }
}

fn unreadable(error: &dyn std::fmt::Display) -> Error {
    Error::new(Code::Internal, format!("the copy of the file cannot be read: {error}"))
        .hint("check the directory for temporary files")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(name: &str, content: &[u8]) -> Result<Vec<RawRow>, Error> {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join(name), content).expect("written");
        let source = BatchSource::open(name, directory.path(), "")?;
        let mut rows = source.rows()?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(row);
        }
        Ok(all)
    }

    fn values(row: &RawRow) -> Vec<(&str, &str)> {
        let values = row.values.as_ref().expect("a good row");
        values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    #[test]
    fn csv_and_json_lines_are_recognised() {
        for (name, content) in [
            ("a.csv", "To,Name\n+12125551234,\"Ada, L\"\n"),
            ("a.csv", "\u{feff}To;Name\r\n+12125551234;Ada, L\r\n"),
            ("a.tsv", "to\tname\n+12125551234\tAda, L"),
            ("a.txt", "{\"to\":\"+12125551234\",\"name\":\"Ada, L\"}"),
            ("a.jsonl", "\n{\"To\":\"+12125551234\",\"NAME\":\"Ada, L\"}\n\n"),
        ] {
            let all = rows(name, content.as_bytes()).expect(content);
            assert_eq!(all.len(), 1, "{content}");
            assert_eq!(values(&all[0]), [("name", "Ada, L"), ("to", "+12125551234")], "{content}");
        }
        let all = rows("n.jsonl", b"{\"to\":72975,\"a\":true,\"b\":null}\n").expect("read");
        assert_eq!(values(&all[0]), [("a", "true"), ("b", ""), ("to", "72975")]);
    }

    #[test]
    fn a_bad_row_is_told_by_its_line() {
        let all = rows("a.csv", b"to,x\n+1,\"two\nlines\"\n+1\n+1,\xff\n").expect("read");
        let lines = |all: &[RawRow]| -> Vec<_> {
            all.iter().map(|row| (row.line, row.values.is_ok())).collect()
        };
        assert_eq!(lines(&all), [(2, true), (4, false), (5, false)]);
        let all = rows("a.csv", b"to,x\r\n+1,2\r\n+1\r\n").expect("read");
        assert_eq!(lines(&all), [(2, true), (3, false)]);
        let all =
            rows("a.jsonl", b"{\"to\":1}\n[1]\n{\"to\":[1]}\n{\"a\":1,\"A\":1}\n").expect("read");
        assert_eq!(all.iter().filter(|row| row.values.is_err()).count(), 3);
    }

    #[test]
    fn a_file_without_rows_or_with_a_column_twice_is_refused() {
        assert!(rows("a.csv", b"").is_err() && rows("a.csv", b"\xef\xbb\xbf \n").is_err());
        assert!(rows("a.csv", b"to,To\n").is_err());
        let long = [b"{\"a\":\"", vec![b'x'; LONGEST_ROW].as_slice(), b"\"}\n"].concat();
        assert!(rows("a.jsonl", &long).is_err());
    }

    #[test]
    fn the_template_and_the_bytes_make_the_fingerprint() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("a"), "to\n").expect("written");
        std::fs::write(directory.path().join("b"), "to\n\n").expect("written");
        let of = |name, template| {
            BatchSource::open(name, directory.path(), template).expect("a source").content
        };
        assert_eq!(of("a", "Hi"), of("a", "Hi"));
        assert_ne!(of("a", "Hi"), of("a", "Ho"));
        assert_ne!(of("a", "Hi"), of("b", "Hi"));
    }
}
