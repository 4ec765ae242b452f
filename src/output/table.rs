//! The table of threads. The one user of comfy-table.
//!
//! Threads arrive page by page, so the widths are settled by the first page and kept. The text is
//! the last column: where a terminal disagrees about the width of an emoji, nothing follows it.

use comfy_table::{Cell, CellAlignment, ColumnConstraint, Table, Width, presets};
use unicode_width::UnicodeWidthStr;

use super::tone::Tone;
use super::width::{columns, cut};
use super::{Style, escape, status};
use crate::domain::conversation::SHOWN_SUFFIX;
use crate::domain::{Conversation, LastMessage, Status};

/// Blanks between two columns.
const GAP: usize = 2;
/// The text is worth more than another column while it has less room than this.
const ENOUGH_TEXT: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Id,
    Contact,
    Count,
    When,
    Status,
    Last,
}

/// From left to right.
const COLUMNS: [Column; 6] =
    [Column::Id, Column::Contact, Column::Count, Column::When, Column::Status, Column::Last];
/// What goes first when the window is narrow.
const EXPENDABLE: [Column; 3] = [Column::Count, Column::Id, Column::Status];

impl Column {
    fn heading(self) -> &'static str {
        match self {
            Self::Id => "ID",
            Self::Contact => "CONTACT",
            Self::Count => "MSGS",
            Self::When => "WHEN",
            Self::Status => "STATUS",
            Self::Last => "LAST MESSAGE",
        }
    }

    /// The widths between which its content may settle it.
    fn bounds(self) -> (usize, usize) {
        match self {
            Self::Id => (SHOWN_SUFFIX, SHOWN_SUFFIX),
            // A name is shown as far as there is room; a number always fits.
            Self::Contact => (12, 16),
            Self::Count => (4, 9),
            Self::When | Self::Status => (11, 11),
            Self::Last => (8, usize::MAX),
        }
    }
}

/// Which columns there are and how wide, from the first page to the last.
#[derive(Debug)]
pub(super) struct Layout {
    columns: Vec<(Column, usize)>,
}

impl Layout {
    /// Settles the columns for a first page.
    pub(super) fn for_page(page: &[Conversation], style: &Style) -> Self {
        let measure = |column: Column| {
            let widest =
                page.iter().map(|thread| columns(&text(column, thread, style, false))).max();
            let (least, most) = column.bounds();
            let beside = match column {
                Column::Contact => page.iter().map(|thread| columns(&unread(thread, style))).max(),
                _ => None,
            };
            (column, widest.unwrap_or(0).clamp(least, most) + beside.unwrap_or(0))
        };
        let fixed = COLUMNS.into_iter().filter(|column| *column != Column::Last);
        let mut columns: Vec<_> = fixed.map(measure).collect();
        for column in EXPENDABLE {
            if room(&columns, style.width) < ENOUGH_TEXT {
                columns.retain(|(kept, _)| *kept != column);
            }
        }
        let least = Column::Last.bounds().0;
        if room(&columns, style.width) < least {
            columns.retain(|(kept, _)| *kept != Column::When);
        }
        columns.push((Column::Last, room(&columns, style.width).max(least)));
        Self { columns }
    }

    /// The lines of one page; the first page begins with the headings.
    pub(super) fn lines(&self, page: &[Conversation], style: &Style, headed: bool) -> Vec<String> {
        let shows_status = self.columns.iter().any(|(column, _)| *column == Column::Status);
        let row = |thread: &Conversation| -> Vec<String> {
            let text = |column| text(column, thread, style, !shows_status);
            // comfy-table pads by the narrower measure; the text, which comes last, makes up for it.
            let mut excess = 0;
            let cell = |(column, width): &(Column, usize)| {
                let room =
                    if *column == Column::Last { width.saturating_sub(excess) } else { *width };
                let mark = match column {
                    Column::Contact => unread(thread, style),
                    _ => String::new(),
                };
                let room = room.saturating_sub(columns(&mark));
                let cell = format!("{}{mark}", cut(&text(*column), room, style.glyphs.cut));
                excess += columns(&cell) - cell.width();
                cell
            };
            self.columns.iter().map(cell).collect()
        };
        let mut rows: Vec<_> = page.iter().map(row).collect();
        let mut tones: Vec<_> = page.iter().map(|thread| self.tones(thread)).collect();
        if headed {
            // A heading that is too wide would take a second line.
            let heading = |(column, width): &(Column, usize)| {
                cut(column.heading(), *width, style.glyphs.cut).into_owned()
            };
            rows.insert(0, self.columns.iter().map(heading).collect());
            tones.insert(0, vec![Tone::Strong; self.columns.len()]);
        }
        let lines = self.lay_out(&rows);
        let painted = lines.iter().zip(&rows).zip(&tones);
        painted.map(|((line, cells), tones)| paint(line, cells, tones, style.color)).collect()
    }

