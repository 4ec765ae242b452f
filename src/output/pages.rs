//! Long lists, written page by page, in every format.

use std::fmt;
use std::io::{self, Write};

use super::record::{self, Record};
use super::tone::Tone;
use super::width::wrap;
use super::{Format, Style, json};

/// How a table shows records: what differs from one list to another.
pub trait PageTable: Default + fmt::Debug {
    /// A row.
    type Row: Record;

    /// Writes the rows of a page that has some, after the headings if it is the first.
    ///
    /// # Errors
    /// Writing to `out` failed.
    fn rows(&mut self, out: &mut impl Write, page: &[Self::Row], style: &Style) -> io::Result<()>;
}

/// What a table says at its end.
#[derive(Clone, Copy, Debug)]
pub struct ClosingTexts {
    /// Instead of rows.
    pub empty: &'static str,
    /// If rows were left out which nobody asked to leave out.
    pub more: &'static str,
}

/// Prints a list. Nothing is written before the first page has been read, so that a failure to read
/// leaves standard output empty.
#[derive(Debug)]
pub struct Pages<'a, W: Write, T: PageTable> {
    out: &'a mut W,
    style: Style,
    texts: ClosingTexts,
    table: T,
    array: json::Array,
    begun: bool,
    is_empty: bool,
}

impl<'a, W: Write, T: PageTable> Pages<'a, W, T> {
    /// A printer that has not begun.
    pub fn with_texts(texts: ClosingTexts, out: &'a mut W, style: &Style) -> Self {
        let (table, array) = (T::default(), json::Array::default());
        Self { out, style: style.clone(), texts, table, array, begun: false, is_empty: true }
    }

    /// Prints the next page.
    ///
    /// # Errors
    /// Writing failed.
    pub fn page(&mut self, page: &[T::Row]) -> io::Result<()> {
        self.begin()?;
        match self.style.format {
            Format::Table if page.is_empty() => {}
            Format::Table => self.table.rows(self.out, page, &self.style)?,
            Format::Json => {
                for row in page {
                    self.array.element(self.out, row)?;
                }
            }
            format => record::write(self.out, format, page)?,
        }
        self.is_empty &= page.is_empty();
        self.out.flush()
    }

    /// Ends the list. `more` says that rows were left out which nobody asked to leave out.
    ///
    /// # Errors
    /// Writing failed.
    pub fn finish(&mut self, more: bool) -> io::Result<()> {
        self.begin()?;
        match self.style.format {
            Format::Table if self.is_empty => writeln!(self.out, "{}", self.texts.empty)?,
            Format::Table if more => {
                for line in wrap(self.texts.more, self.style.width) {
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
        record::header::<T::Row>(self.out, self.style.format)
    }
}
