//! The rows of a batch: whom each is for, what it says, and what tells it from the others.

use std::collections::{BTreeMap, HashSet};

use super::source::{BatchSource, RawRow, SourceRows};
use super::template::Template;
use crate::domain::{BatchId, BatchPlace, Draft, Fingerprint, PhoneNumber, Recipient, SendRequest};
use crate::error::Error;
use crate::output::escape;

/// What the column with the recipient may be called.
const RECIPIENT: [&str; 4] = ["to", "number", "phone", "contact"];
const TEXT: &str = "text";
const KEY: &str = "key";
const FROM: &str = "from";

/// A row as the file has it, with a text but perhaps only the name of a recipient.
#[derive(Debug)]
pub(super) struct UnaddressedRow {
    pub(super) line: u64,
    to: String,
    key: String,
    request: SendRequest,
}

/// A row that can be sent.
#[derive(Clone, Debug)]
pub(super) struct BatchLine {
    /// The line that it begins on, from 1.
    pub(super) line: u64,
    /// Its own key; empty without one.
    pub(super) key: String,
    pub(super) draft: Draft,
    /// What tells it from the other rows of its batch.
    pub(super) place: Fingerprint,
    /// Another row of the file is the same, or has the same key.
    pub(super) is_repeated: bool,
}

/// A row that cannot be sent, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadRow {
    pub(super) line: u64,
    pub(super) why: String,
}

/// What rows have in common.
#[derive(Clone, Debug)]
pub(super) struct RowPlan {
    pub(super) id: BatchId,
    /// Without one, the text is a column.
    pub(super) template: Option<Template>,
    /// The sender of rows that name none.
    pub(super) from: Option<String>,
    pub(super) despite_send_limit: bool,
}

/// Reads rows one by one. Only fingerprints of those that were read are kept.
pub(super) struct RowReader<'a> {
    rows: SourceRows,
    plan: &'a RowPlan,
    places: HashSet<Fingerprint>,
    texts: HashSet<Fingerprint>,
}

impl<'a> RowReader<'a> {
    /// Begins with the first row.
    ///
    /// # Errors
    /// A column that all rows need is missing.
    pub(super) fn new(source: &BatchSource, plan: &'a RowPlan) -> Result<Self, Error> {
        let rows = source.rows()?;
        if let Some(columns) = rows.columns() {
            plan.check_columns(columns)?;
        }
        Ok(Self { rows, plan, places: HashSet::new(), texts: HashSet::new() })
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<Result<UnaddressedRow, BadRow>>, Error> {
        let Some(RawRow { line, values }) = self.rows.next()? else { return Ok(None) };
        let row = values.and_then(|values| self.plan.row(line, &values));
        Ok(Some(row.map_err(|why| BadRow { line, why })))
    }

    /// A row whose recipient is known.
    ///
    /// # Errors
    /// It cannot be sent.
    pub(super) fn address(
        &mut self,
        row: UnaddressedRow,
        to: &PhoneNumber,
    ) -> Result<BatchLine, BadRow> {
        let UnaddressedRow { line, key, request, .. } = row;
        let draft = Draft::new(to.as_str(), request)
            .map_err(|error| BadRow { line, why: reason(&error) })?;
        let text = draft.fingerprint();
        let place = if key.is_empty() { text } else { Fingerprint::of_key(&key) };
        let draft = draft.in_batch(BatchPlace { id: self.plan.id.clone(), row: place });
        let is_new = self.places.insert(place);
        let is_repeated = !self.texts.insert(text) || !is_new;
        Ok(BatchLine { line, key, draft, place, is_repeated })
    }
}

impl UnaddressedRow {
    /// The number or the name of the recipient.
    ///
    /// # Errors
    /// It is neither.
    pub(super) fn recipient(&self) -> Result<Recipient, BadRow> {
        let parsed = Recipient::parse(&self.to).map_err(Error::from);
        parsed.map_err(|error| BadRow { line: self.line, why: reason(&error) })
    }
}

/// Why a row cannot be sent, and what to do about it.
pub(super) fn reason(error: &Error) -> String {
    match error.hint_text() {
        Some(hint) => format!("{error} ({hint})"),
        None => error.to_string(),
    }
}

impl RowPlan {
    /// Makes sure that the file has the columns that every row needs.
    fn check_columns(&self, columns: &[String]) -> Result<(), Error> {
        let has = |name: &str| columns.iter().any(|column| column == name);
        let there = || {
            let names: Vec<_> = columns.iter().map(|name| escape::line(name)).collect();
            format!("the columns are: {}", names.join(", "))
        };
        if !RECIPIENT.iter().any(|name| has(name)) {
            return Err(Error::invalid("there is no column 'to' with the recipients")
                .hint(format!("the first line names the columns; {}", there())));
        }
        match &self.template {
            Some(template) => match template.columns().into_iter().find(|name| !has(name)) {
                Some(name) => {
                    let name = escape::line(name);
                    let what = format!("the template names {{{name}}}, which is not a column");
                    Err(Error::invalid(what).hint(there()))
                }
                None => Ok(()),
            },
            None if has(TEXT) => Ok(()),
            None => Err(Error::invalid("there is no column 'text', and no --text")
                .hint(format!("give the text with --text 'Hi {{name}}'; {}", there()))),
        }
    }

