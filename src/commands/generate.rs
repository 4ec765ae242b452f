//! `convo generate DIR`: the completions, the manual pages and the description of the REST API that
//! the repository keeps.

use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_complete::env::{EnvCompleter, Shells};

use super::man;
use crate::cli::Cli;
use crate::complete::{PROGRAM, VARIABLE};
use crate::error::{Code, Error};
use crate::server::openapi;

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
/// but the definitions of the command line and of the REST API.
#[must_use]
pub fn files() -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = Shells::builtins().iter().map(completion).collect();
    let mut program = Cli::command();
    program.build();
    files.push(manual(&program));
    let shown = program.get_subcommands().filter(|command| !command.is_hide_set());
    files.extend(shown.map(manual));
    files.push((Path::new("docs").join("openapi.json"), openapi::document().into_bytes()));
    files
}

/// What makes a shell ask this program at the TAB key, under the name that it looks for.
fn completion(shell: &dyn EnvCompleter) -> (PathBuf, Vec<u8>) {
    let mut bytes = Vec::new();
    let written = shell.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut bytes);
    debug_assert!(written.is_ok(), "writing to memory cannot fail");
    let name = match shell.name() {
        "bash" => "convo.bash",
        "elvish" => "convo.elv",
        "fish" => "convo.fish",
        "powershell" => "_convo.ps1",
        // zsh loads the file at the first TAB, which is to be answered as well.
        _ => {
            bytes.extend_from_slice(ANSWER_AT_ONCE);
            "_convo"
        }
    };
    (Path::new("completions").join(name), bytes)
}

const ANSWER_AT_ONCE: &[u8] = b"
if [ \"$funcstack[1]\" = \"_convo\" ]; then
    _clap_dynamic_completer_convo \"$@\"
fi
";

fn manual(command: &clap::Command) -> (PathBuf, Vec<u8>) {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    (Path::new("man").join(format!("{name}.1")), man::page(command).into_bytes())
}
