//! Restoring a backup into an empty database.
//!
//! The restored database begins a new feed: whoever followed the old one has seen another history, and
//! nothing old is to be answered or forwarded again. Each name of forwarding continues with what comes.
//! Messages that had no outcome when the backup was made are never offered to Telnyx again by themselves.

use std::path::Path;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder,
    Statement,
};
use uuid::Uuid;

use super::backup::BackupRecord;
use super::partial_file::{PartialFile, directory_of};
use super::prepare::{begin, fit_target, is_same_file, refuse_filled, unfit};
use super::table::{CopyTable, FEED, tables};
use super::transfer::{compare, copy_rows};
use super::{CopiedTable, Progress, in_transaction, load, open};
use crate::clock;
use crate::domain::{ForgottenMarks, Status, Timestamp};
use crate::error::Error;
use crate::store::db_error::OrTell;
use crate::store::entity::{feed, forward, message, meta, micros};
use crate::store::forget;
use crate::store::hold::{self, CopyKind, CopyRecord};
use crate::store::location::FileMode;
use crate::store::meta::{BACKUP, COPY, HELD};
use crate::store::open_error::cannot_open;
use crate::store::pool::{Pool, Role};
use crate::store::reader::Reader;
use crate::store::schema::{self, SchemaState};
use crate::store::{Location, Mode, Purpose};

/// What belongs to a feed that has ended: its entries, ranges of them, and the place up to which media were
/// fetched.
const LEFT_OUT: [&str; 3] = [FEED, "forward_ranges", "media_progress"];

/// A database that was restored.
#[derive(Debug)]
pub(crate) struct Restored {
    /// When the backup was made; `None` if the file does not say.
    pub(crate) backup_at: Option<Timestamp>,
    pub(crate) tables: Vec<CopiedTable>,
}

/// Restores a backup, or any SQLite file of convo, into an empty database, or resumes that, and adds marks of
/// contacts that were forgotten since: they are still to be removed. Reports its progress to `watch`.
///
/// # Errors
/// `database_not_ready` if the file is not a database of convo, or the target is not empty;
/// `copy_mismatch` if they differ at the end; `database_unavailable` if one of them fails.
pub(crate) async fn restore(
    file: &Path,
    to: &Location,
    marks: &ForgottenMarks,
    watch: &mut impl FnMut(Progress),
) -> Result<Restored, Error> {
    let from = Location::Sqlite { path: file.to_owned(), mode: FileMode::Read };
    if is_same_file(&from, to) {
        return Err(Error::invalid("FILE and the database to restore to are the same"));
    }
    let source = open(&from, Purpose::Read).await?;
    let restored = restore_from(&from, &source, (to, marks), watch).await;
    let _ = source.close().await;
    restored
}

async fn restore_from(
    from: &Location,
    source: &Reader,
    (to, marks): (&Location, &ForgottenMarks),
    watch: &mut impl FnMut(Progress),
) -> Result<Restored, Error> {
    let state = SchemaState::read(source).await.or_tell()?;
    if state.is_newer {
        let what = "has the schema of a newer version of convo";
        return Err(unfit(from, what, "restore it with that version"));
    }
    if state.pending == 0 || state.meta.is_empty() {
        state.check(state.mode())?;
        return transfer((from, source), &state, (to, marks), watch).await;
    }
    let beside = to.path().or(from.path()).map(directory_of).unwrap_or_default();
    let (file, upgraded) = upgraded(source, state.mode(), &beside).await?;
    let copied = transfer((from, &upgraded), &state, (to, marks), watch).await;
    let _ = upgraded.close().await;
    drop(file);
    copied
}

