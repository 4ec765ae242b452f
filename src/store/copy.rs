//! Copying a whole database into another, of the same or the other kind.
//!
//! The source is read-only during the copy and afterwards, so that nothing is written that the copy
//! lacks. Rows are copied in key order, one page a transaction; after a crash, the last key in the
//! target tells where to resume. Then come the secondary indices. At the end the target is read again and
//! compared with what was read from the source, which cannot have changed; after a crash, the source is
//! read again, too.

pub(crate) mod backup;
mod batch;
mod digest;
mod driver;
mod load;
mod page;
pub(crate) mod partial_file;
mod prepare;
pub(crate) mod restore;
pub(super) mod table;
mod transfer;

use sea_orm::{DatabaseTransaction, DbErr};
use serde::Serialize;

use super::connect::prepare_file;
use super::db_error::OrTell;
use super::file_access::check_private;
use super::hold;
use super::open_error::cannot_open;
use super::pool::Role;
use super::reader::Reader;
use super::schema::SchemaState;
use super::{Location, Mode, Purpose};
use crate::error::Error;

/// What a copy reports while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A stage begins, with this many rows to do.
    Begin(Stage, u64),
    /// This many more rows are done.
    Rows(u64),
}

/// The stages of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Copying the rows that the target lacks.
    Copy,
    /// Reading the copy again, and comparing it with its source.
    Verify,
}

/// A table that was found to be the same in both databases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CopiedTable {
    /// Its name.
    pub table: &'static str,
    /// The number of its rows.
    pub rows: u64,
    /// SHA-256 of all values of all rows, in key order.
    pub sha256: String,
}

/// The state of the copy when its source was released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Released {
    /// There was no copy.
    NotHeld,
    /// The copy to this database was unfinished.
    Unfinished(String),
    /// The copy to this database was complete: from now on the two diverge.
    Copied(String),
}

/// Copies everything from one database into an empty one, or resumes that copy. The source stays
/// read-only afterwards. Reports its progress to `watch`.
///
/// # Errors
/// `database_not_ready` if one of the databases does not qualify; `copy_mismatch` if they differ at
/// the end; `database_unavailable` if one of them fails, after which the same call resumes.
pub async fn copy(
    from: &Location,
    to: &Location,
    watch: &mut impl FnMut(Progress),
) -> Result<Vec<CopiedTable>, Error> {
    if from == to || prepare::is_same_file(from, to) {
        return Err(Error::invalid("FROM and TO are the same database"));
    }
    let source = open(from, Purpose::Change).await?;
    let copied = match prepare::prepare(from, to, &source).await {
        Ok((target, record)) => {
            let copied = transfer::transfer(&source, (to, &target), record, watch).await;
            let _ = target.close().await;
            copied
        }
        Err(error) => Err(error),
    };
    // Closing checkpoints an SQLite file, which alone is then the whole database.
    let _ = source.close().await;
    copied
}

/// Makes a database that is held for a copy writable again.
///
/// # Errors
/// `database_not_ready` if there is no such database, `database_unavailable` if it cannot be reached.
pub async fn release(location: &Location) -> Result<Released, Error> {
    let source = open(location, Purpose::Change).await?;
    let released = release_source(&source).await.or_tell();
    let _ = source.close().await;
    released
}

async fn release_source(source: &Reader) -> Result<Released, DbErr> {
    let state = SchemaState::read(source).await?;
    let Some(record) = hold::source_record(&state.meta) else { return Ok(Released::NotHeld) };
    in_transaction(source, async |txn| hold::release(txn).await).await?;
    Ok(match record.done {
        Some(_) => Released::Copied(record.other),
        None => Released::Unfinished(record.other),
    })
}

async fn open(location: &Location, purpose: Purpose) -> Result<Reader, Error> {
    prepare_file(location, Mode::Real, purpose)?;
    let opened = Reader::connect(location, Role::Work).await;
    let reader = opened.map_err(|error| cannot_open(location, &error))?;
    if let Err(error) = check_private(location, &reader).await {
        let _ = reader.close().await;
        return Err(error);
    }
    Ok(reader)
}

async fn in_transaction(
    db: &Reader,
    work: impl AsyncFnOnce(&DatabaseTransaction) -> Result<(), DbErr>,
) -> Result<(), DbErr> {
    let txn = db.pool()?.begin().await?;
    work(&txn).await?;
    txn.commit().await
}
