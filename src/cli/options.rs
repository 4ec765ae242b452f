//! Options that several commands share. A command has those that it flattens, and no others.

use clap::{Args, ValueHint};

use super::value;
use crate::config::Flags;
use crate::output::{ColorChoice, Format};

/// Options of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// When to use colour: auto, always or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    #[arg(hide_possible_values = true, hide_default_value = true)]
    pub color: ColorChoice,
    /// Show times in UTC instead of the local time zone
    #[arg(long, global = true)]
    pub utc: bool,
}

/// For commands that open the database.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct DatabaseArgs {
    /// Use a simulated Telnyx and a separate database, sandbox.db
    #[arg(long)]
    pub sandbox: bool,
}

/// For commands that work on the database alone.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct LocalArgs {
    /// Use the database of this machine even if CONVO_SERVER is set
    #[arg(long)]
    pub local: bool,
}

/// For commands that open the database or ask a server.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct BackendArgs {
    #[command(flatten)]
    pub database: DatabaseArgs,
    #[command(flatten)]
    pub local: LocalArgs,
    /// Ask this server instead of the database [env: CONVO_SERVER]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = value::web_address)]
    pub server: Option<String>,
}

impl DatabaseArgs {
    pub(crate) fn flags(&self) -> Flags {
        Flags { sandbox: self.sandbox, ..Flags::default() }
    }
}

impl LocalArgs {
    pub(crate) fn flags(&self) -> Flags {
        Flags { local: self.local, ..Flags::default() }
    }
}

impl BackendArgs {
    pub(crate) fn flags(&self) -> Flags {
        let Self { database, local, server } = self;
        Flags { server: server.clone(), local: local.local, ..database.flags() }
    }
}

/// For commands that print records: how many, and in which format.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Output")]
pub(crate) struct PrintArgs {
    /// Print only the N newest [default on a terminal: 50]
    #[arg(short = 'L', long, value_name = "N", value_parser = value::count)]
    #[arg(conflicts_with = "all")]
    pub limit: Option<u64>,
    /// Print everything [default in a pipe or with a format]
    #[arg(long)]
    pub all: bool,
    /// Print as table, json, jsonl, csv or ids
    #[arg(long, value_name = "FORMAT", hide_possible_values = true)]
    pub format: Option<Format>,
    /// Short for --format json; errors are printed as JSON, too
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Do not use a pager
    #[arg(long)]
    pub no_pager: bool,
}

impl PrintArgs {
    /// The requested format, if any.
    pub(crate) fn format(&self) -> Option<Format> {
        if self.json { Some(Format::Json) } else { self.format }
    }
}

/// For commands that print records as they come.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Output")]
pub(crate) struct FormatArgs {
    /// Print as table, json, jsonl, csv or ids
    #[arg(long, value_name = "FORMAT", hide_possible_values = true)]
    pub format: Option<Format>,
    /// Print one JSON object a line; errors are printed as JSON, too
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

impl FormatArgs {
    /// The requested format, if any. There is no end at which a JSON array could be closed, so JSON is
    /// always one object a line.
    pub(crate) fn format(&self) -> Option<Format> {
        match self.format {
            _ if self.json => Some(Format::Jsonl),
            Some(Format::Json) => Some(Format::Jsonl),
            format => format,
        }
    }
}

/// For commands whose only format besides text is one JSON object.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct JsonArgs {
    /// Print a JSON object; errors are printed as JSON, too
    #[arg(long)]
    pub json: bool,
}

impl JsonArgs {
    /// The requested format, if any.
    pub(crate) fn format(&self) -> Option<Format> {
        self.json.then_some(Format::Json)
    }
}
