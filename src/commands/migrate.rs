//! `convo migrate`: creates or updates the database's tables.

use std::io::{self, Write};

use clap::Args;

use super::context::Context;
use crate::cli::{DatabaseArgs, Group, HelpText, LocalArgs};
use crate::config::Flags;
use crate::error::Error;
use crate::store::Store;

/// Create the database's tables, or bring them up to date
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    local: LocalArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo migrate
  DATABASE_URL=postgresql://user@host/db convo migrate",
    description: "\
convo serve does the same at startup. Running it again changes nothing. If several run at the same \
time, they wait for each other.",
    output: "",
};

impl MigrateArgs {
    pub(super) fn flags(&self) -> Flags {
        Flags { local: self.local.local, ..self.database.flags() }
    }

    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        context.config.require_database()?;
        let (database, mode) = (context.config.database()?, context.config.mode());
        context.block_on(async {
            let applied = Store::migrate(&database, mode).await?;
            let result = match applied {
                0 => "was up to date".to_owned(),
                1 => "is up to date: 1 migration applied".to_owned(),
                n => format!("is up to date: {n} migrations applied"),
            };
            let _ = writeln!(io::stderr(), "{database} {result}");
            Ok(())
        })
    }
}
