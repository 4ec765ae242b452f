//! What a database's error means for the one who waits.

use sea_orm::{DbErr, RuntimeErr};

use crate::error::{Code, Error};
use crate::metrics;
use crate::throttle::Throttle;

/// SQLite's code for a file that it has not written.
const NOT_A_DATABASE: &str = "26";

/// What to do about a failed transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Another writer holds the lock, or both waited for each other: do it again.
    Contention,
    /// One of the rows cannot be stored; the others might.
    Data,
    /// The database is away, full or read-only.
    Unavailable,
}

/// Sorts an error. Only what is surely the fault of a row counts as such.
pub(super) fn classify(error: &DbErr) -> Failure {
    let Some(code) = code(error) else {
        return match error {
            DbErr::Query(_) | DbErr::Exec(_) | DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => {
                Failure::Unavailable
            }
            // Another server stored a row after this transaction had looked for it.
            DbErr::RecordNotInserted => Failure::Contention,
            _ => Failure::Data,
        };
    };
    match code.parse::<u32>().ok().filter(|_| code.len() < 5).map(|extended| extended & 0xff) {
        // SQLite: BUSY, LOCKED; TOOBIG, CONSTRAINT, MISMATCH, RANGE.
        Some(5 | 6) => Failure::Contention,
        Some(18 | 19 | 20 | 25) => Failure::Data,
        Some(_) => Failure::Unavailable,
        // PostgreSQL: serialization failure, deadlock; data, integrity, program limit.
        None if matches!(code.as_str(), "40001" | "40P01") => Failure::Contention,
        None if ["22", "23", "54"].iter().any(|class| code.starts_with(class)) => Failure::Data,
        None => Failure::Unavailable,
    }
}

/// Whether the file is something else than a database.
pub(super) fn is_no_database(error: &DbErr) -> bool {
    code(error).as_deref() == Some(NOT_A_DATABASE)
}

fn code(error: &DbErr) -> Option<String> {
    let (DbErr::Query(cause) | DbErr::Exec(cause) | DbErr::Conn(cause)) = error else {
        return None;
    };
    let RuntimeErr::SqlxError(cause) = cause else { return None };
    Some(cause.as_database_error()?.code()?.into_owned())
}

/// Logs a database's words, which are nobody else's business, and tells what they mean.
/// While it is away every request fails, so it is said once in a while.
pub(super) fn tell(error: &DbErr) -> Error {
    static LINES: Throttle = Throttle::new();
    count(classify(error));
    let error = error.to_string();
    LINES.pass(&error, |left_out| tracing::error!(error, left_out, "the database failed"));
    unavailable()
}

/// Counts a failure that is told to somebody.
pub(super) fn count(failure: Failure) {
    metrics::database_error(match failure {
        Failure::Contention => "contention",
        Failure::Data => "data",
        Failure::Unavailable => "unavailable",
    });
}

/// The error of one who asked while the database cannot answer.
pub(super) fn unavailable() -> Error {
    Error::new(Code::DatabaseUnavailable, "the database is not available at the moment")
        .hint("try again shortly")
}
