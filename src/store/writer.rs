//! The one task that writes, and commits in groups.
//!
//! It takes one job if one waits and up to 256 if they piled up during the last commit,
//! writes them with a fixed number of statements in one transaction, commits, and only then
//! answers each caller. There is no timer: an idle writer answers at once, a busy one in large
//! batches. A caller that went away is not written for.

use std::time::{Duration, Instant};

use sea_orm::{
    DatabaseBackend, DatabaseConnection, DatabaseTransaction, DbErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use tokio::sync::{mpsc, oneshot};

use super::failure::{Failure, classify, tell, unavailable};
use super::row::{Change, Closing, NewEvent, NewMessage, NewReport, NewSend, Opened};
use super::settle::{self, Settled, Step};
use super::{events, messages, reports, sends};
use crate::clock;
use crate::domain::Message;
use crate::error::Error;

/// The most jobs in one transaction.
const BATCH: usize = 256;
/// The most jobs that may wait; beyond it callers are told to come again.
const QUEUE: usize = 2_048;
/// How long to wait for another process that holds SQLite's only write lock.
const LOCK_WAIT: Duration = Duration::from_secs(30);
/// How soon to ask for that lock again: at first at once, so that a moment of freedom is not
/// missed, then less often, since a crowd that asks every millisecond leaves the one who has the
/// lock no time to finish.
const LOCK_POLL: Duration = Duration::from_millis(1);
const LONGEST_POLL: Duration = Duration::from_millis(8);
/// After so long of back-to-back commits the lock is left free for a moment, so that a command
/// in another process gets its turn.
const STRETCH: Duration = Duration::from_millis(100);
/// That moment.
const PAUSE: Duration = Duration::from_millis(4);
/// How long to wait before a lost connection is asked for again, and for a broken one to close.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);
const CLOSE_TIME: Duration = Duration::from_secs(5);
/// How often a transaction is repeated when two servers waited for each other.
const REPEATS: u32 = 10;

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
}

/// One piece of work with the one who waits for it.
#[derive(Debug)]
struct Task<I, O> {
    input: I,
    output: Option<O>,
    reply: oneshot::Sender<Result<O, Error>>,
}

#[derive(Debug)]
enum Job {
    Event(Box<Task<NewEvent, Written>>),
    Open(Box<Task<NewSend, Opened>>),
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
    fn answer(self) {
        let _ = self.reply.send(self.output.ok_or_else(Error::internal));
    }
}

