//! The one task that writes, and commits in groups.
//!
//! It takes one job if one waits and up to 256 if they piled up during the last commit, writes
//! them in one transaction, all events with a fixed number of statements, commits, and only then
//! answers each caller. There is no timer: an idle writer answers at once, a busy one in large
//! batches. A caller that went away is not written for.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::batch::write;
use super::caution::Caution;
use super::failure::unavailable;
use super::link::Link;
use super::lull::Unfolded;
use super::pulse::{self, Pulse};
use super::row::{Closing, NewEvent, NewSend, Opened};
use super::settle::{Settled, Step};
use super::turn::Turn;
use crate::domain::Message;
use crate::error::Error;
use crate::metrics;

/// The most jobs in one transaction.
const BATCH: usize = 256;
/// The most jobs that may wait; beyond it callers are told to come again. A server lets far fewer
/// in at once.
const QUEUE: usize = 16_384;
/// After so long of back-to-back commits the lock is left free for a moment, so that a command
/// in another process gets its turn.
const STRETCH: Duration = Duration::from_millis(100);
/// That moment.
const PAUSE: Duration = Duration::from_millis(4);
/// How long to wait before a lost connection is asked for again, and for a broken one to close.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);
const CLOSE_TIME: Duration = Duration::from_secs(5);

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// A message that was not known before.
    Message,
    /// A report.
    Report,
    /// Known before; nothing changed.
    Duplicate,
    /// Kept as it came, changing nothing else.
    Event,
}

/// The way to the writer. Cloning is cheap; when the last one is dropped, the task ends.
#[derive(Clone, Debug)]
pub struct Writer {
    jobs: mpsc::Sender<Job>,
    pulse: Pulse,
}

/// One piece of work with the one who waits for it.
#[derive(Debug)]
pub(super) struct Task<I, O> {
    pub(super) input: I,
    pub(super) output: Option<O>,
    reply: oneshot::Sender<Result<O, Error>>,
}

/// A piece of work for the task.
#[derive(Debug)]
pub(super) enum Job {
    Event(Box<Task<NewEvent, Written>>),
    Open(Box<Task<NewSend, Opened>>, Turn),
    Close(Box<Task<Closing, Message>>),
    Settle(Box<Task<Step, Vec<Settled>>>),
    /// Close the connection and end.
    End(oneshot::Sender<()>),
}

impl<I, O> Task<I, O> {
    fn new(input: I) -> (Box<Self>, oneshot::Receiver<Result<O, Error>>) {
        let (reply, answer) = oneshot::channel();
        (Box::new(Self { input, output: None, reply }), answer)
    }

    /// Answers after the commit.
    pub(super) fn answer(self) {
        let _ = self.reply.send(self.output.ok_or_else(Error::internal));
    }
}

impl Job {
    /// Whether its caller has left, and it need not be written.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Event(task) => task.reply.is_closed(),
            // The outcome of an offer is recorded whoever still listens. Its beginning is not:
            // without it nothing is offered.
            Self::Open(task, _) => task.reply.is_closed(),
            Self::Close(_) | Self::Settle(_) | Self::End(_) => false,
        }
    }

    /// Whether it is to be written from now on: nothing is for a caller who was told to come again.
    pub(super) fn is_wanted(&mut self) -> bool {
        match self {
            _ if self.is_abandoned() => false,
            Self::Open(_, turn) => turn.take(),
            _ => true,
        }
    }

    pub(super) fn answer(self) {
        match self {
            Self::Event(task) => task.answer(),
            Self::Open(task, _) => task.answer(),
            Self::Close(task) => task.answer(),
            Self::Settle(task) => task.answer(),
            Self::End(_) => {}
        }
    }

    pub(super) fn fail(self, error: impl Fn() -> Error) {
        match self {
            Self::Event(task) => drop(task.reply.send(Err(error()))),
            Self::Open(task, _) => drop(task.reply.send(Err(error()))),
            Self::Close(task) => drop(task.reply.send(Err(error()))),
            Self::Settle(task) => drop(task.reply.send(Err(error()))),
            Self::End(_) => {}
        }
    }

    /// Tells to come again. Who is about to offer a message must know that its row may be there.
    pub(super) fn fail_for_now(self, in_doubt: bool) {
        match &self {
            Self::Open(task, _) if in_doubt => {
                let id = task.input.message.id;
                self.fail(|| in_doubt_about(id));
            }
            _ => self.fail(unavailable),
        }
    }
}

