//! `convo completion`: the script with which a shell completes convo's command lines.

use std::io::Write;

use clap::Args;
use clap::builder::PossibleValuesParser;
use clap_complete::env::{EnvCompleter, Shells};

use super::print::{finish_write, stdout};
use crate::cli::{Group, HelpText, PROGRAM, VARIABLE};
use crate::error::Error;

/// Print the completion script for a shell
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct CompletionArgs {
    /// The shell: bash, zsh, fish, elvish or powershell
    #[arg(value_name = "SHELL", value_parser = PossibleValuesParser::new(Shells::builtins().names()))]
    #[arg(hide_possible_values = true)]
    shell: String,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo completion bash
  convo completion zsh > _convo",
    description: "\
The script completes commands, options and values, and asks convo for contacts, ids and numbers. To \
install it permanently, have the shell read it at startup:

  bash        echo 'source <(convo completion bash)' >> ~/.bashrc
  zsh         convo completion zsh > \"${fpath[1]}/_convo\"
  fish        convo completion fish > ~/.config/fish/completions/convo.fish
  elvish      echo 'eval (convo completion elvish | slurp)' >> ~/.config/elvish/rc.elv
  powershell  echo 'convo completion powershell | Out-String | Invoke-Expression' >> $PROFILE

The script calls convo, which must be on the PATH.",
    output: "The script, in the language of the shell.",
};

impl CompletionArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let shells = Shells::builtins();
        let Some(shell) = shells.completer(&self.shell) else { return Ok(()) };
        let mut out = stdout();
        finish_write(out.write_all(&script(shell)).and_then(|()| out.flush()))
    }
}

/// The script with which a shell gets completions from this program.
pub(super) fn script(shell: &dyn EnvCompleter) -> Vec<u8> {
    if shell.name() == "bash" {
        return BASH.replace("VARIABLE", VARIABLE).into_bytes();
    }
    let mut bytes = Vec::new();
    let written = shell.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut bytes);
    debug_assert!(written.is_ok(), "writing to memory cannot fail");
    if shell.name() == "zsh" {
        // zsh loads the file when TAB is first pressed, and that press must be answered, too.
        bytes.extend_from_slice(ZSH_FIRST_COMPLETION);
    }
    bytes
}

/// clap's own script for bash does not know that bash splits words at `:` and `=`.
const BASH: &str = include_str!("completion/bash.sh");

const ZSH_FIRST_COMPLETION: &[u8] = b"
if [ \"$funcstack[1]\" = \"_convo\" ]; then
    _clap_dynamic_completer_convo \"$@\"
fi
";
