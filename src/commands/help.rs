//! `convo help`: the help of the program or of one command.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use super::Cli;
use super::complete;
use super::print::print_help;
use crate::cli::{self, Group, HelpText, PROGRAM, ParseError};
use crate::error::Error;

/// Print help for a command
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct HelpArgs {
    /// The command; without one, the help of convo itself
    #[arg(value_name = "COMMAND", add = ArgValueCompleter::new(complete::commands))]
    command: Option<String>,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo help
  convo help send",
    description: "\
convo help COMMAND prints the same as convo COMMAND --help: the description of the command, its \
options, and the exit codes. convo COMMAND -h is a summary of it.",
    output: "",
};

impl HelpArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let words = [Some(PROGRAM), self.command.as_deref(), Some("--help")];
        match cli::parse::<Cli>(words.into_iter().flatten()) {
            Err(ParseError::Show(help)) => print_help(&help),
            Err(ParseError::Usage { error, .. }) => Err(error),
            Ok(_) => Ok(()),
        }
    }
}
