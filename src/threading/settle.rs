//! Settling what has been left open: attempts of processes that died, lost answers, and reports that
//! wait for a message.
//!
//! Settling offers a message again only if its caller relies on that, only while it is recent, only once,
//! and with the identical request.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

use super::offer::{Attempt, OfferedAgain};
use super::outcome::accepted;
use super::{Conversations, receive};
use crate::clock;
use crate::domain::{Message, Status, Timestamp};
use crate::error::Error;
use crate::metrics;
use crate::store::model::{Closing, NewReport, Outcome};
use crate::store::settle::read::{StaleQuery, Unsettled, WaitingEvent};
pub use crate::store::settle::write::Settled;
use crate::store::settle::write::{AttemptLease, LeasePurpose, WaitingReport};
use crate::telnyx::client::TelnyxClient;

/// The pause between two rounds.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long after its end an attempt counts as over: the servers' clocks differ a little.
pub(super) const GRACE_SECONDS: i64 = 10;
/// How long a message must have been without a report before its status is looked up.
const STALE_SECONDS: i64 = 3_600;
/// How long Telnyx keeps a message.
pub(super) const RETENTION_SECONDS: i64 = 10 * 24 * 3_600;
/// How long looking up a message may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// The most messages of each kind in one round, and how many at the same time.
const MAX_OFFERS: u64 = 16;
const MAX_LOOKUPS: u64 = 8;
const MAX_WAITING: u64 = 500;
const CONCURRENCY: usize = 16;

