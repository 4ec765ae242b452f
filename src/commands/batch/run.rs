//! Sending the rows of a batch, at its pace. Sends overlap: a slow answer does not lower the rate.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::checked::{CheckedRow, RowPiece, check};
use super::hours::Hours;
use super::outcome::RowOutcome;
use super::pace::LanePacer;
use super::recipients::Recipients;
use super::report::Report;
use super::rows::{BatchLine, RowReader};
use crate::clock;
use crate::domain::{BatchId, Fingerprint, PhoneNumber, Sent};
use crate::error::{Code, Error};

/// How many sends may be under way: a server allows 64 by default, for all its clients.
const MOST_UNDER_WAY: usize = 48;
/// How often a send is tried while Telnyx asks for a slower pace.
const PACED_TRIES: u32 = 30;
/// How often a send is tried after other failures: about a minute, in which a server may come back, and an
/// attempt that nobody ended is over.
const TRIES: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// How long it is waited at most before the hours are looked at again: the clock may be set.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// Telnyx's error for a full queue.
const QUEUE_FULL: &str = "40318";

/// Sends what a check has found to be sent.
pub(super) struct Run<'a> {
    pub(super) id: &'a BatchId,
    /// Our numbers, of which rows without a sender take one.
    pub(super) numbers: Vec<PhoneNumber>,
    pub(super) recipients: Recipients<'a>,
    /// The rows that are left, by their places.
    pub(super) left: HashSet<Fingerprint>,
    pub(super) pacer: LanePacer,
    pub(super) hours: Option<Hours>,
    pub(super) is_utc: bool,
    /// How many rows may be sent.
    pub(super) limit: u64,
    pub(super) report: Report<'a>,
    /// Cancelled, it lets what was begun end, and begins nothing.
    pub(super) stop: CancellationToken,
    /// Nothing is begun before: the database, the server or Telnyx was out of reach.
    pub(super) hold_until: Instant,
    /// Why it ended before its time.
    pub(super) failure: Option<Error>,
}

/// A row on its way.
struct RowJob {
    row: BatchLine,
    sender: Option<PhoneNumber>,
    tries: u32,
    not_before: Instant,
    /// Why the last try has failed.
    error: Option<Error>,
}

struct Done {
    job: RowJob,
    result: Result<Sent, Error>,
}

/// What is to be sent next.
#[derive(Default)]
struct RowQueue {
    fresh: VecDeque<CheckedRow>,
    /// What is to be tried again.
    again: Vec<RowJob>,
    is_at_end: bool,
}

