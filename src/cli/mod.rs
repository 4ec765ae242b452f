//! What the commands have in common on the command line: shared options, the notation of times and
//! addresses, help, and parsing.
//!
//! The definitions here and in [`commands`](crate::commands) are the single source of the parser,
//! `--help`, the shell completions and the manual pages. The environment is not read here; `config`
//! combines both.

mod event_filter;
mod filter;
mod help;
mod moment;
mod options;
mod parse;
pub(crate) mod value;

pub(crate) use event_filter::EventFilterArgs;
pub(crate) use filter::{FilterArgs, MessageFilterArgs};
pub(crate) use help::{EXIT_CODES, Group, HelpText, STYLES, with_help};
pub(crate) use moment::{Before, Moment, before, duration, message_id, moment};
pub(crate) use options::{
    BackendArgs, DatabaseArgs, FormatArgs, GlobalArgs, JsonArgs, LocalArgs, PrintArgs,
};
pub use parse::{ParseError, Parsed, color_choice, parse};

/// The environment variable through which a shell requests completions; its value names the shell.
pub(crate) const VARIABLE: &str = "CONVO_COMPLETE";
/// The name of the program in a shell.
pub(crate) const PROGRAM: &str = "convo";
