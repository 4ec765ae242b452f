//! What convo prints: tables and chats for people, stable records for programs.
//!
//! Everything here writes to any [`Write`](std::io::Write) and learns of the terminal only through
//! a [`Look`], so that every screen can be tested as a plain text. Text that someone else wrote
//! passes [`safe`] on its way; no other module may print it raw.

pub mod advice;
pub mod chat;
pub mod error;
mod glyphs;
pub mod json;
pub mod list;
pub mod pager;
pub mod record;
pub mod safe;
pub mod send;
pub mod status;
mod style;
mod table;
pub mod terminal;
pub mod thread;
pub mod time;
pub mod width;

use crate::domain::Timestamp;
pub use glyphs::Glyphs;
pub use terminal::Facts;
pub use time::Zone;

/// The form in which records are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people: a table of threads, a thread as a chat
    Table,
    /// One JSON document with the API's fields
    Json,
    /// One JSON object a line
    Jsonl,
    /// Comma-separated values under a header line
    Csv,
    /// One id a line
    Ids,
    /// What a pipe gets: one record a line, fields separated by TAB.
    #[value(skip)]
    Lines,
}

impl Format {
    /// Whether whoever asked for it reads JSON, so that an error is told in JSON as well.
    #[must_use]
    pub fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal that has it, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Also into a pipe
    Always,
    /// Never
    Never,
}

/// All that decides how records look, settled once per run.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// The form.
    pub format: Format,
    /// Whether a person is looking who did not say how much to show: only the newest, then.
    pub brief: bool,
    /// Columns there are to fill.
    pub width: usize,
    /// Whether to use colour.
    pub color: bool,
    /// The signs that the terminal can show.
    pub glyphs: Glyphs,
    /// What "ago" is measured from.
    pub now: Timestamp,
    /// The clock that times are shown in; records always use UTC.
    pub zone: Zone,
    /// Whether all of it is play: a command to be pasted then says so.
    pub sandbox: bool,
}

/// A number of things, in words: `1 message`, `2 messages`.
fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
pub(crate) mod samples;
