//! Reporting rows as they end: into the result file, on standard output, and by the progress bar.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use indicatif::ProgressBar;

use super::outcome::{RowOutcome, badness};
use super::pace::{Rate, about};
use super::results::ResultFile;
use crate::commands::print::finish_write;
use crate::commands::progress;
use crate::error::{Code, Error};
use crate::output::{Format, Style, escape, record};
use crate::stdio;

/// What became of the rows of a run.
pub(super) struct Report<'a> {
    pub(super) style: &'a Style,
    pub(super) file: Option<ResultFile>,
    bar: ProgressBar,
    /// The rate of all senders together, if it is known.
    pace: Option<Rate>,
    /// Whether rows are printed as they end.
    pub(super) prints: bool,
    counts: BTreeMap<String, u64>,
    /// The kind of the worst failure, and what was wrong.
    worst: Option<(Code, String)>,
    /// How many rows were decided.
    decided: u64,
    unwritten: Option<io::Error>,
}

impl<'a> Report<'a> {
    pub(super) fn new(style: &'a Style) -> Self {
        Self {
            style,
            file: None,
            bar: ProgressBar::hidden(),
            pace: None,
            prints: true,
            counts: BTreeMap::new(),
            worst: None,
            decided: 0,
            unwritten: None,
        }
    }

    /// Shows how many rows are sent and when the last of them will be, until [`hide_bar`](Self::hide_bar).
    pub(super) fn show_bar(&mut self, rows: u64, pace: Option<Rate>) {
        self.bar = progress::bar("{bar:30} {human_pos}/{human_len} {msg}");
        self.bar.set_length(rows);
        self.pace = pace;
        self.tell_what_is_left();
    }

    pub(super) fn hide_bar(&self) {
        self.bar.finish_and_clear();
    }

    /// By the pace, or by the time so far if that was slower.
    fn tell_what_is_left(&self) {
        let (done, all) = (self.bar.position(), self.bar.length().unwrap_or_default());
        let left = all.saturating_sub(done);
        let so_far = self.bar.elapsed().as_secs_f64() / done.max(1) as f64 * left as f64;
        let so_far = Duration::try_from_secs_f64(so_far).unwrap_or(Duration::MAX);
        self.bar.set_message(match self.pace {
            Some(pace) => format!("{pace}, {} left", about(pace.time_for(left).max(so_far))),
            None => format!("{} left", about(so_far)),
        });
    }

    /// Reports a row.
    ///
    /// # Errors
    /// The result file cannot be written.
    pub(super) fn add(&mut self, outcome: &RowOutcome) -> Result<(), Error> {
        if let Some(file) = &mut self.file {
            file.add(outcome)?;
        }
        self.count(outcome);
        self.print(outcome);
        self.bar.inc(1);
        self.tell_what_is_left();
        Ok(())
    }

    fn count(&mut self, outcome: &RowOutcome) {
        *self.counts.entry(outcome.status.clone()).or_default() += 1;
        self.decided += u64::from(!outcome.is_left());
        self.weigh(outcome);
    }

    /// Lets a row decide the exit code, if it is worse than all before.
    pub(super) fn weigh(&mut self, outcome: &RowOutcome) {
        let Some(code) = outcome.code else { return };
        let worst = self.worst.as_ref().map_or(0, |(code, _)| code.exit_code());
        if badness(code.exit_code()) > badness(worst) {
            self.worst = Some((code, outcome.error.clone().unwrap_or_default()));
        }
    }

    /// Prints a row: on a terminal, where there is a bar, only one with an error.
    pub(super) fn print(&mut self, outcome: &RowOutcome) {
        let is_terminal = self.style.format == Format::Table;
        if !self.prints || self.unwritten.is_some() || (is_terminal && outcome.error.is_none()) {
            return;
        }
        let format = match self.style.format {
            Format::Json => Format::Jsonl,
            format => format,
        };
        let written = self.bar.suspend(|| {
            let mut out = stdio::stdout();
            record::write(&mut out, format, std::slice::from_ref(outcome))?;
            out.flush()
        });
        // What was begun is brought to its end all the same.
        self.unwritten = written.err();
    }

    /// How many rows were decided: another run has nothing to do with them.
    pub(super) fn decided(&self) -> u64 {
        self.decided
    }

    /// One line for people.
    pub(super) fn sentence(&self) -> String {
        let counts: Vec<_> = self
            .counts
            .iter()
            .map(|(status, count)| format!("{count} {}", escape::line(&status.replace('_', " "))))
            .collect();
        let what =
            if counts.is_empty() { "nothing was sent".to_owned() } else { counts.join(", ") };
        match &self.file {
            Some(file) => {
                format!("{what}; results in {}", escape::line(&file.path().display().to_string()))
            }
            None => what,
        }
    }

    /// # Errors
    /// Standard output could not be written, for another reason than that nobody reads it.
    pub(super) fn written(&mut self) -> Result<(), Error> {
        finish_write(self.unwritten.take().map_or(Ok(()), Err))
    }
}

/// The error of a run, by its worst row. `left`: how many rows another run has to send.
pub(super) fn ended(report: &Report<'_>, failure: Option<Error>, left: u64) -> Result<(), Error> {
    let of_run = failure.map(|failure| (failure.code(), failure.to_string()));
    let of_row = report.worst.clone();
    let worst = of_run.into_iter().chain(of_row).max_by_key(|(code, _)| badness(code.exit_code()));
    let Some((code, what)) = worst else { return Ok(()) };
    let left = match left {
        0 => String::new(),
        1 => "; 1 row is left".to_owned(),
        left => format!("; {left} rows are left"),
    };
    Err(Error::new(code, format!("not every text was sent: {what}{left}")))
}
