//! `convo cancel`: cancels a scheduled message.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use uuid::Uuid;

use super::complete;
use super::context::Context;
use super::outcome::Reporter;
use super::print::{finish_write, stdout};
use crate::cli::{self, BackendArgs, Group, HelpText, JsonArgs};
use crate::error::Error;
use crate::stdio;
use crate::store::Purpose;

/// Cancel a scheduled message
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct CancelArgs {
    /// The message's id, as convo send prints it
    #[arg(value_parser = cli::message_id)]
    #[arg(add = ArgValueCompleter::new(complete::scheduled_messages))]
    id: Uuid,
    #[command(flatten)]
    json: JsonArgs,
    #[command(flatten)]
    pub backend: BackendArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo cancel 0190a1b2-c3d4-7000-8000-5e6f70819203
  convo list --status scheduled",
    description: "\
Telnyx cancels a message that was scheduled with convo send --at up to a minute before its time. \
Cancelling it again changes nothing and succeeds. convo list --status scheduled shows the \
conversations whose last message is scheduled, and when it will be sent.",
    output: "\
The id of the message; with --json, the message as in the REST API. One line for people goes to \
standard error. The exit code is 0 if the message is cancelled; 6 if it is not scheduled, or too late \
to cancel; 5 if Telnyx could not be reached, so that it is certainly not cancelled; 9 if it is not \
known whether it is.",
};

impl CancelArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let style = context.style(self.json.format());
        context.block_on(async {
            let backend = context.backend(Purpose::Change).await?;
            let cancelled = backend.cancel(self.id).await;
            let (mut out, mut err) = (stdout(), stdio::stderr());
            let mut reporter = Reporter { out: &mut out, err: &mut err, style: &style };
            let ended = cancelled.and_then(|message| {
                let printed = reporter.print(&message);
                reporter.say("cancelled; it will not be sent");
                finish_write(printed)
            });
            backend.close().await;
            ended
        })
    }
}
