//! Bringing back what no webhook has brought: `convo sync`, and what a server does by itself.
//!
//! One process at a time does it, under a lease. Whatever it finds goes through the door of a webhook, so
//! that what is known already changes nothing; what is new is dated as Telnyx dates it and marked as
//! recovered, because no program may take an old text for a new one.

mod pacer;
mod pass;
mod run;
mod sources;

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::settle::{RETENTION_SECONDS, note};
use super::{Check, Conversations, no_api_key, tenure};
use crate::clock;
use crate::domain::{
    SettledMessage, SourceReport, SyncProgress, SyncReport, SyncRequest, SyncSource, Timestamp,
};
use crate::error::Error;
use crate::metrics::SyncStats;
use crate::store::lease::Lease;
use pacer::Pacer;
use run::{Listener, SyncRun, taken_over};

/// The name of the lease.
const LEASE: &str = "sync";
/// How often to ask for a lease that another process holds.
const TAKE_PAUSE: Duration = Duration::from_secs(1);
const PATIENT_PAUSE: Duration = Duration::from_secs(5);
/// How much earlier than ten days ago a time may be: what was typed as `10d` is read a little later.
const SINCE_TOLERANCE: i64 = 600;

impl Conversations {
    /// Settles what dead processes left open, and then fetches what no webhook has brought. Waits while
    /// another process does it. `listener` is told how far it is.
    ///
    /// # Errors
    /// `invalid_request` for a time that Telnyx no longer has; `not_configured` without an API key;
    /// `database_unavailable`. That a source could not be read is not an error: the report says so.
    pub async fn sync(
        &self,
        request: SyncRequest,
        listener: &(dyn Fn(SyncProgress) + Send + Sync),
    ) -> Result<SyncReport, Error> {
        self.check_sync(request)?;
        let mut report = SyncReport {
            complete: true,
            dry_run: request.dry_run,
            settled: Vec::new(),
            sources: Vec::new(),
        };
        if !request.dry_run {
            report.settled = self.settle_once().await?;
        }
        if request.fetch {
            self.fetch_missing(request, listener, &mut report).await?;
        }
        Ok(report)
    }

    /// Whether a sync can be made at all.
    ///
    /// # Errors
    /// `invalid_request` for a time that Telnyx no longer has; `not_configured` without an API key.
    pub fn check_sync(&self, request: SyncRequest) -> Result<(), Error> {
        check_since(request.since)?;
        if request.fetch && self.telnyx.is_none() { Err(no_api_key()) } else { Ok(()) }
    }

    async fn settle_once(&self) -> Result<Vec<SettledMessage>, Error> {
        let settled = self.settle(clock::now()).await?;
        settled.iter().for_each(note);
        Ok(settled.iter().map(|one| SettledMessage { id: one.id, status: one.status }).collect())
    }

    async fn fetch_missing(
        &self,
        request: SyncRequest,
        listener: &Listener<'_>,
        report: &mut SyncReport,
    ) -> Result<(), Error> {
        if request.dry_run {
            return self.run_sync(request, None, listener, report).await;
        }
        let lease = Lease::new(LEASE.to_owned());
        while !tenure::take(&self.store, &lease).await? {
            let found = SourceReport::new(SyncSource::Deliveries);
            listener(SyncProgress { found, total: None });
            sleep(TAKE_PAUSE).await;
        }
        let run = self.run_sync(request, Some(&lease), listener, report);
        tenure::hold(&self.store, &lease, run).await.unwrap_or_else(|| Err(taken_over()))
    }

    async fn run_sync(
        &self,
        request: SyncRequest,
        lease: Option<&Lease>,
        listener: &Listener<'_>,
        report: &mut SyncReport,
    ) -> Result<(), Error> {
        let telnyx = self.telnyx.as_ref().ok_or_else(no_api_key)?;
        let pacer = Pacer::new(telnyx);
        let mut run = SyncRun { conversations: self, pacer, telnyx, request, lease, listener };
        run.run(report).await
    }

