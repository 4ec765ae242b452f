//! Settling what is left open: attempts of processes that died, answers that were lost, reports
//! whose message never came.
//!
//! A message is offered again without anybody asking only where its caller counts on it, only
//! while it is fresh, once, and as the very request that was offered first.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::offer::{Attempt, Offered};
use super::outcome::accepted;
use super::{Threads, receive};
use crate::clock;
use crate::domain::{Message, Status, Timestamp};
use crate::error::Error;
use crate::metrics;
use crate::store::row::{Closing, Outcome};
pub use crate::store::settle::Settled;
use crate::store::settle::{Claim, Step, Waiting, Work};
use crate::store::unsettled::{Quiet, Unsettled, WaitingEvent};
use crate::telnyx::client::{Answer, Client};

/// How often a server looks for what is left open.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long after its end an attempt counts as over: clocks differ a little from server to server.
const GRACE_SECONDS: i64 = 10;
/// How long nothing must be heard of a message on its way before Telnyx is asked.
const QUIET_SECONDS: i64 = 3_600;
/// How long Telnyx knows a message.
const KNOWN_SECONDS: i64 = 10 * 24 * 3_600;
/// The longest wait for an answer about a message.
const LOOK: Duration = Duration::from_secs(5);
/// The most messages of each kind in one round, and how many at a time.
const OFFERS: u64 = 16;
const LOOKS: u64 = 8;
const WAITING: u64 = 500;
const AT_A_TIME: usize = 16;

/// What one round of settling moved: messages by id, with their status now.
type Moved = BTreeMap<Uuid, Status>;

