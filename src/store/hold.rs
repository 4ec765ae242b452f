//! The hold on a database that is being copied or was: it is read-only. And the records of the copy
//! in both databases, with which it can resume after a crash.
//!
//! Triggers hold the source: the database itself refuses every change, from whichever program and
//! release, at no cost while there is no hold. The unfinished target is protected only by its record,
//! which convo checks when it opens a database.

use std::collections::HashMap;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::copy::table::TABLES;
use super::entity::meta;
use super::meta::{self as keys, BACKUP, COPY, HELD};
use super::sqlstate::HELD_STATE;
use crate::clock;
use crate::domain::Timestamp;
use crate::error::{Code, Error};

/// The error that the triggers raise; it appears in the log of a server that still writes.
const READ_ONLY: &str = "this database is read-only: convo copy is copying it, or has copied it";

/// What each of its two databases records about a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CopyRecord {
    /// The same in both databases.
    pub(super) id: Uuid,
    /// The other database, without a password.
    pub(super) other: String,
    /// When the copy started.
    pub(super) since: Timestamp,
    /// When it was complete and verified.
    pub(super) done: Option<Timestamp>,
    /// What made it.
    #[serde(default)]
    pub(super) kind: CopyKind,
}

impl CopyRecord {
    /// The record of a copy that begins now.
    pub(super) fn new(id: Uuid, other: String, kind: CopyKind) -> Self {
        Self { id, other, since: clock::now(), done: None, kind }
    }
}

/// What makes a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CopyKind {
    /// `convo copy`.
    #[default]
    Copy,
    /// `convo backup`.
    Backup,
    /// `convo restore`.
    Restore,
}

/// The record in the source of a copy.
pub(super) fn source_record(meta: &HashMap<String, String>) -> Option<CopyRecord> {
    read(meta, HELD)
}

/// The record in the target of a copy.
pub(super) fn target_record(meta: &HashMap<String, String>) -> Option<CopyRecord> {
    read(meta, COPY)
}

fn read(meta: &HashMap<String, String>, key: &str) -> Option<CopyRecord> {
    serde_json::from_str(meta.get(key)?).ok()
}

/// Whether the database is held, even if this program cannot read the record, or is a backup.
pub(super) fn is_held(meta: &HashMap<String, String>) -> bool {
    meta.contains_key(HELD) || is_backup(meta)
}

/// Whether the database is a backup, which is only read: what is written to it would be lost with the
/// next one, and its feed would not be a new one.
pub(super) fn is_backup(meta: &HashMap<String, String>) -> bool {
    meta.contains_key(BACKUP)
}

/// Refuses to write to a database that is held.
///
/// # Errors
/// `database_not_ready`, naming the copy.
pub(super) fn refuse_held(meta: &HashMap<String, String>) -> Result<(), Error> {
    if is_backup(meta) {
        return Err(Error::new(
            Code::DatabaseNotReady,
            "this database is a backup, which is only read",
        )
        .hint("`convo restore FILE --to URL` makes a database of it"));
    }
    let Some(record) = source_record(meta) else { return Ok(()) };
    let CopyRecord { other, since, done, .. } = record;
    let (what, hint) = match done {
        Some(at) => (
            format!("this database was copied to {other} at {at} and is read-only"),
            "set DATABASE_URL to the copy; `convo copy --release` makes this one writable again",
        ),
        None => (
            format!(
                "this database has been read-only since {since}: it is being copied to {other}"
            ),
            "wait for `convo copy`, or run it again if it was interrupted; --release cancels it",
        ),
    };
    Err(Error::new(Code::DatabaseNotReady, what).hint(hint))
}

