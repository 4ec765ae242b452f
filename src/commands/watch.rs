//! `convo watch`: what happens, as it happens.

mod events;
mod exec;

use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use super::complete;
use super::context::Context;
use super::follow::Follower;
use super::print::{PrintError, finish, stdout};
use crate::backend::Backend;
use crate::cli::{self, BackendArgs, EventFilterArgs, FormatArgs, Group, HelpText};
use crate::domain::{FeedCursor, FeedStart};
use crate::error::Error;
use crate::output::event::EventPrinter;
use crate::output::{Style, terminal};
use crate::stdio;
use crate::store::Purpose;
use events::{WatchEnd, WatchedEvents};
use exec::{ExecArgs, Program};

/// Show what happens, as it happens
#[derive(Args, Clone, Debug)]
#[command(add = Group::Read, add = HELP, after_help = HELP.examples)]
#[command(mut_arg("contact", |arg| arg.add(ArgValueCompleter::new(complete::contacts))))]
#[command(mut_arg("number", |arg| arg.add(ArgValueCompleter::new(complete::own_numbers))))]
pub(super) struct WatchArgs {
    #[command(flatten)]
    filter: EventFilterArgs,
    /// Go on after this event
    #[arg(long, value_name = "CURSOR", value_parser = cursor, conflicts_with = "since")]
    after: Option<FeedCursor>,
    /// End after N events
    #[arg(long, value_name = "N", value_parser = cli::value::count)]
    count: Option<u64>,
    /// End after this time, for example 90s, 15m or 2h
    #[arg(long, value_name = "DURATION", value_parser = cli::duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    exec: ExecArgs,
    #[command(flatten)]
    output: FormatArgs,
    #[command(flatten)]
    pub backend: BackendArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo watch
  convo watch --kind message --direction inbound --json | jq -r .message.body
  convo watch --direction inbound --count 1 --timeout 10m
  convo watch --reply --checkpoint answered --exec ./answer.sh",
    description: "\
Prints each event as soon as it is stored: a new message, inbound or outbound (kind message); \
another status of an outbound one (status); a contact that opts out, or in again (opt_out); and a \
conversation that was removed (removed). It works on the database itself, without a server, and \
with --server.

Without --since or --after, it begins now. --since begins with what has happened since then and is \
still kept, 30 days by default; --after goes on after the event with this cursor, and misses none. \
If that event is no longer kept, the exit code is 6, and the hint has the oldest cursor there is.

It ends after --count events, before the first event at --until or later, or after --timeout. With \
--count, the exit code is 8 if time ran out before there were as many events; otherwise it is 0. \
With --until in the past, it prints what is stored and ends. Ctrl-C ends it, as it ends tail -f, and \
so does a pipe whose reader has gone, which is success.

While the server or the database cannot be reached, it tries again until it can, and goes on where it \
was: no event is missed, and none is printed twice. It says so once when they are lost, and once when \
they are back, on standard error (not with JSON). Only what fails at the start, or cannot pass by \
itself, such as a wrong token, ends it.

With --exec, or with a command after --, it prints nothing and runs the command once for each inbound \
message (for other events with --kind or --direction). No shell is involved. The command gets the event \
as one JSON object on standard input, with --history N also the last N messages of the conversation, and \
CONVO_EVENT, CONVO_CONTACT, CONVO_NUMBER, CONVO_MESSAGE_ID, CONVO_CONVERSATION_ID and CONVO_TEXT (at most \
64 KiB) in its environment, but no secrets of convo. The messages of a contact are handled in order, \
those of --jobs contacts at the same time. A command that fails is reported and passed over, or run \
again with --retries; one that takes longer than --exec-timeout is killed with everything it started.

With --checkpoint FILE, it goes on where it stopped: everything is handled at least once. With --reply, \
what the command prints is sent back, without its last line break, as by convo send --reply-to: once, \
even if it is killed, or the command says something else when it is run again. If it prints nothing or \
fails, nothing is sent. Messages older than --max-age, contacts that have opted out, and answers beyond \
CONVO_REPLY_LIMIT are reported and passed over. docs/answering.md has examples.

An event is shown if it matches every filter. --number, --direction and --status leave only \
events about messages; the status is the one at the time of the event. --since and --until accept a \
time: 2h or 3d ago, today, yesterday, a time of day such as 09:00, a date, a date and time, or RFC \
3339. Without a time zone, a time is local (with --utc, in UTC).",
    output: "\
On a terminal, one line per event: the time, an arrow to the left for a message from the contact and \
to the right for one from you, the contact, the text, and the status. In a pipe, one event per line, \
written at once, its fields separated by TAB:

