//! `convo generate DIR`: the completions and manual pages that the repository keeps.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, ValueEnum};
use clap_complete::{Generator, Shell};

use super::man;
use crate::cli::Cli;
use crate::error::{Code, Error};

/// Writes every generated file below `dir`.
///
/// # Errors
/// A file could not be written.
pub fn run(dir: &Path) -> Result<(), Error> {
    for (path, bytes) in files() {
        let path = dir.join(path);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all);
        written.and_then(|()| fs::write(&path, bytes)).map_err(|error| {
            let what = format!("{} could not be written: {error}", path.display());
            Error::new(Code::Internal, what)
        })?;
    }
    Ok(())
}

/// Every generated file: its path below the repository, and its bytes. They depend on nothing
/// but the definition of the command line.
#[must_use]
pub fn files() -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> =
        Shell::value_variants().iter().map(|shell| completion(*shell)).collect();
    let mut program = Cli::command();
    program.build();
    files.push(manual(&program));
    let shown = program.get_subcommands().filter(|command| !command.is_hide_set());
    files.extend(shown.map(manual));
    files
}

fn completion(shell: Shell) -> (PathBuf, Vec<u8>) {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut offered(), "convo", &mut bytes);
    (Path::new("completions").join(shell.file_name("convo")), bytes)
}

/// The command line without what is hidden: clap_complete would offer that, too.
fn offered() -> clap::Command {
    let whole = Cli::command();
    let shown = whole.get_subcommands().filter(|command| !command.is_hide_set());
    clap::Command::new("convo")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .args(whole.get_arguments())
        .subcommands(shown)
}

fn manual(command: &clap::Command) -> (PathBuf, Vec<u8>) {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    (Path::new("man").join(format!("{name}.1")), man::page(command).into_bytes())
}
