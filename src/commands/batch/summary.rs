//! What a check found, in words for people.

use std::fmt::Write;

use super::checked::CheckedRow;
use super::outcome::RowOutcome;
use super::pace::{self, LanePacer, Rate};
use super::rows::BadRow;
use crate::domain::{BatchRowState, Encoding, PhoneNumber, SegmentCost};
use crate::error::Error;
use crate::output::escape;

/// How many lines of the file are named.
const NAMED: usize = 20;

/// What the check of a file found.
#[derive(Debug, Default)]
pub(super) struct BatchSummary {
    pub(super) rows: u64,
    pub(super) to_send: u64,
    /// Sent by an earlier run, or perhaps.
    sent: u64,
    repeated: Lines,
    doubles: Lines,
    opted_out: Lines,
    segments: u64,
    ucs2: u64,
    pub(super) cost: Option<SegmentCost>,
    bad: Vec<BadRow>,
    bad_count: u64,
}

/// Lines of the file: all are counted, and the first are named.
#[derive(Debug, Default)]
struct Lines {
    count: u64,
    first: Vec<u64>,
}

impl Lines {
    fn add(&mut self, line: u64) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(line);
        }
    }

    fn say(&self, out: &mut String, what: &str) {
        if self.count == 0 {
            return;
        }
        let lines: Vec<_> = self.first.iter().map(u64::to_string).collect();
        let more = if self.count > self.first.len() as u64 { ", …" } else { "" };
        let word = if self.count == 1 { "line" } else { "lines" };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {what:<18}{} ({word} {}{more})", self.count, lines.join(", "));
    }
}

impl BatchSummary {
    /// Adds a row, and what there is to tell of it now.
    pub(super) fn add(&mut self, checked: &CheckedRow, settled: Option<&RowOutcome>) {
        self.rows += 1;
        let line = checked.row.line;
        if settled.is_none() {
            self.to_send += 1;
            let size = checked.row.draft.size();
            self.segments += u64::from(size.segments);
            self.ucs2 += u64::from(size.encoding == Encoding::Ucs2);
        }
        match checked.known.as_ref().map(|known| known.state) {
            None => self.repeated.add(line),
            Some(BatchRowState::Double) => self.doubles.add(line),
            Some(BatchRowState::OptedOut) => self.opted_out.add(line),
            Some(BatchRowState::Sent) if settled.is_some() => self.sent += 1,
            Some(BatchRowState::Sent | BatchRowState::New) => {}
        }
    }

    pub(super) fn add_bad(&mut self, bad: Vec<BadRow>) {
        self.bad_count += bad.len() as u64;
        self.rows += bad.len() as u64;
        let room = NAMED.saturating_sub(self.bad.len());
        self.bad.extend(bad.into_iter().take(room));
    }

    /// The error for a file with rows that cannot be sent, with a line for each of the first of them.
    pub(super) fn objection(&self) -> Option<(String, Error)> {
        if self.bad_count == 0 {
            return None;
        }
        let mut lines = String::new();
        for BadRow { line, why } in &self.bad {
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "line {line}: {}", escape::line(why));
        }
        let (count, rows) = (self.bad_count, self.rows);
        let what = match count {
            1 => format!("1 of {rows} rows cannot be sent"),
            _ => format!("{count} of {rows} rows cannot be sent"),
        };
        let error = Error::invalid(format!("{what}; nothing was sent"))
            .hint("correct the file and run the same command again");
        Some((lines, error))
    }

    /// The summary: a line for each thing that there is to tell.
    pub(super) fn text(&self, id: &str, senders: &[PhoneNumber], pacer: &LanePacer) -> String {
        let mut out = format!("batch {id}: {} rows\n", self.rows);
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {:<18}{}", "to send", self.texts());
        if self.sent > 0 {
            let _ = writeln!(out, "  {:<18}{}", "sent before", self.sent);
        }
        self.repeated.say(&mut out, "repeated rows");
        self.doubles.say(&mut out, "sent within 24 h");
        self.opted_out.say(&mut out, "opted out");
        if self.to_send > 0 {
            let _ = writeln!(out, "  {:<18}{}", "pace", self.pace(senders, pacer));
        }
        out
    }

    fn texts(&self) -> String {
        let (texts, segments, ucs2) = (self.to_send, self.segments, self.ucs2);
        let mut out = format!(
            "{texts} {}, {segments} {}, {} in GSM-7, {ucs2} in UCS-2",
            if texts == 1 { "text" } else { "texts" },
            if segments == 1 { "segment" } else { "segments" },
            texts - ucs2,
        );
        if let Some(SegmentCost { amount, currency }) = &self.cost
            && let Ok(amount) = amount.parse::<f64>()
        {
            let currency = escape::line(currency);
            // Exact up to 2^53.
            let _ = write!(out, ", about {:.2} {currency}", amount * segments as f64);
        }
        out
    }

    fn pace(&self, senders: &[PhoneNumber], pacer: &LanePacer) -> String {
        let each = senders.iter().map(|number| pacer.rate_of(number));
        let Some(all) = Rate::sum(each) else { return "that of each row's sender".to_owned() };
        let time = pace::about(all.time_for(self.to_send.saturating_sub(1)));
        let from = match senders {
            [only] => format!("from {}", escape::line(only.as_str())),
            several => format!("from {} numbers together", several.len()),
        };
        format!("{all} {from}: about {time}")
    }
}
