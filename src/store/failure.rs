//! What a database's error means for the one who waits.

use sea_orm::{DbErr, RuntimeErr, sqlx};

use crate::error::{Code, Error};
use crate::metrics;
use crate::throttle::Throttle;

/// SQLite's kinds of errors: a file that may not be written; one that is damaged; one that is none, or
/// may not be opened; and one that SQLite has not written.
const READ_ONLY: u32 = 8;
const CORRUPT: u32 = 11;
const CANNOT_OPEN: u32 = 14;
const NOT_A_DATABASE: u32 = 26;

/// SQLite's code for a change that a trigger forbids, and the one that PostgreSQL's trigger gives:
/// the database is held for a copy.
const HELD: u32 = 1_811;
pub(super) const HELD_STATE: &str = "CV001";

/// What to do about a failed transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Another writer holds the lock, or both waited for each other, or what was to be inserted is
    /// there: do it again.
    Contention,
    /// One of the rows cannot be stored; the others might.
    Data,
    /// The database is away, full or read-only.
    Unavailable,
    /// The database is held for a copy, and otherwise well.
    Held,
}

/// Sorts an error. Only what is surely the fault of a row counts as such.
pub(super) fn classify(error: &DbErr) -> Failure {
    let Some(code) = code(error) else {
        return match error {
            DbErr::Query(_) | DbErr::Exec(_) | DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => {
                Failure::Unavailable
            }
            _ => Failure::Data,
        };
    };
    let sqlite = sqlite(&code);
    match sqlite.map(|extended| extended & 0xff) {
        _ if sqlite == Some(HELD) || code == HELD_STATE => Failure::Held,
        _ if is_known(error) => Failure::Contention,
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

/// Whether a row with the same key was there before.
pub(super) fn is_known(error: &DbErr) -> bool {
    // SQLite: a primary key, a unique one; PostgreSQL.
    matches!(code(error).as_deref(), Some("1555" | "2067" | "23505"))
}

/// Whether the file is something else than a database.
pub(super) fn is_no_database(error: &DbErr) -> bool {
    kind(error) == Some(NOT_A_DATABASE)
}

/// Whether SQLite's file is damaged.
pub(super) fn is_damaged(error: &DbErr) -> bool {
    kind(error) == Some(CORRUPT)
}

/// Whether SQLite's file, or its directory, is not for this user to open or to write.
pub(super) fn is_forbidden(error: &DbErr) -> bool {
    matches!(kind(error), Some(READ_ONLY | CANNOT_OPEN))
}

/// SQLite's code, if it is one. PostgreSQL's have five characters.
fn sqlite(code: &str) -> Option<u32> {
    code.parse().ok().filter(|_| code.len() < 5)
}

/// Of SQLite's code the lowest byte is the kind; the rest says more.
fn kind(error: &DbErr) -> Option<u32> {
    Some(sqlite(&code(error)?)? & 0xff)
}

/// Whether PostgreSQL, or what stands in its place, takes no settings at the beginning of a
/// session: a protocol violation to PgBouncer, a feature that others do not have.
pub(super) fn is_refused_setting(error: &DbErr) -> bool {
    matches!(code(error).as_deref(), Some("08P01" | "0A000"))
}

/// Whether the connection was lost, and with it what was asked; another may be sound.
pub(super) fn is_broken(error: &DbErr) -> bool {
    match code(error) {
        // PostgreSQL was stopped, or its connection to a pooler broke.
        Some(code) => ["08", "57P"].iter().any(|class| code.starts_with(class)),
        None => matches!(cause(error), Some(sqlx::Error::Io(_))),
    }
}

/// The database's word for what is wrong.
pub(super) fn code(error: &DbErr) -> Option<String> {
    Some(cause(error)?.as_database_error()?.code()?.into_owned())
}

/// What the driver says.
pub(super) fn cause(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Query(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Conn(RuntimeErr::SqlxError(cause)) => Some(cause),
        _ => None,
    }
}

/// Logs a database's words, which are nobody else's business, and tells what they mean.
/// While it is away every request fails, so it is said once in a while.
pub(super) fn tell(error: &DbErr) -> Error {
    static LINES: Throttle = Throttle::new();
    count(classify(error));
    let words = error.to_string();
    LINES.pass(&words, |left_out| tracing::error!(error = words, left_out, "the database failed"));
    if is_damaged(error) { damaged() } else { unavailable() }
}

/// The error of one who asks a file that cannot be trusted: nothing passes by itself.
fn damaged() -> Error {
    Error::new(Code::DatabaseNotReady, "the database file is damaged")
        .hint("put a copy of it in its place")
}

/// Counts a failure that is told to somebody.
pub(super) fn count(failure: Failure) {
    metrics::database_error(match failure {
        Failure::Contention => "contention",
        Failure::Data => "data",
        Failure::Unavailable => "unavailable",
        Failure::Held => "held",
    });
}

/// The error of one who asked while the database cannot answer.
pub(super) fn unavailable() -> Error {
    Error::new(Code::DatabaseUnavailable, "the database is not available at the moment")
        .hint("try again shortly")
}
