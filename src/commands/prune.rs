//! `convo prune`: removes what is no longer kept.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::print::{finish_write, stdout};
use crate::cli::{DatabaseArgs, Group, HelpText, JsonArgs, LocalArgs};
use crate::clock;
use crate::config::Flags;
use crate::error::Error;
use crate::media::{self, ContentStore, MediaSettings};
use crate::output::json;
use crate::store::{Purpose, Store};
use crate::threading::{Conversations, Pruned};

/// Remove what has outlived its retention period
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct PruneArgs {
    /// Only count what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Shrink the file afterwards; webhooks are answered with 503 meanwhile
    #[arg(long, conflicts_with = "dry_run")]
    compact: bool,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    json: JsonArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo prune --dry-run
  CONVO_KEEP_MESSAGES=2y convo prune
  convo prune --compact",
    description: "\
convo serve does the same gradually in the background, with CONVO_KEEP_WEBHOOKS, CONVO_KEEP_FEED, \
CONVO_KEEP_MEDIA and CONVO_KEEP_MESSAGES. \
Messages whose outcome is not decided stay. A conversation without messages goes, too; followers of the \
feed are told (removed). An opt-out is kept.

The space of what was removed is used again for what comes. --compact gives it back to the system: it \
writes the SQLite file anew, which needs as much space again and keeps others from writing, and empties \
its write-ahead log. PostgreSQL only marks the space as free.",
    output: "\
One line for each kind: its name and how many rows were removed, separated by TAB. With --json, an object, \
with bytes_before and bytes_after of an SQLite file after --compact.",
};

impl PruneArgs {
    pub(super) fn flags(&self) -> Flags {
        Flags { local: self.local.local, ..self.database.flags() }
    }

    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        context.config.require_database()?;
        let (location, mode) = (context.config.database()?, context.config.mode());
        let (policy, media) = (context.config.policy()?, context.config.media()?);
        context.block_on(async {
            let purpose = if self.dry_run { Purpose::Read } else { Purpose::Change };
            let store = Store::open(&location, mode, purpose).await?;
            let conversations = Conversations::new(store, None, Vec::new(), policy);
            let ended = self.prune(&conversations, &media).await;
            conversations.close().await;
            self.tell(&ended?)
        })
    }

    async fn prune(
        &self,
        conversations: &Conversations,
        media: &MediaSettings,
    ) -> Result<PruneSummary, Error> {
        let pruned = conversations.prune(self.dry_run).await?;
        let media = self.prune_media(conversations.store(), media).await?;
        let sizes = if self.compact { conversations.compact().await? } else { None };
        let (bytes_before, bytes_after) = sizes.unzip();
        Ok(PruneSummary { dry_run: self.dry_run, pruned, media, bytes_before, bytes_after })
    }

    async fn prune_media(&self, store: &Store, media: &MediaSettings) -> Result<u64, Error> {
        let before = media.keep.map(|keep| clock::now().minus(keep));
        if self.dry_run {
            return match before {
                Some(before) => store.count_old_media(before).await,
                None => Ok(0),
            };
        }
        let content = ContentStore::open_existing(&media.place)?;
        media::expire(store, content.as_ref(), before).await
    }

    fn tell(&self, summary: &PruneSummary) -> Result<(), Error> {
        let mut out = stdout();
        let written = match self.json.json {
            true => json::write_line(&mut out, summary),
            false => write_lines(&mut out, summary),
        };
        finish_write(written.and_then(|()| out.flush()))?;
        if let (Some(before), Some(after), false) =
            (summary.bytes_before, summary.bytes_after, self.json.json)
        {
            let (before, after) = (indicatif::BinaryBytes(before), indicatif::BinaryBytes(after));
            let _ = writeln!(io::stderr(), "the file had {before} and now has {after}");
        }
        Ok(())
    }
}

fn write_lines(out: &mut impl Write, summary: &PruneSummary) -> io::Result<()> {
    let Pruned { webhooks, feed, messages, conversations, idempotency_keys } = &summary.pruned;
    [
        ("webhooks", webhooks),
        ("feed", feed),
        ("messages", messages),
        ("conversations", conversations),
        ("idempotency_keys", idempotency_keys),
        ("media", &summary.media),
    ]
    .iter()
    .try_for_each(|(name, count)| writeln!(out, "{name}\t{count}"))
}

/// What the command prints as JSON.
#[derive(Serialize)]
struct PruneSummary {
    dry_run: bool,
    #[serde(flatten)]
    pruned: Pruned,
    /// Media whose content is no longer kept.
    media: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_before: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_after: Option<u64>,
}
