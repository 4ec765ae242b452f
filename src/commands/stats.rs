//! `convo stats`: how many messages, what became of them, and what they cost.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap_complete::engine::ArgValueCompleter;

use super::complete;
use super::context::Context;
use super::print::{BRIEF, Extent};
use crate::cli::{BackendArgs, Group, HelpText, MessageFilterArgs, PrintArgs};
use crate::domain::stats::{MAX_ROWS, stats_incomplete};
use crate::domain::{StatsBy, StatsQuery, UtcOffsets};
use crate::error::Error;
use crate::output::pager::Start;
use crate::output::{Style, stats};

/// How far back the clock's changes are looked for, in seconds: 20 years.
const CLOCK_HISTORY: i64 = 20 * 366 * 24 * 3_600;

/// Count messages: delivery rate, cost, errors, time to delivery
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
#[command(mut_arg("contact", |arg| arg.add(ArgValueCompleter::new(complete::contacts))))]
#[command(mut_arg("number", |arg| arg.add(ArgValueCompleter::new(complete::own_numbers))))]
#[command(mut_arg("limit", |arg| arg.help(
    "Print only N groups: the last days, or those with the most messages [at most 1000]"
)))]
#[command(mut_arg("all", |arg| arg.help("Print every group [of contacts: the 1000 largest]")))]
pub(super) struct StatsArgs {
    /// What to group by: day, contact, number (of yours), status or error
    #[arg(long, value_name = "WHAT", default_value = "day", value_parser = groupings())]
    #[arg(hide_possible_values = true, hide_default_value = true)]
    by: StatsBy,
    #[command(flatten)]
    pub backend: BackendArgs,
    #[command(flatten)]
    filter: MessageFilterArgs,
    #[command(flatten)]
    print: PrintArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo stats --since 30d
  convo stats --by error --since yesterday
  convo stats --by contact --direction outbound --since 2026-11-01
  convo stats --since 7d --json | jq .total.delivery_rate",
    description: "\
Counts the messages that match the filters: in and out, segments, cost, delivery rate, time to delivery, \
errors with what to do about them, and the same for each day, contact, number of yours, status or error \
code (--by). Messages count where they are dated; their status is that of now.

The delivery rate is that of messages with a final outcome: delivered or read, out of these and those \
delivery_unconfirmed, expired, sending_failed and delivery_failed. Cancelled ones do not count. The time to \
delivery runs from when Telnyx handed a message to the carrier. Costs are what Telnyx has told so far, \
added exactly, one sum a currency.

Days begin at local midnight, or with --utc at that of UTC. On a terminal the last 50 are shown; of \
contacts, always the 20 with the most messages, or as many as --limit says.

The figures are complete to the last message that was stored. They come from sums that convo serve keeps, \
or that the command brings up to date first; if that takes longer than some seconds, as after an upgrade, it \
prints what it has and ends with exit code 5.",
    output: "\
In a pipe, one group per line, its fields separated by TAB:

  key  inbound  outbound  delivered  unconfirmed  failed  cancelled  open
  delivery_rate  segments  cost  within_5s  within_15s  within_1m  within_5m
  within_1h  later

key is a day such as 2026-11-30, a number, a status or an error code (- if it has none); cost is such as \
'0.0051 USD', several currencies separated by commas. csv has the same fields below a header line; ids \
prints the keys. json is one object as in the REST API, with total, errors and rows; jsonl has the rows, \
one object per line.

Later versions may append fields, but keep these.",
};

fn groupings() -> impl TypedValueParser<Value = StatsBy> {
    let words = PossibleValuesParser::new(StatsBy::ALL.map(StatsBy::as_str));
    words.try_map(|word: String| word.parse::<StatsBy>())
}

impl StatsArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let mut is_complete = true;
        context.print_from(
            async || context.backend_to_catch_up().await,
            &self.print,
            Start::Top,
            async |backend, out, style| {
                let found = backend.stats(&self.query(style)).await?;
                is_complete = found.complete;
                stats::print(out, &found, style)?;
                Ok(())
            },
        )?;
        if is_complete { Ok(()) } else { Err(stats_incomplete()) }
    }

    fn query(&self, style: &Style) -> StatsQuery {
        let filter = self.filter.search(style.now, style.zone);
        let limit = match Extent::new(&self.print, style) {
            Extent::Newest(limit) => Some(limit.min(MAX_ROWS)),
            Extent::Brief if self.by == StatsBy::Day => Some(BRIEF),
            _ if self.print.all && self.by == StatsBy::Contact => Some(MAX_ROWS),
            Extent::Brief | Extent::All => None,
        };
        let mut offsets = UtcOffsets::default();
        if self.by == StatsBy::Day {
            let oldest = style.now.plus_seconds(-CLOCK_HISTORY);
            let from = filter.since.unwrap_or(oldest).max(oldest);
            offsets = UtcOffsets::between(from, style.now, |time| style.zone.offset(time));
        }
        StatsQuery { filter, by: self.by, offsets, limit }
    }
}
