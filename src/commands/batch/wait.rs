//! `--wait`: the final statuses of the messages in a result file, round by round.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::outcome::RowOutcome;
use super::report::Report;
use super::results::ResultFile;
use crate::backend::Backend;
use crate::domain::{Status, verdict};
use crate::error::{Code, Error};

/// How many messages are read at the same time.
const READERS: usize = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Waits until every message has a final status, until the time is over, or until it is stopped. The file
/// is brought up to date after every round; then its rows are printed.
///
/// # Errors
/// The result file cannot be read or written.
pub(super) async fn wait(
    file: ResultFile,
    report: &mut Report<'_>,
    backend: &Backend,
    timeout: Duration,
    stop: &CancellationToken,
) -> Result<ResultFile, Error> {
    let deadline = Instant::now() + timeout;
    let (mut file, mut pause) = (file, FIRST_PAUSE);
    loop {
        let (newer, open) = look(&file, backend).await?;
        file = newer;
        if open == 0 || stop.is_cancelled() || Instant::now() >= deadline {
            break;
        }
        let next = deadline.min(Instant::now() + pause);
        stop.run_until_cancelled(tokio::time::sleep_until(next)).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
    report.prints = true;
    for row in file.rows()? {
        let mut outcome = readable(row)?;
        if status(&outcome).is_some_and(is_awaited) {
            outcome.code = Some(Code::NotFinal);
            outcome.error = Some("its status was not final in time".to_owned());
        } else if outcome.error.is_some() && status(&outcome).is_some_and(Status::is_failure) {
            outcome.code = Some(Code::TelnyxRefused);
        }
        report.weigh(&outcome);
        report.print(&outcome);
    }
    Ok(file)
}

/// Writes a version of the file with the statuses of now. Returns how many are not final.
async fn look(file: &ResultFile, backend: &Backend) -> Result<(ResultFile, u64), Error> {
    let mut draft = file.next_version()?;
    let mut open = 0;
    let rows = stream::iter(file.rows()?);
    let mut rows =
        rows.map(|row| async { refreshed(readable(row)?, backend).await }).buffered(READERS);
    while let Some(outcome) = rows.next().await {
        let outcome = outcome?;
        open += u64::from(status(&outcome).is_some_and(is_awaited));
        draft.add(&outcome)?;
    }
    drop(rows);
    let file = draft.publish()?.ok_or_else(Error::internal)?;
    Ok((file, open))
}

/// A row with the status of now. What cannot be read now stays as it is.
async fn refreshed(mut outcome: RowOutcome, backend: &Backend) -> Result<RowOutcome, Error> {
    let Some(id) = outcome.id.filter(|_| status(&outcome).is_some_and(is_awaited)) else {
        return Ok(outcome);
    };
    if let Ok(message) = backend.message(id).await {
        outcome.status = message.status.as_str().to_owned();
        outcome.error = verdict(&message).err().map(|error| error.to_string());
    }
    Ok(outcome)
}

fn is_awaited(status: Status) -> bool {
    !status.is_final()
}

fn status(outcome: &RowOutcome) -> Option<Status> {
    Status::parse(&outcome.status)
}

pub(super) fn readable(row: Result<RowOutcome, csv::Error>) -> Result<RowOutcome, Error> {
    row.map_err(|error| {
        Error::new(Code::Internal, format!("the result file cannot be read: {error}"))
            .hint("it was changed meanwhile; the messages themselves are stored")
    })
}
