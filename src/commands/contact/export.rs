//! `convo contact export`: names as vCards or CSV.

use std::borrow::Cow;
use std::io::Write;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::backend::Backend;
use crate::cli::{BackendArgs, HelpText};
use crate::commands::context::Context;
use crate::commands::print::{PAGE, PrintError, finish, stdout};
use crate::domain::{Contact, ContactFilter};
use crate::error::Error;
use crate::output::record::{self, Record};
use crate::output::{Format, vcard};
use crate::store::Purpose;

/// Export the names of contacts as vCards or CSV
#[derive(Args, Clone, Debug)]
#[command(add = HELP, after_help = HELP.examples)]
pub(super) struct ContactExportArgs {
    /// Export as vcard or csv [default: vcard]
    #[arg(long, value_name = "FORMAT", hide_possible_values = true)]
    format: Option<ContactForm>,
    #[command(flatten)]
    pub backend: BackendArgs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ContactForm {
    #[default]
    Vcard,
    Csv,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo contact export >contacts.vcf
  convo contact export --format csv >contacts.csv",
    description: "\
Contacts without a name are left out. convo contact import reads both formats back.",
    output: "\
vcard is one vCard, version 4.0, for each contact. csv has the columns name and number below a header \
line.",
};

/// A row of CSV.
#[derive(Serialize)]
struct ContactRow<'a> {
    name: &'a str,
    number: &'a str,
}

impl Record for ContactRow<'_> {
    const COLUMNS: &'static [&'static str] = &["name", "number"];
    const NUMBERS: &'static [&'static str] = &["number"];

    fn id(&self) -> Option<Cow<'_, str>> {
        Some(self.number.into())
    }

    fn values(&self) -> Vec<Cow<'_, str>> {
        vec![self.name.into(), self.number.into()]
    }
}

impl ContactExportArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let form = self.format.unwrap_or_default();
        let for_terminal = context.terminal.stdout_is_terminal;
        context.block_on(async {
            let backend = context.backend(Purpose::Read).await?;
            let exported = export(&backend, form, for_terminal).await;
            backend.close().await;
            finish(exported)
        })
    }
}

async fn export(
    backend: &Backend,
    form: ContactForm,
    for_terminal: bool,
) -> Result<(), PrintError> {
    let mut out = stdout();
    let (filter, mut after, mut is_first) = (ContactFilter::default(), None, true);
    loop {
        let page = backend.contacts(&filter, after.as_ref(), PAGE).await?;
        match form {
            ContactForm::Vcard => vcard::write(&mut out, &page.rows, for_terminal)?,
            ContactForm::Csv => {
                if std::mem::take(&mut is_first) {
                    record::header::<ContactRow<'_>>(&mut out, Format::Csv)?;
                }
                let rows: Vec<_> = page.rows.iter().map(row).collect();
                record::write(&mut out, Format::Csv, &rows)?;
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(out.flush()?);
        }
    }
}

fn row(contact: &Contact) -> ContactRow<'_> {
    let name = contact.contact_name.as_deref().unwrap_or_default();
    ContactRow { name, number: contact.contact_number.as_str() }
}
