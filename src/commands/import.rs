//! `convo import`: the JSON lines of an export, or the database of the program that convo grew from.

mod lines;
mod seed;
mod source;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueHint};
use indicatif::ProgressBar;
use serde::Serialize;

use super::context::Context;
use super::print::{finish_write, stdout};
use crate::cli::{DatabaseArgs, Group, HelpText, JsonArgs, LocalArgs};
use crate::config::Flags;
use crate::error::Error;
use crate::output::{escape, json};
use crate::stdio;
use crate::store::forget::AllMarks;
use crate::store::import::{ImportBatch, ImportCount, ImportCounts};
use crate::store::{Location, Mode, Store};
use crate::telnyx::mention;
use source::ImportSource;

/// Import an export, or the database of the example program
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct ImportArgs {
    /// An export, - for standard input, or the example program's database: a file or a URL
    #[arg(value_name = "FILE|-|URL", value_parser = NonEmptyStringValueParser::new())]
    #[arg(value_hint = ValueHint::FilePath, allow_hyphen_values = true)]
    from: String,
    /// Only count what would be imported; change nothing
    #[arg(long)]
    dry_run: bool,
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
  convo import conversations.jsonl
  zcat all.jsonl.gz | convo import -
  mv conversations.db seed.db && convo import seed.db
  convo import postgresql://reader@db.example/old",
    description: "\
Takes over what convo export has written as JSON lines, or the SQLite or PostgreSQL database of \
Telnyx's example program sms-conversation-threading. That database is only read.

Ids are kept, and counters computed anew. What is there already stays, and is counted as known, so \
the same import can be repeated: after an interruption, run it again. Conversations with the same \
contact are joined. A message that is there under another id keeps that; one whose id another message \
has gets a new one. The latest STOP or START decides, by Telnyx's clock. A status can rise, never fall.

Nothing imported is in the feed: convo watch, forwarding and convo ask take no notice. It never leads \
to a text being sent. A server may run meanwhile.

A file of another kind, and a line that cannot be read, end the import with exit code 2 and the \
number of the line; what came before that line stays imported. An export of a sandbox database goes \
into a sandbox database only. docs/moving.md says more.

A password in a URL on the command line is refused, because every user of the machine can see it: \
put it into ~/.pgpass.",
    output: "\
One type of rows a line, its fields separated by TAB:

  type  new  known

The types are conversations, messages, reports, opt_outs, merged and events. With --json, an object \
with from, dry_run, seconds and an object with new and known for each type. On a terminal, standard \
error shows the progress.",
};

impl ImportArgs {
    pub(super) fn flags(&self) -> Flags {
        Flags { local: self.local.local, ..self.database.flags() }
    }

    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        context.config.require_database()?;
        let mode = context.config.mode();
        let location = context.config.database()?;
        context.block_on(async {
            let mut source = ImportSource::open(&self.from, &context.directory, mode).await?;
            // Read before anything is created: a file of another kind leaves no database behind.
            let first = source.next().await;
            let ended = match first {
                Ok(first) => self.import(&mut source, first, &location, mode).await,
                Err(error) => Err(error),
            };
            source.close().await;
            ended
        })
    }

    async fn import(
        &self,
        source: &mut ImportSource,
        first: Option<ImportBatch>,
        location: &Location,
        mode: Mode,
    ) -> Result<(), Error> {
        let start = Instant::now();
        let mut target = ImportTarget::open(location, mode, self.dry_run).await?;
        let bar = source.bar();
        let imported = pump(source, first, &mut target, &bar).await;
        bar.finish_and_clear();
        target.close().await;
        source.report(&mut stdio::stderr());
        let printed = self.print(&target, start.elapsed());
        imported.and(printed)
    }

    fn print(&self, target: &ImportTarget, seconds: Duration) -> Result<(), Error> {
        let mut out = stdout();
        let written = if self.json.json {
            let summary = ImportSummary {
                from: &self.from,
                dry_run: self.dry_run,
                seconds: (seconds.as_secs_f64() * 1_000.0).round() / 1_000.0,
                counts: target.counts,
            };
            json::write_line(&mut out, &summary)
        } else {
            let row = |(name, ImportCount { new, known })| writeln!(out, "{name}\t{new}\t{known}");
            target.counts.by_type().into_iter().try_for_each(row)
        };
        finish_write(written.and_then(|()| out.flush()))?;
        if !self.json.json {
            let _ = writeln!(stdio::stderr(), "{}", self.sentence(target, seconds));
        }
        Ok(())
    }

    fn sentence(&self, target: &ImportTarget, time: Duration) -> String {
        let ImportCounts { conversations, messages, .. } = target.counts;
        let (verb, from) = (if self.dry_run { "would import" } else { "imported" }, &self.from);
        let seconds = time.as_secs_f64();
        let created = target.created.as_ref().map(|path| format!(" into the new {path}"));
        format!(
            "{verb} {} messages and {} conversations from {}{}, {} messages were there already, in \
             {seconds:.1} s",
            messages.new,
            conversations.new,
            escape::line(from),
            created.unwrap_or_default(),
            messages.known,
        )
    }
}

#[derive(Serialize)]
struct ImportSummary<'a> {
    from: &'a str,
    dry_run: bool,
    seconds: f64,
    #[serde(flatten)]
    counts: ImportCounts,
}

/// Stores all batches of a source. While one is written, the next is read.
async fn pump(
    source: &mut ImportSource,
    first: Option<ImportBatch>,
    target: &mut ImportTarget,
    bar: &ProgressBar,
) -> Result<(), Error> {
    let mut next = first;
    while let Some(batch) = next {
        let (stored, following) = tokio::join!(target.put(batch), source.next());
        target.counts.add(stored?);
        bar.set_position(source.position());
        next = following?;
    }
    Ok(())
}

/// Where an import goes, and what of it went there.
struct ImportTarget {
    /// `None` for a dry run into a database that does not exist.
    store: Option<Store>,
    /// Of contacts that were forgotten: what is older is left out.
    marks: Option<AllMarks>,
    is_dry_run: bool,
    counts: ImportCounts,
    /// The file that was created.
    created: Option<String>,
}

impl ImportTarget {
    async fn open(location: &Location, mode: Mode, is_dry_run: bool) -> Result<Self, Error> {
        let is_missing = location.path().is_some_and(|path| !path.exists());
        let store = match is_dry_run && is_missing {
            true => None,
            false => Some(Store::open_for_import(location, mode).await?),
        };
        let created = store.as_ref().and_then(Store::created_file);
        let created = created.map(|path| path.display().to_string());
        let marks = match &store {
            Some(store) => store.all_marks().await?,
            None => None,
        };
        Ok(Self { store, marks, is_dry_run, counts: ImportCounts::default(), created })
    }

    async fn put(&self, mut batch: ImportBatch) -> Result<ImportCounts, Error> {
        if let Some(marks) = &self.marks {
            let is_gone = |contact: &str, time| marks.time_of(contact).is_some_and(|at| time <= at);
            batch.leave_out(is_gone, mention::parties);
        }
        match &self.store {
            None => Ok(batch.counts()),
            Some(store) if self.is_dry_run => store.rehearse(batch).await,
            Some(store) => store.writer()?.import(batch).await,
        }
    }

    async fn close(&self) {
        if let Some(store) = &self.store {
            store.close().await;
        }
    }
}

/// Says something about an import to people.
fn say(out: &mut impl Write, what: &str) -> io::Result<()> {
    writeln!(out, "{what}")
}
