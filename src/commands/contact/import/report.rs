//! What became of the names in a file, or would.

use std::io::{self, Write};

use serde::Serialize;

use super::plan::{ImportPlan, PlannedName};
use crate::domain::naming::{Naming, NamingOutcome};
use crate::error::Error;
use crate::output::{Format, Style, escape, json, rows};

/// What became of the names in a file.
#[derive(Debug, Serialize)]
pub(super) struct ImportReport {
    dry_run: bool,
    pub(super) added: u64,
    pub(super) changed: u64,
    known: u64,
    conflicts: u64,
    refused: u64,
    /// In the order of the lines, except those that are known.
    rows: Vec<ImportRow>,
}

#[derive(Debug, Serialize)]
struct ImportRow {
    outcome: &'static str,
    line: u64,
    contact_number: String,
    contact_name: String,
    /// The name that the contact had, or why it is refused.
    remark: String,
}

impl ImportReport {
    /// With what was refused before anything was asked.
    pub(super) fn new(plan: &ImportPlan, dry_run: bool) -> Self {
        let refused = |(line, why): &(u64, String)| ImportRow {
            outcome: "refused",
            line: *line,
            contact_number: String::new(),
            contact_name: String::new(),
            remark: why.clone(),
        };
        let rows: Vec<_> = plan.refused.iter().map(refused).collect();
        let refused = rows.len() as u64;
        Self { dry_run, added: 0, changed: 0, known: 0, conflicts: 0, refused, rows }
    }

    /// Adds what became of some of the names.
    pub(super) fn add(&mut self, names: &[PlannedName], namings: &[Naming]) {
        for (named, naming) in names.iter().zip(namings) {
            *match naming.outcome {
                NamingOutcome::Added => &mut self.added,
                NamingOutcome::Changed => &mut self.changed,
                NamingOutcome::Known => &mut self.known,
                NamingOutcome::Conflict => &mut self.conflicts,
            } += 1;
            if naming.outcome != NamingOutcome::Known {
                self.rows.push(ImportRow {
                    outcome: naming.outcome.as_str(),
                    line: named.line,
                    contact_number: naming.contact_number.to_string(),
                    contact_name: naming.contact_name.clone(),
                    remark: naming.previous_name.clone().unwrap_or_default(),
                });
            }
        }
        self.rows.sort_by_key(|row| row.line);
    }

    /// Prints everything.
    pub(super) fn print(&self, out: &mut impl Write, style: &Style) -> io::Result<()> {
        match style.format {
            format if format.is_json() => json::write_line(out, self),
            Format::Table if self.rows.is_empty() => Ok(()),
            Format::Table => {
                let headings = ["OUTCOME", "LINE", "NUMBER", "NAME", "REMARK"];
                let cells: Vec<_> = self.rows.iter().map(ImportRow::cells).collect();
                rows::table(out, headings, &cells, style)
            }
            _ => rows::lines(out, self.rows.iter().map(ImportRow::cells)),
        }
    }

    /// Tells people what will not be done.
    pub(super) fn print_problems(&self, err: &mut impl Write) {
        for ImportRow { outcome, line, contact_number, remark, .. } in &self.rows {
            let remark = escape::line(remark);
            // A closed standard error is ignored.
            let _ = match *outcome {
                "refused" => writeln!(err, "line {line}: {remark}"),
                "conflict" => writeln!(err, "line {line}: {contact_number} is named {remark}"),
                _ => Ok(()),
            };
        }
    }

    /// One line for people.
    pub(super) fn sentence(&self) -> String {
        let Self { added, changed, known, conflicts, refused, .. } = self;
        let verb = if self.dry_run { "would name" } else { "named" };
        format!(
            "{verb} {added} contacts and rename {changed}; {known} have their names, {conflicts} have \
             another one, {refused} are refused"
        )
    }

    /// Whether everything in the file could be done.
    ///
    /// # Errors
    /// `invalid_request`.
    pub(super) fn verdict(&self) -> Result<(), Error> {
        let left = self.conflicts + self.refused;
        if left == 0 {
            return Ok(());
        }
        let error = Error::invalid(format!("{left} numbers of the file do not get their names"));
        Err(match self.conflicts {
            0 => error.hint("correct these lines, and import the file again"),
            _ => error.hint("--replace gives contacts that have another name the new one"),
        })
    }
}

impl ImportRow {
    fn cells(&self) -> [String; 5] {
        [
            self.outcome.to_owned(),
            self.line.to_string(),
            self.contact_number.clone(),
            self.contact_name.clone(),
            self.remark.clone(),
        ]
    }
}
