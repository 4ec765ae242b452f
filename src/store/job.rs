//! The jobs in the writer's queue, each with the caller that waits for it.

use std::fmt::Debug;

use futures_util::future::LocalBoxFuture;
use sea_orm::DbErr;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::db_error::{Failure, unavailable};
use super::events::EventTask;
use super::feed::wake::FeedSignal;
use super::handoff::Handoff;
use super::model::{Closing, NewSend, Opened, StoredSend};
use super::transaction::WriteTransaction;
use crate::error::Error;

/// The input of a job, its output once written, and the caller that waits for it.
#[derive(Debug)]
pub(super) struct Task<I, O> {
    pub(super) input: I,
    pub(super) output: Option<O>,
    reply: oneshot::Sender<Result<O, Error>>,
}

#[derive(Debug)]
pub(super) enum Job {
    Event(Box<EventTask>),
    Open(Box<Task<NewSend, Opened>>, Handoff),
    Close(Box<Task<Closing, StoredSend>>),
    Settle(Box<dyn SettleJob>),
    /// Write something of no meaning, to learn whether the database takes changes.
    Probe(Box<Task<ProbeStep, ()>>),
    /// Close the connection and stop.
    End(oneshot::Sender<()>),
}

/// The two transactions of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProbeStep {
    Begin,
    End,
}

/// A change that settling makes, and what its caller learns from it.
pub(super) trait Settlement: Debug + Send + 'static {
    type Output: Debug + Send;

    /// The contact whose conversation it changes, to lock that with all others of the batch, in order.
    fn contact(&self) -> Option<&str> {
        None
    }

    /// Whether it shares locks of rows, so that a transaction which then changes one of them could wait for
    /// another that waits for it. PostgreSQL runs it in a transaction of its own.
    fn shares_locks(&self) -> bool {
        false
    }

    async fn write(&self, db: &WriteTransaction) -> Result<Self::Output, DbErr>;
}

/// A [`Settlement`] of any type with the caller that waits for it.
pub(super) trait SettleJob: Debug + Send {
    fn contact(&self) -> Option<&str>;

    fn shares_locks(&self) -> bool;

    fn write<'a>(&'a mut self, db: &'a WriteTransaction) -> LocalBoxFuture<'a, Result<(), DbErr>>;

    fn answer(self: Box<Self>);

    fn fail(self: Box<Self>, error: Error);
}

impl<S: Settlement> SettleJob for Task<S, S::Output> {
    fn contact(&self) -> Option<&str> {
        self.input.contact()
    }

    fn shares_locks(&self) -> bool {
        self.input.shares_locks()
    }

    fn write<'a>(&'a mut self, db: &'a WriteTransaction) -> LocalBoxFuture<'a, Result<(), DbErr>> {
        Box::pin(async {
            self.output = Some(self.input.write(db).await?);
            Ok(())
        })
    }

    fn answer(self: Box<Self>) {
        Task::answer(*self);
    }

    fn fail(self: Box<Self>, error: Error) {
        let _ = self.reply.send(Err(error));
    }
}

impl<I, O> Task<I, O> {
    pub(super) fn new(input: I) -> (Box<Self>, oneshot::Receiver<Result<O, Error>>) {
        let (reply, answer) = oneshot::channel();
        (Box::new(Self { input, output: None, reply }), answer)
    }

    /// Sends the output to the caller. Only after the commit.
    pub(super) fn answer(self) {
        let _ = self.reply.send(self.output.ok_or_else(Error::internal));
    }
}

impl Job {
    /// Whether its caller has left, so that it need not be written.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Event(task) => task.reply.is_closed(),
            Self::Probe(task) => task.reply.is_closed(),
            // A send whose caller has left is never requested, so its row is not needed. What became
            // of a request is recorded whether or not its caller still waits.
            Self::Open(task, _) => task.reply.is_closed(),
            Self::Close(_) | Self::Settle(_) | Self::End(_) => false,
        }
    }

    /// Whether it needs a transaction of its own on PostgreSQL.
    pub(super) fn shares_locks(&self) -> bool {
        matches!(self, Self::Settle(job) if job.shares_locks())
    }

    /// Whether to write it. From here on its caller can no longer give it up.
    pub(super) fn is_wanted(&mut self) -> bool {
        match self {
            _ if self.is_abandoned() => false,
            Self::Open(_, handoff) => handoff.take(),
            _ => true,
        }
    }

    pub(super) fn answer(self) {
        match self {
            Self::Event(task) => task.answer(),
            Self::Open(task, _) => task.answer(),
            Self::Close(task) => task.answer(),
            Self::Settle(job) => job.answer(),
            Self::Probe(task) => task.answer(),
            Self::End(_) => {}
        }
    }

    pub(super) fn fail(self, error: impl Fn() -> Error) {
        match self {
            Self::Event(task) => drop(task.reply.send(Err(error()))),
            Self::Open(task, _) => drop(task.reply.send(Err(error()))),
            Self::Close(task) => drop(task.reply.send(Err(error()))),
            Self::Settle(job) => job.fail(error()),
            Self::Probe(task) => drop(task.reply.send(Err(error()))),
            Self::End(_) => {}
        }
    }

    /// Fails with `database_unavailable`. The caller of a send is told more: that its row may exist, if
    /// the commit is in doubt, or that it can try again, if another transaction held a lock.
    pub(super) fn fail_unavailable(self, failure: Failure, in_doubt: bool) {
        match self {
            Self::Open(task, _) if in_doubt => {
                let error = in_doubt_about(task.input.message.id);
                let _ = task.reply.send(Err(error));
            }
            Self::Open(task, _) if failure == Failure::LockTimeout => {
                let _ = task.reply.send(Ok(Opened::Locked));
            }
            job => job.fail(unavailable),
        }
    }
}

/// Where the callers of written jobs are answered: on the runtime that they wait on, so that the writer
/// goes on with the next batch.
#[derive(Clone, Debug)]
pub(super) struct Answers {
    runtime: Handle,
    feed: FeedSignal,
}

impl Answers {
    /// On the present runtime.
    pub(super) fn here(feed: FeedSignal) -> Self {
        Self { runtime: Handle::current(), feed }
    }

    /// Answers the callers of a batch, and wakes those who wait for the feed if it grew. Only after the
    /// commit.
    pub(super) fn answer(&self, batch: Vec<Job>, feed_grew: bool) {
        if feed_grew {
            self.feed.grew();
        }
        self.runtime.spawn(async move { batch.into_iter().for_each(Job::answer) });
    }
}

/// The error for a send that may or may not be stored: the answer to its commit was lost.
pub(super) fn in_doubt_about(id: Uuid) -> Error {
    unavailable().with(|extra| extra.message_id = Some(id))
}
