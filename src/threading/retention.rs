//! Removing what is no longer kept.

use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::Conversations;
use crate::clock;
use crate::domain::Timestamp;
use crate::error::Error;
use crate::store::KeyPlace;

/// The pause between two rounds.
const INTERVAL: Duration = Duration::from_secs(600);
/// The pause between two steps of a round: webhooks come first.
const STEP_PAUSE: Duration = Duration::from_millis(50);
/// The rounds in a day. Every conversation has to be looked at for old messages, which one in so many does.
const ROUNDS: u32 = 144;
/// How long an idempotency key is kept.
const KEY_AGE: Duration = Duration::from_secs(30 * 24 * 3_600);

/// How many rows of each kind were removed, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Webhooks as they came.
    pub webhooks: u64,
    /// Entries of the feed.
    pub feed: u64,
    /// Messages.
    pub messages: u64,
    /// Conversations that have no message left.
    pub conversations: u64,
    /// Callers' idempotency keys.
    pub idempotency_keys: u64,
}

/// How a round goes.
#[derive(Clone, Copy, Debug)]
struct Round {
    is_dry: bool,
    pause: Duration,
    with_messages: bool,
}

impl Conversations {
    /// Removes what is too old, in rounds until `shutdown`.
    pub async fn keep_trimming(&self, shutdown: CancellationToken) {
        let mut round = 0_u32;
        let mut keys = None;
        while !shutdown.is_cancelled() {
            let with_messages = round.is_multiple_of(ROUNDS);
            let manner = Round { is_dry: false, pause: STEP_PAUSE, with_messages };
            if with_messages {
                // From the beginning again once a day: the clock may have been set back.
                keys = None;
            }
            match shutdown.run_until_cancelled(self.round(manner, &mut keys)).await {
                Some(Err(error)) => tracing::warn!(%error, "what is too old could not be removed"),
                Some(Ok(pruned)) if pruned != Pruned::default() => {
                    tracing::info!(?pruned, "removed what is no longer kept");
                    round = round.wrapping_add(1);
                }
                _ => round = round.wrapping_add(1),
            }
            shutdown.run_until_cancelled(tokio::time::sleep(INTERVAL)).await;
        }
    }

    /// Removes everything that is too old, or only counts it.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn prune(&self, is_dry: bool) -> Result<Pruned, Error> {
        let round = Round { is_dry, pause: Duration::ZERO, with_messages: true };
        self.round(round, &mut None).await
    }

    /// Gives the space of what was removed back to the system. Returns the sizes of an SQLite file before
    /// and after.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn compact(&self) -> Result<Option<(u64, u64)>, Error> {
        self.store.compact().await
    }

    /// The time before which messages are not kept.
    pub(super) fn oldest_message(&self) -> Option<Timestamp> {
        self.policy.keep_messages.map(ago)
    }

    async fn round(&self, round: Round, keys: &mut Option<KeyPlace>) -> Result<Pruned, Error> {
        let mut pruned = Pruned {
            webhooks: self.prune_webhooks(round).await?,
            feed: self.prune_feed(round).await?,
            idempotency_keys: self.prune_keys(round, keys).await?,
            ..Pruned::default()
        };
        if let Some(before) = self.oldest_message().filter(|_| round.with_messages) {
            self.prune_messages(round, before, &mut pruned).await?;
        }
        Ok(pruned)
    }

    async fn prune_webhooks(&self, round: Round) -> Result<u64, Error> {
        let Some(before) = self.policy.keep_webhooks.map(ago) else { return Ok(0) };
        let (mut removed, mut after) = (0, None);
        while let Some(old) = self.store.old_webhooks(before, after.as_ref()).await? {
            removed += match round.is_dry || old.count == 0 {
                true => old.count,
                false => {
                    let removed = self.store.remove_webhooks(old.clone()).await?;
                    tokio::time::sleep(round.pause).await;
                    removed
                }
            };
            after = Some(old);
        }
        Ok(removed)
    }

    async fn prune_feed(&self, round: Round) -> Result<u64, Error> {
        let Some(before) = self.policy.keep_feed.map(ago) else { return Ok(0) };
        if round.is_dry {
            return self.store.count_old_feed(before).await;
        }
        let mut removed = 0;
        loop {
            let trimmed = self.store.writer()?.trim_feed(before).await?;
            removed += trimmed.removed;
            if !trimmed.has_more {
                return Ok(removed);
            }
            tokio::time::sleep(round.pause).await;
        }
    }

    /// Goes on where an earlier round has ended: keys that do not expire are looked at once.
    async fn prune_keys(&self, round: Round, place: &mut Option<KeyPlace>) -> Result<u64, Error> {
        let before = ago(KEY_AGE);
        let mut removed = 0;
        while let Some(old) = self.store.old_keys(before, place.as_ref()).await? {
            removed += match round.is_dry || old.expired.is_empty() {
                true => old.expired.len() as u64,
                false => {
                    let removed = self.store.remove_keys(before, old.expired).await?;
                    tokio::time::sleep(round.pause).await;
                    removed
                }
            };
            *place = Some(old.last);
        }
        Ok(removed)
    }

    async fn prune_messages(
        &self,
        round: Round,
        before: Timestamp,
        pruned: &mut Pruned,
    ) -> Result<(), Error> {
        let mut after = i64::MIN;
        while let Some(old) = self.store.old_messages(before, after).await? {
            for conversation in old.conversations {
                self.prune_conversation(round, conversation, before, pruned).await?;
            }
            after = old.last;
            tokio::time::sleep(round.pause).await;
        }
        Ok(())
    }

    async fn prune_conversation(
        &self,
        round: Round,
        conversation: i64,
        before: Timestamp,
        pruned: &mut Pruned,
    ) -> Result<(), Error> {
        loop {
            let (messages, is_gone) = match round.is_dry {
                true => self.store.count_old_messages(conversation, before).await?,
                false => self.store.remove_old_messages(conversation, before, false).await?,
            };
            pruned.messages += messages;
            pruned.conversations += u64::from(is_gone);
            if round.is_dry || is_gone || messages == 0 {
                return Ok(());
            }
            tokio::time::sleep(round.pause).await;
        }
    }
}

fn ago(age: Duration) -> Timestamp {
    let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
    clock::now().plus_seconds(-seconds)
}
