//! What the handlers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, SetOnce};
use tokio_util::task::TaskTracker;

use super::App;
use super::access::Access;
use super::body::Bodies;
use super::limits::Limits;
use crate::error::{Code, Error};
use crate::telnyx::signature::Verifier;
use crate::threading::Threads;

/// How long a request waits for a database that is just being opened.
const OPENING: Duration = Duration::from_millis(1_500);
/// Most listings that are streamed at once; each keeps a page of rows in memory.
pub(super) const LISTINGS: usize = 64;

/// What the handlers share.
pub(super) struct State {
    threads: SetOnce<Threads>,
    /// Whether the database could not be opened so far.
    pub(super) away: AtomicBool,
    /// Whether the server is about to stop.
    pub(super) closing: Arc<AtomicBool>,
    pub(super) access: Access,
    pub(super) verifier: Arc<Verifier>,
    pub(super) limits: Limits,
    pub(super) bodies: Bodies,
    queue: Semaphore,
    slots: Arc<Semaphore>,
    listings: Arc<Semaphore>,
    /// Sends under way, whether or not anybody still waits for their answer.
    pub(super) sends: TaskTracker,
}

impl State {
    pub(super) fn new(app: App) -> Self {
        let App { access, verifier, limits, .. } = app;
        Self {
            threads: SetOnce::new(),
            away: AtomicBool::new(false),
            closing: Arc::new(AtomicBool::new(false)),
            access,
            verifier,
            bodies: Bodies::new(&limits),
            queue: Semaphore::new(limits.queue),
            slots: Arc::new(Semaphore::new(limits.sends)),
            listings: Arc::new(Semaphore::new(LISTINGS)),
            limits,
            sends: TaskTracker::new(),
        }
    }

    pub(super) fn open(&self, threads: Threads) {
        // The first ones are served; there are no others.
        let _ = self.threads.set(threads);
    }

    /// The threads, as far as the database is open.
    pub(super) fn opened(&self) -> Option<&Threads> {
        self.threads.get()
    }

    /// The threads. Who asks in the moment of the start waits for it.
    ///
    /// # Errors
    /// `database_unavailable` while the database is away.
    pub(super) async fn threads(&self) -> Result<&Threads, Error> {
        if let Some(threads) = self.threads.get() {
            return Ok(threads);
        }
        if !self.away.load(Ordering::Relaxed)
            && let Ok(threads) = tokio::time::timeout(OPENING, self.threads.wait()).await
        {
            return Ok(threads);
        }
        Err(Error::new(Code::DatabaseUnavailable, "the server waits for its database")
            .hint("try again shortly"))
    }

    /// Ends sends that are under way; what became of them is recorded.
    pub(super) fn interrupt(&self) {
        if let Some(threads) = self.threads.get() {
            threads.interrupt().cancel();
        }
    }

    /// A place among the webhooks that wait for their commit.
    pub(super) fn queue(&self) -> Result<SemaphorePermit<'_>, Error> {
        self.queue.try_acquire().map_err(|_| Error::overloaded("too many webhooks at once"))
    }

    /// The right to send one message.
    pub(super) fn slot(&self) -> Result<OwnedSemaphorePermit, Error> {
        let slot = Arc::clone(&self.slots).try_acquire_owned();
        slot.map_err(|_| Error::overloaded("too many messages are being sent at once"))
    }

    /// The right to stream one listing.
    pub(super) fn listing(&self) -> Result<OwnedSemaphorePermit, Error> {
        let listing = Arc::clone(&self.listings).try_acquire_owned();
        listing.map_err(|_| Error::overloaded("too many listings at once").hint("use limit"))
    }
}
