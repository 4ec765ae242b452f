//! `convo forward`: where forwarding stands; testing, enabling and replaying a name.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::context::Context;
use super::print::{finish_write, stdout};
use crate::backend::forward::ForwardBackend;
use crate::cli::{BackendArgs, Group, HelpText, JsonArgs, Moment, moment};
use crate::domain::{Forward, ForwardReplay, ForwardTest, Timestamp};
use crate::error::{Code, Error};
use crate::output::{Format, Style, json, rows};
use crate::stdio;
use crate::store::Purpose;

/// Show and control the forwarding of events
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct ForwardArgs {
    /// What to do: list, test, enable or replay
    #[arg(value_enum, hide_possible_values = true)]
    action: ForwardAction,
    /// The receiver's name, as CONVO_FORWARD_URL has it
    #[arg(required_if_eq_any([("action", "test"), ("action", "enable"), ("action", "replay")]))]
    name: Option<String>,
    /// Replay everything since: 2h, 3d, today, yesterday, 09:00, a date or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Moment>,
    #[command(flatten)]
    json: JsonArgs,
    #[command(flatten)]
    pub backend: BackendArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ForwardAction {
    List,
    Test,
    Enable,
    Replay,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo forward list
  convo forward test default
  convo forward enable default
  convo forward replay default --since 2d",
    description: "\
convo serve posts every event to each URL of CONVO_FORWARD_URL, signed with CONVO_FORWARD_SECRET as \
Standard Webhooks prescribe. A failed delivery is repeated after 5 s, 30 s, 2 min, 10 min, 1 h, and \
then hourly, in order; three days after the last success, what is older than that is given up.

list shows where each name stands. test delivers one event of the kind test. enable goes on after \
the receiver has answered 410, or attempts the next delivery at once. replay delivers again what was \
given up, or with --since everything from a time on, between new events and with unchanged \
webhook-ids.",
    output: "\
list prints one name per line, its fields separated by TAB:

  name  state  url  events_behind  seconds_behind  last_success_at
  last_error  last_error_at  next_attempt_at  given_up  replaying

state is waiting, active, failing or paused. test prints the status of the answer, replay the number \
of entries. With --json, the objects of the REST API. The exit code of test is 6 if the receiver did \
not accept the event.",
};

impl ForwardArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let style = context.style(self.json.format());
        let (is_list, name) = (self.action == ForwardAction::List, self.name.as_deref());
        if is_list && name.is_some() {
            return Err(Error::invalid("forward list takes no name").hint("it lists all of them"));
        }
        if self.since.is_some() && self.action != ForwardAction::Replay {
            return Err(Error::invalid("--since is for forward replay").hint("leave it out"));
        }
        let since = self.since.map(|since| since.past(style.now, style.zone));
        let purpose = match self.action {
            ForwardAction::List | ForwardAction::Test => Purpose::Read,
            ForwardAction::Enable | ForwardAction::Replay => Purpose::Change,
        };
        context.block_on(async {
            let backend = ForwardBackend::open(&context.config, purpose).await?;
            let name = name.unwrap_or_default();
            let ended = act(self.action, &backend, name, since, &style).await;
            backend.close().await;
            ended
        })
    }
}

async fn act(
    action: ForwardAction,
    backend: &ForwardBackend,
    name: &str,
    since: Option<Timestamp>,
    style: &Style,
) -> Result<(), Error> {
    let mut out = stdout();
    match action {
        ForwardAction::List => {
            let all = backend.list().await?;
            finish_write(list(&mut out, &all, style).and_then(|()| out.flush()))
        }
        ForwardAction::Enable => {
            let forward = backend.enable(name).await?;
            let say = format!("{}: forwarding is enabled", forward.name);
            print(&mut out, &forward, forward.state.as_str(), &say, style)
        }
        ForwardAction::Replay => {
            let replay: ForwardReplay = backend.replay(name, since).await?;
            let say = format!("{}: {} entries are delivered again", replay.name, replay.events);
            print(&mut out, &replay, &replay.events.to_string(), &say, style)
        }
        ForwardAction::Test => {
            let tested: ForwardTest = backend.test(name).await?;
            let status = tested.status.map(|status| status.to_string()).unwrap_or_default();
            let error = tested.error.clone().unwrap_or_default();
            let say = match tested.delivered {
                true => format!("{name}: the test event was accepted"),
                false => format!("{name}: the test event was not accepted: {error}"),
            };
            print(&mut out, &tested, &status, &say, style)?;
            if tested.delivered {
                return Ok(());
            }
            let what = format!("'{name}' did not accept the test event");
            Err(Error::new(Code::ForwardRefused, what)
                .hint("check the receiver: it must answer 2xx within 15 seconds"))
        }
    }
}

/// Prints a result: as JSON, or a word for programs and a line for people.
fn print(
    out: &mut impl Write,
    result: &impl Serialize,
    word: &str,
    say: &str,
    style: &Style,
) -> Result<(), Error> {
    if style.format == Format::Json {
        return finish_write(json::write_line(out, result).and_then(|()| out.flush()));
    }
    finish_write(writeln!(out, "{word}").and_then(|()| out.flush()))?;
    let _ = writeln!(stdio::stderr(), "{say}");
    Ok(())
}

fn list(out: &mut impl Write, all: &[Forward], style: &Style) -> io::Result<()> {
    if style.format == Format::Json {
        let mut array = json::Array::default();
        all.iter().try_for_each(|forward| array.element(out, forward))?;
        array.finish(out)?;
        return out.write_all(b"\n");
    }
    if style.format == Format::Table {
        let row = |forward: &Forward| for_people(forward, style);
        let table: Vec<_> = all.iter().map(row).collect();
        let headings = ["NAME", "STATE", "URL", "BEHIND", "LAST SUCCESS", "LAST ERROR", "GIVEN UP"];
        return rows::table(out, headings, &table, style);
    }
    rows::lines(out, all.iter().map(for_programs))
}

fn for_people(forward: &Forward, style: &Style) -> [String; 7] {
    let ago = |time: Timestamp| style.zone.ago(time, style.now);
    let behind = match forward.events_behind {
        0 => "-".to_owned(),
        events => format!("{events} ({} s)", forward.seconds_behind),
    };
    let error = match (&forward.last_error, forward.last_error_at) {
        (Some(error), Some(at)) => format!("{error} ({})", ago(at)),
        _ => "-".to_owned(),
    };
    let restarted = forward.restarted_at.map(|at| format!(", began anew {}", ago(at)));
    [
        forward.name.clone(),
        format!("{}{}", forward.state.as_str(), restarted.unwrap_or_default()),
        forward.url.clone().unwrap_or_else(|| "not configured here".to_owned()),
        behind,
        forward.last_success_at.map_or_else(|| "-".to_owned(), ago),
        error,
        given_up(forward).to_string(),
    ]
}

fn for_programs(forward: &Forward) -> [String; 11] {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    [
        forward.name.clone(),
        forward.state.as_str().to_owned(),
        forward.url.clone().unwrap_or_default(),
        forward.events_behind.to_string(),
        forward.seconds_behind.to_string(),
        time(forward.last_success_at),
        forward.last_error.clone().unwrap_or_default(),
        time(forward.last_error_at),
        time(forward.next_attempt_at),
        given_up(forward).to_string(),
        forward.replaying.to_string(),
    ]
}

fn given_up(forward: &Forward) -> u64 {
    forward.given_up.iter().map(|given_up| given_up.events).sum()
}
