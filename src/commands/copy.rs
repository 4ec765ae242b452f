//! `convo copy`: copies a whole database into another.

pub(super) mod media;

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use indicatif::ProgressBar;
use serde::Serialize;

use super::context::Context;
use super::print::{finish_write, stdout};
use super::progress;
use crate::cli::{Group, HelpText, JsonArgs, LocalArgs};
use crate::config::Config;
use crate::error::Error;
use crate::output::json;
use crate::store::Location;
use crate::store::copy::{self, CopiedTable, Progress, Released, Stage};

/// Copy a whole database into another, SQLite or PostgreSQL
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct CopyArgs {
    /// The database to copy, written as in DATABASE_URL
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    from: String,
    /// The empty database to copy it to [default: DATABASE_URL]
    #[arg(value_parser = NonEmptyStringValueParser::new(), conflicts_with = "release")]
    to: Option<String>,
    /// Make FROM writable again, to abandon the copy or to go back to the old database
    #[arg(long)]
    release: bool,
    #[command(flatten)]
    pub local: LocalArgs,
    #[command(flatten)]
    json: JsonArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo copy sqlite:///conversations.db postgresql://convo@db.example/convo
  DATABASE_URL_FILE=url.txt convo copy sqlite:///conversations.db
  convo copy --release sqlite:///conversations.db",
    description: "\
FROM is read-only from the start of the copy: servers return 503, so that Telnyx redelivers its \
webhooks, and commands that would change it fail. It can still be read. If the copy is interrupted, \
run the same command again to resume it. At the end, TO is read again and compared with FROM row by \
row; only then can TO be opened.

Afterwards FROM stays read-only, so that nothing is written to the old database by mistake. convo \
copy --release makes it writable again, or abandons an unfinished copy. TO must be empty: nothing in \
it is overwritten.

A password in a URL on the command line is refused, because every user of the machine can see it. \
Leave it out of the URL and put it into ~/.pgpass, or give TO through DATABASE_URL or \
DATABASE_URL_FILE.",
    output: "\
One table per line, its fields separated by TAB:

  table  rows  sha256

sha256 covers every value of every row and is the same for both databases. With --json, an object \
with from, to, rows, seconds and tables. On a terminal, standard error shows the progress.",
};

impl CopyArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        for (name, url) in [("FROM", Some(&self.from)), ("TO", self.to.as_ref())] {
            refuse_password(name, url, &context.directory)?;
        }
        context.config.require_database()?;
        context.block_on(async {
            let from = Location::parse(&self.from, &context.directory)?;
            if self.release {
                let released = copy::release(&from).await?;
                let _ = writeln!(io::stderr(), "{}", describe(&from, &released));
                return Ok(());
            }
            self.copy(&from, &self.destination(&context.config, &context.directory)?).await
        })
    }

    fn destination(&self, config: &Config, directory: &Path) -> Result<Location, Error> {
        match &self.to {
            Some(to) => Location::parse(to, directory),
            None => config.database(),
        }
    }

    /// Copies, then prints the tables on standard output and one line for people on standard error.
    async fn copy(&self, from: &Location, to: &Location) -> Result<(), Error> {
        let start = Instant::now();
        let bar = Bar::new();
        let copied = copy::copy(from, to, &mut |progress| bar.show(progress)).await;
        bar.clear();
        let tables = copied?;
        let rows: u64 = tables.iter().map(|table| table.rows).sum();
        let summary = Summary { from, to, rows, seconds: start.elapsed(), tables: &tables };
        let mut out = stdout();
        let written = if self.json.json {
            json::write_line(&mut out, &summary)
        } else {
            write_tables(&mut out, &tables)
        };
        finish_write(written.and_then(|()| out.flush()))?;
        if !self.json.json {
            let seconds = summary.seconds.as_secs_f64();
            let _ = writeln!(
                io::stderr(),
                "copied {rows} rows in {seconds:.1} s and compared them; {from} is now read-only: \
                 set DATABASE_URL to {to}",
            );
        }
        Ok(())
    }
}

/// Refuses a password among the arguments: every user of the machine can see them.
pub(super) fn refuse_password(
    name: &str,
    url: Option<&String>,
    directory: &Path,
) -> Result<(), Error> {
    let Some(url) = url else { return Ok(()) };
    if !Location::parse(url, directory).is_ok_and(|location| location.has_password()) {
        return Ok(());
    }
    let what = format!("{name} contains a password, which ps shows to every user");
    Err(Error::invalid(what).hint(format!(
        "leave it out of the URL: put it into ~/.pgpass or PGPASSWORD, or give {} through \
         DATABASE_URL_FILE",
        if name == "FROM" { "TO" } else { "it" },
    )))
}

#[derive(Serialize)]
struct Summary<'a> {
    #[serde(serialize_with = "without_password")]
    from: &'a Location,
    #[serde(serialize_with = "without_password")]
    to: &'a Location,
    rows: u64,
    #[serde(serialize_with = "seconds")]
    seconds: Duration,
    tables: &'a [CopiedTable],
}

pub(super) fn without_password<S: serde::Serializer>(
    location: &&Location,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_str(location)
}

pub(super) fn seconds<S: serde::Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64((time.as_secs_f64() * 1_000.0).round() / 1_000.0)
}

pub(super) fn write_tables(out: &mut impl Write, tables: &[CopiedTable]) -> io::Result<()> {
    tables
        .iter()
        .try_for_each(|table| writeln!(out, "{}\t{}\t{}", table.table, table.rows, table.sha256))
}

fn describe(location: &Location, released: &Released) -> String {
    match released {
        Released::NotHeld => format!("{location} was not read-only"),
        Released::Unfinished(other) => {
            format!("{location} is writable again; delete the unfinished copy {other}")
        }
        Released::Copied(other) => {
            format!("{location} is writable again, and so is {other}: from now on they diverge")
        }
    }
}

/// A progress bar, hidden unless standard error is a terminal.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new() -> Self {
        Self(progress::bar("{msg} {wide_bar} {human_pos}/{human_len} rows, {rate}/s, {eta} left"))
    }

    pub(super) fn show(&self, progress: Progress) {
        match progress {
            Progress::Begin(stage, rows) => {
                self.0.reset();
                self.0.set_length(rows);
                self.0.set_message(match stage {
                    Stage::Copy => "copying",
                    Stage::Verify => "comparing",
                });
            }
            Progress::Rows(rows) => self.0.inc(rows),
        }
    }

    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
