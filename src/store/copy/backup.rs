//! Backups: an SQLite file with everything that a copy has, taken while the database is written to.
//!
//! All rows are read in one transaction that sees the database as it was when the backup began. Nothing in
//! the database is changed for it, and nobody waits. A backup is marked as one: it can be read like any
//! database, but is not written to.

use std::path::Path;

use sea_orm::{DatabaseTransaction, DbErr, EntityTrait};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::partial_file::PartialFile;
use super::prepare::{begin, fit_target, is_same_file, unfit};
use super::table::tables;
use super::transfer::{compare, copy_rows};
use super::{CopiedTable, Progress, in_transaction, load, open};
use crate::clock;
use crate::domain::Timestamp;
use crate::error::Error;
use crate::store::db_error::OrTell;
use crate::store::entity;
use crate::store::hold::{self, CopyKind, CopyRecord};
use crate::store::location::FileMode;
use crate::store::meta::{self, BACKUP, COPY};
use crate::store::schema::SchemaState;
use crate::store::{Location, Mode, Purpose};

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct BackupRecord {
    pub(super) id: Uuid,
    /// When it began: it has everything that was committed before.
    pub(super) at: Timestamp,
}

impl BackupRecord {
    /// The record in a database; `None` if it is not a backup.
    pub(super) fn read(state: &SchemaState) -> Option<Self> {
        serde_json::from_str(state.meta.get(BACKUP)?).ok()
    }
}

/// A backup that was made.
#[derive(Debug)]
pub(crate) struct Backup {
    /// When it began.
    pub(crate) at: Timestamp,
    pub(crate) tables: Vec<CopiedTable>,
    /// The file, which has no name yet.
    pub(crate) file: PartialFile,
}

/// Refuses to replace a file that is not an earlier backup.
///
/// # Errors
/// `invalid_request`.
pub(crate) async fn check_destination(from: &Location, path: &Path) -> Result<(), Error> {
    let to = Location::Sqlite { path: path.to_owned(), mode: FileMode::Read };
    if is_same_file(from, &to) {
        return Err(Error::invalid(format!("{} is the database itself", path.display())));
    }
    if path.symlink_metadata().is_err() || path.metadata().is_ok_and(|file| is_empty_file(&file)) {
        return Ok(());
    }
    let is_backup = async {
        let file = open(&to, Purpose::Read).await.ok()?;
        let state = SchemaState::read(&file).await;
        let _ = file.close().await;
        state.ok().filter(|state| hold::is_backup(&state.meta))
    };
    if is_backup.await.is_some() {
        return Ok(());
    }
    let what = format!("{} exists and is not a backup of convo", path.display());
    Err(Error::invalid(what).hint("name another file: only an earlier backup is replaced"))
}

fn is_empty_file(file: &std::fs::Metadata) -> bool {
    file.is_file() && file.len() == 0
}

/// Backs a database up into a new file in a directory. Reports its progress to `watch`.
///
/// # Errors
/// `database_not_ready` if the database cannot be backed up as it is; `copy_mismatch` if the backup is not
/// the same; `database_unavailable` if the database fails.
pub(crate) async fn backup(
    from: &Location,
    mode: Mode,
    directory: &Path,
    watch: &mut impl FnMut(Progress),
) -> Result<Backup, Error> {
    let source = open(from, Purpose::Read).await?;
    let made = async {
        let snapshot = source.pool().or_tell()?.begin_snapshot().await.or_tell()?;
        let state = SchemaState::read(&snapshot).await.or_tell()?;
        let at = clock::now();
        state.check(mode)?;
        if state.is_newer {
            let what = "has the schema of a newer version of convo";
            return Err(unfit(from, what, "back it up with that version"));
        }
        let file = PartialFile::create(directory)?;
        let record = BackupRecord { id: Uuid::now_v7(), at };
        let tables = fill((from, &snapshot), (file.path(), state.mode()), &record, watch).await?;
        let _ = snapshot.rollback().await;
        Ok(Backup { at, tables, file })
    };
    let made = made.await;
    let _ = source.close().await;
    made
}

/// Copies everything into a new file, and compares it.
async fn fill(
    (from, snapshot): (&Location, &DatabaseTransaction),
    (path, mode): (&Path, Mode),
    record: &BackupRecord,
    watch: &mut impl FnMut(Progress),
) -> Result<Vec<CopiedTable>, Error> {
    let to = Location::Sqlite { path: path.to_owned(), mode: FileMode::Create };
    let target = open(&to, Purpose::Serve).await?;
    let filled = async {
        fit_target(&to, &target, mode).await?;
        begin(&target, &CopyRecord::new(record.id, from.to_string(), CopyKind::Backup)).await?;
        let tables = tables().or_tell()?;
        let digests = copy_rows(snapshot, &target, &tables, watch).await?;
        let copied = compare(snapshot, &target, &tables, digests, watch).await?;
        load::flush(&to, &target).await.or_tell()?;
        in_transaction(&target, async |txn| finish(txn, record).await).await.or_tell()?;
        Ok(copied)
    };
    let filled = filled.await;
    let _ = target.close().await;
    filled
}

/// Marks the target as a complete backup.
async fn finish(txn: &DatabaseTransaction, record: &BackupRecord) -> Result<(), DbErr> {
    load::end(txn).await?;
    entity::meta::Entity::delete_by_id(COPY).exec(txn).await?;
    let record = serde_json::to_string(record).map_err(|error| DbErr::Json(error.to_string()))?;
    meta::set(txn, BACKUP, &record).await
}
