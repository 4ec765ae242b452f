//! Preparing a copy: checks whether it may begin or resume, and records it in both databases.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;

use sea_orm::{DbErr, EntityTrait};
use uuid::Uuid;

use super::table::{FEED, tables};
use super::{in_transaction, open};
use crate::error::{Code, Error};
use crate::store::db_error::{Failure, OrTell, classify};
use crate::store::entity::feed;
use crate::store::hold::{self, CopyKind, CopyRecord};
use crate::store::open_error::cannot_open;
use crate::store::reader::Reader;
use crate::store::schema::{self, SchemaState};
use crate::store::{Location, Mode, Purpose};

/// How often holding the source is retried after a deadlock with its writers.
const RETRIES: u32 = 10;

/// Whether two paths lead to one file.
pub(super) fn is_same_file(one: &Location, other: &Location) -> bool {
    let file = |location: &Location| {
        let meta = location.path()?.metadata().ok()?;
        Some((meta.dev(), meta.ino()))
    };
    file(one).is_some_and(|one| file(other) == Some(one))
}

/// Opens the target, creating it if necessary, and holds the source.
pub(super) async fn prepare(
    from: &Location,
    to: &Location,
    source: &Reader,
) -> Result<(Reader, CopyRecord), Error> {
    let state = SchemaState::read(source).await.or_tell()?;
    if state.is_newer {
        let what = "has the schema of a newer version of convo";
        return Err(unfit(from, what, "copy it with that version"));
    }
    if state.pending > 0 {
        return Err(unfit(from, "has an out-of-date schema", "run `convo migrate` on it first"));
    }
    hold::refuse_unfinished(&state.meta)?;
    let target = open(to, Purpose::Serve).await?;
    match begin_or_resume(from, to, source, &state, &target).await {
        Ok(record) => Ok((target, record)),
        Err(error) => {
            let _ = target.close().await;
            Err(error)
        }
    }
}

/// Checks that the copy may begin or resume, and records it in both databases: in the target first,
/// so that no source is held for nothing.
async fn begin_or_resume(
    from: &Location,
    to: &Location,
    source: &Reader,
    state: &SchemaState,
    target: &Reader,
) -> Result<CopyRecord, Error> {
    let there = fit_target(to, target, state.mode()).await?;
    let copy_id = hold::target_record(&there.meta).map(|record| record.id);
    let held = hold::source_record(&state.meta);
    if let Some(held) = held.filter(|held| Some(held.id) == copy_id) {
        return Ok(held);
    }
    refuse_filled(to, target, "convo copy").await?;
    // Held for another target: with two copies, both would be taken for the database.
    hold::refuse_held(&state.meta)?;
    let record = CopyRecord::new(Uuid::now_v7(), from.to_string(), CopyKind::Copy);
    begin(target, &record).await?;
    let record = CopyRecord { other: to.to_string(), ..record };
    hold_source(source, &record).await?;
    Ok(record)
}

/// Creates the schema in a target, and checks whether it fits a source of this mode.
pub(super) async fn fit_target(
    to: &Location,
    target: &Reader,
    mode: Mode,
) -> Result<SchemaState, Error> {
    let migrated = async { schema::migrate(&target.pool()?, mode).await };
    migrated.await.map_err(|error: DbErr| cannot_open(to, &error))?;
    let there = SchemaState::read(target).await.or_tell()?;
    there.check_encoding()?;
    if there.is_newer || there.pending > 0 || there.mode() != mode || hold::is_held(&there.meta) {
        let what = "has a different mode or schema version, or is read-only";
        return Err(unfit(to, what, "use an empty database"));
    }
    Ok(there)
}

/// Refuses a target that contains anything.
pub(super) async fn refuse_filled(
    to: &Location,
    target: &Reader,
    command: &str,
) -> Result<(), Error> {
    if is_empty(target).await.or_tell()? {
        return Ok(());
    }
    let hint = format!("use an empty database: {command} overwrites nothing");
    Err(unfit(to, "already contains other data", &hint))
}

/// Records in an empty target what it becomes. Only a restored database has a feed of its own.
pub(super) async fn begin(target: &Reader, record: &CopyRecord) -> Result<(), Error> {
    let begun = in_transaction(target, async |txn| {
        if record.kind != CopyKind::Restore {
            // The feed of the source takes the place of the new one.
            feed::Entity::delete_many().exec(txn).await?;
        }
        hold::record_in_target(txn, record).await
    });
    begun.await.or_tell()
}

pub(super) fn unfit(location: &Location, what: &str, hint: &str) -> Error {
    Error::new(Code::DatabaseNotReady, format!("{location} {what}")).hint(hint)
}

async fn is_empty(db: &Reader) -> Result<bool, DbErr> {
    for table in tables()?.into_iter().filter(|table| table.name != FEED) {
        if table.last_key(db).await?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Holds the source, unless another copy does already.
async fn hold_source(source: &Reader, record: &CopyRecord) -> Result<(), Error> {
    let mut retries = 0;
    loop {
        let mut earlier = HashMap::new();
        let held = in_transaction(source, async |txn| {
            // From here on, another copy that wants to hold the source waits.
            hold::hold(txn).await?;
            let state = SchemaState::read(txn).await?;
            if hold::is_held(&state.meta) {
                earlier = state.meta;
                return Ok(());
            }
            hold::record_in_source(txn, record).await
        });
        match held.await {
            Err(error) if classify(&error) == Failure::Contention && retries < RETRIES => {
                retries += 1;
            }
            result => {
                result.or_tell()?;
                return hold::refuse_held(&earlier);
            }
        }
    }
}
