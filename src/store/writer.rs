//! The single writer, with group commit.
//!
//! The writer takes every job that queued up during the last commit, at most 256, and writes them in
//! one transaction, all events with a fixed number of statements. Only after the commit does it
//! answer their callers. There is no timer: an idle writer commits at once, a busy one in large
//! batches. Jobs whose callers have left are dropped.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::batch::write;
use super::checkpoint::Checkpointer;
use super::db_error::unavailable;
use super::duplicate_check::DuplicateCheck;
use super::events::PreparedEvent;
use super::feed::wake::FeedSignal;
use super::handoff::Handoff;
use super::job::{Answers, Job, ProbeStep, Settlement, Task, in_doubt_about};
use super::last_commit::{Ending, LastCommit};
use super::liveness::{self, Liveness};
use super::model::{Closing, NewEvent, NewSend, Opened, StoredSend};
use super::write_session::WriteSession;
use crate::domain::EventOutcome;
use crate::error::Error;
use crate::metrics;

/// The most jobs in one transaction.
const BATCH: usize = 256;
/// The length of the queue; when it is full, callers are told to retry. A server admits far fewer
/// requests at once.
const QUEUE: usize = 16_384;
/// After this long of back-to-back commits, SQLite's write lock is left free for a moment, so that
/// another process can take it.
const BUSY_TIME: Duration = Duration::from_millis(100);
const LOCK_FREE_TIME: Duration = Duration::from_millis(4);
/// The pause between attempts to reconnect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);
/// How long a broken connection may take to close.
const CLOSE_TIME: Duration = Duration::from_secs(5);

/// A handle to the writer. Cloning is cheap; when the last one is dropped, the writer stops.
#[derive(Clone, Debug)]
pub struct Writer {
    jobs: mpsc::Sender<Job>,
    liveness: Liveness,
    last_commit: LastCommit,
}

impl Writer {
    /// Starts the writer on a thread and a connection of its own. On the runtime of a busy server it
    /// would queue behind requests at every statement, and every request waits for it. `feed` is told
    /// when the feed has grown.
    ///
    /// # Errors
    /// What `connect` returns.
    pub(super) async fn start(
        connect: impl AsyncFn() -> Result<WriteSession, Error> + Send + 'static,
        feed: FeedSignal,
    ) -> Result<Self, Error> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (started, ready) = oneshot::channel();
        let (liveness, responder) = liveness::channel();
        let last_commit = LastCommit::default();
        let recorded = last_commit.clone();
        let answers = Answers::here(feed);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|_| Error::internal())?;
        let work = move || {
            runtime.block_on(async {
                tokio::spawn(responder);
                match connect().await {
                    Ok(session) => {
                        let _ = started.send(Ok(()));
                        run(connect, session, queue, recorded, answers).await;
                    }
                    Err(error) => drop(started.send(Err(error))),
                }
            });
        };
        let thread = std::thread::Builder::new().name("writer".to_owned());
        thread.spawn(work).map_err(|_| Error::internal())?;
        ready.await.map_err(|_| Error::internal())??;
        Ok(Self { jobs, liveness, last_commit })
    }

    /// Whether the writer's thread responds, which it also does while it waits for the database.
    /// False if it has ended; if it is blocked, this does not return.
    pub(crate) async fn is_alive(&self) -> bool {
        self.liveness.ping().await
    }

    /// Stores an event and what it changes. Returns after the commit.
    ///
    /// # Errors
    /// `database_unavailable` if it cannot be committed, or the queue is full.
    pub(crate) async fn event(&self, event: NewEvent) -> Result<EventOutcome, Error> {
        let (task, answer) = Task::new(PreparedEvent::new(event));
        self.submit(Job::Event(task), answer).await
    }

    /// Stores a message before it is sent to Telnyx, or gives up after a time.
    ///
    /// # Errors
    /// As [`event`](Self::event). If the error names the message, it may be stored all the same.
    pub(crate) async fn open(&self, send: NewSend, within: Duration) -> Result<Opened, Error> {
        let id = send.message.id;
        let (task, answer) = Task::new(send);
        let mut handoff = Handoff::default();
        let stored = self.submit(Job::Open(task, handoff.other_side()), answer);
        tokio::time::timeout(within, stored).await.unwrap_or_else(|_| {
            Err(if handoff.take() { unavailable() } else { in_doubt_about(id) })
        })
    }

    /// Records the outcome of a send.
    ///
    /// # Errors
    /// As [`event`](Self::event).
    pub(crate) async fn close(&self, closing: Closing) -> Result<StoredSend, Error> {
        let (task, answer) = Task::new(closing);
        self.submit(Job::Close(task), answer).await
    }

    /// Writes a change that settling makes.
    ///
    /// # Errors
    /// As [`event`](Self::event).
    pub(super) async fn settle<S: Settlement>(&self, change: S) -> Result<S::Output, Error> {
        let (task, answer) = Task::new(change);
        self.submit(Job::Settle(task), answer).await
    }

    /// Stops the writer once every job submitted before is written, and closes its connection.
    pub(crate) async fn end(&self) {
        let (ended, end) = oneshot::channel();
        if self.jobs.send(Job::End(ended)).await.is_ok() {
            let _ = end.await;
        }
    }

    /// Why commits cannot be expected to succeed; `None` if they can. If the last one failed, this
    /// tries another, so that a database that has recovered is noticed without any traffic.
    pub(crate) async fn commit_objection(&self, patience: Duration) -> Option<&'static str> {
        if self.last_commit.get() == Ending::Failed {
            let probe = async {
                self.probe(ProbeStep::Begin).await?;
                self.probe(ProbeStep::End).await
            };
            let _ = tokio::time::timeout(patience, probe).await;
        }
        match self.last_commit.get() {
            Ending::Committed => None,
            Ending::Failed => Some("the last transaction failed"),
            Ending::Corrupt => Some("the database file is corrupt"),
        }
    }

    /// How many jobs are queued, and the length of the queue.
    pub(crate) fn queue(&self) -> (usize, usize) {
        let limit = self.jobs.max_capacity();
        (limit - self.jobs.capacity(), limit)
    }

    /// Whether the writer runs and its queue has room.
    pub(crate) fn is_ready(&self) -> bool {
        !self.jobs.is_closed() && self.jobs.capacity() > 0
    }

    async fn probe(&self, step: ProbeStep) -> Result<(), Error> {
        let (task, answer) = Task::new(step);
        self.submit(Job::Probe(task), answer).await
    }

    async fn submit<O>(
        &self,
        job: Job,
        answer: oneshot::Receiver<Result<O, Error>>,
    ) -> Result<O, Error> {
        self.jobs.try_send(job).map_err(|_| {
            metrics::turned_away();
            unavailable()
        })?;
        answer.await.map_err(|_| unavailable())?
    }
}

