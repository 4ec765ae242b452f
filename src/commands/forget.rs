//! `convo forget`: removes everything that is about a contact.

use std::io::Write;

use clap::Args;

use super::confirm::confirmed;
use super::context::Context;
use super::print::{finish_write, stdout};
use crate::backend::Backend;
use crate::cli::{BackendArgs, Group, HelpText, JsonArgs};
use crate::domain::{ForgetReceipt, ForgottenMarks, Selector};
use crate::error::Error;
use crate::output::json;
use crate::stdio;
use crate::store::Purpose;

/// Remove everything that is stored about a contact
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct ForgetArgs {
    /// The contact's number, its whole name, or the whole id of the conversation
    #[arg(required_unless_present = "list")]
    contact: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Only count what would be removed
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Print the marks of all contacts that were forgotten, with their key, for convo restore --forgotten
    #[arg(long, conflicts_with_all = ["contact", "yes", "dry_run"])]
    list: bool,
    #[command(flatten)]
    json: JsonArgs,
    #[command(flatten)]
    pub backend: BackendArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo forget +12125551234 --dry-run
  convo forget +12125551234
  convo forget +12125551234 --yes --json >receipt.json
  convo forget --list >forgotten.json",
    description: "\
Removes the contact's messages, their delivery reports, the webhooks about it as they came, its entries in \
the feed, idempotency keys, opt-out and name, also from what is still to be forwarded. Those who follow the feed \
are told that the conversation was removed. It cannot be undone. On a terminal convo asks first; elsewhere \
--yes is needed. While a message to the contact is pending, unknown or scheduled, it is refused (exit \
code 6).

What stays is a keyed hash of the number with the time: an opt-out still refuses, and older messages of \
this contact are not stored again, whoever brings them. Whoever has the key, which is in the database, can \
find out whether a number was forgotten. If the contact writes again, a new conversation begins.

Space that is free holds remains until it is used again, or until convo prune --compact. docs/keeping.md \
explains what backups and forwarding receivers still hold.",
    output: "\
One line for each kind: its name and how many were removed, separated by TAB. With --json the receipt, an \
object with contact_number, conversation_id, dry_run, forgotten_at, messages, webhooks, feed_entries, \
opted_out and named. With --list an object with the key and the marks: keep it as secret as the database.",
};

impl ForgetArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let is_terminal = context.terminal.stdin_is_terminal;
        if !self.list && !self.dry_run && !self.yes && !is_terminal {
            return Err(Error::invalid("forgetting a contact cannot be undone")
                .hint("look with --dry-run what it removes, then give --yes"));
        }
        context.block_on(async {
            let purpose = if self.list || self.dry_run { Purpose::Read } else { Purpose::Change };
            let backend = context.backend(purpose).await?;
            let ended = self.forget(&backend).await;
            backend.close().await;
            ended
        })
    }

    async fn forget(&self, backend: &Backend) -> Result<(), Error> {
        let Some(contact) = &self.contact else { return print_marks(&backend.forgotten().await?) };
        let contact = Selector::new(contact);
        if !self.dry_run && !self.yes {
            let counted = backend.forget(&contact, true).await?;
            if !is_sure(&counted) {
                let _ = writeln!(stdio::stderr(), "nothing was removed");
                return Ok(());
            }
        }
        self.tell(&backend.forget(&contact, self.dry_run).await?)
    }

    fn tell(&self, receipt: &ForgetReceipt) -> Result<(), Error> {
        let mut out = stdout();
        let written = match self.json.json {
            true => json::write_line(&mut out, receipt),
            false => [
                ("messages", receipt.messages),
                ("webhooks", receipt.webhooks),
                ("feed_entries", receipt.feed_entries),
            ]
            .iter()
            .try_for_each(|(name, count)| writeln!(out, "{name}\t{count}")),
        };
        finish_write(written.and_then(|()| out.flush()))
    }
}

fn print_marks(marks: &ForgottenMarks) -> Result<(), Error> {
    let mut out = stdout();
    finish_write(json::write_line(&mut out, marks).and_then(|()| out.flush()))
}

/// Whether the person at the terminal says yes.
fn is_sure(counted: &ForgetReceipt) -> bool {
    let ForgetReceipt { contact_number, messages, webhooks, .. } = counted;
    let contact = crate::output::escape::line(contact_number.as_str());
    confirmed(&format!("Remove {messages} messages and {webhooks} webhooks of {contact} for good?"))
}
