//! Statistics about messages, and keeping the sums that they are read from.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Conversations;
use crate::domain::stats::Collector;
use crate::domain::{Stats, StatsBy, StatsQuery};
use crate::error::Error;
use crate::store::stats::PendingChanges;

/// The pause between two rounds of a server: what has changed since then, a query sums up.
const INTERVAL: Duration = Duration::from_secs(5);

/// What one step has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SumStep {
    Done,
    UpToDate,
}

impl Conversations {
    /// Statistics about messages. First the sums catch up with what has changed, for as long as `patience`;
    /// if that is too short, the answer is not complete.
    ///
    /// # Errors
    /// `invalid_request` if too many messages would have to be grouped by contact; `ambiguous_name`;
    /// `database_unavailable`.
    pub async fn stats(&self, query: &StatsQuery, patience: Duration) -> Result<Stats, Error> {
        let complete = self.catch_up_sums(patience).await?;
        let mut collector = Collector::new(query);
        let filter = &query.filter;
        let Some(contact) = self.without_name(filter.contact.as_ref()).await? else {
            self.store.collect_stats(query, &mut collector).await?;
            let has_more = query.by == StatsBy::Contact
                && self.collect_contacts(query, &mut collector).await?;
            return Ok(collector.finish(complete, has_more));
        };
        if let Some((key, number)) = self.store.contact_of(&contact).await? {
            let by_contact = query.by == StatsBy::Contact;
            let add = |key: &_, sum: &_| {
                collector.add(key, sum);
                if by_contact {
                    collector.add_contact(&number, key, sum);
                }
            };
            self.store.sum_conversation(key, filter, add).await?;
        }
        // It is read from the messages themselves.
        Ok(collector.finish(true, false))
    }

    /// Adds the contacts with the most messages. Returns whether there are more.
    async fn collect_contacts(
        &self,
        query: &StatsQuery,
        collector: &mut Collector<'_>,
    ) -> Result<bool, Error> {
        let most = query.most_rows();
        let mut contacts =
            self.store.busiest_contacts(&query.filter, most.saturating_add(1)).await?;
        let has_more = contacts.len() > most;
        contacts.truncate(most);
        for (key, number) in contacts {
            let add = |key: &_, sum: &_| collector.add_contact(&number, key, sum);
            self.store.sum_conversation(key, &query.filter, add).await?;
        }
        Ok(has_more)
    }

    /// Keeps the sums up to date, in rounds until `shutdown`.
    pub async fn keep_sums(&self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            if let Some(Err(error)) = shutdown.run_until_cancelled(self.sum_slowly()).await {
                tracing::warn!(%error, "the sums for statistics could not be made");
            }
            shutdown.run_until_cancelled(tokio::time::sleep(INTERVAL)).await;
        }
    }

    /// Makes the sums that are missing, with pauses.
    async fn sum_slowly(&self) -> Result<(), Error> {
        loop {
            let since = Instant::now();
            let step = {
                let _turn = self.summing.lock().await;
                self.sum_step().await?
            };
            if step == SumStep::UpToDate {
                return Ok(());
            }
            self.pause_after_step(since).await;
        }
    }

    /// Makes the sums that are missing now, for as long as `patience`. Returns whether none is missing. A
    /// database that cannot be changed stays as it is.
    async fn catch_up_sums(&self, patience: Duration) -> Result<bool, Error> {
        let deadline = Instant::now() + patience;
        if self.store.writer().is_ok() {
            match self.sum_until(deadline).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the sums for statistics cannot be changed"),
            }
        }
        let Some(place) = self.store.stats_place().await? else { return Ok(false) };
        let pending = self.store.pending_changes(place).await?;
        let is_up_to_date = matches!(pending, PendingChanges::Nothing);
        Ok(is_up_to_date && !self.store.has_dirty_block().await?)
    }

    /// Returns whether every change that the feed has now is in the sums.
    async fn sum_until(&self, deadline: Instant) -> Result<bool, Error> {
        let head = self.store.feed_head().await?;
        let Ok(_turn) = tokio::time::timeout_at(deadline, self.summing.lock()).await else {
            return Ok(false);
        };
        // More may come in all the time: from here on, only what is marked already.
        let mut has_marked = false;
        while Instant::now() < deadline {
            let is_there = has_marked
                && self.store.stats_place().await?.is_some_and(|place| place.has_reached(head));
            let step = if is_there { self.sum_block().await? } else { self.sum_step().await? };
            if step == SumStep::UpToDate {
                return Ok(true);
            }
            has_marked = true;
        }
        Ok(false)
    }

    /// The next step: first marks what has changed, and then makes the sums of what is marked.
    async fn sum_step(&self) -> Result<SumStep, Error> {
        let writer = self.store.writer()?;
        let Some(place) = self.store.stats_place().await? else {
            writer.begin_stats(None).await?;
            return Ok(SumStep::Done);
        };
        match self.store.pending_changes(place).await? {
            PendingChanges::Next(marks) => writer.mark_blocks(marks).await?,
            PendingChanges::PlaceLost => writer.begin_stats(Some(place)).await?,
            PendingChanges::Nothing => return self.sum_block().await,
        }
        Ok(SumStep::Done)
    }

    async fn sum_block(&self) -> Result<SumStep, Error> {
        let Some(block) = self.store.dirty_block().await? else { return Ok(SumStep::UpToDate) };
        self.store.writer()?.replace_sums(block).await?;
        Ok(SumStep::Done)
    }
}
