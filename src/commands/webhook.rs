//! `convo webhook`: a workbench for webhooks. The stored raw events, and events made, signed, verified and
//! posted by hand.

mod keygen;
mod list;
mod post;
mod resend;
mod show;
mod sign;
mod trigger;
mod verify;
mod workbench;

use clap::{Args, Subcommand};

use super::context::Context;
use crate::cli::{Group, HelpText};
use crate::config::Flags;
use crate::error::Error;
pub(super) use workbench::sandbox_key_file;

/// Inspect webhooks, and make, sign, verify and post them by hand
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(subcommand_value_name = "ACTION", subcommand_help_heading = "Actions")]
#[command(disable_help_subcommand = true)]
pub(super) struct WebhookArgs {
    #[command(subcommand)]
    action: WebhookAction,
}

#[derive(Clone, Debug, Subcommand)]
enum WebhookAction {
    List(list::WebhookListArgs),
    Show(show::WebhookShowArgs),
    Trigger(trigger::WebhookTriggerArgs),
    Resend(resend::WebhookResendArgs),
    Sign(sign::WebhookSignArgs),
    Verify(verify::WebhookVerifyArgs),
    Keygen(keygen::WebhookKeygenArgs),
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo webhook list --type message.finalized --since 2h
  convo webhook show b301ed3f-1490-491f-995f-6e64e69674d4
  convo --sandbox webhook trigger received --from +12125551234 --text \"Hello\"
  convo webhook resend event.json --to http://127.0.0.1:8000/webhook --key-file sandbox.key",
    description: "\
list and show print the webhook events that convo has stored, each as Telnyx sent it. trigger makes \
events as Telnyx would send them, and resend posts a stored event or one from a file; both sign with a \
key for development, post to a server on this machine, by default convo's, and print its answer. sign \
and verify do the same for any body, and keygen makes a key.

convo serve --sandbox keeps its key in sandbox.key, beside its database; --key-file names another one.",
    output: "",
};

impl WebhookArgs {
    pub(super) fn flags(&self) -> Flags {
        match &self.action {
            WebhookAction::List(args) => args.backend.flags(),
            WebhookAction::Show(args) => args.backend.flags(),
            WebhookAction::Trigger(args) => args.post.flags(),
            WebhookAction::Resend(args) => args.post.flags(),
            WebhookAction::Sign(args) => args.database.flags(),
            WebhookAction::Verify(args) => args.database.flags(),
            WebhookAction::Keygen(_) => Flags::default(),
        }
    }

    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        match &self.action {
            WebhookAction::List(args) => args.run(context),
            WebhookAction::Show(args) => args.run(context),
            WebhookAction::Trigger(args) => args.run(context),
            WebhookAction::Resend(args) => args.run(context),
            WebhookAction::Sign(args) => args.run(context),
            WebhookAction::Verify(args) => args.run(context),
            WebhookAction::Keygen(args) => args.run(context),
        }
    }
}
