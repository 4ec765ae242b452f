//! `convo sync`: settles what was left open, and fetches from Telnyx what no webhook has brought.

use std::io::{self, Write};

use clap::Args;
use indicatif::ProgressBar;

use super::context::Context;
use super::print::{finish_write, stdout};
use super::progress;
use crate::cli::{BackendArgs, Group, HelpText, JsonArgs, Moment, moment};
use crate::domain::{SourceReport, SyncProgress, SyncReport, SyncRequest, SyncState};
use crate::error::Error;
use crate::output::{Format, Style, json, rows};
use crate::store::Purpose;

/// Fetch from Telnyx what no webhook has brought
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct SyncArgs {
    /// Read everything since: 10d at most, yesterday, a date or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "no_fetch")]
    since: Option<Moment>,
    /// Only settle messages left without an outcome; read nothing from Telnyx's lists
    #[arg(long)]
    no_fetch: bool,
    /// Change nothing; print what would be found
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    json: JsonArgs,
    #[command(flatten)]
    pub backend: BackendArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo sync
  convo sync --since 10d
  convo sync --dry-run --json
  convo sync --no-fetch",
    description: "\
convo serve does this by itself at its start and every 10 minutes (CONVO_SYNC). One process at a time \
does it; any other waits.

First it settles. A message whose sending process died becomes unknown. An unknown message is sent to \
Telnyx once more, with the identical request, if its sender gave an idempotency key or was told that \
the outcome is unknown, and if it is not older than CONVO_SETTLE_WINDOW. Delivery reports about \
messages that another program sent are added to their conversations.

Then it reads four sources at Telnyx: the webhooks that could not be delivered (deliveries); the \
list of all messages, for those from or to TELNYX_PHONE_NUMBER that never had a webhook (records); \
outbound messages that are unknown or have had no news for a while (outbound); and opt-outs \
(opt_outs). Each is read from an hour before the point up to which it was last read, and once a day \
from a week before. Telnyx has messages for ten days: --since 10d on a new database brings the \
history that there is. A sync that is interrupted is continued by the next one.

What it brings is dated as Telnyx dates it and is marked as recovered: it wakes no --exec or --reply \
of convo watch and answers no convo ask. A message of the last five minutes is left to its webhook.",
    output: "\
One line for what was settled and for each source, its fields separated by TAB:

  source  state  read  found  recent  gone  since  until  error

state is complete or incomplete; found counts what was not known or changed a status, recent what is \
left to its webhook, gone what Telnyx no longer has. With --json, an object that also lists the \
settled messages. If a source is incomplete, the exit code says why: 4 if Telnyx refuses the key, 5 if \
it cannot be reached or its rate limit is used up; the next sync goes on from there.",
};

impl SyncArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let style = context.style(self.json.format());
        let request = SyncRequest {
            since: self.since.map(|since| since.past(style.now, style.zone)),
            fetch: !self.no_fetch,
            dry_run: self.dry_run,
        };
        context.block_on(async {
            let backend = context.backend(Purpose::Change).await?;
            let bar = SyncBar::new(style.format != Format::Json);
            let synced = backend.sync(request, &|progress| bar.show(&progress)).await;
            bar.clear();
            backend.close().await;
            finish(&synced?, &style)
        })
    }
}

/// Prints the report, and fails if it is not complete.
fn finish(report: &SyncReport, style: &Style) -> Result<(), Error> {
    let mut out = stdout();
    finish_write(print(&mut out, report, style).and_then(|()| out.flush()))?;
    let failed = report.sources.iter().find_map(|one| Some((one.source, one.error.clone()?)));
    match failed {
        None => Ok(()),
        Some((source, error)) => {
            let error = Error::from(error);
            let what = format!("{source} were not read to the end: {error}");
            let hint = error.hint_text().unwrap_or("the next sync goes on from there").to_owned();
            Err(Error::new(error.code(), what).hint(hint))
        }
    }
}

fn print(out: &mut impl Write, report: &SyncReport, style: &Style) -> io::Result<()> {
    match style.format {
        Format::Json => json::write_line(out, report),
        Format::Table => {
            let row = |one: &SourceReport| for_people(one, style);
            let table: Vec<_> = [settled_for_people(report)]
                .into_iter()
                .chain(report.sources.iter().map(row))
                .collect();
            let headings = ["SOURCE", "STATE", "READ", "FOUND", "RECENT", "GONE", "SINCE"];
            rows::table(out, headings, &table, style)
        }
        _ => {
            let sources = report.sources.iter().map(for_programs);
            rows::lines(out, [settled_for_programs(report)].into_iter().chain(sources))
        }
    }
}

fn settled_for_people(report: &SyncReport) -> [String; 7] {
    let [source, state, _, found, ..] = settled_for_programs(report);
    let none = String::new;
    [source, state, none(), found, none(), none(), none()]
}

fn settled_for_programs(report: &SyncReport) -> [String; 9] {
    let count = report.settled.len().to_string();
    let (none, zero) = (String::new, || "0".to_owned());
    let state = SyncState::Complete.as_str().to_owned();
    ["settled".to_owned(), state, count.clone(), count, zero(), zero(), none(), none(), none()]
}

fn for_people(one: &SourceReport, style: &Style) -> [String; 7] {
    let [source, state, read, found, recent, gone, ..] = for_programs(one);
    let since = one.since.filter(|since| since.as_micros() > 0);
    let since = since.map_or_else(|| "-".to_owned(), |since| style.zone.ago(since, style.now));
    [source, state, read, found, recent, gone, since]
}

fn for_programs(one: &SourceReport) -> [String; 9] {
    [
        one.source.to_string(),
        one.state.as_str().to_owned(),
        one.listed.to_string(),
        one.found.to_string(),
        one.recent.to_string(),
        one.gone.to_string(),
        one.since.map(|since| since.to_string()).unwrap_or_default(),
        one.until.map(|until| until.to_string()).unwrap_or_default(),
        one.error.as_ref().map(|error| error.error.clone()).unwrap_or_default(),
    ]
}

/// A progress bar, hidden unless standard error is a terminal.
struct SyncBar(ProgressBar);

impl SyncBar {
    fn new(is_shown: bool) -> Self {
        Self(match is_shown {
            true => progress::bar("{msg} {wide_bar} {human_pos}/{human_len} read"),
            false => ProgressBar::hidden(),
        })
    }

    fn show(&self, SyncProgress { found, total }: &SyncProgress) {
        let message = match found.state {
            SyncState::Waiting => "waiting for another sync".to_owned(),
            _ => format!("{}: {} found", found.source, found.found),
        };
        self.0.set_message(message);
        self.0.set_length(found.listed.max(total.unwrap_or_default()));
        self.0.set_position(found.listed);
    }

    fn clear(&self) {
        self.0.finish_and_clear();
    }
}
