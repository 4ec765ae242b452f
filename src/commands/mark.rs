//! `convo mark`: marks conversations read or unread.

use std::io::Write;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use futures_util::{Stream, StreamExt, stream};

use super::complete;
use super::context::Context;
use super::print::{PAGE, PrintError, finish, stdout};
use crate::backend::Backend;
use crate::cli::{BackendArgs, Group, HelpText, JsonArgs};
use crate::domain::{Conversation, Listing, ReadUpTo, Selector};
use crate::error::Error;
use crate::output::{escape, json};
use crate::stdio;

/// How many conversations are marked at the same time: they share commits.
const TOGETHER: usize = 16;

/// Mark conversations read or unread
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct MarkArgs {
    /// read or unread
    #[arg(value_enum, hide_possible_values = true, value_name = "read|unread")]
    mark: MarkAction,
    /// The contacts' numbers, the conversations' ids or parts of them
    #[arg(value_name = "CONTACT", value_parser = NonEmptyStringValueParser::new())]
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    #[arg(add = ArgValueCompleter::new(complete::contacts_and_ids))]
    contacts: Vec<String>,
    /// Mark all conversations
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    json: JsonArgs,
    #[command(flatten)]
    pub backend: BackendArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MarkAction {
    Read,
    Unread,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo list --unread
  convo mark read +12125551234
  convo mark read --all
  convo mark unread e6f70819",
    description: "\
What arrives is unread, whatever its date: a text that convo sync brings counts, one that convo import \
brings does not. It is read once convo show has printed it on a terminal, a text was sent to the contact by \
hand (not an automatic answer), or convo mark read says so. Each conversation has one mark: everything \
that arrived before it is read. It only moves forward, and what arrives while it moves stays unread.

convo mark unread makes the last inbound message of a conversation unread again; a conversation with unread \
messages stays as it is.

If one of several conversations does not exist, none is marked. With --all they are marked one after the \
other; those that become active meanwhile may be left out. Marking is no event of the feed.",
    output: "\
The id of each conversation, one per line; with --json, the conversation as in the REST API, one object per \
line. One line each for people goes to standard error.",
};

impl MarkArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        context.block_on(async {
            let backend = Backend::open_for_marks(&context.config).await?;
            let ended = match self.all {
                true => self.mark_all(&backend).await,
                false => self.mark_named(&backend).await,
            };
            backend.close().await;
            finish(ended)
        })
    }

    async fn mark_named(&self, backend: &Backend) -> Result<(), PrintError> {
        let mut found: Vec<Conversation> = Vec::new();
        for contact in &self.contacts {
            let conversation = backend.find(&Selector::new(contact)).await?;
            if found.iter().all(|known| known.id != conversation.id) {
                found.push(conversation);
            }
        }
        self.tell(self.marked(backend, found)).await
    }

    async fn mark_all(&self, backend: &Backend) -> Result<(), PrintError> {
        let listing = Listing { unread: self.mark == MarkAction::Read, ..Listing::default() };
        let mut after = None;
        loop {
            let mut page = backend.list(&listing, after, PAGE).await?;
            if self.mark == MarkAction::Unread {
                page.rows.retain(|conversation| conversation.unread_count == 0);
            }
            self.tell(self.marked(backend, page.rows)).await?;
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Marks conversations, several at a time; each as it was, and as it is then.
    fn marked(
        &self,
        backend: &Backend,
        conversations: Vec<Conversation>,
    ) -> impl Stream<Item = Result<(Conversation, Conversation), Error>> {
        let mark = self.mark;
        let marked = stream::iter(conversations).map(move |before| async move {
            let selector = Selector::new(&before.id.to_string());
            let after = match mark {
                MarkAction::Read => {
                    backend.mark_read(&selector, ReadUpTo::Arrived(before.arrived)).await?
                }
                MarkAction::Unread => backend.mark_unread(&selector).await?,
            };
            Ok((before, after))
        });
        marked.buffered(TOGETHER)
    }

    async fn tell(
        &self,
        marked: impl Stream<Item = Result<(Conversation, Conversation), Error>>,
    ) -> Result<(), PrintError> {
        let (mut out, mut err) = (stdout(), stdio::stderr());
        let mut marked = std::pin::pin!(marked);
        while let Some(marked) = marked.next().await {
            let (before, after) = marked?;
            match self.json.json {
                true => json::write_line(&mut out, &after)?,
                false => writeln!(out, "{}", after.id)?,
            }
            out.flush()?;
            let contact = escape::line(after.contact_number.as_str());
            // What is told need not arrive.
            let _ = writeln!(err, "{contact}: {}", self.words(&before, &after));
        }
        Ok(())
    }

    /// What became of a conversation.
    fn words(&self, before: &Conversation, after: &Conversation) -> String {
        match (self.mark, before.unread_count, after.unread_count) {
            (MarkAction::Read, 0, _) => "nothing was unread".to_owned(),
            (MarkAction::Read, 1, 0) => "1 message marked read".to_owned(),
            (MarkAction::Read, count, 0) => format!("{count} messages marked read"),
            (MarkAction::Read, _, new) => format!("marked read; {new} arrived meanwhile"),
            (MarkAction::Unread, _, 0) => "no inbound message to mark".to_owned(),
            (MarkAction::Unread, 0, _) => "the last message marked unread".to_owned(),
            (MarkAction::Unread, ..) => "it has unread messages already".to_owned(),
        }
    }
}
