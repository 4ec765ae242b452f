//! The list of contacts that have a name.

use std::borrow::Cow;
use std::io::{self, Write};

use super::pages::{ClosingTexts, PageTable, Pages};
use super::record::Record;
use super::{Style, rows};
use crate::domain::{Contact, ContactFilter};

const TEXTS: ClosingTexts = ClosingTexts {
    empty: "No contact has a name yet.",
    more: "Only the first are shown; --all shows every contact.",
};

/// Prints contacts.
pub type ContactList<'a, W> = Pages<'a, W, ContactTable>;

/// A table of contacts.
#[derive(Debug, Default)]
pub struct ContactTable {
    headed: bool,
}

impl Record for Contact {
    const COLUMNS: &'static [&'static str] = &["contact_number", "contact_name", "named_at"];
    const NUMBERS: &'static [&'static str] = &["contact_number"];

    fn id(&self) -> Option<Cow<'_, str>> {
        Some(self.contact_number.as_str().into())
    }

    fn values(&self) -> Vec<Cow<'_, str>> {
        vec![
            self.contact_number.as_str().into(),
            self.contact_name.as_deref().unwrap_or_default().into(),
            self.named_at.map(|at| at.to_string()).unwrap_or_default().into(),
        ]
    }
}

impl<'a, W: Write> ContactList<'a, W> {
    /// A printer for a list: its filter decides the closing texts.
    pub fn new(out: &'a mut W, filter: &ContactFilter, style: &Style) -> Self {
        let mut texts = TEXTS;
        if filter.part.is_some() {
            texts.empty = "No contact has such a name.";
        }
        Self::with_texts(texts, out, style)
    }
}

impl PageTable for ContactTable {
    type Row = Contact;

    fn rows(&mut self, out: &mut impl Write, page: &[Contact], style: &Style) -> io::Result<()> {
        let row = |contact: &Contact| {
            let name = contact.contact_name.clone().unwrap_or_default();
            [contact.contact_number.to_string(), name]
        };
        let rows: Vec<_> = page.iter().map(row).collect();
        if std::mem::replace(&mut self.headed, true) {
            return rows::continued(out, &rows, style);
        }
        rows::table(out, ["NUMBER", "NAME"], &rows, style)
    }
}
