//! One run of the program: a command line in, an exit code out.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::cli::{self, ParseError, Parsed};
use crate::commands::{self, Cli};
use crate::error::Error;
use crate::output;
use crate::stdio;

/// Runs a command line that begins with the name of the program. Prints every failure once, on
/// standard error.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let color: anstream::ColorChoice = cli::color_choice(&args).into();
    color.write_global();
    match commands::answered(&args) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(2);
        }
    }
    let (ended, json) = match cli::parse::<Cli>(args) {
        Ok(Parsed { cli, json }) => (cli.run(json), json),
        Err(ParseError::Usage { error, json }) => (Err(error), json),
        Err(ParseError::Show(help)) => {
            let printed = commands::print_help(&help);
            if help.use_stderr() {
                return ExitCode::from(2);
            }
            (printed, false)
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error, json),
    }
}

fn report(error: &Error, json: bool) -> ExitCode {
    // If standard error is closed, there is no one left to report to.
    let _ = output::error::print(&mut stdio::stderr(), error, json);
    ExitCode::from(error.exit_code())
}