impl Run<'_> {
    /// Sends row after row until none is left, the limit is reached, or it is stopped.
    ///
    /// # Errors
    /// The result file cannot be written, or the file of the batch cannot be read.
    pub(super) async fn run(&mut self, reader: &mut RowReader<'_>) -> Result<(), Error> {
        let mut under_way = JoinSet::new();
        let mut queue = RowQueue::default();
        let sent = self.send_all(reader, &mut queue, &mut under_way).await;
        while let Some(done) = under_way.join_next().await {
            self.end(done, &mut queue)?;
        }
        for job in queue.again {
            if let Some(error) = &job.error {
                self.report.add(&RowOutcome::refused(&job.row, error))?;
            }
        }
        sent
    }

    async fn send_all(
        &mut self,
        reader: &mut RowReader<'_>,
        queue: &mut RowQueue,
        under_way: &mut JoinSet<Done>,
    ) -> Result<(), Error> {
        let stop = self.stop.clone();
        let mut next = None;
        while !stop.is_cancelled() && self.failure.is_none() {
            if next.is_none() {
                let found = stop.run_until_cancelled(self.next_job(queue, reader)).await;
                next = found.transpose()?.flatten();
            }
            let Some((_, at)) = &next else {
                let Some(done) = under_way.join_next().await else { break };
                self.end(done, queue)?;
                continue;
            };
            let closed = self.time_to_hours();
            let at = match closed {
                Duration::ZERO => (*at).max(self.hold_until),
                closed => Instant::now() + closed.min(LONGEST_SLEEP),
            };
            let has_room = under_way.len() < MOST_UNDER_WAY;
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                Some(done) = under_way.join_next() => self.end(done, queue)?,
                () = sleep_until(at), if has_room => {
                    if closed.is_zero() && let Some((job, _)) = next.take() {
                        self.begin(job, under_way);
                    }
                }
            }
        }
        queue.again.extend(next.map(|(job, _)| job));
        Ok(())
    }

    /// The next row to be sent and when; `None` if no row is ready.
    async fn next_job(
        &mut self,
        queue: &mut RowQueue,
        reader: &mut RowReader<'_>,
    ) -> Result<Option<(RowJob, Instant)>, Error> {
        loop {
            let now = Instant::now();
            if let Some(due) = queue.again.iter().position(|job| job.not_before <= now) {
                let job = queue.again.swap_remove(due);
                return Ok(Some(self.scheduled(job, now)));
            }
            if self.limit > 0
                && let Some(row) = queue.fresh.pop_front()
            {
                self.limit -= 1;
                let job = self.job(row, now);
                return Ok(Some(self.scheduled(job, now)));
            }
            if self.limit > 0 && !queue.is_at_end {
                self.read(queue, reader).await?;
                if self.failure.is_none() {
                    continue;
                }
            }
            let first = queue.again.iter().enumerate().min_by_key(|(_, job)| job.not_before);
            let Some(first) = first.map(|(place, _)| place) else { return Ok(None) };
            let job = queue.again.swap_remove(first);
            return Ok(Some(self.scheduled(job, now)));
        }
    }

    /// Reads further rows, and asks about them again: much may have happened since the check.
    async fn read(
        &mut self,
        queue: &mut RowQueue,
        reader: &mut RowReader<'_>,
    ) -> Result<(), Error> {
        let left = &mut self.left;
        let keep = |row: &BatchLine| left.remove(&row.place);
        let Some(piece) = RowPiece::read(reader, &mut self.recipients, keep).await? else {
            queue.is_at_end = true;
            return Ok(());
        };
        if piece.rows.is_empty() {
            return Ok(());
        }
        let mut tries = 0;
        let checked = loop {
            match check(&piece.rows, self.id, self.recipients.backend).await {
                Ok((checked, _)) => break checked,
                Err(error) if error.exit_code() == 5 && tries < TRIES => {
                    tokio::time::sleep(pause(tries)).await;
                    tries += 1;
                }
                Err(error) => {
                    self.failure = Some(error);
                    return Ok(());
                }
            }
        };
        for checked in checked {
            match RowOutcome::settled(&checked) {
                Some(outcome) => self.report.add(&outcome)?,
                None => queue.fresh.push_back(checked),
            }
        }
        Ok(())
    }

    /// Decides from which number a row goes out: its own, the one that the contact last wrote to, or the
    /// one whose turn it is.
    fn job(&mut self, CheckedRow { mut row, known }: CheckedRow, now: Instant) -> RowJob {
        let chosen = row.draft.from().cloned().or_else(|| known.and_then(|known| known.from));
        let sender = chosen.or_else(|| self.pacer.first_free(&self.numbers, now).cloned());
        if let Some(sender) = &sender
            && self.numbers.len() > 1
        {
            row.draft = row.draft.sent_from(sender.clone());
        }
        RowJob { row, sender, tries: 0, not_before: now, error: None }
    }

    fn scheduled(&mut self, job: RowJob, now: Instant) -> (RowJob, Instant) {
        let at = match &job.sender {
            Some(sender) => self.pacer.take(sender, now),
            None => now,
        };
        let at = at.max(job.not_before);
        (job, at)
    }

    fn begin(&self, job: RowJob, under_way: &mut JoinSet<Done>) {
        let backend = self.recipients.backend.clone();
        under_way.spawn(async move {
            let result = backend.send(&job.row.draft, None).await;
            Done { job, result }
        });
    }

    /// Records how a send ended, or decides to try it again. Under the key of its row, that sends nothing
    /// twice.
    fn end(&mut self, done: Result<Done, JoinError>, queue: &mut RowQueue) -> Result<(), Error> {
        let Done { mut job, result } = done.map_err(|_| Error::internal())?;
        let now = Instant::now();
        let error = match result {
            Ok(sent) if sent.is_open() && job.tries < TRIES && !self.stop.is_cancelled() => {
                return self.again(job, None, now, queue);
            }
            Ok(sent) => {
                if let Some(sender) = &job.sender {
                    self.pacer.speed_up(sender, now);
                }
                return self.report.add(&RowOutcome::sent(&job.row, &sent.message));
            }
            Err(error) => error,
        };
        if is_too_fast(&error) && job.tries < PACED_TRIES {
            let wait = error.extra().retry_after.map(Duration::from_secs);
            if let Some(sender) = &job.sender {
                self.pacer.slow_down(sender, wait, now);
            }
            job.tries += 1;
            job.error = Some(error);
            queue.again.push(job);
            return Ok(());
        }
        match error.exit_code() {
            5 | 9 if error.code() != Code::SendLimit && job.tries < TRIES => {
                self.again(job, Some(error), now, queue)
            }
            exit => {
                self.report.add(&RowOutcome::refused(&job.row, &error))?;
                // Every other row would end in the same way.
                if exit == 4 || (exit == 5 && error.code() != Code::SendLimit) {
                    self.failure.get_or_insert(error);
                }
                Ok(())
            }
        }
    }

    fn again(
        &mut self,
        mut job: RowJob,
        error: Option<Error>,
        now: Instant,
        queue: &mut RowQueue,
    ) -> Result<(), Error> {
        job.not_before = now + pause(job.tries);
        if error.as_ref().is_some_and(|error| error.exit_code() == 5) {
            self.hold_until = self.hold_until.max(job.not_before);
        }
        let unknown = || Error::new(Code::OutcomeUnknown, "the outcome is unknown");
        job.error = Some(error.unwrap_or_else(unknown));
        job.tries += 1;
        queue.again.push(job);
        Ok(())
    }

    fn time_to_hours(&self) -> Duration {
        let seconds = |hours: Hours| hours.seconds_to_wait(clock::now(), self.is_utc);
        Duration::from_secs(self.hours.map_or(0, seconds))
    }
}

/// Whether Telnyx asks for a slower pace.
fn is_too_fast(error: &Error) -> bool {
    error.code() == Code::RateLimited || error.extra().telnyx_code.as_deref() == Some(QUEUE_FULL)
}

fn pause(tries: u32) -> Duration {
    LONGEST_PAUSE.min(FIRST_PAUSE * 2_u32.saturating_pow(tries.min(8)))
}
