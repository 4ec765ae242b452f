//! Loading the target quickly, and as safely as otherwise: its secondary indices are created after the
//! rows, and SQLite does not wait for the disk with every page.
//!
//! The definitions of the indices are kept in the target's `meta` table. As long as they are there, the
//! target is not complete, and the system may have crashed before all of an SQLite file was on the disk:
//! a copy that resumes checks the file. They are removed in the transaction that ends the copy, after
//! everything else was flushed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, RuntimeErr, Statement};

use super::in_transaction;
use super::table::TABLES;
use crate::error::{Code, Error};
use crate::store::Location;
use crate::store::database_file::wal_path;
use crate::store::db_error::OrTell;
use crate::store::entity::meta;
use crate::store::hold;
use crate::store::meta::{self as keys, COPY, INDICES};
use crate::store::reader::Reader;
use crate::store::schema::SchemaState;
use crate::store::sql::lock_rows;

/// How SQLite works during the load: without waiting for the disk, with more of the file in memory, and
/// with files for sorting what goes into an index, which may be larger than the memory.
const SETTINGS: [&str; 3] =
    ["PRAGMA synchronous = off", "PRAGMA cache_size = -32000", "PRAGMA temp_store = file"];

/// Definitions of indices by their names.
type Indices = BTreeMap<String, String>;

/// Prepares the target for rows: without its secondary indices, unless the copy is complete.
///
/// # Errors
/// `copy_mismatch` if an earlier load was interrupted and the file is damaged.
pub(super) async fn begin(target: &Reader) -> Result<(), Error> {
    let state = SchemaState::read(target).await.or_tell()?;
    if state.meta.contains_key(INDICES) {
        check_file(target).await?;
    }
    in_transaction(target, async |txn| set_aside(txn).await).await.or_tell()?;
    if target.get_database_backend() == DatabaseBackend::Sqlite {
        for setting in SETTINGS {
            target.execute_unprepared(setting).await.or_tell()?;
        }
    }
    Ok(())
}

/// Records the indices, and drops them. Another process may be making the same copy, and have come to its
/// end meanwhile.
async fn set_aside(txn: &impl ConnectionTrait) -> Result<(), DbErr> {
    lock_record(txn).await?;
    let state = SchemaState::read(txn).await?;
    let is_done = hold::target_record(&state.meta).is_none_or(|record| record.done.is_some());
    if is_done || state.meta.contains_key(INDICES) {
        return Ok(());
    }
    let indices = indices(txn).await?;
    let json = serde_json::to_string(&indices).map_err(|error| DbErr::Json(error.to_string()))?;
    keys::set(txn, INDICES, &json).await?;
    for name in indices.keys() {
        txn.execute_unprepared(&format!("DROP INDEX \"{name}\"")).await?;
    }
    Ok(())
}

/// Creates the indices that are missing.
pub(super) async fn restore(txn: &impl ConnectionTrait) -> Result<(), DbErr> {
    lock_record(txn).await?;
    let Some(row) = meta::Entity::find_by_id(INDICES).one(txn).await? else { return Ok(()) };
    let all = serde_json::from_str::<Indices>(&row.value);
    let all = all.map_err(|error| DbErr::Json(error.to_string()))?;
    let existing = indices(txn).await?;
    for (_, definition) in all.iter().filter(|(name, _)| !existing.contains_key(*name)) {
        txn.execute_unprepared(definition).await?;
    }
    Ok(())
}

/// The last step: the target has everything.
pub(super) async fn end(txn: &impl ConnectionTrait) -> Result<(), DbErr> {
    restore(txn).await?;
    meta::Entity::delete_by_id(INDICES).exec(txn).await.map(drop)
}

/// Waits until an SQLite file is on the disk, and from then on with every transaction.
pub(super) async fn flush(location: &Location, target: &Reader) -> Result<(), DbErr> {
    let Some(path) = location.path() else { return Ok(()) };
    let path = path.to_owned();
    let flushed = tokio::task::spawn_blocking(move || {
        let wal = wal_path(&path)?;
        if wal.exists() {
            File::open(wal)?.sync_all()?;
        }
        File::open(path)?.sync_all()
    });
    let flushed = flushed.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    flushed.map_err(|error| DbErr::Exec(RuntimeErr::Internal(error.to_string())))?;
    target.execute_unprepared("PRAGMA synchronous = full").await.map(drop)
}

/// Locks the record of the copy, which both the first and the last step of a load change.
async fn lock_record(txn: &impl ConnectionTrait) -> Result<(), DbErr> {
    use sea_orm::sea_query::{ExprTrait, Query};
    let mut query = Query::select();
    query.column(meta::Column::Value).from(meta::Entity);
    query.and_where(sea_orm::sea_query::Expr::col(meta::Column::Key).eq(COPY));
    lock_rows(&mut query, txn);
    txn.query_one(&query).await.map(drop)
}

/// The indices of the copied tables but for those of keys.
async fn indices(db: &impl ConnectionTrait) -> Result<Indices, DbErr> {
    let backend = db.get_database_backend();
    let names = |table: &str| format!("'{table}'");
    let tables = TABLES.map(names).join(", ");
    let sql = match backend {
        DatabaseBackend::Sqlite => format!(
            "SELECT name, sql FROM sqlite_master \
             WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ({tables})"
        ),
        _ => format!(
            "SELECT c.relname::text, pg_get_indexdef(c.oid) \
             FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
             WHERE i.indrelid IN (SELECT to_regclass(t) FROM unnest(ARRAY[{tables}]) t) \
             AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = c.oid)"
        ),
    };
    let rows = db.query_all_raw(Statement::from_string(backend, sql)).await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).collect()
}

/// Refuses an SQLite file that is damaged, as it can be if the system crashed during the load.
async fn check_file(target: &Reader) -> Result<(), Error> {
    let backend = target.get_database_backend();
    if backend != DatabaseBackend::Sqlite {
        return Ok(());
    }
    let check = Statement::from_string(backend, "PRAGMA integrity_check(1)");
    let found = target.query_one_raw(check).await.or_tell()?;
    let found: Option<String> = found.map(|row| row.try_get_by_index(0)).transpose().or_tell()?;
    if found.as_deref() == Some("ok") {
        return Ok(());
    }
    let what = "the unfinished copy is damaged: the system crashed while it was being made";
    Err(Error::new(Code::CopyMismatch, what).hint("delete it, and copy to an empty database again"))
}
