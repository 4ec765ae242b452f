//! Reporting rows as they end: into the result file, on standard output, and by the progress bar.

use std::collections::BTreeMap;
use std::io::{self, Write};

use indicatif::ProgressBar;

use super::outcome::{RowOutcome, badness};
use super::results::ResultFile;
use crate::commands::print::finish_write;
use crate::error::{Code, Error};
use crate::output::{Format, Style, escape, record};
use crate::stdio;

/// What became of the rows of a run.
pub(super) struct Report<'a> {
    pub(super) style: &'a Style,
    pub(super) file: Option<ResultFile>,
    pub(super) bar: ProgressBar,
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
    pub(super) fn new(style: &'a Style, bar: ProgressBar) -> Self {
        Self {
            style,
            file: None,
            bar,
            prints: true,
            counts: BTreeMap::new(),
            worst: None,
            decided: 0,
            unwritten: None,
        }
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
