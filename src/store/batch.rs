//! One batch of the writer: a transaction, repeated or taken apart as its failure demands.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use sea_orm::{DatabaseTransaction, DbErr};

use super::caution::Caution;
use super::failure::{Failure, classify, count, is_known, tell, unavailable};
use super::link::Link;
use super::reader::silent;
use super::row::{Change, NewEvent, NewMessage, NewReport};
use super::writer::{Job, Task, Written};
use super::{events, messages, reports, sends, settle};
use crate::clock;
use crate::domain::Status;
use crate::error::Error;
use crate::metrics::{self, Repeat};

/// How long to wait for another process that holds SQLite's only write lock.
const LOCK_WAIT: Duration = Duration::from_secs(30);
/// How soon to ask for that lock again: at first at once, so that a moment of freedom is not
/// missed, then less often, since a crowd that asks every millisecond leaves the one who has the
/// lock no time to finish.
const LOCK_POLL: Duration = Duration::from_millis(1);
const LONGEST_POLL: Duration = Duration::from_millis(8);
/// What one job may take that is not an event: half a dozen answers of a distant server.
const EACH: Duration = Duration::from_millis(100);
/// How often a transaction is repeated when two servers waited for each other.
const REPEATS: u32 = 10;

/// Writes a batch; if one job spoils it, writes them one by one, so that only that one fails.
/// Returns whether the connection may be used again.
pub(super) async fn write(link: &Link, mut batch: Vec<Job>, caution: &mut Caution) -> bool {
    let (since, mut repeats) = (Instant::now(), 0);
    while !batch.is_empty() {
        let looks = caution.looks(batch.len());
        let Err(Broken { error, in_doubt, sound }) = in_time(link, &mut batch, looks).await else {
            caution.learn(batch.iter().any(was_known));
            batch.iter().for_each(note);
            batch.drain(..).for_each(Job::answer);
            break;
        };
        match classify(&error) {
            Failure::Contention if sound && !looks && is_known(&error) => caution.learn(true),
            Failure::Contention if sound && repeats < REPEATS && since.elapsed() < LOCK_WAIT => {
                metrics::repeat(Repeat::Contention);
                repeats += 1;
            }
            Failure::Data if sound && batch.len() > 1 => {
                metrics::repeat(Repeat::Data);
                let mut rest = batch.drain(..);
                for job in rest.by_ref() {
                    if !Box::pin(write(link, vec![job], caution)).await {
                        rest.for_each(|job| job.fail(unavailable));
                        return false;
                    }
                }
            }
            Failure::Data => {
                count(Failure::Data);
                tracing::error!(%error, "a row could not be stored");
                batch.drain(..).for_each(|job| job.fail(Error::internal));
                return sound;
            }
            Failure::Contention | Failure::Unavailable | Failure::Held => {
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

/// A transaction, as long as it gets answers: a machine may be gone without a word.
async fn in_time(link: &Link, batch: &mut Vec<Job>, looks: bool) -> Result<(), Broken> {
    let patience = patience(link, batch);
    let written = transaction(link, batch, looks);
    let Some(patience) = patience else { return written.await };
    let ended = tokio::time::timeout(patience, written).await;
    ended.unwrap_or_else(|_| Err(Broken { error: silent(), in_doubt: true, sound: false }))
}

/// Events are written together, anything else in several statements of its own.
fn patience(link: &Link, batch: &[Job]) -> Option<Duration> {
    let alone = batch.iter().filter(|job| !matches!(job, Job::Event(_))).count();
    Some(link.patience()? + EACH * u32::try_from(alone).unwrap_or(u32::MAX))
}

async fn transaction(link: &Link, batch: &mut Vec<Job>, looks: bool) -> Result<(), Broken> {
    let since = Instant::now();
    let begun = begin(link, batch).await.map_err(|error| {
        let sound = classify(&error) == Failure::Contention;
        Broken { error, in_doubt: false, sound }
    })?;
    let Some(txn) = begun else { return Ok(()) };
    // Looked at as late as possible: whoever was told to come again must not be written for.
    batch.retain_mut(Job::is_wanted);
    match fill(&txn, batch, looks).await {
        Ok(()) => {
            let commits = Instant::now();
            let commit = txn.commit().await;
            commit.map_err(|error| Broken { error, in_doubt: true, sound: false })?;
            metrics::batch(batch.len(), since.elapsed(), commits.elapsed());
            Ok(())
        }
        Err(error) => {
            let sound = txn.rollback().await.is_ok() && classify(&error) != Failure::Unavailable;
            Err(Broken { error, in_doubt: false, sound })
        }
    }
}

fn was_known(job: &Job) -> bool {
    matches!(job, Job::Event(task) if task.output == Some(Written::Duplicate))
}

/// Counts what a committed report says.
fn note(job: &Job) {
    let Job::Event(task) = job else { return };
    let (Some(Written::Report), Change::Report(report)) = (task.output, &task.input.change) else {
        return;
    };
    for recipient in &report.recipients {
        metrics::status_report(Status::from_report(&recipient.word));
    }
}

async fn fill(txn: &DatabaseTransaction, batch: &mut [Job], looks: bool) -> Result<(), DbErr> {
    in_order(txn, batch).await?;
    let mut events: Vec<&mut Task<NewEvent, Written>> = Vec::new();
    for job in batch.iter_mut() {
        match job {
            Job::Event(task) => events.push(task),
            Job::Open(task, _) => task.output = Some(sends::open(txn, &task.input).await?),
            Job::Close(task) => task.output = Some(sends::close(txn, &task.input).await?),
            Job::Settle(task) => task.output = Some(settle::step(txn, &task.input).await?),
            Job::End(_) => {}
        }
    }
    write_events(txn, &mut events, looks).await
}

/// Several jobs lock rows one after the other: two servers must do so in the same order, or they
/// wait for each other until the database notices. Events alone are written by statements that see
/// to it themselves.
async fn in_order(txn: &DatabaseTransaction, batch: &mut [Job]) -> Result<(), DbErr> {
    if batch.len() < 2 || batch.iter().all(|job| matches!(job, Job::Event(_))) {
        return Ok(());
    }
    batch.sort_by(|a, b| match (a, b) {
        (Job::Open(a, _), Job::Open(b, _)) => {
            a.input.message.contact().as_str().cmp(b.input.message.contact().as_str())
        }
        (Job::Close(a), Job::Close(b)) => a.input.id.cmp(&b.input.id),
        _ => kind(a).cmp(&kind(b)),
    });
    messages::lock_threads(txn, batch.iter().filter_map(contact)).await
}

fn kind(job: &Job) -> u8 {
    match job {
        Job::Open(..) => 0,
        Job::Close(_) => 1,
        Job::Settle(_) => 2,
        Job::Event(_) | Job::End(_) => 3,
    }
}

/// The contact whose thread a job adds to.
fn contact(job: &Job) -> Option<&str> {
    let message = match job {
        Job::Open(task, _) => &task.input.message,
        Job::Event(task) => match &task.input.change {
            Change::Message(message, _) => message,
            Change::Report(report) => report.foreign.as_ref()?,
            Change::Nothing => return None,
        },
        _ => return None,
    };
    Some(message.contact().as_str())
}

/// Begins a transaction that may write at once. SQLite has one writer: who comes second asks
/// again in short intervals, since its own way of waiting grows too patient. `None` when everybody
/// who waited has left meanwhile.
async fn begin(link: &Link, batch: &mut Vec<Job>) -> Result<Option<DatabaseTransaction>, DbErr> {
    let since = Instant::now();
    let mut pause = LOCK_POLL;
    loop {
        match link.begin().await {
            Err(error)
                if classify(&error) == Failure::Contention && since.elapsed() < LOCK_WAIT =>
            {
                if pause == LOCK_POLL {
                    metrics::repeat(Repeat::Lock);
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_POLL);
                batch.retain(|job| !job.is_abandoned());
                if batch.is_empty() {
                    return Ok(None);
                }
            }
            result => return result.map(Some),
        }
    }
}

/// Writes all events of a batch with a fixed number of statements. Without a look for what is
/// known it fails where something is.
async fn write_events(
    txn: &DatabaseTransaction,
    tasks: &mut [&mut Task<NewEvent, Written>],
    looks: bool,
) -> Result<(), DbErr> {
    if tasks.is_empty() {
        return Ok(());
    }
    // In the order of their keys, so that two servers never wait for each other.
    tasks.sort_by(|a, b| a.input.id.cmp(&b.input.id));
    let known = match looks {
        true => events::known(txn, tasks.iter().map(|task| task.input.id.as_str())).await?,
        false => HashSet::new(),
    };
    // Of several copies in one batch the first is the one that counts.
    let mut before = None;
    let mut is_new = |id| before.replace(id) != Some(id) && !known.contains(id);
    let first: Vec<bool> = tasks.iter().map(|task| is_new(task.input.id.as_str())).collect();
    let mut incoming: Vec<&NewMessage> = Vec::new();
    let mut reported: Vec<&NewReport> = Vec::new();
    for (task, first) in tasks.iter().zip(&first) {
        match &task.input.change {
            Change::Message(message, _) if *first => incoming.push(message),
            Change::Report(report) if *first => reported.push(report),
            _ => {}
        }
    }
    let known_messages = match looks {
        true => messages::known(txn, messages::telnyx_ids(&incoming)).await?,
        false => HashSet::new(),
    };
    let incoming = messages::unknown(&incoming, &known_messages);
    let new = tasks.iter().zip(&first).filter(|(_, first)| **first).map(|(task, _)| &task.input);
    events::insert(txn, new).await?;
    messages::insert_unknown(txn, &incoming).await?;
    let stored: HashSet<_> = incoming.iter().map(|message| message.id).collect();
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