async fn run(
    connect: impl AsyncFn() -> Result<WriteSession, Error>,
    mut session: WriteSession,
    mut queue: mpsc::Receiver<Job>,
    last_commit: LastCommit,
    answers: Answers,
) {
    let mut jobs = Vec::with_capacity(BATCH);
    let mut busy_since = Instant::now();
    let mut duplicate_check = DuplicateCheck::default();
    let mut checkpointer = Checkpointer::default();
    let mut used = Instant::now();
    while checkpointer.recv_many(&session, &mut queue, &mut jobs, BATCH).await > 0 {
        let end = take_end(&mut jobs);
        let batch = std::mem::take(&mut jobs);
        let is_usable = batch.is_empty()
            || session.is_usable_after(used.elapsed()).await
            || replace(&mut session, &connect).await;
        let reusable = if is_usable {
            write(&session, batch, &mut duplicate_check, &last_commit, &answers).await
        } else {
            last_commit.record(Ending::Failed);
            batch.into_iter().for_each(|job| job.fail(unavailable));
            false
        };
        if let Some(ended) = end {
            close(session).await;
            let _ = ended.send(());
            return;
        }
        if !reusable {
            metrics::reconnect();
            // In the background: a dead connection may take a while to close.
            tokio::spawn(close(session));
            match reconnect(&connect, &mut queue, &last_commit).await {
                Some(new) => session = new,
                None => return,
            }
        }
        used = Instant::now();
        if queue.is_empty() {
            busy_since = Instant::now();
        } else if session.pool().is_sqlite() && busy_since.elapsed() > BUSY_TIME {
            tokio::time::sleep(LOCK_FREE_TIME).await;
            busy_since = Instant::now();
        }
    }
}

/// Replaces a dead connection at once, if that is possible.
async fn replace(
    session: &mut WriteSession,
    connect: &impl AsyncFn() -> Result<WriteSession, Error>,
) -> bool {
    let Ok(new) = connect().await else { return false };
    metrics::reconnect();
    tokio::spawn(close(std::mem::replace(session, new)));
    true
}

/// Connects again, failing the jobs that arrive meanwhile. `None` when the writer is to stop.
async fn reconnect(
    connect: &impl AsyncFn() -> Result<WriteSession, Error>,
    queue: &mut mpsc::Receiver<Job>,
    last_commit: &LastCommit,
) -> Option<WriteSession> {
    loop {
        if let Ok(session) = connect().await {
            return Some(session);
        }
        last_commit.record(Ending::Failed);
        loop {
            match queue.try_recv() {
                Ok(Job::End(ended)) => {
                    let _ = ended.send(());
                    return None;
                }
                Ok(job) => job.fail(unavailable),
                Err(mpsc::error::TryRecvError::Disconnected) => return None,
                Err(mpsc::error::TryRecvError::Empty) => break,
            }
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

async fn close(session: WriteSession) {
    match tokio::time::timeout(CLOSE_TIME, session.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the database did not close"),
        Err(_) => tracing::warn!("the database did not close in time"),
    }
}

fn take_end(jobs: &mut Vec<Job>) -> Option<oneshot::Sender<()>> {
    let index = jobs.iter().position(|job| matches!(job, Job::End(_)))?;
    match jobs.remove(index) {
        Job::End(ended) => Some(ended),
        _ => None,
    }
}