impl Writer {
    /// Starts the task on a connection and a thread of its own: among the requests of a busy
    /// server it would wait for its turn at every statement, and everybody for it.
    ///
    /// # Errors
    /// When the connection cannot be made.
    pub(super) async fn start(
        connect: impl AsyncFn() -> Result<Link, Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (started, ready) = oneshot::channel();
        let (pulse, heart) = pulse::pair();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|_| Error::internal())?;
        let work = move || {
            runtime.block_on(async {
                tokio::spawn(heart);
                match connect().await {
                    Ok(link) => {
                        let _ = started.send(Ok(()));
                        run(connect, link, queue).await;
                    }
                    Err(error) => drop(started.send(Err(error))),
                }
            });
        };
        let thread = std::thread::Builder::new().name("writer".to_owned());
        thread.spawn(work).map_err(|_| Error::internal())?;
        ready.await.map_err(|_| Error::internal())??;
        Ok(Self { jobs, pulse })
    }

    /// Whether the task's thread still turns. One that waits for its database does; one that is
    /// gone or stuck does not, and then this may never return.
    pub async fn is_alive(&self) -> bool {
        self.pulse.beats().await
    }

    /// Stores an event with what it changes. Returns after the commit.
    ///
    /// # Errors
    /// `database_unavailable` when it could not be committed or the queue is full.
    pub async fn event(&self, event: NewEvent) -> Result<Written, Error> {
        let (task, answer) = Task::new(event);
        self.submit(Job::Event(task), answer).await
    }

    /// Stores a message that is about to be offered, or gives up after a time.
    ///
    /// # Errors
    /// As [`event`](Self::event); one that names the message leaves it open whether it is stored.
    pub async fn open(&self, send: NewSend, within: Duration) -> Result<Opened, Error> {
        let id = send.message.id;
        let (task, answer) = Task::new(send);
        let mut turn = Turn::default();
        let stored = self.submit(Job::Open(task, turn.other()), answer);
        tokio::time::timeout(within, stored)
            .await
            .unwrap_or_else(|_| Err(if turn.take() { unavailable() } else { in_doubt_about(id) }))
    }

    /// Records how an offer ended.
    ///
    /// # Errors
    /// As [`event`](Self::event).
    pub async fn close(&self, closing: Closing) -> Result<Message, Error> {
        let (task, answer) = Task::new(closing);
        self.submit(Job::Close(task), answer).await
    }

    /// Writes one step of settling. Returns the messages it could change.
    ///
    /// # Errors
    /// As [`event`](Self::event).
    pub async fn settle(&self, step: Step) -> Result<Vec<Settled>, Error> {
        let (task, answer) = Task::new(step);
        self.submit(Job::Settle(task), answer).await
    }

    /// Ends the task once everything submitted before is written, and closes its connection.
    pub async fn end(&self) {
        let (ended, end) = oneshot::channel();
        if self.jobs.send(Job::End(ended)).await.is_ok() {
            let _ = end.await;
        }
    }

    /// How many jobs wait, and how many may.
    #[must_use]
    pub fn queue(&self) -> (usize, usize) {
        let limit = self.jobs.max_capacity();
        (limit - self.jobs.capacity(), limit)
    }

    /// Whether the task runs and its queue has room.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.jobs.is_closed() && self.jobs.capacity() > 0
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

/// Whether the message is stored depends on a commit of which nothing was heard.
fn in_doubt_about(id: Uuid) -> Error {
    unavailable().with(|extra| extra.message_id = Some(id))
}

async fn run(
    connect: impl AsyncFn() -> Result<Link, Error>,
    mut link: Link,
    mut queue: mpsc::Receiver<Job>,
) {
    let mut jobs = Vec::with_capacity(BATCH);
    let mut stretch = Instant::now();
    let mut caution = Caution::default();
    let mut unfolded = Unfolded::default();
    while unfolded.next(&link, &mut queue, &mut jobs, BATCH).await > 0 {
        let end = take_end(&mut jobs);
        let sound = write(&link, std::mem::take(&mut jobs), &mut caution).await;
        if let Some(ended) = end {
            close(link).await;
            let _ = ended.send(());
            return;
        }
        if !sound {
            metrics::reconnect();
            // Beside the rest: a dead connection takes its time to close.
            tokio::spawn(close(link));
            match replace(&connect, &mut queue).await {
                Some(fresh) => link = fresh,
                None => return,
            }
        }
        if queue.is_empty() {
            stretch = Instant::now();
        } else if link.is_file() && stretch.elapsed() > STRETCH {
            tokio::time::sleep(PAUSE).await;
            stretch = Instant::now();
        }
    }
}

/// Makes a new connection in place of one that is not to be trusted. Whoever asks meanwhile is
/// told to come again. `None` when the task is to end.
async fn replace(
    connect: &impl AsyncFn() -> Result<Link, Error>,
    queue: &mut mpsc::Receiver<Job>,
) -> Option<Link> {
    loop {
        if let Ok(link) = connect().await {
            return Some(link);
        }
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

async fn close(link: Link) {
    match tokio::time::timeout(CLOSE_TIME, link.db.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the database did not close"),
        Err(_) => tracing::warn!("the database did not close in time"),
    }
}

fn take_end(jobs: &mut Vec<Job>) -> Option<oneshot::Sender<()>> {
    let place = jobs.iter().position(|job| matches!(job, Job::End(_)))?;
    match jobs.remove(place) {
        Job::End(ended) => Some(ended),
        _ => None,
    }
}
