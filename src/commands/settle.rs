//! `convo settle`: one round of what a server does all the time.

use std::io::Write;

use clap::Args;

use super::context::Context;
use super::print::{finish_write, stdout};
use crate::backend::open::open_local;
use crate::cli::{DatabaseArgs, Group, HelpText, LocalArgs};
use crate::clock;
use crate::config::Flags;
use crate::error::Error;
use crate::store::Purpose;
use crate::threading::Conversations;

/// Settle messages left without an outcome
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct SettleArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    local: LocalArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo settle
  CONVO_SETTLE_WINDOW=0 convo settle",
    description: "\
For setups without a running convo serve, which does the same continuously. Any number of processes \
may do it at the same time: each message is settled by one of them.

A message whose sending process died becomes unknown. An unknown message is sent to Telnyx once \
more, with the identical request, if its sender gave an idempotency key or was told that the outcome \
is unknown, and if it is not older than CONVO_SETTLE_WINDOW, by default 600 seconds. For messages \
that have been in transit for a long time, Telnyx is asked for their status. Delivery reports about \
messages that another program sent are added to their conversations.",
    output: "\
One line per message whose status changed: its id and its new status, separated by TAB.",
};

impl SettleArgs {
    pub(super) fn flags(&self) -> Flags {
        Flags { local: self.local.local, ..self.database.flags() }
    }

    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        context.config.require_database()?;
        context.block_on(async {
            let conversations = open_local(&context.config, Purpose::Change).await?;
            let ended = settle(&conversations, &mut stdout()).await;
            conversations.close().await;
            ended
        })
    }
}

async fn settle(conversations: &Conversations, out: &mut impl Write) -> Result<(), Error> {
    let settled = conversations.settle(clock::now()).await?;
    let written = settled
        .iter()
        .try_for_each(|settled| writeln!(out, "{}\t{}", settled.id, settled.status))
        .and_then(|()| out.flush());
    finish_write(written)
}