    fn lay_out(&self, rows: &[Vec<String>]) -> Vec<String> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        for row in rows {
            table.add_row(row.iter().map(Cell::new));
        }
        let last = self.columns.len().saturating_sub(1);
        for (at, (column, width)) in self.columns.iter().enumerate() {
            let Some(formatted) = table.column_mut(at) else { continue };
            let gap = if at == last { 0 } else { GAP };
            let total = u16::try_from(width.saturating_add(gap)).unwrap_or(u16::MAX);
            formatted.set_padding((0, u16::try_from(gap).unwrap_or_default()));
            formatted.set_constraint(ColumnConstraint::Absolute(Width::Fixed(total)));
            if *column == Column::Count {
                formatted.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.lines().collect()
    }

    fn tones(&self, thread: &Conversation) -> Vec<Tone> {
        let last = thread.last_message.as_ref().map_or(Status::Received, |last| last.status);
        let tone = |column| match column {
            Column::Id | Column::When => Tone::Quiet,
            Column::Contact => Tone::Strong,
            Column::Status => status::tone(last),
            Column::Last if thread.opted_out_at.is_some() => Tone::Doubt,
            Column::Count | Column::Last => Tone::Plain,
        };
        self.columns.iter().map(|(column, _)| tone(*column)).collect()
    }
}

/// Colours the cells of a laid-out line. Between them there are only blanks.
fn paint(line: &str, cells: &[String], tones: &[Tone], color: bool) -> String {
    let mut painted = String::with_capacity(line.len());
    let mut rest = line;
    for (cell, tone) in cells.iter().zip(tones) {
        let cell = cell.trim();
        let Some((blanks, after)) = rest.split_once(cell) else { continue };
        painted.push_str(blanks);
        painted.push_str(&tone.paint(cell, color));
        rest = after;
    }
    painted
}

/// Columns that remain for the text beside the given ones.
fn room(columns: &[(Column, usize)], width: usize) -> usize {
    let used: usize = columns.iter().map(|(_, column)| column + GAP).sum();
    width.saturating_sub(used)
}

/// What stands beside the contact of a conversation with unread messages: how many.
fn unread(thread: &Conversation, style: &Style) -> String {
    match thread.unread_count {
        0 => String::new(),
        count @ 1..=99 => format!(" {}{count}", style.glyphs.unread),
        _ => format!(" {}99+", style.glyphs.unread),
    }
}

fn text(column: Column, thread: &Conversation, style: &Style, marked: bool) -> String {
    let (last, number) = (thread.last_message.as_ref(), thread.contact_number.as_str());
    match column {
        Column::Id => {
            let id = thread.id.to_string();
            id[id.len() - SHOWN_SUFFIX..].to_owned()
        }
        Column::Contact => escape::line(thread.contact_name.as_deref().unwrap_or(number)),
        Column::Count => thread.message_count.to_string(),
        Column::When => style.zone.ago(thread.last_message_at, style.now),
        Column::Status => last.map_or("", |last| status::word(last.status)).to_owned(),
        Column::Last => {
            let opted_out = match thread.opted_out_at {
                None => "",
                // Where room is scarce.
                Some(_) if marked => "[out] ",
                Some(_) => "[opted out] ",
            };
            let last = last.map(|last| said(last, style, marked));
            let last = last.unwrap_or_else(|| "(no messages)".to_owned());
            format!("{opted_out}{last}")
        }
    }
}

/// The last message: which way it went, how it fared when no column says so, what it said.
fn said(last: &LastMessage, style: &Style, marked: bool) -> String {
    let worth_it = marked && (last.status.is_failure() || last.status == Status::Unknown);
    let mark = match worth_it {
        true => format!("{} ", style.glyphs.mark(last.status)),
        false => String::new(),
    };
    // Of an MMS without a text, the subject is all there is to read.
    let subject = last.subject.as_deref().filter(|_| last.body.is_empty()).unwrap_or_default();
    let words = if subject.is_empty() { &last.body } else { subject };
    let files = match last.media_count {
        0 if words.is_empty() => "(no text)".to_owned(),
        0 => String::new(),
        1 => "[1 file] ".to_owned(),
        count => format!("[{count} files] "),
    };
    let scheduled = match (last.status, last.send_at) {
        (Status::Scheduled, Some(at)) => format!("[{}] ", style.zone.day_and_clock(at)),
        _ => String::new(),
    };
    let group = match last.cc.len() {
        0 => String::new(),
        1 => "[with 1 other] ".to_owned(),
        count => format!("[with {count} others] "),
    };
    let arrow = style.glyphs.arrow(last.direction);
    let said = format!("{arrow} {mark}{scheduled}{group}{files}{}", escape::line(words));
    said.trim_end().to_owned()
}