impl Job {
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Event(task) => task.reply.is_closed(),
            // The outcome of an offer is recorded whoever still listens; so is its beginning
            // not, for then nothing has been offered.
            Self::Open(task) => task.reply.is_closed(),
            Self::Close(_) | Self::Settle(_) | Self::End(_) => false,
        }
    }

    fn answer(self) {
        match self {
            Self::Event(task) => task.answer(),
            Self::Open(task) => task.answer(),
            Self::Close(task) => task.answer(),
            Self::Settle(task) => task.answer(),
            Self::End(_) => {}
        }
    }

    fn fail(self, error: impl Fn() -> Error) {
        match self {
            Self::Event(task) => drop(task.reply.send(Err(error()))),
            Self::Open(task) => drop(task.reply.send(Err(error()))),
            Self::Close(task) => drop(task.reply.send(Err(error()))),
            Self::Settle(task) => drop(task.reply.send(Err(error()))),
            Self::End(_) => {}
        }
    }

    /// Tells to come again. Who is about to offer a message must know that its row may be there.
    fn fail_for_now(self, in_doubt: bool) {
        match &self {
            Self::Open(task) if in_doubt => {
                let id = task.input.message.id;
                self.fail(|| unavailable().with(|extra| extra.message_id = Some(id)));
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
    pub async fn start(
        connect: impl AsyncFn() -> Result<DatabaseConnection, Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (started, ready) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|_| Error::internal())?;
        let work = move || {
            runtime.block_on(async {
                match connect().await {
                    Ok(db) => {
                        let _ = started.send(Ok(()));
                        run(connect, db, queue).await;
                    }
                    Err(error) => drop(started.send(Err(error))),
                }
            });
        };
        let thread = std::thread::Builder::new().name("writer".to_owned());
        thread.spawn(work).map_err(|_| Error::internal())?;
        ready.await.map_err(|_| Error::internal())??;
        Ok(Self { jobs })
    }

    /// Stores an event with what it changes. Returns after the commit.
    ///
    /// # Errors
    /// `database_unavailable` when it could not be committed or the queue is full.
    pub async fn event(&self, event: NewEvent) -> Result<Written, Error> {
        let (task, answer) = Task::new(event);
        self.submit(Job::Event(task), answer).await
    }

    /// Stores a message that is about to be offered.
    ///
    /// # Errors
    /// As [`event`](Self::event); one that names the message leaves it open whether it is stored.
    pub async fn open(&self, send: NewSend) -> Result<Opened, Error> {
        let (task, answer) = Task::new(send);
        self.submit(Job::Open(task), answer).await
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
        self.jobs.try_send(job).map_err(|_| unavailable())?;
        answer.await.map_err(|_| unavailable())?
    }
}

async fn run(
    connect: impl AsyncFn() -> Result<DatabaseConnection, Error>,
    mut db: DatabaseConnection,
    mut queue: mpsc::Receiver<Job>,
) {
    let mut jobs = Vec::with_capacity(BATCH);
    let mut stretch = Instant::now();
    let shared_file = db.get_database_backend() == DatabaseBackend::Sqlite;
    while queue.recv_many(&mut jobs, BATCH).await > 0 {
        let end = take_end(&mut jobs);
        let sound = write(&db, std::mem::take(&mut jobs)).await;
        if let Some(ended) = end {
            close(db).await;
            let _ = ended.send(());
            return;
        }
        if !sound {
            close(db).await;
            match replace(&connect, &mut queue).await {
                Some(fresh) => db = fresh,
                None => return,
            }
        }
        if queue.is_empty() {
            stretch = Instant::now();
        } else if shared_file && stretch.elapsed() > STRETCH {
            tokio::time::sleep(PAUSE).await;
            stretch = Instant::now();
        }
    }
}

/// Makes a new connection in place of one that is not to be trusted. Whoever asks meanwhile is
/// told to come again. `None` when the task is to end.
async fn replace(
    connect: &impl AsyncFn() -> Result<DatabaseConnection, Error>,
    queue: &mut mpsc::Receiver<Job>,
) -> Option<DatabaseConnection> {
    loop {
        if let Ok(db) = connect().await {
            return Some(db);
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

async fn close(db: DatabaseConnection) {
    match tokio::time::timeout(CLOSE_TIME, db.close()).await {
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

/// Writes a batch; if one job spoils it, writes them one by one, so that only that one fails.
/// Returns whether the connection may be used again.
async fn write(db: &DatabaseConnection, mut batch: Vec<Job>) -> bool {
    let mut repeats = 0;
    while !batch.is_empty() {
        let Err(Broken { error, in_doubt, sound }) = transaction(db, &mut batch).await else {
            batch.drain(..).for_each(Job::answer);
            break;
        };
        match classify(&error) {
            Failure::Contention if sound && repeats < REPEATS => repeats += 1,
            Failure::Data if sound && batch.len() > 1 => {
                let mut rest = batch.drain(..);
                for job in rest.by_ref() {
                    if !Box::pin(write(db, vec![job])).await {
                        rest.for_each(|job| job.fail(unavailable));
                        return false;
                    }
                }
            }
            Failure::Data => {
                tracing::error!(%error, "a row could not be stored");
                batch.drain(..).for_each(|job| job.fail(Error::internal));
                return sound;
            }
            Failure::Contention | Failure::Unavailable => {
                tell(&error);
                batch.drain(..).for_each(|job| job.fail_for_now(in_doubt));
                return sound;
            }
        }
    }
    true
}

/// Why a transaction failed.
struct Broken {
    error: DbErr,
    /// Whether it may be committed all the same: the answer to the commit was lost.
    in_doubt: bool,
    /// Whether the connection is surely outside of any transaction. SQLite ends a transaction by
    /// itself when a write fails; the pool, not knowing, would go on inside one that never
    /// commits, and acknowledge what is lost. Such a connection is thrown away.
    sound: bool,
}

async fn transaction(db: &DatabaseConnection, batch: &mut Vec<Job>) -> Result<(), Broken> {
    let txn = begin(db).await.map_err(|error| {
        let sound = classify(&error) == Failure::Contention;
        Broken { error, in_doubt: false, sound }
    })?;
    // Looked at as late as possible: whoever was told to come again must not be written for.
    batch.retain(|job| !job.is_abandoned());
    match fill(&txn, batch).await {
        Ok(()) => {
            let commit = txn.commit().await;
            commit.map_err(|error| Broken { error, in_doubt: true, sound: false })
        }
        Err(error) => {
            let sound = txn.rollback().await.is_ok() && classify(&error) != Failure::Unavailable;
            Err(Broken { error, in_doubt: false, sound })
        }
    }
}

async fn fill(txn: &DatabaseTransaction, batch: &mut [Job]) -> Result<(), DbErr> {
    let mut events: Vec<&mut Task<NewEvent, Written>> = Vec::new();
    for job in batch.iter_mut() {
        match job {
            Job::Event(task) => events.push(task),
            Job::Open(task) => task.output = Some(sends::open(txn, &task.input).await?),
            Job::Close(task) => task.output = Some(sends::close(txn, &task.input).await?),
            Job::Settle(task) => task.output = Some(settle::step(txn, &task.input).await?),
            Job::End(_) => {}
        }
    }
    write_events(txn, &mut events).await
}

/// Begins a transaction that may write at once. SQLite has one writer: who comes second asks
/// again in short intervals, since its own way of waiting grows too patient.
async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let since = Instant::now();
    let mut pause = LOCK_POLL;
    loop {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        match db.begin_with_options(options).await {
            Err(error)
                if classify(&error) == Failure::Contention && since.elapsed() < LOCK_WAIT =>
            {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_POLL);
            }
            result => return result,
        }
    }
}

/// Writes all events of a batch with a fixed number of statements.
async fn write_events(
    txn: &DatabaseTransaction,
    tasks: &mut [&mut Task<NewEvent, Written>],
) -> Result<(), DbErr> {
    if tasks.is_empty() {
        return Ok(());
    }
    // In the order of their keys, so that two servers never wait for each other.
    tasks.sort_by(|a, b| a.input.id.cmp(&b.input.id));
    let mut new = events::insert(txn, tasks.iter().map(|task| &task.input)).await?;
    let mut incoming: Vec<&NewMessage> = Vec::new();
    let mut reported: Vec<&NewReport> = Vec::new();
    // Of several copies in one batch the first is the one that counts.
    let first: Vec<bool> = tasks.iter().map(|task| new.remove(&task.input.id)).collect();
    for (task, first) in tasks.iter().zip(&first) {
        match &task.input.change {
            Change::Message(message, _) if *first => incoming.push(message),
            Change::Report(report) if *first => reported.push(report),
            _ => {}
        }
    }
    let stored = messages::insert(txn, &incoming).await?;
    reports::write(txn, &reported, clock::now()).await?;
    for (task, first) in tasks.iter_mut().zip(first) {
        task.output = Some(match &task.input.change {
            _ if !first => Written::Duplicate,
            Change::Nothing => Written::Event,
            Change::Report(_) => Written::Report,
            Change::Message(message, _) if !stored.contains(&message.id) => Written::Duplicate,
            Change::Message(message, opt_out) => {
                if let Some(change) = opt_out {
                    messages::decide_opt_out(txn, message.contact().as_str(), change).await?;
                }
                Written::Message
            }
        });
    }
    Ok(())
}