    /// Syncs at once and then again and again, until `shutdown`; one server at a time.
    pub async fn keep_syncing(&self, shutdown: CancellationToken) {
        let Some(interval) = self.policy.sync.filter(|_| self.telnyx.is_some()) else { return };
        // At its start in any case: it may have been down since a moment after the last sync.
        let (mut due, mut fresh) = (Instant::now(), Duration::ZERO);
        while shutdown.run_until_cancelled(sleep_until(due)).await.is_some() {
            let pause = match self.sync_in_turn(fresh, &shutdown).await {
                // Some time before the interval is over: the servers take turns.
                Ok(true) => {
                    fresh = interval / 10 * 9;
                    interval
                }
                Ok(false) => PATIENT_PAUSE.min(interval),
                Err(error) => {
                    tracing::warn!(%error, "the sync with Telnyx failed");
                    interval
                }
            };
            due = Instant::now() + pause;
        }
    }

    /// Syncs unless another server has just done it. Returns whether that is done, by whomever.
    async fn sync_in_turn(
        &self,
        fresh: Duration,
        shutdown: &CancellationToken,
    ) -> Result<bool, Error> {
        let lease = Lease::new(LEASE.to_owned());
        if !tenure::take(&self.store, &lease).await? {
            return Ok(false);
        }
        let work = shutdown.run_until_cancelled(self.sync_unless_fresh(fresh, &lease));
        let done = tenure::hold(&self.store, &lease, work).await;
        done.ok_or_else(taken_over)?.unwrap_or(Ok(())).map(|()| true)
    }

    async fn sync_unless_fresh(&self, fresh: Duration, lease: &Lease) -> Result<(), Error> {
        let now = clock::now();
        if self.last_sync().await?.is_some_and(|last| last > now.minus(fresh) && last <= now) {
            return Ok(());
        }
        let request = SyncRequest { since: None, fetch: true, dry_run: false };
        let mut report =
            SyncReport { complete: true, dry_run: false, settled: Vec::new(), sources: Vec::new() };
        self.run_sync(request, Some(lease), &|_| {}, &mut report).await?;
        let found: u64 = report.sources.iter().map(|source| source.found).sum();
        if found > 0 {
            tracing::info!(found, complete = report.complete, "the sync found what was missing");
        }
        Ok(())
    }

    /// When every source had been read completely, by convo's clock: the earliest of their last good
    /// times. `None` if one never was.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn last_sync(&self) -> Result<Option<Timestamp>, Error> {
        let sources = self.store.sync_progress().await?;
        let times: Option<Vec<_>> = sources.iter().map(|source| source.succeeded_at).collect();
        Ok(times.and_then(|times| times.into_iter().min()))
    }

    /// The age of every source for the metrics, at `now`.
    pub(super) async fn sync_stats(&self, now: Timestamp) -> Result<Vec<SyncStats>, Error> {
        let sources = self.store.sync_progress().await?;
        let stats = sources.iter().filter_map(|one| {
            let age = now.as_micros().saturating_sub(one.succeeded_at?.as_micros()).max(0);
            Some(SyncStats { source: one.source, age_seconds: age as f64 / 1e6 })
        });
        Ok(stats.collect())
    }

    /// Says in the details of readiness how old the last good sync is. A server that cannot read Telnyx's
    /// lists serves all the same. `None` where it does not sync.
    pub(super) async fn sync_check(&self) -> Option<Check> {
        self.policy.sync.filter(|_| self.telnyx.is_some())?;
        let last = self.last_sync().await.ok()?;
        let age = last.map(|last| clock::now().seconds_since(last));
        let age_seconds = age.map(|age| u64::try_from(age).unwrap_or_default());
        Some(Check { age_seconds, ..Check::new("sync", true, "") })
    }
}

/// Telnyx has messages for ten days.
fn check_since(since: Option<Timestamp>) -> Result<(), Error> {
    let oldest = clock::now().plus_seconds(-RETENTION_SECONDS - SINCE_TOLERANCE);
    match since {
        Some(since) if since < oldest => {
            Err(Error::invalid("Telnyx has messages for ten days only")
                .hint("use --since 10d, or a later time"))
        }
        _ => Ok(()),
    }
}