impl Threads {
    /// Settles again and again until `shutdown`; an offer that is begun then comes to its end.
    pub async fn keep_settling(&self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            match self.settle(clock::now()).await {
                Ok(moved) => moved.iter().for_each(|settled| {
                    metrics::settled(settled.status);
                    tracing::info!(message_id = %settled.id, status = %settled.status, "settled");
                }),
                Err(error) => tracing::warn!(%error, "nothing could be settled"),
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// One round of settling, as of an instant. Returns the messages whose status it moved.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn settle(&self, now: Timestamp) -> Result<Vec<Settled>, Error> {
        let mut moved = Moved::new();
        note(&mut moved, self.lapse(now).await?);
        note(&mut moved, self.adopt(now).await?);
        if let Some(telnyx) = &self.telnyx {
            note(&mut moved, self.repeat(telnyx, now).await?);
            note(&mut moved, self.look(telnyx, now).await?);
        }
        Ok(moved.into_iter().map(|(id, status)| Settled { id, status }).collect())
    }

    /// Messages whose attempt is over without an outcome: nobody knows.
    pub(super) async fn lapse(&self, now: Timestamp) -> Result<Vec<Settled>, Error> {
        let before = now.plus_seconds(-GRACE_SECONDS);
        if !self.store.has_lapsed(before).await? {
            return Ok(Vec::new());
        }
        self.store.writer()?.settle(Step::Lapse { before }).await
    }

    /// Reports that waited for a message of ours long enough.
    async fn adopt(&self, now: Timestamp) -> Result<Vec<Settled>, Error> {
        let found = self.store.waiting(WAITING).await?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let (mut waiting, mut lost) = (Vec::new(), Vec::new());
        for event in found {
            match read_again(&event) {
                Some(report) => waiting.push(Waiting { report, since: event.since }),
                None => lost.push(event.id),
            }
        }
        self.store.writer()?.settle(Step::Adopt { waiting, lost, now }).await
    }

    /// Offers once more what its caller counts on.
    async fn repeat(&self, telnyx: &Client, now: Timestamp) -> Result<Vec<Settled>, Error> {
        if self.policy.settle_window.is_zero() {
            return Ok(Vec::new());
        }
        let fresh = now.plus_seconds(-seconds(self.policy.settle_window));
        let over = now.plus_seconds(-GRACE_SECONDS);
        let due = self.store.repeatable(telnyx.base_url(), fresh, over, OFFERS).await?;
        let offers = due.into_iter().map(|message| self.repeat_one(telnyx, message, now));
        all(offers).await
    }

    async fn repeat_one(
        &self,
        telnyx: &Client,
        unsettled: Unsettled,
        now: Timestamp,
    ) -> Result<Option<Settled>, Error> {
        let Unsettled { message, offer: Some(mut offer), .. } = unsettled else { return Ok(None) };
        // By the clock, too: an instant that was given may lie in the past by now.
        let until = now.max(clock::now()).plus(self.policy.timeout);
        let claim = Claim { id: message.id, seen: offer.until, until, work: Work::Repeat };
        if self.store.writer()?.settle(Step::Claim(claim)).await?.is_empty() {
            return Ok(None);
        }
        offer.until = until;
        let attempt = Attempt { id: message.id, to: &message.to, offer: &offer, repeat: false };
        let outcome = match self.offer(telnyx, attempt).await {
            Offered::Answered(Answer::Accepted(payload)) => accepted(&payload, false),
            offered => Outcome::StillUnknown { unspent: reached_nobody(&offered) },
        };
        let (id, at) = (message.id, clock::now());
        let closing = Closing { id, until, at, may_repeat: false, outcome };
        let stored = self.record(closing).await?;
        let moved = stored.status != Status::Unknown;
        Ok(moved.then_some(Settled { id, status: stored.status }))
    }

    /// Asks Telnyx about messages of which nothing was heard for long.
    async fn look(&self, telnyx: &Client, now: Timestamp) -> Result<Vec<Settled>, Error> {
        let which = Quiet {
            base_url: telnyx.base_url(),
            open_before: now.plus_seconds(-GRACE_SECONDS),
            under_way_before: now.plus_seconds(-QUIET_SECONDS),
            created_after: now.plus_seconds(-KNOWN_SECONDS),
            limit: LOOKS,
        };
        let quiet = self.store.quiet(which).await?;
        all(quiet.into_iter().map(|message| self.look_at(telnyx, message, now))).await
    }

    async fn look_at(
        &self,
        telnyx: &Client,
        unsettled: Unsettled,
        now: Timestamp,
    ) -> Result<Option<Settled>, Error> {
        let Unsettled { message, offer: Some(offer), .. } = unsettled else { return Ok(None) };
        // The older it is, the less there is to be expected: each pause is twice the one before.
        let until = now.plus_seconds(now.seconds_since(message.created_at).max(0)).plus(LOOK);
        let claim = Claim { id: message.id, seen: offer.until, until, work: Work::Look };
        if self.store.writer()?.settle(Step::Claim(claim)).await?.is_empty() {
            return Ok(None);
        }
        self.ask(telnyx, &message, now).await
    }

    /// Asks Telnyx about a message and records what it tells. Returns the message if that moved it.
    pub(super) async fn ask(
        &self,
        telnyx: &Client,
        message: &Message,
        now: Timestamp,
    ) -> Result<Option<Settled>, Error> {
        let Some(telnyx_id) = &message.telnyx_message_id else { return Ok(None) };
        let told = telnyx.get(telnyx_id, LOOK).await;
        let Some(report) = told.and_then(|payload| receive::report_told(payload, now)) else {
            return Ok(None);
        };
        let written = self.store.writer()?.settle(Step::Told(Box::new(report))).await?;
        Ok(written.into_iter().find(|told| told.id == message.id && told.status != message.status))
    }
}

/// Whether an offer surely did not reach Telnyx's queue, so that it was none.
fn reached_nobody(offered: &Offered) -> bool {
    match offered {
        Offered::Cancelled | Offered::Late => true,
        Offered::Answered(answer) => {
            matches!(answer, Answer::RateLimited { .. } | Answer::Unreachable { .. })
        }
        Offered::Unknown => false,
    }
}

fn read_again(waiting: &WaitingEvent) -> Option<crate::store::row::NewReport> {
    let (received_at, body) = waiting.event.as_ref()?;
    receive::report_of(&waiting.id, body, *received_at)
}

/// Runs a few at a time; one that fails does not keep the others from their end.
async fn all(
    work: impl Iterator<Item = impl Future<Output = Result<Option<Settled>, Error>>>,
) -> Result<Vec<Settled>, Error> {
    let done: Vec<_> = stream::iter(work).buffer_unordered(AT_A_TIME).collect().await;
    done.into_iter().filter_map(Result::transpose).collect()
}

fn note(moved: &mut Moved, settled: Vec<Settled>) {
    moved.extend(settled.into_iter().map(|settled| (settled.id, settled.status)));
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}