  at  kind  contact_number  direction  status  from  to  body  id  error
  media  subject  cc  conversation_id  cursor  opted_out  replaces
  recovered  contact_name

at is when it was stored, id the message's, and status the one at the time of the event; the other \
fields of a message are as they are now. opted_out is true or false, for opt_out. replaces is the id \
of a message that turned out to be this one. json and jsonl have one object per line, as GET /events; \
csv has the fields above below a header line; ids prints the id of the message, or else of the \
conversation. Later versions may append fields, but keep these.",
};

impl WatchArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        if let Some(program) = self.exec.program()? {
            return self.execute(program, context);
        }
        let style = context.style(self.output.format());
        context.block_on(async {
            let backend = context.backend(Purpose::Read).await?;
            let watched = tokio::select! {
                watched = self.watch(&backend, &style) => finish(watched),
                () = stdio::stdout_closed() => Ok(()),
            };
            backend.close().await;
            watched
        })
    }

    async fn watch(&self, backend: &Backend, style: &Style) -> Result<(), PrintError> {
        let mut events = self.events(backend, style);
        let mut printer = EventPrinter::new(stdout(), style);
        printer.begin()?;
        while let Some(event) = events.next().await? {
            if let Some(width) = terminal::stdout_columns() {
                printer.resize(width);
            }
            printer.event(&event)?;
        }
        Ok(())
    }

    /// Runs a command for each event.
    fn execute(&self, program: Program, context: &Context) -> Result<(), Error> {
        let style = context.style(self.output.format());
        let (checkpoint, start) = self.exec.open_checkpoint(context, self.start(&style))?;
        let purpose = if self.exec.replies() { Purpose::Change } else { Purpose::Read };
        context.block_on(async {
            let backend = context.backend(purpose).await?;
            let filter = self.exec.filter(self.filter.filter());
            let follower = Follower::new(&backend, filter, start).telling(true);
            let events = WatchedEvents::new(follower, self.end(&style));
            let ended = self.exec.run(program, &backend, events, checkpoint).await;
            backend.close().await;
            ended
        })
    }

    /// The events to show, one by one, across failures of the database or the server.
    fn events<'a>(&self, backend: &'a Backend, style: &Style) -> WatchedEvents<'a> {
        let follower = Follower::new(backend, self.filter.filter(), self.start(style));
        WatchedEvents::new(follower.telling(!style.format.is_json()), self.end(style))
    }

    fn start(&self, style: &Style) -> FeedStart {
        match (self.after, self.filter.since) {
            (Some(cursor), _) => FeedStart::After(cursor),
            (None, Some(since)) => FeedStart::Since(since.past(style.now, style.zone)),
            (None, None) => FeedStart::Now,
        }
    }

    fn end(&self, style: &Style) -> WatchEnd {
        WatchEnd {
            count: self.count,
            until: self.filter.until.map(|moment| moment.past(style.now, style.zone)),
            timeout: self.timeout,
        }
    }
}

fn cursor(text: &str) -> Result<FeedCursor, String> {
    text.trim().parse().map_err(|_| "take it from the field cursor of an event".to_owned())
}
