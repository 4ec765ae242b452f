//! An export for people and for spreadsheets: a transcript, or CSV.

use std::borrow::Cow;
use std::io::{self, Write};

use chrono::NaiveDate;

use super::{Format, Zone, escape, record};
use crate::domain::export::{ExportedConversation, ExportedMessage};
use crate::domain::{Direction, ExportLine};

/// Blanks before what belongs to a message.
const INDENT: &str = "       ";

/// Prints the messages of an export as CSV, with a header line. Other lines of it say nothing there.
#[derive(Debug)]
pub struct CsvExport<W> {
    out: W,
}

impl<W: Write> CsvExport<W> {
    /// Prints the header line.
    ///
    /// # Errors
    /// Writing failed.
    pub fn begin(mut out: W) -> io::Result<Self> {
        record::header::<ExportedMessage>(&mut out, Format::Csv)?;
        Ok(Self { out })
    }

    /// Prints a line of the export, if it is a message.
    ///
    /// # Errors
    /// Writing failed.
    pub fn line(&mut self, line: &ExportLine) -> io::Result<()> {
        match line {
            ExportLine::Message(message) => {
                record::write(&mut self.out, Format::Csv, std::slice::from_ref(&**message))
            }
            _ => Ok(()),
        }
    }
}

impl record::Record for ExportedMessage {
    const COLUMNS: &'static [&'static str] = &[
        "contact_number",
        "created_at",
        "direction",
        "status",
        "from",
        "to",
        "body",
        "id",
        "conversation_id",
        "telnyx_message_id",
        "subject",
        "media",
        "recipients",
        "cc",
        "segments",
        "cost",
        "currency",
        "error",
    ];
    const NUMBERS: &'static [&'static str] = &["contact_number", "from", "to", "segments"];

    fn id(&self) -> Option<Cow<'_, str>> {
        Some(self.id.to_string().into())
    }

    fn values(&self) -> Vec<Cow<'_, str>> {
        let media: Vec<_> = self.media.iter().map(|media| media.url.as_str()).collect();
        let cost = self.cost.as_ref();
        vec![
            self.contact_number.as_str().into(),
            self.created_at.to_string().into(),
            self.direction.as_str().into(),
            self.status.as_str().into(),
            self.from.as_str().into(),
            self.to.as_str().into(),
            self.body.as_str().into(),
            self.id.to_string().into(),
            self.conversation_id.to_string().into(),
            self.telnyx_message_id.as_deref().unwrap_or_default().into(),
            self.subject.as_deref().unwrap_or_default().into(),
            media.join(" ").into(),
            self.recipients.join(" ").into(),
            self.cc.join(" ").into(),
            self.segments.map(|count| count.to_string()).unwrap_or_default().into(),
            cost.map_or("", |cost| &cost.amount).into(),
            cost.map_or("", |cost| &cost.currency).into(),
            self.error.as_ref().map(ToString::to_string).unwrap_or_default().into(),
        ]
    }
}

/// Prints an export as a transcript: a heading for each conversation and for each day, then who wrote what.
#[derive(Debug)]
pub struct Transcript<W> {
    out: W,
    zone: Zone,
    contact: Option<String>,
    day: Option<NaiveDate>,
}

impl<W: Write> Transcript<W> {
    /// A transcript with times in a zone.
    pub fn new(out: W, zone: Zone) -> Self {
        Self { out, zone, contact: None, day: None }
    }

    /// Prints a line of the export, if it is for people.
    ///
    /// # Errors
    /// Writing failed.
    pub fn line(&mut self, line: &ExportLine) -> io::Result<()> {
        match line {
            ExportLine::Conversation(conversation) => self.heading(conversation),
            ExportLine::Message(message) => self.message(message),
            _ => Ok(()),
        }
    }

    fn heading(&mut self, conversation: &ExportedConversation) -> io::Result<()> {
        if self.contact.is_some() {
            writeln!(self.out)?;
        }
        self.day = None;
        let contact = escape::line(&conversation.contact_number);
        writeln!(self.out, "Conversation with {contact}")?;
        self.contact = Some(contact);
        Ok(())
    }

    fn message(&mut self, message: &ExportedMessage) -> io::Result<()> {
        let day = self.zone.day(message.created_at);
        if self.day != Some(day) {
            self.day = Some(day);
            writeln!(self.out, "\n{}", self.zone.heading(day))?;
        }
        let (time, from) = (self.zone.clock(message.created_at), escape::line(&message.from));
        let subject = message.subject.as_deref().map(|subject| format!("[{subject}] "));
        let text = format!("{}{}", subject.unwrap_or_default(), message.body);
        let mut lines = escape::lines(&text);
        writeln!(self.out, "{time}  {from}: {}", lines.next().unwrap_or_default())?;
        for line in lines {
            writeln!(self.out, "{INDENT}{line}")?;
        }
        for media in &message.media {
            writeln!(self.out, "{INDENT}{}", escape::line(&media.url))?;
        }
        let others: Vec<_> = message.recipients.iter().skip(1).chain(&message.cc).collect();
        if !others.is_empty() {
            let others: Vec<_> = others.into_iter().map(|number| escape::line(number)).collect();
            writeln!(self.out, "{INDENT}(also to {})", others.join(", "))?;
        }
        if message.direction == Direction::Outbound {
            let error = message.error.as_ref().map(|error| format!(": {error}"));
            let status = format!("{}{}", message.status, error.unwrap_or_default());
            writeln!(self.out, "{INDENT}({})", escape::line(&status))?;
        }
        Ok(())
    }
}
