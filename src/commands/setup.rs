//! `convo setup`: asks a newcomer with an account for what convo needs, tries each answer, and writes the
//! user's settings file.

mod profile;
mod questions;
mod terminal;

use std::io::Write;

use clap::Args;

use super::context::Context;
use super::doctor;
use crate::cli::{Group, HelpText};
use crate::config::{Config, Flags, Source};
use crate::error::Error;
use crate::output::{Format, escape};
use crate::stdio;
use questions::SetupAnswers;
use terminal::Prompt;

/// Ask for key, public key and number, and write them to your settings file
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct SetupArgs {}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo setup
  XDG_CONFIG_HOME=/srv/sms convo setup",
    description: "\
For the first steps with a Telnyx account. It asks for the API key, which is not shown and is tried at \
once; for the public key; and which of the account's numbers to use. The answers are written to \
$XDG_CONFIG_HOME/convo/env, by default ~/.config/convo/env, which only you can read; other lines in that \
file stay as they are. An empty answer keeps what is set already.

Then it offers to set the webhook URL of the number's messaging profile, and its webhook API version to \
2. Nothing at Telnyx is changed without a yes. At the end it runs convo doctor.

It needs a terminal: in a script, write the settings file or set the variables.",
    output: "Questions and what was done; at the end, what convo doctor prints, with its exit code.",
};

impl SetupArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let terminal = &context.terminal;
        if !terminal.stdin_is_terminal || !terminal.stdout_is_terminal || terminal.is_dumb {
            return Err(Error::invalid("convo setup needs a terminal").hint(
                "in a script, set TELNYX_API_KEY, TELNYX_PUBLIC_KEY and TELNYX_PHONE_NUMBER",
            ));
        }
        let path = context.config.user_file()?;
        context.block_on(async {
            let mut prompt = Prompt::new()?;
            say("convo needs three things from your Telnyx account (https://portal.telnyx.com).");
            let answers = questions::ask(&context.config, &mut prompt).await?;
            answers.write(&context.config)?;
            if !answers.changed.is_empty() {
                say(&format!("Written to {}.", path.display()));
            }
            let config = Config::new(Flags::default(), Source::read())?;
            warn_of_stronger(&config, &answers);
            profile::offer(&answers, &mut prompt).await?;
            drop(prompt);
            say("\nThis is what convo doctor finds:");
            let context = context.with_config(config);
            doctor::examine(&context, &context.style(Some(Format::Table))).await
        })
    }
}

/// Tells of settings elsewhere that override what was written.
fn warn_of_stronger(config: &Config, answers: &SetupAnswers) {
    let written = config.user_file().map(|path| path.display().to_string()).unwrap_or_default();
    for setting in config.explain() {
        let is_written = answers.changed.iter().any(|(name, _)| *name == setting.name);
        if is_written && setting.source != written {
            say(&format!(
                "{} is also set by {}, which takes precedence.",
                setting.name, setting.source
            ));
        }
    }
}

/// Tells the person something, on lines of its own.
fn say(text: &str) {
    let mut out = stdio::stdout();
    for line in escape::lines(text) {
        // If the terminal is gone, the next question notices it.
        let _ = writeln!(out, "{line}");
    }
    let _ = out.flush();
}
