//! `convo contact name` and `convo contact unname`.

use std::io::Write;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use clap_complete::engine::ArgValueCompleter;

use crate::cli::{BackendArgs, HelpText, JsonArgs};
use crate::commands::complete;
use crate::commands::context::Context;
use crate::commands::print::{finish_write, stdout};
use crate::domain::{Contact, ContactName, Selector};
use crate::error::Error;
use crate::output::{escape, json};
use crate::stdio;
use crate::store::Purpose;

/// Name a contact
#[derive(Args, Clone, Debug)]
#[command(add = NAME_HELP, after_help = NAME_HELP.examples)]
pub(in crate::commands) struct ContactNameArgs {
    /// The contact's number, its present name or a part of it, or the conversation's id or a part of it
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    #[arg(add = ArgValueCompleter::new(complete::contacts_and_ids))]
    contact: String,
    /// The name
    name: String,
    #[command(flatten)]
    json: JsonArgs,
    #[command(flatten)]
    pub backend: BackendArgs,
}

const NAME_HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo contact name +12125551234 \"Ada Lovelace\"
  convo contact name e6f70819 Ada",
    description: "\
Replaces the name that the contact has. A name has up to 200 characters on one line, and cannot read as a \
number or an id. Several contacts may have the same name; then it names none of them to convo.",
    output: "\
The contact's number; with --json, the contact: contact_number, contact_name and named_at. One line for \
people goes to standard error.",
};

/// Remove the name of a contact
#[derive(Args, Clone, Debug)]
#[command(add = UNNAME_HELP, after_help = UNNAME_HELP.examples)]
pub(super) struct ContactUnnameArgs {
    /// The contact's number, its name or a part of it, or the conversation's id or a part of it
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    #[arg(add = ArgValueCompleter::new(complete::contacts_and_ids))]
    contact: String,
    #[command(flatten)]
    json: JsonArgs,
    #[command(flatten)]
    pub backend: BackendArgs,
}

const UNNAME_HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo contact unname +12125551234
  convo contact unname \"Ada Lovelace\"",
    description: "A contact without a name stays as it is.",
    output: NAME_HELP.output,
};

impl ContactNameArgs {
    pub(in crate::commands) fn run(&self, context: &Context) -> Result<(), Error> {
        let name = ContactName::parse(&self.name)?;
        name_contact(context, &self.contact, Some(name), &self.json)
    }
}

impl ContactUnnameArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        name_contact(context, &self.contact, None, &self.json)
    }
}

fn name_contact(
    context: &Context,
    contact: &str,
    name: Option<ContactName>,
    json: &JsonArgs,
) -> Result<(), Error> {
    context.block_on(async {
        let backend = context.backend(Purpose::Change).await?;
        let named = backend.name_contact(&Selector::new(contact), name).await;
        backend.close().await;
        tell(&named?, json.json)
    })
}

fn tell(contact: &Contact, as_json: bool) -> Result<(), Error> {
    let mut out = stdout();
    let number = escape::field(contact.contact_number.as_str());
    let written = match as_json {
        true => json::write_line(&mut out, contact),
        false => writeln!(out, "{number}"),
    };
    finish_write(written.and_then(|()| out.flush()))?;
    let told = match &contact.contact_name {
        Some(name) => format!("is named {}", escape::line(name)),
        None => "has no name".to_owned(),
    };
    // A closed standard error is ignored.
    let _ = writeln!(stdio::stderr(), "{number} {told}");
    Ok(())
}
