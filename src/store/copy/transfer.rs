//! The copy itself: transfers the rows, compares both databases, and records that it is finished.

use std::collections::HashMap;

use futures_util::future::{try_join, try_join3};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use tokio::sync::mpsc;

use super::batch::TableWriter;
use super::digest::{RowsDigest, TableDigest, digest};
use super::load;
use super::table::{CopyTable, tables};
use super::{CopiedTable, Progress, Stage, in_transaction};
use crate::clock;
use crate::domain::Timestamp;
use crate::error::{Code, Error};
use crate::store::Location;
use crate::store::db_error::OrTell;
use crate::store::hold::{self, CopyRecord};
use crate::store::meta;
use crate::store::reader::Reader;
use crate::store::schema::SchemaState;

pub(super) async fn transfer(
    source: &Reader,
    (to, target): (&Location, &Reader),
    record: CopyRecord,
    watch: &mut impl FnMut(Progress),
) -> Result<Vec<CopiedTable>, Error> {
    let tables = tables().or_tell()?;
    let mut digests = HashMap::new();
    if record.done.is_none() {
        digests = copy_rows(source, target, &tables, watch).await?;
    }
    if !is_held_for(source, &record).await.or_tell()? {
        return Err(released());
    }
    let flushed = async { load::flush(to, target).await.or_tell() };
    let compared = compare(source, target, &tables, digests, watch);
    let (copied, ()) = try_join(compared, flushed).await?;
    let done = record.done.unwrap_or_else(clock::now);
    finish(source, target, &CopyRecord { done: Some(done), ..record }, done).await?;
    Ok(copied)
}

/// The pages that are ready at most before they are converted, and before they are written.
pub(super) const AHEAD: usize = 1;

/// The digests of tables in the source by their names.
pub(super) type SourceDigests = HashMap<&'static str, TableDigest>;

/// Copies the rows that the target lacks, and its indices. Returns the digests of the tables that were
/// read from their first row on.
pub(super) async fn copy_rows(
    source: &impl ConnectionTrait,
    target: &Reader,
    tables: &[CopyTable],
    watch: &mut impl FnMut(Progress),
) -> Result<SourceDigests, Error> {
    load::begin(target).await?;
    let mut missing = 0;
    for table in tables {
        let (here, there) = (table.count(source).await, table.count(target).await);
        missing += here.or_tell()?.saturating_sub(there.or_tell()?);
    }
    watch(Progress::Begin(Stage::Copy, missing));
    let digests = copy_tables(source, target, tables, watch).await.or_tell()?;
    in_transaction(target, async |txn| load::restore(txn).await).await.or_tell()?;
    Ok(digests)
}

/// Copies the rows that the target lacks, and the facts that belong to them.
async fn copy_tables(
    source: &impl ConnectionTrait,
    target: &Reader,
    tables: &[CopyTable],
    watch: &mut impl FnMut(Progress),
) -> Result<SourceDigests, DbErr> {
    let mut digests = HashMap::new();
    for table in tables {
        let digest = copy_table(source, target, table, watch).await?;
        digests.extend(digest.map(|digest| (table.name, digest)));
        in_transaction(target, async |txn| table.renumber(txn).await).await?;
    }
    let state = SchemaState::read(source).await?;
    for key in meta::CARRIED {
        if let Some(value) = state.meta.get(key) {
            in_transaction(target, async |txn| meta::set(txn, key, value).await).await?;
        }
    }
    Ok(digests)
}

