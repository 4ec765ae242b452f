//! `convo restore`: makes a database of a backup.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueHint};
use serde::Serialize;

use super::context::Context;
use super::copy::{Bar, media, refuse_password, seconds, without_password};
use super::print::{finish_write, stdout};
use crate::cli::{DatabaseArgs, Group, HelpText, JsonArgs, LocalArgs};
use crate::config::{Config, Flags};
use crate::domain::{ForgottenMarks, Timestamp};
use crate::error::{Code, Error};
use crate::media::{MediaCopied, MediaPlace};
use crate::output::json;
use crate::store::copy::CopiedTable;
use crate::store::copy::restore::{self, Restored};
use crate::store::{Location, Purpose, Store};
use crate::threading::{Conversations, Policy};

/// Restore a backup into an empty database
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct RestoreArgs {
    /// The backup, or another SQLite file of convo
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// The empty database to restore it to [default: DATABASE_URL]
    #[arg(long, value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    to: Option<String>,
    /// Remove the contacts whose marks this file has, as convo forget --list prints them
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    forgotten: Option<PathBuf>,
    /// Also copy the content of media from this directory, as convo backup --media has made it
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    media: Option<PathBuf>,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    json: JsonArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo restore /var/backups/convo.db --media /var/backups/media
  convo restore convo.db --to sqlite:///restored.db
  convo restore convo.db --to postgresql://user@host/db
  convo restore old.db --forgotten forgotten.json",
    description: "\
The database must be empty or not exist: nothing in it is overwritten. It is read again and compared \
with the backup row by row; only then can it be opened. If that is interrupted, run the same command again \
to resume it. A backup of an earlier version is brought up to date on the way.

The restored database begins a new feed: cursors of the old one have expired, and nothing old is \
forwarded or answered again. With --media, the content of media goes where CONVO_MEDIA says. Texts that were received after the backup was made are not in it: convo \
serve fetches what Telnyx still has.",
    output: "\
With --json, an object with file, to, backup_at (when the backup was made), rows, seconds and tables, each \
with the SHA-256 of all its values; with --media also media, as convo backup prints it. On a terminal, standard error shows the progress.",
};

impl RestoreArgs {
    pub(super) fn flags(&self) -> Flags {
        Flags { local: self.local.local, ..self.database.flags() }
    }

    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        refuse_password("--to", self.to.as_ref(), &context.directory)?;
        context.config.require_database()?;
        let to = match &self.to {
            Some(to) => Location::parse(to, &context.directory)?,
            None => context.config.database()?,
        };
        let file = context.directory.join(&self.file);
        let marks = self.read_marks(&context.directory)?;
        let media = self.media_places(context)?;
        context.block_on(async {
            let start = Instant::now();
            let bar = Bar::new();
            let restored =
                restore::restore(&file, &to, &marks, &mut |progress| bar.show(progress)).await;
            bar.clear();
            let restored = restored?;
            if !marks.marks.is_empty() {
                forget_marked(&to, &context.config).await?;
            }
            let media = match &media {
                Some((from, place)) => {
                    Some(media::copy(&to, context.config.mode(), from, place).await?)
                }
                None => None,
            };
            self.tell(&file, &to, &restored, media, start.elapsed())
        })
    }

    /// Where media are copied from and to; `None` if they are not.
    fn media_places(&self, context: &Context) -> Result<Option<(MediaPlace, MediaPlace)>, Error> {
        let Some(directory) = &self.media else { return Ok(None) };
        let from = context.directory.join(directory);
        if !from.is_dir() {
            return Err(Error::invalid(format!("{} is not a directory", directory.display()))
                .hint("name the directory that convo backup --media has made"));
        }
        let to = context.config.media()?.place;
        if to == MediaPlace::Off {
            return Err(Error::new(Code::NotConfigured, "media are not kept here")
                .hint("set CONVO_MEDIA to where they are to be, or leave out --media"));
        }
        Ok(Some((MediaPlace::Directory(from), to)))
    }

    /// The marks in the file of `--forgotten`.
    fn read_marks(&self, directory: &Path) -> Result<ForgottenMarks, Error> {
        let Some(path) = &self.forgotten else { return Ok(ForgottenMarks::default()) };
        let text = fs::read_to_string(directory.join(path));
        let text = text.map_err(|error| unreadable(path, &error))?;
        serde_json::from_str(&text).map_err(|error| unreadable(path, &error))
    }

    fn tell(
        &self,
        file: &Path,
        to: &Location,
        restored: &Restored,
        media: Option<MediaCopied>,
        seconds: Duration,
    ) -> Result<(), Error> {
        let Restored { backup_at, tables } = restored;
        let rows: u64 = tables.iter().map(|table| table.rows).sum();
        if self.json.json {
            let summary =
                RestoreSummary { file, to, backup_at: *backup_at, rows, seconds, tables, media };
            let mut out = stdout();
            let written = json::write_line(&mut out, &summary);
            return finish_write(written.and_then(|()| out.flush()));
        }
        let of = backup_at.map(|at| format!(" of {at}")).unwrap_or_default();
        let _ = writeln!(
            io::stderr(),
            "restored {rows} rows{of} in {:.1} s to {to}, and compared them",
            seconds.as_secs_f64(),
        );
        if let Some(media) = &media {
            media::tell(media);
        }
        Ok(())
    }
}

fn unreadable(path: &Path, error: &impl std::fmt::Display) -> Error {
    Error::invalid(format!("cannot read marks from {}: {error}", path.display()))
        .hint("convo forget --list prints them")
}

/// Removes what the backup had of contacts that were forgotten since.
async fn forget_marked(to: &Location, config: &Config) -> Result<(), Error> {
    let store = Store::open(to, config.mode(), Purpose::Change).await?;
    let conversations = Conversations::new(store, None, Vec::new(), Policy::default());
    let forgotten = conversations.forget_marked().await;
    conversations.close().await;
    forgotten
}

/// What the command prints as JSON.
#[derive(Serialize)]
struct RestoreSummary<'a> {
    file: &'a Path,
    #[serde(serialize_with = "without_password")]
    to: &'a Location,
    backup_at: Option<Timestamp>,
    rows: u64,
    #[serde(serialize_with = "seconds")]
    seconds: Duration,
    tables: &'a [CopiedTable],
    #[serde(skip_serializing_if = "Option::is_none")]
    media: Option<MediaCopied>,
}