    fn row(&self, line: u64, values: &BTreeMap<String, String>) -> Result<UnaddressedRow, String> {
        let value =
            |name: &str| values.get(name).map(|value| value.trim()).filter(|v| !v.is_empty());
        let to = RECIPIENT.into_iter().find_map(value).ok_or("there is no recipient")?;
        let text = match &self.template {
            Some(template) => template.fill(values)?,
            None => values.get(TEXT).cloned().ok_or("there is no column text")?,
        };
        let request = SendRequest {
            message: Some(text),
            from: value(FROM).map(str::to_owned).or_else(|| self.from.clone()),
            despite_send_limit: self.despite_send_limit,
            ..SendRequest::default()
        };
        let key = value(KEY).unwrap_or_default().to_owned();
        Ok(UnaddressedRow { line, to: to.to_owned(), key, request })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(template: Option<&str>) -> RowPlan {
        RowPlan {
            id: BatchId::parse("b").expect("a name"),
            template: template.map(|text| Template::parse(text).expect("a template")),
            from: None,
            despite_send_limit: false,
        }
    }

    fn read(
        content: &str,
        template: Option<&str>,
    ) -> Result<Vec<Result<BatchLine, BadRow>>, Error> {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("f"), content).expect("written");
        let source = BatchSource::open("f", directory.path(), "")?;
        let plan = plan(template);
        let mut reader = RowReader::new(&source, &plan)?;
        let mut all = Vec::new();
        while let Some(row) = reader.next()? {
            all.push(row.and_then(|row| match row.recipient()? {
                Recipient::Number(number) => reader.address(row, &number),
                Recipient::Named(name) => {
                    Err(BadRow { line: row.line, why: format!("the name {name:?}") })
                }
            }));
        }
        Ok(all)
    }

    #[test]
    fn a_row_is_its_key_or_its_contact_and_text_but_never_its_line() {
        let one = "to,name,key\n+1 (212) 555-1234,Ada,\n+12125551235,Bo,k\n";
        let other = "key,to,name\nk,+12125559999,Cy\n,+12125550000,X\n,+12125551234,Ada\n";
        let good = |content| {
            let rows = read(content, Some("Hi {name}")).expect("rows");
            rows.into_iter().map(|row| row.expect("good")).collect::<Vec<_>>()
        };
        let (one, other) = (good(one), good(other));
        assert_eq!(one[0].place, other[2].place);
        assert_eq!(one[1].place, other[0].place);
        assert_eq!((one[0].draft.text(), one[0].draft.to().as_str()), ("Hi Ada", "+12125551234"));
        assert_eq!(one[1].key, "k");
    }

    #[test]
    fn the_second_of_two_equal_rows_is_a_repeat() {
        let content = "to,text,key\n+12125551234,Hi,1\n+12125551234,Hi,2\n+12125551234,Ho,1\n\
                       +12125551234,Ho,3\n+12125551235,Ho,4\n";
        let rows = read(content, None).expect("rows");
        let repeated: Vec<_> = rows.into_iter().map(|row| row.expect("good").is_repeated).collect();
        assert_eq!(repeated, [false, true, true, true, false]);
    }

    #[test]
    fn a_bad_row_says_what_is_wrong_and_where() {
        let long = "x".repeat(1_600);
        let content = format!(
            "phone,text\n2125551234,Hi\n,Hi\n+12125551234,\n+12125551234,{long}\n+12125551234,a,b\n"
        );
        let rows = read(&content, None).expect("rows");
        let why: Vec<_> = rows.into_iter().map(|row| row.expect_err("bad")).collect();
        for (bad, (line, words)) in why.iter().zip([
            (2, "no country code"),
            (3, "no recipient"),
            (4, "the message is empty"),
            (5, "more than 10 segments"),
            (6, "3 columns instead of 2"),
        ]) {
            assert!(bad.line == line && bad.why.contains(words), "{bad:?}");
        }
    }

    #[test]
    fn a_missing_column_is_named_before_any_row_is_read() {
        for (content, template, words) in [
            ("name\nAda\n", Some("Hi {name}"), "no column 'to'"),
            ("to\n+12125551234\n", Some("Hi {name}"), "{name}, which is not a column"),
            ("to\n+12125551234\n", None, "no --text"),
        ] {
            let error = read(content, template).expect_err(words);
            assert!(error.exit_code() == 2 && error.to_string().contains(words), "{error}");
        }
        let rows = read("{\"to\":\"+12125551234\"}\n", Some("{name}")).expect("rows");
        assert!(rows[0].as_ref().is_err_and(|bad| bad.why.contains("no column name")));
    }
}