/// Refuses to open an unfinished copy.
///
/// # Errors
/// `database_not_ready`.
pub(super) fn refuse_unfinished(meta: &HashMap<String, String>) -> Result<(), Error> {
    match target_record(meta) {
        Some(CopyRecord { done: None, other, kind, .. }) => {
            let (what, command) = match kind {
                CopyKind::Copy => ("an unfinished copy of", "convo copy"),
                CopyKind::Backup => ("an unfinished backup of", "convo backup"),
                CopyKind::Restore => ("not completely restored from", "convo restore"),
            };
            Err(Error::new(Code::DatabaseNotReady, format!("this database is {what} {other}"))
                .hint(format!("run the same `{command}` again: it continues where it stopped")))
        }
        _ => Ok(()),
    }
}

pub(super) async fn record_in_target(
    db: &impl ConnectionTrait,
    record: &CopyRecord,
) -> Result<(), DbErr> {
    keys::set(db, COPY, &to_json(record)?).await
}

pub(super) async fn record_in_source(
    db: &impl ConnectionTrait,
    record: &CopyRecord,
) -> Result<(), DbErr> {
    keys::set(db, HELD, &to_json(record)?).await
}

/// Records in the source that its copy is finished, and returns whether it was still held for that
/// copy. In one statement, so that the hold cannot be released in between.
pub(super) async fn finish_source(
    db: &impl ConnectionTrait,
    finished: &CopyRecord,
) -> Result<bool, DbErr> {
    let changed = meta::Entity::update_many()
        .col_expr(meta::Column::Value, Expr::value(to_json(finished)?))
        .filter(meta::Column::Key.eq(HELD))
        .filter(meta::Column::Value.contains(finished.id.to_string()))
        .exec(db)
        .await?;
    Ok(changed.rows_affected == 1)
}

fn to_json(record: &CopyRecord) -> Result<String, DbErr> {
    serde_json::to_string(record).map_err(|error| DbErr::Custom(error.to_string()))
}

/// Makes the database refuse every change once this transaction commits. Waits for transactions
/// that are writing.
pub(super) async fn hold(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    match db.get_database_backend() {
        DatabaseBackend::Sqlite => {
            for (table, event) in triggers() {
                db.execute_unprepared(&format!(
                    "CREATE TRIGGER IF NOT EXISTS convo_held_{table}_{event} \
                     BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, '{READ_ONLY}'); END"
                ))
                .await?;
            }
        }
        _ => {
            let tables = TABLES.join(", ");
            db.execute_unprepared(&format!(
                "LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE; \
                 CREATE OR REPLACE FUNCTION convo_held() RETURNS trigger LANGUAGE plpgsql AS $$ \
                 BEGIN RAISE EXCEPTION '{READ_ONLY}' \
                 USING ERRCODE = '{HELD_STATE}'; END $$"
            ))
            .await?;
            for table in TABLES {
                db.execute_unprepared(&format!(
                    "DROP TRIGGER IF EXISTS convo_held ON {table}; \
                     CREATE TRIGGER convo_held BEFORE INSERT OR UPDATE OR DELETE \
                     ON {table} FOR EACH STATEMENT EXECUTE FUNCTION convo_held()"
                ))
                .await?;
            }
        }
    }
    Ok(())
}

/// Makes the database accept changes again.
pub(super) async fn release(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    match db.get_database_backend() {
        DatabaseBackend::Sqlite => {
            for (table, event) in triggers() {
                let name = format!("convo_held_{table}_{event}");
                db.execute_unprepared(&format!("DROP TRIGGER IF EXISTS {name}")).await?;
            }
        }
        _ => {
            db.execute_unprepared("DROP FUNCTION IF EXISTS convo_held() CASCADE").await?;
        }
    }
    db.execute_unprepared("DELETE FROM meta WHERE key = 'held'").await.map(drop)
}

/// Each table with each kind of change.
fn triggers() -> impl Iterator<Item = (&'static str, &'static str)> {
    let events = ["INSERT", "UPDATE", "DELETE"];
    TABLES.into_iter().flat_map(move |table| events.into_iter().map(move |event| (table, event)))
}
