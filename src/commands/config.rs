//! `convo config`: each setting, its value, and where it comes from.

use std::io::{self, Write};

use clap::Args;

use super::context::Context;
use super::print::{finish_write, stdout};
use crate::cli::{BackendArgs, Group, HelpText, JsonArgs};
use crate::config::Setting;
use crate::error::Error;
use crate::output::{Format, Style, json, rows};

/// Show each setting, its value, and where it comes from
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct ConfigArgs {
    #[command(flatten)]
    pub backend: BackendArgs,
    #[command(flatten)]
    json: JsonArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo config
  convo config | grep DATABASE_URL
  convo config --json | jq -r '.[] | select(.source != \"default\") | .name'",
    description: "\
A setting comes from the first of these: a flag; the environment; the nearest .env in the working \
directory or above; $XDG_CONFIG_HOME/convo/env, by default ~/.config/convo/env; /etc/convo/convo.env. \
An empty value counts as unset. Secrets and passwords are not shown.

If a setting cannot be used, the exit code is 4 and standard error says why. What cannot be read \
stops only the commands that need it: a settings file is ignored if a stronger source sets the \
database or the server.",
    output: "\
One setting per line, its fields separated by TAB:

  name  value  source  file

source is environment, the path of a settings file, the name of a flag, default, unset or \
unreadable. file is the file named by NAME_FILE, if the value is in one. With --json, an array of \
objects with these fields.",
};

impl ConfigArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let settings = context.config.explain();
        let style = context.style(self.json.format());
        let mut out = stdout();
        finish_write(print(&mut out, &settings, &style).and_then(|()| out.flush()))?;
        context.config.check()?;
        for error in context.config.unread() {
            let _ = writeln!(io::stderr(), "convo: ignored: {error}");
        }
        Ok(())
    }
}

fn print(out: &mut impl Write, settings: &[Setting], style: &Style) -> io::Result<()> {
    if style.format == Format::Json {
        let mut array = json::Array::default();
        settings.iter().try_for_each(|setting| array.element(out, setting))?;
        array.finish(out)?;
        return out.write_all(b"\n");
    }
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    if style.format == Format::Table {
        // Few settings are in a file of their own, so there is no column for it.
        let row = |Setting { name, value, source, file, .. }: &Setting| {
            let file = file.as_ref().map(|file| format!(", {file}")).unwrap_or_default();
            [(*name).to_owned(), text(value), format!("{source}{file}")]
        };
        let table: Vec<_> = settings.iter().map(row).collect();
        return rows::table(out, ["NAME", "VALUE", "SOURCE"], &table, style);
    }
    let row = |Setting { name, value, source, file, .. }: &Setting| {
        [(*name).to_owned(), text(value), source.clone(), text(file)]
    };
    rows::lines(out, settings.iter().map(row))
}
