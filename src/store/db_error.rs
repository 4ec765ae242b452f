//! Classifying the database's errors, and turning them into errors for callers.

use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr, sqlx};

use super::sqlstate;
use crate::error::{Code, Error};
use crate::metrics::{self, DatabaseErrorClass};
use crate::throttle::Throttle;

/// SQLite's primary result codes.
const SQLITE_PERM: u32 = 3;
const SQLITE_READONLY: u32 = 8;
const SQLITE_CORRUPT: u32 = 11;
const SQLITE_FULL: u32 = 13;
const SQLITE_CANTOPEN: u32 = 14;
const SQLITE_NOTADB: u32 = 26;

/// `SQLITE_CONSTRAINT_TRIGGER`: a trigger refused the change, so the database is held for a copy.
const SQLITE_HELD: u32 = 1_811;

/// Why a transaction failed, as far as it decides what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Another writer holds the lock, or there was a deadlock, or a row to be inserted exists by now:
    /// retry.
    Contention,
    /// Another transaction held a lock for longer than PostgreSQL was told to wait. A caller with more
    /// time may try again; the writer does not, because every other caller would have to wait, too.
    LockTimeout,
    /// A row cannot be stored; the others of the transaction perhaps can.
    Data,
    /// The database is down, full or read-only.
    Unavailable,
    /// The database is held for a copy.
    Held,
}

/// Classifies an error. It counts as [`Data`](Failure::Data) only if it is certain that a row is the
/// cause.
pub(super) fn classify(error: &DbErr) -> Failure {
    let Some(code) = code(error) else {
        return match error {
            DbErr::RecordNotInserted => Failure::Contention,
            DbErr::Query(_) | DbErr::Exec(_) | DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => {
                Failure::Unavailable
            }
            _ => Failure::Data,
        };
    };
    match sqlite_code(&code) {
        Some(SQLITE_HELD) => Failure::Held,
        Some(_) if is_duplicate(error) => Failure::Contention,
        Some(code) => match primary(code) {
            // BUSY, LOCKED; TOOBIG, CONSTRAINT, MISMATCH, RANGE.
            5 | 6 => Failure::Contention,
            18 | 19 | 20 | 25 => Failure::Data,
            _ => Failure::Unavailable,
        },
        None => sqlstate::classify(&code),
    }
}

/// The error when an insert left out a row because one with the same key exists.
pub(super) fn left_out() -> DbErr {
    DbErr::RecordNotInserted
}

/// Whether a row with the same key exists.
pub(super) fn is_duplicate(error: &DbErr) -> bool {
    // SQLite's for a primary key and for a unique index; PostgreSQL's.
    matches!(error, DbErr::RecordNotInserted)
        || matches!(code(error).as_deref(), Some("1555" | "2067" | sqlstate::UNIQUE_VIOLATION))
}

/// Whether the same may succeed later without anybody changing something.
pub(super) fn may_pass(error: &DbErr) -> bool {
    let Some(code) = code(error) else { return true };
    match sqlite_code(&code).map(primary) {
        Some(SQLITE_PERM | SQLITE_READONLY | SQLITE_CORRUPT | SQLITE_CANTOPEN | SQLITE_NOTADB) => {
            false
        }
        Some(_) => true,
        None => sqlstate::may_pass(&code),
    }
}

/// Whether the file is not an SQLite database.
pub(super) fn is_not_a_database(error: &DbErr) -> bool {
    primary_code(error) == Some(SQLITE_NOTADB)
}

/// Whether the SQLite file is corrupt.
pub(super) fn is_corrupt(error: &DbErr) -> bool {
    primary_code(error) == Some(SQLITE_CORRUPT)
}

/// Whether the disk of the SQLite file is full.
pub(super) fn is_full(error: &DbErr) -> bool {
    primary_code(error) == Some(SQLITE_FULL)
}

