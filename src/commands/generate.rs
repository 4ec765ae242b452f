//! `convo generate DIR`: the shell completions, manual pages and OpenAPI document that are committed
//! to the repository.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, ValueHint};
use clap_complete::env::{EnvCompleter, Shells};

use super::{Cli, completion, man};
use crate::error::{Code, Error};
use crate::server::openapi;

/// Write the generated files of the repository to a directory
#[derive(Args, Clone, Debug)]
#[command(hide = true)]
pub(super) struct GenerateArgs {
    /// The directory for completions/, man/ and docs/openapi.json
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: PathBuf,
}

impl GenerateArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        write_files(&self.dir)
    }
}

/// Writes every generated file below `dir`.
///
/// # Errors
/// A file could not be written.
pub fn write_files(dir: &Path) -> Result<(), Error> {
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

/// Every generated file: its path in the repository and its content. They depend only on the
/// definitions of the command line and the REST API.
fn files() -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = Shells::builtins().iter().map(completion).collect();
    let mut program = Cli::command();
    program.build();
    files.push(manual_page(&program));
    let visible = program.get_subcommands().filter(|command| !command.is_hide_set());
    for command in visible {
        files.push(manual_page(command));
        files.extend(command.get_subcommands().map(manual_page));
    }
    files.push((Path::new("docs").join("openapi.json"), openapi::document().into_bytes()));
    files
}

/// The completion script of a shell, named as the shell expects.
fn completion(shell: &dyn EnvCompleter) -> (PathBuf, Vec<u8>) {
    let name = match shell.name() {
        "bash" => "convo.bash",
        "elvish" => "convo.elv",
        "fish" => "convo.fish",
        "powershell" => "_convo.ps1",
        _ => "_convo",
    };
    (Path::new("completions").join(name), completion::script(shell))
}

fn manual_page(command: &clap::Command) -> (PathBuf, Vec<u8>) {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    (Path::new("man").join(format!("{name}.1")), man::page(command).into_bytes())
}
