//! `convo contact`: the names of contacts.

mod export;
mod import;
mod list;
mod name;

use clap::{Args, Subcommand};

use super::context::Context;
use crate::cli::{Group, HelpText};
use crate::config::Flags;
use crate::error::Error;
pub(super) use name::ContactNameArgs;

/// Name contacts, and list, import and export their names
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(subcommand_value_name = "ACTION", subcommand_help_heading = "Actions")]
#[command(disable_help_subcommand = true)]
pub(super) struct ContactArgs {
    #[command(subcommand)]
    action: ContactAction,
}

#[derive(Clone, Debug, Subcommand)]
enum ContactAction {
    List(list::ContactListArgs),
    Name(name::ContactNameArgs),
    Unname(name::ContactUnnameArgs),
    Import(import::ContactImportArgs),
    Export(export::ContactExportArgs),
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo contact name +12125551234 \"Ada Lovelace\"
  convo name +12125551234 \"Ada Lovelace\"
  convo show ada
  convo contact list --json",
    description: "\
A contact that has a name is shown by it, and can be given by it wherever a command takes a contact: \
without regard to letter case, and where nothing is sent or removed also by a part of it that no other \
contact has. send, ask, chat and forget take whole names only. A number always means the number, and so a \
name cannot read as one. There may be a name before there is a conversation; several contacts may have \
the same one. convo name is short for convo contact name. docs/names.md says more.",
    output: "",
};

impl ContactArgs {
    pub(super) fn flags(&self) -> Flags {
        match &self.action {
            ContactAction::List(args) => args.backend.flags(),
            ContactAction::Name(args) => args.backend.flags(),
            ContactAction::Unname(args) => args.backend.flags(),
            ContactAction::Import(args) => args.backend.flags(),
            ContactAction::Export(args) => args.backend.flags(),
        }
    }

    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        match &self.action {
            ContactAction::List(args) => args.run(context),
            ContactAction::Name(args) => args.run(context),
            ContactAction::Unname(args) => args.run(context),
            ContactAction::Import(args) => args.run(context),
            ContactAction::Export(args) => args.run(context),
        }
    }
}
