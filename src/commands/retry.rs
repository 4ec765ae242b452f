//! `convo retry`: repeats the request for a message whose outcome is unknown.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use uuid::Uuid;

use super::complete;
use super::context::Context;
use super::outcome::{Reporter, retry_hint};
use super::print::stdout;
use super::signals;
use crate::cli::{self, BackendArgs, Group, HelpText, JsonArgs};
use crate::domain::{Message, verdict};
use crate::error::{Code, Error};
use crate::stdio;
use crate::store::Purpose;

/// Retry a message whose outcome is unknown
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct RetryArgs {
    /// The message's id, as convo send prints it
    #[arg(value_parser = cli::message_id)]
    #[arg(add = ArgValueCompleter::new(complete::unknown_messages))]
    id: Uuid,
    /// Retry even after 24 hours: if the message was sent, it is then sent twice
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    json: JsonArgs,
    #[command(flatten)]
    pub backend: BackendArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo retry 0190a1b2-c3d4-7000-8000-5e6f70819203
  convo retry 0190a1b2-c3d4-7000-8000-5e6f70819203 --json",
    description: "\
The outcome of a message is unknown if Telnyx's response was lost: it may have been sent. This repeats \
the identical request. Within 24 hours of the first attempt nothing is sent twice: Telnyx recognises \
the request and repeats its response. A message with any other status is left unchanged.

If Telnyx refuses the retry, the message stays unknown, because that says nothing about the first \
attempt. Often no retry is needed: the delivery report settles the message, and a running convo serve \
retries recent ones by itself.",
    output: "\
The id of the message; with --json, the message as in the REST API. One line for people goes to \
standard error. The exit codes are those of convo send: 0 if Telnyx has the message, 9 if the \
outcome is still unknown.",
};

impl RetryArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let style = context.style(self.json.format());
        context.block_on(async {
            let backend = context.backend(Purpose::Change).await?;
            signals::cancel_at_signal(backend.interrupt());
            let retried = backend.retry(self.id, self.force).await;
            let (mut out, mut err) = (stdout(), stdio::stderr());
            let mut reporter = Reporter { out: &mut out, err: &mut err, style: &style };
            let ended = retried.and_then(|message| report(&message, &mut reporter));
            backend.close().await;
            ended
        })
    }
}

fn report(message: &Message, reporter: &mut Reporter<'_>) -> Result<(), Error> {
    let printed = reporter.print(message);
    let result = verdict(message).map_err(|error| match error.code() {
        Code::OutcomeUnknown => error.hint(retry_hint(message.id)),
        _ => error,
    });
    reporter.finish(message, printed, result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Status;
    use crate::output::Format;
    use crate::output::samples::{outbound, style};

    fn reported(status: Status) -> Result<(), Error> {
        let style = style(Format::Lines, 80, false);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut reporter = Reporter { out: &mut out, err: &mut err, style: &style };
        report(&outbound("Hi", status), &mut reporter)
    }

    #[test]
    fn the_exit_code_says_what_is_known() {
        for (status, code) in [
            (Status::Unknown, Some(Code::OutcomeUnknown)),
            (Status::Queued, None),
            (Status::Delivered, None),
            (Status::Cancelled, Some(Code::Cancelled)),
            (Status::DeliveryFailed, Some(Code::TelnyxRefused)),
        ] {
            let ended = reported(status);
            assert_eq!(ended.err().map(|error| error.code()), code, "{status}");
        }
        let hint = reported(Status::Unknown).expect_err("an unknown outcome");
        assert!(hint.hint_text().is_some_and(|hint| hint.contains("convo retry")));
    }
}
