//! Reading the lines of an export.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::{EXPORT_TYPE, EXPORT_VERSION, ExportHeader, ExportLine};
use crate::domain::text::{repair_json, storable};

/// The most bytes of a number, an address or an id: PostgreSQL's indices take no more than about 2,700.
const LONGEST_KEY: usize = 1_000;

/// Why a line cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError(String);

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl LineError {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

#[derive(Deserialize)]
struct LineType<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct LineVersion {
    version: u32,
}

impl ExportLine {
    /// Reads a line. NUL and lone surrogates become U+FFFD, as in a webhook.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &[u8]) -> Result<Self, LineError> {
        let text = repair_json(line);
        let kind: LineType = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
        let kind = kind.kind.into_owned();
        if kind == EXPORT_TYPE {
            let LineVersion { version } =
                serde_json::from_str(&text).map_err(|error| wrong(&error))?;
            if version > EXPORT_VERSION {
                return Err(LineError::new(format!(
                    "version {version} of the format is of a newer convo, which this one cannot read"
                )));
            }
        }
        let line = if text.contains("\\u0000") && kind != "event" {
            let mut value: Value = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
            replace_nul(&mut value);
            serde_json::from_value(value)
        } else {
            serde_json::from_str(&text)
        };
        let line = line.map_err(|error| wrong(&error))?;
        check(&line)?;
        Ok(line)
    }

    /// Reads the first line.
    ///
    /// # Errors
    /// If it is not that of an export, or of a later version of the format.
    pub fn parse_header(line: &[u8]) -> Result<ExportHeader, LineError> {
        match Self::parse(line) {
            Ok(Self::ConvoExport(header)) => Ok(header),
            Err(error) if error.0.contains("newer convo") => Err(error),
            _ => Err(LineError::new("this is not an export of convo")),
        }
    }
}

fn wrong(error: &serde_json::Error) -> LineError {
    if error.is_eof() {
        return LineError::new("the line is cut off");
    }
    // serde_json adds the line, which is always the first, and the column.
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    LineError::new(what.escape_debug().to_string())
}

fn replace_nul(value: &mut Value) {
    match value {
        Value::String(text) => *text = storable(text).into_owned(),
        Value::Array(all) => all.iter_mut().for_each(replace_nul),
        Value::Object(fields) => fields.values_mut().for_each(replace_nul),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Refuses what no database takes as a key.
fn check(line: &ExportLine) -> Result<(), LineError> {
    let (needed, ids): (Vec<&str>, Vec<&str>) = match line {
        ExportLine::OptOut(row) => (vec![&row.contact_number], vec![]),
        ExportLine::Conversation(row) => (vec![&row.contact_number], vec![]),
        ExportLine::Message(row) => {
            let mut ids: Vec<&str> = row.telnyx_message_id.as_deref().into_iter().collect();
            for report in &row.reports {
                ids.extend([&*report.telnyx_message_id, &*report.event_id, &*report.recipient]);
            }
            (vec![&row.contact_number, &row.from, &row.to], ids)
        }
        ExportLine::Report(row) => {
            (vec![&row.telnyx_message_id, &row.event_id], vec![&row.recipient])
        }
        ExportLine::Event(row) => (vec![&row.id], vec![]),
        ExportLine::ConvoExport(_) | ExportLine::Merged(_) | ExportLine::End(_) => (vec![], vec![]),
    };
    if needed.iter().any(|key| key.is_empty()) {
        return Err(LineError::new("a number or an id is empty"));
    }
    if needed.iter().chain(&ids).any(|key| key.len() > LONGEST_KEY) {
        return Err(LineError::new("a number or an id is too long"));
    }
    Ok(())
}
