//! One batch of the writer: a transaction that is retried, or split up, depending on how it failed.

use std::time::{Duration, Instant};

use sea_orm::DbErr;

use super::db_error::{
    Failure, classify, count, is_corrupt, is_duplicate, log_failure, unavailable,
};
use super::duplicate_check::{DuplicateCheck, Duplicates};
use super::events::{self, EventTask};
use super::job::{Answers, Job, ProbeStep};
use super::last_commit::{Ending, LastCommit};
use super::model::Change;
use super::reader::timed_out;
use super::transaction::{Aborted, WriteTransaction};
use super::write_session::WriteSession;
use super::{messages, meta, sends};
use crate::clock;
use crate::domain::{EventOutcome, Status};
use crate::error::Error;
use crate::metrics::{self, Repeat};

/// How long to wait for another process that holds SQLite's only write lock.
const LOCK_WAIT: Duration = Duration::from_secs(30);
/// The interval between attempts to get that lock: short at first, so as not to miss a moment when
/// it is free, then longer, since many processes polling every millisecond slow down its holder.
const FIRST_LOCK_POLL: Duration = Duration::from_millis(1);
const LONGEST_LOCK_POLL: Duration = Duration::from_millis(8);
/// The time added to a transaction's timeout for each job that is not an event: some six round
/// trips to a distant server.
const TIME_PER_JOB: Duration = Duration::from_millis(100);
/// How often a transaction is retried after a deadlock between two servers.
const RETRIES: u32 = 10;

/// Writes a batch in one transaction, but for what needs one of its own. Returns whether the connection can be
/// used again.
pub(super) async fn write(
    session: &WriteSession,
    batch: Vec<Job>,
    duplicate_check: &mut DuplicateCheck,
    last_commit: &LastCommit,
    answers: &Answers,
) -> bool {
    let is_alone = |job: &Job| !session.pool().is_sqlite() && job.shares_locks();
    let (alone, together): (Vec<_>, Vec<_>) = batch.into_iter().partition(is_alone);
    let parts = std::iter::once(together).chain(alone.into_iter().map(|job| vec![job]));
    let mut reusable = true;
    for part in parts {
        if reusable {
            reusable = write_together(session, part, duplicate_check, last_commit, answers).await;
        } else {
            part.into_iter().for_each(|job| job.fail(unavailable));
        }
    }
    reusable
}

/// Writes jobs in one transaction. If one row cannot be stored, writes the jobs one by one, so that only its job
/// fails. Returns whether the connection can be used again.
async fn write_together(
    session: &WriteSession,
    mut batch: Vec<Job>,
    duplicate_check: &mut DuplicateCheck,
    last_commit: &LastCommit,
    answers: &Answers,
) -> bool {
    let since = Instant::now();
    let mut retries = 0;
    while !batch.is_empty() {
        let duplicates = duplicate_check.next(batch.len());
        let result = with_timeout(session, &mut batch, duplicates, retries > 0).await;
        let Aborted { error, in_doubt, reusable } = match result {
            Ok(feed_grew) => {
                if !batch.is_empty() {
                    last_commit.record(Ending::Committed);
                }
                duplicate_check.record(batch.iter().any(was_duplicate));
                batch.iter().for_each(count_statuses);
                answers.answer(batch, feed_grew);
                break;
            }
            Err(aborted) => aborted,
        };
        match classify(&error) {
            Failure::Contention
                if reusable && duplicates != Duplicates::AreKnown && is_duplicate(&error) =>
            {
                duplicate_check.record(true);
            }
            Failure::Contention if reusable && retries < RETRIES && since.elapsed() < LOCK_WAIT => {
                // SQLite's only lock may be held by another process.
                let is_lock = session.pool().is_sqlite();
                metrics::repeat(if is_lock { Repeat::Lock } else { Repeat::Contention });
                retries += 1;
            }
            Failure::Data if reusable && batch.len() > 1 => {
                metrics::repeat(Repeat::Data);
                let mut rest = batch.drain(..);
                for job in rest.by_ref() {
                    if !Box::pin(write_together(
                        session,
                        vec![job],
                        duplicate_check,
                        last_commit,
                        answers,
                    ))
                    .await
                    {
                        rest.for_each(|job| job.fail(unavailable));
                        return false;
                    }
                }
            }
            failure => {
                give_up(batch, failure, &error, in_doubt, last_commit);
                return reusable;
            }
        }
    }
    true
}