/// A copy of a file of an earlier release, with the present schema.
async fn upgraded(
    source: &Reader,
    mode: Mode,
    directory: &Path,
) -> Result<(PartialFile, Reader), Error> {
    let file = PartialFile::create(directory)?;
    let copy = Location::Sqlite { path: file.path().to_owned(), mode: FileMode::Write };
    let path = file.path().to_string_lossy().into_owned();
    let backend = source.get_database_backend();
    let copying = Statement::from_sql_and_values(backend, "VACUUM INTO ?", [path.into()]);
    source.execute_raw(copying).await.or_tell()?;
    let pool = Pool::connect(&copy, Role::Work).await;
    let pool = pool.map_err(|error| cannot_open(&copy, &error))?;
    let migrated = async {
        meta::Entity::delete_many()
            .filter(meta::Column::Key.is_in([BACKUP, HELD]))
            .exec(&pool.db)
            .await?;
        schema::migrate(&pool, mode).await
    };
    let migrated = migrated.await;
    let _ = pool.db.close().await;
    migrated.map_err(|error| cannot_open(&copy, &error))?;
    Ok((file, open(&copy, Purpose::Read).await?))
}

/// Copies all rows into the target, compares them, and begins a new feed.
async fn transfer(
    (from, source): (&Location, &Reader),
    state: &SchemaState,
    (to, marks): (&Location, &ForgottenMarks),
    watch: &mut impl FnMut(Progress),
) -> Result<Restored, Error> {
    let backup = BackupRecord::read(state);
    let id = backup.as_ref().map_or_else(Uuid::now_v7, |backup| backup.id);
    let target = open(to, Purpose::Serve).await?;
    let copied = async {
        let there = fit_target(to, &target, state.mode()).await?;
        let begun = hold::target_record(&there.meta).filter(|record| record.done.is_none());
        if begun.is_none_or(|begun| begun.id != id) {
            refuse_filled(to, &target, "convo restore").await?;
            begin(&target, &CopyRecord::new(id, from.to_string(), CopyKind::Restore)).await?;
        }
        let tables = tables().or_tell()?;
        let tables: Vec<CopyTable> =
            tables.into_iter().filter(|table| !LEFT_OUT.contains(&table.name)).collect();
        let digests = copy_rows(source, &target, &tables, watch).await?;
        let copied = compare(source, &target, &tables, digests, watch).await?;
        load::flush(to, &target).await.or_tell()?;
        let mut fits = true;
        let finishing = in_transaction(&target, async |txn| {
            fits = forget::import(txn, marks).await?.is_some() || marks.key.is_none();
            if fits { finish(txn).await } else { Ok(()) }
        });
        finishing.await.or_tell()?;
        if !fits {
            let what =
                "the marks of forgotten contacts were made with another key than the backup's";
            return Err(
                Error::invalid(what).hint("export them from the database that was backed up")
            );
        }
        Ok::<_, Error>(copied)
    };
    let copied = copied.await;
    let _ = target.close().await;
    Ok(Restored { backup_at: backup.map(|backup| backup.at), tables: copied? })
}

/// Opens the restored database.
async fn finish(txn: &DatabaseTransaction) -> Result<(), DbErr> {
    load::end(txn).await?;
    follow_new_feed(txn).await?;
    message::Entity::update_many()
        .col_expr(message::Column::RepeatsLeft, Expr::value(0_i16))
        .filter(
            message::Column::StatusRank.is_in([Status::Pending, Status::Unknown].map(Status::rank)),
        )
        .filter(
            message::Column::RepeatsLeft
                .is_not_null()
                .or(message::Column::RequestBody.is_not_null()),
        )
        .exec(txn)
        .await?;
    meta::Entity::delete_by_id(COPY).exec(txn).await.map(drop)
}

/// Every name of forwarding goes on at the beginning of the new feed.
async fn follow_new_feed(txn: &DatabaseTransaction) -> Result<(), DbErr> {
    use forward::Column as F;
    let newest = feed::Entity::find().order_by_desc(feed::Column::Position).one(txn).await?;
    let newest = newest.ok_or_else(|| DbErr::RecordNotFound("an entry of the feed".to_owned()))?;
    forward::Entity::update_many()
        .col_expr(F::Position, Expr::val(newest.position))
        .col_expr(F::Nonce, Expr::val(newest.nonce))
        .col_expr(F::Attempts, Expr::val(0))
        .col_expr(F::FailingSince, Expr::val(None::<i64>))
        .col_expr(F::NextAttemptAt, Expr::val(None::<i64>))
        .col_expr(F::RestartedAt, Expr::val(micros(clock::now())))
        .exec(txn)
        .await
        .map(drop)
}
