//! `convo contact import`: names from vCards or CSV. First the whole file is read and looked at, and nothing
//! is changed; then, if that is wanted, the names are given.

mod entry;
mod plan;
mod report;
mod table;
mod vcard;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueHint};

use crate::backend::Backend;
use crate::cli::{BackendArgs, HelpText, JsonArgs};
use crate::commands::confirm::confirmed;
use crate::commands::context::Context;
use crate::commands::print::{finish_write, stdout};
use crate::domain::naming::{MAX_NAMED, NamedContact, NamesRequest};
use crate::error::Error;
use crate::output::Style;
use crate::stdio;
use crate::store::Purpose;
use plan::ImportPlan;
use report::ImportReport;

/// Import names of contacts from vCards or CSV
#[derive(Args, Clone, Debug)]
#[command(add = HELP, after_help = HELP.examples)]
pub(super) struct ContactImportArgs {
    /// A file with vCards or CSV; - for standard input
    #[arg(value_name = "FILE|-", value_parser = NonEmptyStringValueParser::new())]
    #[arg(value_hint = ValueHint::FilePath, allow_hyphen_values = true)]
    file: String,
    /// Give contacts that have another name the new one
    #[arg(long)]
    replace: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Only tell what would change
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    #[command(flatten)]
    json: JsonArgs,
    #[command(flatten)]
    pub backend: BackendArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo contact import contacts.vcf --dry-run
  convo contact import contacts.vcf
  convo contact import google.csv --replace --yes",
    description: "\
Reads vCards of version 3.0 and 4.0 (not 2.1, whose quoted-printable texts are not understood), or CSV \
whose first line names the columns: name and number, or the headings that Google's and Outlook's address \
books use. Every number of a contact gets its name.

First the whole file is read, and it is told what would change. On a terminal convo then asks; elsewhere \
--yes is needed, else nothing is changed. A number without its country code is refused, as everywhere. Of \
two names for one number in the file, the first counts. A contact that has another name already keeps it, \
unless --replace says otherwise. The rest is imported all the same, in steps of 500; it can be repeated.",
    output: "\
One line for each number, except those that have the name already, its fields separated by TAB:

  outcome  line  contact_number  contact_name  remark

outcome is added, changed, conflict (the contact has another name, which is the remark) or refused (the \
remark says why). With --json, an object with dry_run, the number of each outcome, and these rows. The \
exit code is 2 if any number was refused or is in conflict.",
};

impl ContactImportArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let can_ask = context.terminal.stdin_is_terminal && self.file != "-";
        if !self.dry_run && !self.yes && !can_ask {
            return Err(Error::invalid(
                "without a terminal to ask at, names are imported only with --yes",
            )
            .hint("look with --dry-run what would change, then give --yes"));
        }
        let plan = read(&self.file, &context.directory)?;
        let style = context.style(self.json.format());
        context.block_on(async {
            let purpose = if self.dry_run { Purpose::Read } else { Purpose::Change };
            let backend = context.backend(purpose).await?;
            let imported = self.import(&plan, &backend, &style).await;
            backend.close().await;
            imported
        })
    }

    async fn import(
        &self,
        plan: &ImportPlan,
        backend: &Backend,
        style: &Style,
    ) -> Result<(), Error> {
        let rehearsed = self.name_all(plan, backend, true).await?;
        if self.dry_run {
            return tell(&rehearsed, style);
        }
        if !self.yes {
            rehearsed.print_problems(&mut stdio::stderr());
            let (added, changed) = (rehearsed.added, rehearsed.changed);
            if !confirmed(&format!("Name {added} contacts, and rename {changed}?")) {
                let _ = writeln!(stdio::stderr(), "nothing was changed");
                return Ok(());
            }
        }
        tell(&self.name_all(plan, backend, false).await?, style)
    }

    /// Names all contacts, or only asks what would become of each.
    async fn name_all(
        &self,
        plan: &ImportPlan,
        backend: &Backend,
        is_dry: bool,
    ) -> Result<ImportReport, Error> {
        let mut report = ImportReport::new(plan, is_dry);
        for chunk in plan.names.chunks(MAX_NAMED) {
            let contact = |named: &plan::PlannedName| NamedContact {
                contact_number: named.number.as_str().to_owned(),
                contact_name: named.name.as_str().to_owned(),
            };
            let contacts = chunk.iter().map(contact).collect();
            let request = NamesRequest { contacts, replace: self.replace };
            report.add(chunk, &backend.name_contacts(&request, is_dry).await?);
        }
        Ok(report)
    }
}

fn tell(report: &ImportReport, style: &Style) -> Result<(), Error> {
    let mut out = stdout();
    finish_write(report.print(&mut out, style).and_then(|()| out.flush()))?;
    if !style.format.is_json() {
        // A closed standard error is ignored.
        let _ = writeln!(stdio::stderr(), "{}", report.sentence());
    }
    report.verdict()
}

/// Reads a file, or standard input.
fn read(file: &str, directory: &Path) -> Result<ImportPlan, Error> {
    if file == "-" {
        return read_from(BufReader::new(io::stdin().lock()));
    }
    let cannot = |error: io::Error| Error::invalid(format!("{file} cannot be read: {error}"));
    let opened = File::open(directory.join(file)).map_err(cannot)?;
    if opened.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(Error::invalid(format!("{file} is a directory")));
    }
    read_from(BufReader::new(opened))
}

/// Reads vCards, or else CSV: what it is shows in its beginning.
fn read_from(mut input: impl BufRead) -> Result<ImportPlan, Error> {
    let cannot = |error: io::Error| Error::invalid(format!("the file cannot be read: {error}"));
    let beginning = input.fill_buf().map_err(cannot)?;
    let beginning = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning).trim_ascii_start();
    let is_vcard =
        beginning.get(..11).is_some_and(|begin| begin.eq_ignore_ascii_case(b"BEGIN:VCARD"));
    let mut plan = ImportPlan::default();
    match is_vcard {
        true => vcard::read(input, |entry| plan.add(entry)).map_err(cannot)?,
        false => table::read(input, |entry| plan.add(entry))?,
    }
    plan.check()?;
    Ok(plan)
}