/// Fails the jobs of a batch that cannot be written.
fn give_up(
    batch: Vec<Job>,
    failure: Failure,
    error: &DbErr,
    in_doubt: bool,
    last_commit: &LastCommit,
) {
    if failure == Failure::Data {
        count(Failure::Data);
        tracing::error!(%error, "a row could not be stored");
        return batch.into_iter().for_each(|job| job.fail(Error::internal));
    }
    log_failure(error);
    if failure != Failure::Held {
        let ending = if is_corrupt(error) { Ending::Corrupt } else { Ending::Failed };
        last_commit.record(ending);
    }
    batch.into_iter().for_each(|job| job.fail_unavailable(failure, in_doubt));
}

/// Runs the transaction with a timeout: the server's host may be gone without having closed the
/// connection. Returns whether the feed has grown.
async fn with_timeout(
    session: &WriteSession,
    batch: &mut Vec<Job>,
    duplicates: Duplicates,
    is_retry: bool,
) -> Result<bool, Aborted> {
    let timeout = timeout(session, batch);
    let written = transaction(session, batch, duplicates, is_retry);
    let Some(timeout) = timeout else { return written.await };
    let result = tokio::time::timeout(timeout, written).await;
    result.unwrap_or_else(|_| Err(Aborted { error: timed_out(), in_doubt: true, reusable: false }))
}

/// Events are written together, every other job in several statements of its own.
fn timeout(session: &WriteSession, batch: &[Job]) -> Option<Duration> {
    let others = batch.iter().filter(|job| !matches!(job, Job::Event(_))).count();
    Some(session.pool().timeout()? + TIME_PER_JOB * u32::try_from(others).unwrap_or(u32::MAX))
}

async fn transaction(
    session: &WriteSession,
    batch: &mut Vec<Job>,
    duplicates: Duplicates,
    is_retry: bool,
) -> Result<bool, Aborted> {
    let since = Instant::now();
    let verify = |in_doubt| {
        let verified = session.pool().verify_file();
        // The connection stays: should the file come back, all of it is there.
        verified.map_err(|error| Aborted { error, in_doubt, reusable: true })
    };
    verify(false)?;
    // On PostgreSQL a transaction begins with its first statement. On SQLite it waits for the write lock first,
    // except if the batch only adds rows: then beginning is part of the commit, unless that found the lock held.
    let begins_late = !session.pool().is_sqlite()
        || (!is_retry && duplicates != Duplicates::AreKnown && batch.iter().all(only_adds));
    let txn = match begins_late {
        true => Ok(WriteTransaction::new(session)),
        false => begin(session, batch, is_retry).await,
    };
    let txn = txn.map_err(|error| {
        let reusable = classify(&error) == Failure::Contention;
        Aborted { error, in_doubt: false, reusable }
    })?;
    // As late as possible: nothing may be stored for a caller that was told to retry.
    batch.retain_mut(Job::is_wanted);
    match write_jobs(&txn, batch, duplicates).await {
        Ok(()) => {
            let commit_since = Instant::now();
            let feed_grew = txn.commit(clock::now()).await?;
            verify(true)?;
            if !batch.is_empty() {
                metrics::batch(batch.len(), since.elapsed(), commit_since.elapsed());
            }
            Ok(feed_grew)
        }
        Err(error) => {
            let rolled_back = txn.rollback().await.is_ok();
            Err(Aborted::before_commit(error, rolled_back))
        }
    }
}

fn only_adds(job: &Job) -> bool {
    matches!(job, Job::Event(task) if events::only_adds(&task.input.event))
}

