//! What the handlers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, SetOnce};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::App;
use super::access::Access;
use super::answer_memory::{ANSWER_MEMORY, AnswerMemory};
use super::body::BodyReader;
use super::budget::{Budget, Share};
use super::health::LastChecks;
use super::limits::Limits;
use crate::error::{Code, Error};
use crate::forwarding::Forwarder;
use crate::media::ContentStore;
use crate::telnyx::signature::Verifier;
use crate::threading::Conversations;

/// How long a request waits while the database is being opened at startup.
const OPEN_TIMEOUT: Duration = Duration::from_millis(1_500);
/// How many lists may be streamed at once, half of them to one client.
pub(super) const MAX_STREAMS: usize = 128;

/// How many syncs may be asked for at once; all but one of them wait.
const MAX_SYNCS: usize = 4;

/// What the handlers share.
pub(super) struct ServerState {
    forwarder: SetOnce<Forwarder>,
    /// The database could not be opened so far.
    pub(super) database_down: AtomicBool,
    /// The server is shutting down.
    pub(super) closing: Arc<AtomicBool>,
    /// Cancelled when it begins to: those who follow the feed are to go on with another server.
    pub(super) draining: CancellationToken,
    pub(super) access: Access,
    pub(super) verifier: Arc<Verifier>,
    pub(super) limits: Limits,
    pub(super) media: Option<ContentStore>,
    pub(super) bodies: BodyReader,
    webhooks: Semaphore,
    pub(super) readiness: LastChecks,
    send_slots: Arc<Semaphore>,
    sync_slots: Arc<Semaphore>,
    streams: Budget,
    answers: Budget,
    /// Sends in progress, whether or not their callers are still connected.
    pub(super) sends: TaskTracker,
}

impl ServerState {
    pub(super) fn new(app: App) -> Self {
        let App { access, verifier, limits, media, .. } = app;
        Self {
            forwarder: SetOnce::new(),
            database_down: AtomicBool::new(false),
            closing: Arc::new(AtomicBool::new(false)),
            draining: CancellationToken::new(),
            access,
            verifier,
            bodies: BodyReader::new(&limits),
            webhooks: Semaphore::new(limits.queue),
            readiness: LastChecks::default(),
            send_slots: Arc::new(Semaphore::new(limits.sends)),
            sync_slots: Arc::new(Semaphore::new(MAX_SYNCS)),
            streams: Budget::new(MAX_STREAMS),
            answers: Budget::new(ANSWER_MEMORY),
            limits,
            media,
            sends: TaskTracker::new(),
        }
    }

    pub(super) fn open(&self, forwarder: Forwarder) {
        // Called once; a second call would have no effect.
        let _ = self.forwarder.set(forwarder);
    }

    /// `None` before the database is open.
    pub(super) fn opened(&self) -> Option<&Conversations> {
        self.forwarder.get().map(Forwarder::conversations)
    }

    /// Waits a moment for a database that is being opened.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(super) async fn conversations(&self) -> Result<&Conversations, Error> {
        self.forwarder().await.map(Forwarder::conversations)
    }

    /// Like [`conversations`](Self::conversations), with what forwards their events.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(super) async fn forwarder(&self) -> Result<&Forwarder, Error> {
        if let Some(forwarder) = self.forwarder.get() {
            return Ok(forwarder);
        }
        if !self.database_down.load(Ordering::Relaxed)
            && let Ok(forwarder) = tokio::time::timeout(OPEN_TIMEOUT, self.forwarder.wait()).await
        {
            return Ok(forwarder);
        }
        Err(Error::new(Code::DatabaseUnavailable, "the server is waiting for its database")
            .hint("try again shortly"))
    }

    /// Interrupts the sends in progress, which record that their outcome is unknown.
    pub(super) fn interrupt_sends(&self) {
        if let Some(conversations) = self.opened() {
            conversations.interrupt().cancel();
        }
    }

    /// A permit to wait for the commit of a webhook.
    pub(super) fn webhook_permit(&self) -> Result<SemaphorePermit<'_>, Error> {
        self.webhooks.try_acquire().map_err(|_| Error::overloaded("too many concurrent webhooks"))
    }

    /// A permit to send a message.
    pub(super) fn send_permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        let permit = Arc::clone(&self.send_slots).try_acquire_owned();
        permit.map_err(|_| Error::overloaded("too many messages are being sent at once"))
    }

    /// A permit to sync at a client's request.
    pub(super) fn sync_permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        let permit = Arc::clone(&self.sync_slots).try_acquire_owned();
        permit.map_err(|_| Error::overloaded("too many syncs were asked for at once"))
    }

    /// A permit to stream a list to a client.
    pub(super) fn stream_permit(&self, client: &Arc<str>) -> Result<Share, Error> {
        let busy = || {
            Error::overloaded("too many lists are being streamed").hint("use the limit parameter")
        };
        self.streams.try_take(client, 1).ok_or_else(busy)
    }

    /// The memory for the answers to a client.
    pub(super) fn answer_memory(&self, client: &Arc<str>) -> AnswerMemory {
        AnswerMemory { budget: self.answers.clone(), client: Arc::clone(client) }
    }
}
