//! One sync: every source in turn, each pass by pass, saved page by page.

use std::fmt;

use super::pacer::Pacer;
use super::pass::{advance, next_pass, slice_end};
use super::sources::{self, PageCounts, ReadPage};
use crate::clock;
use crate::domain::{
    SourceReport, SyncProgress, SyncReport, SyncRequest, SyncSource, SyncState, Timestamp,
};
use crate::error::{Code, Error};
use crate::metrics;
use crate::store::lease::Lease;
use crate::store::sync::SourceProgress;
use crate::telnyx::client::TelnyxClient;
use crate::threading::Conversations;

/// The most pages of one slice: more than Telnyx would list.
const MAX_PAGES: u64 = 100_000;

/// What is told of a sync in progress.
pub(super) type Listener<'a> = dyn Fn(SyncProgress) + Send + Sync + 'a;

/// A sync at work.
pub(super) struct SyncRun<'a> {
    pub(super) conversations: &'a Conversations,
    pub(super) pacer: Pacer<'a>,
    pub(super) telnyx: &'a TelnyxClient,
    pub(super) request: SyncRequest,
    /// Held by this process; `None` where nothing is changed.
    pub(super) lease: Option<&'a Lease>,
    pub(super) listener: &'a Listener<'a>,
}

impl fmt::Debug for SyncRun<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncRun").field("request", &self.request).finish_non_exhaustive()
    }
}

impl SyncRun<'_> {
    /// Reads every source. One that cannot be read does not keep the next ones from being read.
    ///
    /// # Errors
    /// The database cannot be read or written, or another process has taken over.
    pub(super) async fn run(&mut self, report: &mut SyncReport) -> Result<(), Error> {
        for progress in self.conversations.store.sync_progress().await? {
            let source = progress.source;
            let mut found = SourceReport { state: SyncState::Running, ..SourceReport::new(source) };
            self.tell(&found, None);
            let mut progress = progress;
            let read = match source {
                SyncSource::Outbound => self.look_up_outbound(&mut found, &mut progress).await,
                _ => self.read(source, &mut found, &mut progress).await,
            };
            self.end(read, &mut found, progress).await?;
            report.complete &= found.state == SyncState::Complete;
            report.sources.push(found);
        }
        Ok(())
    }

    /// Records how the reading of a source has ended.
    async fn end(
        &self,
        read: Result<(), Error>,
        found: &mut SourceReport,
        mut progress: SourceProgress,
    ) -> Result<(), Error> {
        found.state = SyncState::Complete;
        if let Err(error) = read {
            if is_ours(error.code()) {
                return Err(error);
            }
            tracing::warn!(source = %found.source, %error, "a source was not read to its end");
            found.state = SyncState::Incomplete;
            progress.failure = Some((error.to_string(), clock::now()));
            self.save(&progress).await?;
            found.error = Some(error.body());
        }
        self.tell(found, None);
        if !self.request.dry_run {
            metrics::synced(found.source, found.state == SyncState::Complete, found.found);
        }
        Ok(())
    }

    /// Reads what a source lists, page by page.
    async fn read(
        &mut self,
        source: SyncSource,
        found: &mut SourceReport,
        progress: &mut SourceProgress,
    ) -> Result<(), Error> {
        let range = sources::range(source);
        let mut pass = next_pass(progress, self.request.since, range, clock::now());
        found.since = Some(pass.from);
        while pass.page <= MAX_PAGES {
            let end = slice_end(&pass, range);
            let page: ReadPage =
                sources::read_page(self, source, (pass.slice, end), pass.page).await?;
            count(found, page.counts);
            let asked_at = page.at.unwrap_or_else(clock::now);
            let is_complete = advance(progress, pass, range, page.is_last, asked_at);
            if is_complete {
                succeed(progress);
            }
            found.until = progress.pass.map(|pass| pass.slice).or(progress.until);
            self.save(progress).await?;
            self.tell(found, page.total);
            match progress.pass {
                Some(next) if !is_complete => pass = next,
                _ => return Ok(()),
            }
        }
        Err(Error::new(Code::TelnyxRefused, "Telnyx's list does not end"))
    }

    /// Looks up the outbound messages whose status has not changed for a while.
    async fn look_up_outbound(
        &mut self,
        found: &mut SourceReport,
        progress: &mut SourceProgress,
    ) -> Result<(), Error> {
        let begun = clock::now();
        sources::look_up_outbound(self, found).await?;
        progress.until = Some(begun);
        found.until = progress.until;
        succeed(progress);
        self.save(progress).await
    }

    /// Saves how far a source is, so that the next sync goes on there, whatever becomes of this process.
    async fn save(&self, progress: &SourceProgress) -> Result<(), Error> {
        let Some(lease) = self.lease else { return Ok(()) };
        let writer = self.conversations.store.writer()?;
        match writer.save_sync(lease.clone(), progress.clone()).await? {
            true => Ok(()),
            false => Err(taken_over()),
        }
    }

    pub(super) fn tell(&self, found: &SourceReport, total: Option<u64>) {
        (self.listener)(SyncProgress { found: found.clone(), total });
    }

    /// How young a message must be for its webhook to be still on its way.
    pub(super) fn grace_seconds(&self) -> i64 {
        if self.telnyx.is_local() { LOCAL_GRACE_SECONDS } else { GRACE_SECONDS }
    }
}

/// Telnyx repeats a webhook for a time that it does not publish. A message that is fetched before wakes
/// no program when its webhook comes, so it is left to the next sync.
const GRACE_SECONDS: i64 = 300;
/// The same where Telnyx is simulated.
const LOCAL_GRACE_SECONDS: i64 = 5;

fn succeed(progress: &mut SourceProgress) {
    progress.succeeded_at = Some(clock::now());
    progress.failure = None;
}

fn count(found: &mut SourceReport, counts: PageCounts) {
    found.listed += counts.listed;
    found.found += counts.found;
    found.recent += counts.recent;
    found.gone += counts.gone;
}

/// Whether a failure is one of the database: no other source can be read, either.
fn is_ours(code: Code) -> bool {
    matches!(code, Code::DatabaseUnavailable | Code::DatabaseNotReady | Code::Internal)
}

/// The error of a process that was held up until another one went on in its place.
pub(super) fn taken_over() -> Error {
    Error::new(Code::DatabaseUnavailable, "another process has taken over the sync")
        .hint("it goes on from where this one was")
}

/// The time before which a message is old enough to be looked up.
pub(super) fn before(now: Timestamp, seconds: i64) -> Timestamp {
    now.plus_seconds(-seconds)
}