/// Copies the rows of a table that the target lacks. If it lacks all of them, returns their digest.
async fn copy_table(
    source: &impl ConnectionTrait,
    target: &Reader,
    table: &CopyTable,
    watch: &mut impl FnMut(Progress),
) -> Result<Option<TableDigest>, DbErr> {
    let start = table.last_key(target).await?;
    let mut digest = start.is_none().then(|| RowsDigest::new(table));
    // At the same time, one page is read, another converted, and a third one written. Some wait in
    // between: each of the three is slower than the others now and then.
    let (read, mut pages) = mpsc::channel(AHEAD);
    let (converted, mut batches) = mpsc::channel(AHEAD);
    let convert = async {
        let mut writer = TableWriter::new(table, target);
        while let Some(page) = pages.recv().await {
            let batch = writer.batch(page, digest.as_mut()).await?;
            if converted.send(batch).await.is_err() {
                break;
            }
        }
        drop(converted);
        Ok(())
    };
    let write = async {
        while let Some(batch) = batches.recv().await {
            watch(Progress::Rows(TableWriter::send(table, batch, target).await?));
        }
        Ok(())
    };
    try_join3(table.read(source, start, read), convert, write).await?;
    Ok(digest.map(RowsDigest::finish))
}

async fn is_held_for(source: &Reader, record: &CopyRecord) -> Result<bool, DbErr> {
    let state = SchemaState::read(source).await?;
    Ok(hold::source_record(&state.meta).is_some_and(|held| held.id == record.id))
}

fn released() -> Error {
    Error::new(Code::CopyMismatch, "the source was released while it was being copied")
        .hint("the copy may lack data written since then: delete it, and copy again")
}

/// Compares the two databases, table by table. The target is read again, and so is the source where the
/// copy has not read all of it: both at once.
pub(super) async fn compare(
    source: &impl ConnectionTrait,
    target: &Reader,
    tables: &[CopyTable],
    mut known: SourceDigests,
    watch: &mut impl FnMut(Progress),
) -> Result<Vec<CopiedTable>, Error> {
    let mut total = 0;
    for table in tables {
        total += table.count(source).await.or_tell()?;
    }
    watch(Progress::Begin(Stage::Verify, total));
    let mut copied = Vec::new();
    for table in tables {
        let there = digest(target, table, |rows| watch(Progress::Rows(rows)));
        let both = match known.remove(table.name) {
            Some(here) => there.await.map(|there| (here, there)),
            None => try_join(digest(source, table, |_| {}), there).await,
        };
        let (here, there) = both.or_tell()?;
        if here != there {
            return Err(mismatch(table, &here, &there));
        }
        let TableDigest { rows, sha256 } = here;
        copied.push(CopiedTable { table: table.name, rows, sha256 });
    }
    Ok(copied)
}

fn mismatch(table: &CopyTable, here: &TableDigest, there: &TableDigest) -> Error {
    let what = if here.rows == there.rows {
        format!("the {} rows of {} differ", here.rows, table.name)
    } else {
        format!("{} has {} rows, its copy {}", table.name, here.rows, there.rows)
    };
    Error::new(Code::CopyMismatch, format!("the copy does not match the source: {what}"))
        .hint("another program wrote to the copy: delete it, and copy to an empty database again")
}

/// Records in both databases that the copy is finished, which opens the target. In the source first:
/// it must not become writable while the target can be used.
async fn finish(
    source: &Reader,
    target: &Reader,
    finished: &CopyRecord,
    done: Timestamp,
) -> Result<(), Error> {
    let mut is_held = false;
    let held = in_transaction(source, async |txn| {
        is_held = hold::finish_source(txn, finished).await?;
        Ok(())
    });
    held.await.or_tell()?;
    if !is_held {
        return Err(released());
    }
    in_transaction(target, async |txn| finish_target(txn, done).await).await.or_tell()
}

async fn finish_target(target: &DatabaseTransaction, done: Timestamp) -> Result<(), DbErr> {
    let state = SchemaState::read(target).await?;
    let record = hold::target_record(&state.meta);
    let record =
        record.ok_or_else(|| DbErr::RecordNotFound("the record of the copy".to_owned()))?;
    load::end(target).await?;
    hold::record_in_target(target, &CopyRecord { done: Some(done), ..record }).await
}