/// Whether this user may not open, or not write, the SQLite file or its directory.
pub(super) fn is_forbidden(error: &DbErr) -> bool {
    matches!(primary_code(error), Some(SQLITE_READONLY | SQLITE_CANTOPEN))
}

/// An SQLite code. PostgreSQL's have five characters.
pub(super) fn sqlite_code(code: &str) -> Option<u32> {
    code.parse().ok().filter(|_| code.len() < 5)
}

/// The primary code within SQLite's extended one.
fn primary(extended: u32) -> u32 {
    extended & 0xff
}

fn primary_code(error: &DbErr) -> Option<u32> {
    sqlite_code(&code(error)?).map(primary)
}

/// Whether the server refuses settings at the start of a session: a protocol violation to PgBouncer,
/// an unsupported feature to other poolers.
pub(super) fn is_refused_setting(error: &DbErr) -> bool {
    matches!(code(error).as_deref(), Some("08P01" | "0A000"))
}

/// Whether the connection broke; a new one may work.
pub(super) fn is_broken(error: &DbErr) -> bool {
    match code(error) {
        // Connection exceptions, and the operator interventions of a server that shuts down.
        Some(code) => ["08", "57P"].iter().any(|class| code.starts_with(class)),
        None => matches!(cause(error), Some(sqlx::Error::Io(_))),
    }
}

/// Whether no connection of a pool was free in time.
pub(super) fn is_pool_exhausted(error: &DbErr) -> bool {
    matches!(error, DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))
        || matches!(cause(error), Some(sqlx::Error::PoolTimedOut))
}

/// SQLite's result code, or PostgreSQL's SQLSTATE.
pub(super) fn code(error: &DbErr) -> Option<String> {
    Some(cause(error)?.as_database_error()?.code()?.into_owned())
}

pub(super) fn cause(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Query(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Conn(RuntimeErr::SqlxError(cause)) => Some(cause),
        _ => None,
    }
}

/// What the caller of a failed query gets.
pub(super) trait OrTell<T> {
    /// Logs the database's own error, which may hold data or addresses, and returns one that
    /// callers may see.
    fn or_tell(self) -> Result<T, Error>;
}

impl<T> OrTell<T> for Result<T, DbErr> {
    fn or_tell(self) -> Result<T, Error> {
        self.map_err(|error| {
            log_failure(&error);
            if is_corrupt(&error) {
                corrupt()
            } else if may_pass(&error) {
                unavailable()
            } else {
                unfit()
            }
        })
    }
}

/// Counts and logs a database error. While the database is down every request fails with the same
/// one, so repeats are throttled.
pub(super) fn log_failure(error: &DbErr) {
    static LINES: Throttle = Throttle::new();
    count(classify(error));
    let text = error.to_string();
    LINES.pass(&text, |suppressed| {
        tracing::error!(error = text, suppressed, "a database operation failed");
    });
}

/// A corrupt file is not a passing condition, unlike what is [`unavailable`].
fn corrupt() -> Error {
    Error::new(Code::DatabaseNotReady, "the database file is corrupt").hint(RESTORE)
}

/// Neither is one that lacks a table or a permission.
fn unfit() -> Error {
    Error::new(Code::DatabaseNotReady, "the database lacks a permission or table that convo needs")
        .hint("the log has the error; check the permissions and the schema")
}

/// What to do about a corrupt file.
pub(super) const RESTORE: &str = "restore the file from a backup";

/// Counts a failure that is not retried.
pub(super) fn count(failure: Failure) {
    metrics::database_error(match failure {
        Failure::Contention | Failure::LockTimeout => DatabaseErrorClass::Contention,
        Failure::Data => DatabaseErrorClass::Data,
        Failure::Unavailable => DatabaseErrorClass::Unavailable,
        Failure::Held => DatabaseErrorClass::Held,
    });
}

/// The error for callers while the database cannot be used.
pub(super) fn unavailable() -> Error {
    Error::new(Code::DatabaseUnavailable, "the database is currently unavailable")
        .hint("try again shortly")
}
