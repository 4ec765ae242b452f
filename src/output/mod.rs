//! Printing: tables and chats for people, stable records for programs.
//!
//! Everything here writes to any [`Write`](std::io::Write) and learns of the terminal only through
//! a [`Style`], so that every screen can be tested as plain text. Untrusted text passes through
//! [`escape`]; no other module prints it raw.

pub mod advice;
pub mod chat;
pub mod contacts;
pub mod doctor;
pub mod error;
pub mod escape;
pub mod event;
pub mod export;
mod glyphs;
mod joiners;
pub mod json;
pub mod list;
pub mod pager;
pub mod pages;
pub mod record;
pub mod rows;
pub mod search;
pub mod send;
pub mod stats;
pub mod status;
pub mod stored_events;
mod table;
mod target;
pub mod terminal;
pub mod thread;
pub mod time;
mod time_zone;
mod tone;
pub mod vcard;
pub mod width;

use crate::domain::Timestamp;
pub use glyphs::Glyphs;
pub use target::TargetOptions;
pub use terminal::TerminalInfo;
pub use time::Zone;

/// The form in which records are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people: a table of conversations, a conversation as a chat
    Table,
    /// One JSON document with the API's fields
    Json,
    /// One JSON object a line
    Jsonl,
    /// Comma-separated values under a header line
    Csv,
    /// One id a line
    Ids,
    /// In a pipe: one record a line, fields separated by TAB.
    #[value(skip)]
    Lines,
}

impl Format {
    /// Whether it is JSON: errors are then printed as JSON too.
    #[must_use]
    pub fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal that supports it, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Also into a pipe
    Always,
    /// Never
    Never,
}

impl From<ColorChoice> for anstream::ColorChoice {
    fn from(choice: ColorChoice) -> Self {
        match choice {
            ColorChoice::Auto => Self::Auto,
            ColorChoice::Always => Self::Always,
            ColorChoice::Never => Self::Never,
        }
    }
}

/// How records are printed, decided once per run.
#[derive(Clone, Debug)]
pub struct Style {
    /// The form.
    pub format: Format,
    /// Whether to show only the newest: on a terminal, where neither format nor amount was given.
    pub brief: bool,
    /// The width in columns.
    pub width: usize,
    /// Whether to use colour.
    pub color: bool,
    /// The symbols that the terminal can show.
    pub glyphs: Glyphs,
    /// The present, from which "ago" is measured.
    pub now: Timestamp,
    /// The time zone for people; records always use UTC.
    pub zone: Zone,
    /// What commands to paste have to repeat.
    pub target: TargetOptions,
}

/// A count with its noun: `1 message`, `2 messages`.
fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
pub(crate) mod samples;
