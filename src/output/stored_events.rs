//! The list of stored webhook events, written page by page.

use std::borrow::Cow;
use std::io::{self, Write};

use uuid::Uuid;

use super::record::{self, Record};
use super::tone::Tone;
use super::width::wrap;
use super::{Format, Style, escape, json, rows};
use crate::domain::StoredEvent;

/// Prints events. Nothing is written before the first page has been read.
#[derive(Debug)]
pub struct StoredEventList<'a, W: Write> {
    out: &'a mut W,
    style: Style,
    array: json::Array,
    begun: bool,
    is_empty: bool,
}

impl Record for StoredEvent {
    const COLUMNS: &'static [&'static str] =
        &["id", "event_type", "occurred_at", "received_at", "contact_number", "telnyx_message_id"];
    const NUMBERS: &'static [&'static str] = &["contact_number"];

    fn id(&self) -> Option<Uuid> {
        Uuid::try_parse(&self.id).ok()
    }

    fn values(&self) -> Vec<Cow<'_, str>> {
        vec![
            self.id.as_str().into(),
            self.event_type.as_str().into(),
            self.occurred_at.map(|at| at.to_string()).unwrap_or_default().into(),
            self.received_at.to_string().into(),
            self.contact_number.as_deref().unwrap_or_default().into(),
            self.telnyx_message_id.as_deref().unwrap_or_default().into(),
        ]
    }
}

impl<'a, W: Write> StoredEventList<'a, W> {
    /// A printer that has not begun.
    pub fn new(out: &'a mut W, style: &Style) -> Self {
        let array = json::Array::default();
        Self { out, style: style.clone(), array, begun: false, is_empty: true }
    }

    /// Prints the next page.
    ///
    /// # Errors
    /// Writing failed.
    pub fn page(&mut self, page: &[StoredEvent]) -> io::Result<()> {
        self.begin()?;
        match self.style.format {
            Format::Table if page.is_empty() => {}
            Format::Table => self.table(page)?,
            Format::Json => {
                for event in page {
                    self.array.element(self.out, event)?;
                }
            }
            // Not all of Telnyx's ids are UUIDs.
            Format::Ids => {
                for event in page {
                    writeln!(self.out, "{}", escape::field(&event.id))?;
                }
            }
            format => record::write(self.out, format, page)?,
        }
        self.is_empty &= page.is_empty();
        self.out.flush()
    }

    fn table(&mut self, page: &[StoredEvent]) -> io::Result<()> {
        let (zone, now) = (self.style.zone, self.style.now);
        let row = |event: &StoredEvent| {
            let at = event.occurred_at.unwrap_or(event.received_at);
            [
                zone.ago(at, now),
                event.event_type.clone(),
                event.contact_number.clone().unwrap_or_else(|| "-".to_owned()),
                event.id.clone(),
            ]
        };
        let table: Vec<_> = page.iter().map(row).collect();
        rows::table(self.out, ["TIME", "TYPE", "CONTACT", "ID"], &table, &self.style)
    }

    /// Ends the list. `more` says that events were left out which nobody asked to leave out.
    ///
    /// # Errors
    /// Writing failed.
    pub fn finish(&mut self, more: bool) -> io::Result<()> {
        self.begin()?;
        match self.style.format {
            Format::Table if self.is_empty => writeln!(self.out, "No event matches.")?,
            Format::Table if more => {
                let told = "Only the newest are shown; --all shows every event.";
                for line in wrap(told, self.style.width) {
                    writeln!(self.out, "{}", Tone::Quiet.paint(&line, self.style.color))?;
                }
            }
            Format::Json => {
                self.array.finish(self.out)?;
                self.out.write_all(b"\n")?;
            }
            _ => {}
        }
        self.out.flush()
    }

    fn begin(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        record::header::<StoredEvent>(self.out, self.style.format)
    }
}
