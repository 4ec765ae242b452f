//! `convo backup`: backs a database up while it is in use.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueHint};
use indicatif::BinaryBytes;
use serde::Serialize;

use super::context::Context;
use super::copy::{Bar, media, seconds};
use super::print::{finish_write, stdout};
use super::signals;
use crate::cli::{DatabaseArgs, Group, HelpText, JsonArgs, LocalArgs};
use crate::config::Flags;
use crate::domain::Timestamp;
use crate::error::{Code, Error};
use crate::media::{MediaCopied, MediaPlace};
use crate::output::json;
use crate::store::Location;
use crate::store::copy::CopiedTable;
use crate::store::copy::backup::{self, Backup};
use crate::store::copy::partial_file::directory_of;

/// Back up the database into an SQLite file while it is in use
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct BackupArgs {
    /// The file to write, or - for standard output; an earlier backup is replaced
    #[arg(value_hint = ValueHint::FilePath, value_parser = NonEmptyStringValueParser::new())]
    file: String,
    /// Also copy the content of media to this directory; what is there already is not copied again
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
  convo backup /var/backups/convo.db
  convo backup /var/backups/convo.db --media /var/backups/media
  convo backup - | zstd >convo.db.zst
  DATABASE_URL=postgresql://user@host/db convo backup convo.db",
    description: "\
The backup of an SQLite or a PostgreSQL database is an SQLite file that only its owner can read (0600). It \
has everything that was committed before it began, and nothing else: servers and other commands go on \
writing meanwhile. It is read again and compared row by row before it gets its name. convo restore makes a \
database of it. It can be read as it is, for example with convo list, but not be written to.

FILE is replaced only if it is an earlier backup. The content of media is not in it: --media copies it from \
where CONVO_MEDIA says to a directory, in which files are named by their SHA-256. A daily backup may use the \
same directory again; nothing is deleted there. docs/keeping.md says more.",
    output: "\
Nothing but the backup for -. With --json, an object with file, at (when it began), bytes, rows, seconds \
and tables, each with the SHA-256 of all its values; with --media also media: how many files were copied, \
known (there before) and missing, and the bytes of those that were copied. On a terminal, standard error shows the progress.",
};

impl BackupArgs {
    pub(super) fn flags(&self) -> Flags {
        Flags { local: self.local.local, ..self.database.flags() }
    }

    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        context.config.require_database()?;
        let is_stream = self.file == "-";
        if is_stream && self.json.json {
            return Err(Error::invalid("--json needs a file: standard output is the backup"));
        }
        if is_stream && io::stdout().is_terminal() {
            let what = "a backup is not printed on a terminal";
            return Err(Error::invalid(what).hint("name a file, or redirect the output"));
        }
        context.block_on(async {
            let start = Instant::now();
            let path = (!is_stream).then(|| context.directory.join(&self.file));
            let backup = tokio::select! {
                backup = make(context, path.as_deref()) => backup?,
                () = signals::requested() => return Err(interrupted()),
            };
            let media = match &self.media {
                Some(directory) => Some(copy_to(directory, &backup, context).await?),
                None => None,
            };
            let made = Made::new(path.as_deref(), &backup, media, start.elapsed())?;
            match &path {
                Some(path) => {
                    backup.file.publish(path)?;
                    self.tell(&made)
                }
                None => write_out(backup.file.path()),
            }
        })
    }

    fn tell(&self, made: &Made<'_>) -> Result<(), Error> {
        if self.json.json {
            let mut out = stdout();
            let written = json::write_line(&mut out, made);
            return finish_write(written.and_then(|()| out.flush()));
        }
        let Made { file, bytes, rows, seconds, .. } = made;
        let _ = writeln!(
            io::stderr(),
            "backed up {rows} rows in {:.1} s to {} ({}), and compared them",
            seconds.as_secs_f64(),
            file.unwrap_or(Path::new("-")).display(),
            BinaryBytes(*bytes),
        );
        if let Some(media) = &made.media {
            media::tell(media);
        }
        Ok(())
    }
}

/// Makes the backup beside its place, or where temporary files are.
async fn make(context: &Context, path: Option<&Path>) -> Result<Backup, Error> {
    let (from, mode) = (context.config.database()?, context.config.mode());
    let directory = match path {
        Some(path) => {
            backup::check_destination(&from, path).await?;
            directory_of(path)
        }
        None => std::env::temp_dir(),
    };
    let bar = Bar::new();
    let made = backup::backup(&from, mode, &directory, &mut |progress| bar.show(progress)).await;
    bar.clear();
    made
}

/// Copies the content of the media that a backup knows to a directory.
async fn copy_to(
    directory: &Path,
    backup: &Backup,
    context: &Context,
) -> Result<MediaCopied, Error> {
    let from = context.config.media()?.place;
    let to = MediaPlace::Directory(context.directory.join(directory));
    let (database, mode) = (Location::file(backup.file.path().to_owned()), context.config.mode());
    tokio::select! {
        copied = media::copy(&database, mode, &from, &to) => copied,
        () = signals::requested() => Err(interrupted()),
    }
}

/// Copies the backup to standard output.
fn write_out(path: &Path) -> Result<(), Error> {
    let written = File::open(path).and_then(|mut file| {
        let mut out = stdout();
        io::copy(&mut file, &mut out)?;
        out.flush()
    });
    written.map_err(|error| {
        let what = format!("cannot write the backup to standard output: {error}");
        Error::new(Code::Internal, what).hint("what was written is not a backup")
    })
}

/// The error of a command that was ended before it was done.
fn interrupted() -> Error {
    Error::new(Code::DatabaseUnavailable, "interrupted: no backup was made")
}

/// What the command prints as JSON.
#[derive(Serialize)]
struct Made<'a> {
    file: Option<&'a Path>,
    at: Timestamp,
    bytes: u64,
    rows: u64,
    #[serde(serialize_with = "seconds")]
    seconds: Duration,
    tables: Vec<CopiedTable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media: Option<MediaCopied>,
}

impl<'a> Made<'a> {
    fn new(
        file: Option<&'a Path>,
        backup: &Backup,
        media: Option<MediaCopied>,
        seconds: Duration,
    ) -> Result<Self, Error> {
        let bytes = backup.file.path().metadata().map_err(|_| Error::internal())?.len();
        let rows = backup.tables.iter().map(|table| table.rows).sum();
        Ok(Self { file, at: backup.at, bytes, rows, seconds, tables: backup.tables.clone(), media })
    }
}