fn was_duplicate(job: &Job) -> bool {
    matches!(job, Job::Event(task) if task.output == Some(EventOutcome::Duplicate))
}

/// Counts the statuses in a committed report.
fn count_statuses(job: &Job) {
    let Job::Event(task) = job else { return };
    let (Some(EventOutcome::Updated), Change::Report(report)) =
        (task.output, &task.input.event.change)
    else {
        return;
    };
    for recipient in &report.recipients {
        metrics::status_report(Status::from_report(&recipient.word));
    }
}

async fn write_jobs(
    txn: &WriteTransaction,
    batch: &mut [Job],
    duplicates: Duplicates,
) -> Result<(), DbErr> {
    lock_in_order(txn, batch).await?;
    let mut events: Vec<&mut EventTask> = Vec::new();
    for job in batch.iter_mut() {
        match job {
            Job::Event(task) => events.push(task),
            Job::Open(task, _) => task.output = Some(sends::open(txn, &task.input).await?),
            Job::Close(task) => task.output = Some(sends::close(txn, &task.input).await?),
            Job::Settle(job) => job.write(txn).await?,
            Job::Probe(task) => {
                match task.input {
                    ProbeStep::Begin => meta::begin_probe(txn).await?,
                    ProbeStep::End => meta::end_probe(txn).await?,
                }
                task.output = Some(());
            }
            Job::End(_) => {}
        }
    }
    events::write(txn, &mut events, duplicates).await
}

/// Sorts the jobs and locks their conversations, in the same order on every server: jobs lock rows
/// one after the other and would otherwise deadlock. The statements for events keep that order by
/// themselves.
async fn lock_in_order(txn: &WriteTransaction, batch: &mut [Job]) -> Result<(), DbErr> {
    if batch.len() < 2 || batch.iter().all(|job| matches!(job, Job::Event(_))) {
        return Ok(());
    }
    batch.sort_by(|a, b| match (a, b) {
        (Job::Open(a, _), Job::Open(b, _)) => {
            a.input.message.contact().as_str().cmp(b.input.message.contact().as_str())
        }
        (Job::Close(a), Job::Close(b)) => a.input.id.cmp(&b.input.id),
        _ => rank(a).cmp(&rank(b)),
    });
    messages::lock_conversations(txn, batch.iter().filter_map(contact)).await
}

fn rank(job: &Job) -> u8 {
    match job {
        Job::Open(..) => 0,
        Job::Close(_) => 1,
        Job::Settle(_) => 2,
        Job::Event(_) | Job::Probe(_) | Job::End(_) => 3,
    }
}

/// The contact whose conversation a job adds to, or changes.
fn contact(job: &Job) -> Option<&str> {
    let message = match job {
        Job::Open(task, _) => &task.input.message,
        Job::Event(task) => match &task.input.event.change {
            Change::Message(message, _) => message,
            Change::Report(report) => report.foreign.as_ref()?,
            Change::Nothing => return None,
        },
        Job::Settle(job) => return job.contact(),
        _ => return None,
    };
    Some(message.contact().as_str())
}

/// Begins a write transaction. While another process holds SQLite's write lock, polls for it:
/// SQLite's own busy handler ends up sleeping too long. Ends without the lock when every caller has left.
async fn begin(
    session: &WriteSession,
    batch: &mut Vec<Job>,
    is_retry: bool,
) -> Result<WriteTransaction, DbErr> {
    let since = Instant::now();
    let mut pause = FIRST_LOCK_POLL;
    loop {
        match WriteTransaction::begin(session).await {
            Err(error)
                if classify(&error) == Failure::Contention && since.elapsed() < LOCK_WAIT =>
            {
                if pause == FIRST_LOCK_POLL && !is_retry {
                    metrics::repeat(Repeat::Lock);
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_LOCK_POLL);
                batch.retain(|job| !job.is_abandoned());
                if batch.is_empty() {
                    return Ok(WriteTransaction::new(session));
                }
            }
            result => return result,
        }
    }
}
