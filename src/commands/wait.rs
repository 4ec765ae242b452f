//! `convo wait`: waits until messages that were sent earlier have a final status.

use std::io;
use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use uuid::Uuid;

use super::complete;
use super::context::Context;
use super::outcome::Reporter;
use super::poll::{Goal, Wait};
use super::print::{finish_write, stdout};
use super::signals;
use super::status_news::StatusNews;
use crate::backend::Backend;
use crate::cli::{self, BackendArgs, Group, HelpText, JsonArgs};
use crate::domain::Message;
use crate::error::Error;
use crate::output::{self, json};
use crate::stdio;
use crate::store::Purpose;

/// Wait for the final status of messages
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct WaitArgs {
    /// The ids of the messages, as convo send prints them
    #[arg(value_name = "ID", required = true, value_parser = cli::message_id)]
    #[arg(add = ArgValueCompleter::new(complete::open_messages))]
    ids: Vec<Uuid>,
    /// Wait only until they are sent, or require that they are delivered
    #[arg(long = "for", value_name = "STATUS", hide_possible_values = true)]
    goal: Option<Goal>,
    /// Wait no longer than this, for example 90s, 15m or 2h [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = cli::duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    json: JsonArgs,
    #[command(flatten)]
    pub backend: BackendArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo wait 0190a1b2-c3d4-7000-8000-5e6f70819203
  convo wait 0190a1b2-c3d4-7000-8000-5e6f70819203 --for delivered --timeout 15m",
    description: "\
The exit code is that of convo send --wait: 0 if the status is final and not a failure, 6 if the \
message failed, 8 if it timed out before the status was final, 9 if the outcome is unknown. With \
--for sent, it is enough that the carrier has the message; with --for delivered, delivery must be \
confirmed.

Several messages are waited for at the same time, and the exit code is the highest of all. A \
nonexistent id is reported as an error immediately. Ctrl-C ends the wait; the messages are still sent.",
    output: "\
One line per message, in the order of the arguments: its id and its status, separated by TAB. With \
--json, each line is a message as in the REST API. Lines for people go to standard error.",
};

impl WaitArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let style = context.style(self.json.format());
        context.block_on(async {
            let backend = context.backend(Purpose::Read).await?;
            signals::cancel_at_signal(backend.interrupt());
            let (mut out, mut err) = (stdout(), stdio::stderr());
            let mut reporter = Reporter { out: &mut out, err: &mut err, style: &style };
            let ended = self.wait(&backend, &mut reporter).await;
            backend.close().await;
            ended
        })
    }

    async fn wait(&self, backend: &Backend, reporter: &mut Reporter<'_>) -> Result<(), Error> {
        let mut messages = Vec::new();
        for id in &self.ids {
            messages.push(backend.message(*id).await?.without_history());
        }
        let one = messages.first().filter(|_| messages.len() == 1);
        let news = StatusNews::follow(backend, one.map(|message| message.conversation_id));
        let wait = Wait::new(self.goal, self.timeout);
        let waits = messages.into_iter().map(|message| wait.run(backend, &news, message, None));
        let mut waits: FuturesOrdered<_> = waits.collect();
        let mut worst = Ok(());
        while let Some((message, result)) = waits.next().await {
            finish_write(print(&message, reporter))?;
            match &result {
                Ok(()) => reporter.say(&output::send::told(&message, reporter.style.zone)),
                Err(error) if self.ids.len() > 1 => {
                    reporter.say(&format!("{}: {error}", message.id));
                }
                Err(_) => {}
            }
            worst = worse(worst, result);
        }
        worst
    }
}

fn print(message: &Message, reporter: &mut Reporter<'_>) -> io::Result<()> {
    match reporter.style.format.is_json() {
        true => json::write_line(&mut reporter.out, message)?,
        false => writeln!(reporter.out, "{}\t{}", message.id, message.status)?,
    }
    reporter.out.flush()
}

/// The result with the higher exit code; of equal ones, the first.
fn worse(one: Result<(), Error>, other: Result<(), Error>) -> Result<(), Error> {
    let exit = |result: &Result<(), Error>| result.as_ref().err().map(Error::exit_code);
    if exit(&other) > exit(&one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn the_highest_exit_code_counts() {
        let exit = |codes: [Option<Code>; 3]| {
            let results = codes.map(|code| code.map_or(Ok(()), |code| Err(Error::new(code, ""))));
            let worst = results.into_iter().reduce(worse).expect("three results");
            worst.map_or_else(|error| error.exit_code(), |()| 0)
        };
        let (failed, unknown) = (Some(Code::TelnyxRefused), Some(Code::OutcomeUnknown));
        assert_eq!(exit([None, None, None]), 0);
        assert_eq!(exit([failed, None, Some(Code::NotFinal)]), 8);
        assert_eq!(exit([None, unknown, failed]), 9);
    }
}
