//! The list of stored webhook events.

use std::borrow::Cow;
use std::io::{self, Write};

use super::pages::{ClosingTexts, PageTable, Pages};
use super::record::Record;
use super::{Style, rows};
use crate::domain::StoredEvent;

const TEXTS: ClosingTexts = ClosingTexts {
    empty: "No event matches.",
    more: "Only the newest are shown; --all shows every event.",
};

/// Prints events.
pub type StoredEventList<'a, W> = Pages<'a, W, StoredEventTable>;

/// A table of events.
#[derive(Debug, Default)]
pub struct StoredEventTable {
    headed: bool,
}

impl Record for StoredEvent {
    const COLUMNS: &'static [&'static str] =
        &["id", "event_type", "occurred_at", "received_at", "contact_number", "telnyx_message_id"];
    const NUMBERS: &'static [&'static str] = &["contact_number"];

    fn id(&self) -> Option<Cow<'_, str>> {
        Some(self.id.as_str().into())
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
        Self::with_texts(TEXTS, out, style)
    }
}

impl PageTable for StoredEventTable {
    type Row = StoredEvent;

    fn rows(
        &mut self,
        out: &mut impl Write,
        page: &[StoredEvent],
        style: &Style,
    ) -> io::Result<()> {
        let row = |event: &StoredEvent| {
            let at = event.occurred_at.unwrap_or(event.received_at);
            [
                style.zone.ago(at, style.now),
                event.event_type.clone(),
                event.contact_number.clone().unwrap_or_else(|| "-".to_owned()),
                event.id.clone(),
            ]
        };
        let rows: Vec<_> = page.iter().map(row).collect();
        if std::mem::replace(&mut self.headed, true) {
            return rows::continued(out, &rows, style);
        }
        rows::table(out, ["TIME", "TYPE", "CONTACT", "ID"], &rows, style)
    }
}