impl Conversations {
    /// Settles in rounds until `shutdown`, and completes the round in progress.
    pub async fn keep_settling(&self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            match self.settle(clock::now()).await {
                Ok(settled) => settled.iter().for_each(note),
                Err(error) => tracing::warn!(%error, "nothing could be settled"),
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// One round of settling, at the time `now`. Returns the messages whose status changed.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn settle(&self, now: Timestamp) -> Result<Vec<Settled>, Error> {
        let mut settled = self.mark_unknown(now).await?;
        settled.extend(self.resolve_waiting(now).await?);
        if let Some(telnyx) = &self.telnyx {
            settled.extend(self.repeat(telnyx, now).await?);
            settled.extend(self.look_up_stale(telnyx, now).await?);
        }
        // Each message once, with its latest status.
        let latest: BTreeMap<_, _> = settled.into_iter().map(|one| (one.id, one.status)).collect();
        Ok(latest.into_iter().map(|(id, status)| Settled { id, status }).collect())
    }

    /// Makes messages `unknown` whose attempts are over without an outcome.
    pub(super) async fn mark_unknown(&self, now: Timestamp) -> Result<Vec<Settled>, Error> {
        let before = now.plus_seconds(-GRACE_SECONDS);
        if !self.store.has_overdue_attempt(before).await? {
            return Ok(Vec::new());
        }
        self.store.writer()?.mark_unknown(before).await
    }

    /// Matches the reports that wait with messages, if those exist by now, or stores the messages of
    /// another program.
    async fn resolve_waiting(&self, now: Timestamp) -> Result<Vec<Settled>, Error> {
        let found = self.store.waiting(MAX_WAITING).await?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let mut waiting = Vec::new();
        let mut unreadable = Vec::new();
        for event in found {
            match parse_again(&event) {
                Some(report) => waiting.push(WaitingReport { report, since: event.since }),
                None => unreadable.push(event.id),
            }
        }
        self.store.writer()?.resolve_waiting(waiting, unreadable, now).await
    }

    /// Offers once more the messages whose callers rely on it.
    async fn repeat(&self, telnyx: &TelnyxClient, now: Timestamp) -> Result<Vec<Settled>, Error> {
        if self.policy.settle_window.is_zero() {
            return Ok(Vec::new());
        }
        let created_after = now.plus_seconds(-seconds(self.policy.settle_window));
        let over_before = now.plus_seconds(-GRACE_SECONDS);
        let base_url = telnyx.base_url();
        let due = self.store.repeatable(base_url, created_after, over_before, MAX_OFFERS).await?;
        let offers = due.into_iter().map(|message| self.repeat_one(telnyx, message, now));
        run_all(offers).await
    }

    async fn repeat_one(
        &self,
        telnyx: &TelnyxClient,
        unsettled: Unsettled,
        now: Timestamp,
    ) -> Result<Option<Settled>, Error> {
        let Unsettled { message, offer: Some(mut offer), .. } = unsettled else { return Ok(None) };
        // `now` may be in the past.
        let until = now.max(clock::now()).plus(self.policy.timeout);
        let (id, purpose) = (message.id, LeasePurpose::Repeat);
        let lease = AttemptLease { id, seen: offer.until, until, purpose };
        if !self.store.writer()?.lease(lease).await? {
            return Ok(None);
        }
        offer.until = until;
        let attempt = Attempt { id, to: &message.to, offer: &offer, repeat: false };
        let outcome = match self.offer_again(telnyx, attempt).await {
            OfferedAgain::Accepted(payload) => accepted(&payload, false),
            OfferedAgain::StillUnknown { may_have_arrived } => {
                Outcome::StillUnknown { may_have_arrived }
            }
        };
        let closing = Closing { id, until, at: clock::now(), may_repeat: false, outcome };
        let stored = self.record(closing).await?;
        let status = stored.message.status;
        Ok((status != Status::Unknown).then_some(Settled { id, status }))
    }

    /// Looks up the status of messages that have been without a report for long.
    async fn look_up_stale(
        &self,
        telnyx: &TelnyxClient,
        now: Timestamp,
    ) -> Result<Vec<Settled>, Error> {
        let query = StaleQuery {
            base_url: telnyx.base_url(),
            open_before: now.plus_seconds(-GRACE_SECONDS),
            in_transit_before: now.plus_seconds(-STALE_SECONDS),
            created_after: now.plus_seconds(-RETENTION_SECONDS),
            foreign: false,
            limit: MAX_LOOKUPS,
        };
        let stale = self.store.stale(query).await?;
        run_all(stale.into_iter().map(|message| self.look_up_one(telnyx, message, now))).await
    }

    async fn look_up_one(
        &self,
        telnyx: &TelnyxClient,
        unsettled: Unsettled,
        now: Timestamp,
    ) -> Result<Option<Settled>, Error> {
        if !self.lease_look_up(&unsettled, now).await? {
            return Ok(None);
        }
        self.look_up(telnyx, &unsettled.message, now).await
    }

    /// Takes the right to look up a message now. The pause until the next time is the message's age, so
    /// each is about twice the one before.
    pub(super) async fn lease_look_up(
        &self,
        unsettled: &Unsettled,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let Some(seen) = unsettled.until else { return Ok(false) };
        let age = now.seconds_since(unsettled.message.created_at).max(0);
        let until = now.plus_seconds(age).plus(LOOKUP_TIMEOUT);
        let (id, purpose) = (unsettled.message.id, LeasePurpose::LookUp);
        self.store.writer()?.lease(AttemptLease { id, seen, until, purpose }).await
    }

    /// Looks up a message at Telnyx and records its status. Returns the message if that changed it.
    pub(super) async fn look_up(
        &self,
        telnyx: &TelnyxClient,
        message: &Message,
        now: Timestamp,
    ) -> Result<Option<Settled>, Error> {
        let Some(telnyx_id) = &message.telnyx_message_id else { return Ok(None) };
        let found = telnyx.get(telnyx_id, LOOKUP_TIMEOUT).await;
        let report = found.and_then(|payload| receive::report_from_lookup(payload, now));
        let Some(report) = report else {
            return Ok(None);
        };
        let status = self.store.writer()?.record_lookup(message.id, report).await?;
        Ok((status != message.status).then_some(Settled { id: message.id, status }))
    }
}

/// Logs and counts a message whose status has changed.
pub(super) fn note(settled: &Settled) {
    metrics::settled(settled.status);
    tracing::info!(message_id = %settled.id, status = %settled.status, "settled");
}

fn parse_again(waiting: &WaitingEvent) -> Option<NewReport> {
    let (received_at, body) = waiting.event.as_ref()?;
    receive::report_from_event(&waiting.id, body, *received_at)
}

/// Runs some futures concurrently, all of them to their end, even if one fails.
async fn run_all(
    work: impl Iterator<Item = impl Future<Output = Result<Option<Settled>, Error>>>,
) -> Result<Vec<Settled>, Error> {
    let done: Vec<_> = stream::iter(work).buffer_unordered(CONCURRENCY).collect().await;
    done.into_iter().filter_map(Result::transpose).collect()
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}
