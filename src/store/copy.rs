//! Copying a whole database into another, of the same or the other kind.
//!
//! The source takes no changes meanwhile and after, so that nothing is written that the copy does
//! not have. Rows go in the order of their keys, a page a transaction: what is there already tells
//! where to go on after a crash. At the end both are read again and compared.

mod digest;
pub(super) mod marks;
mod table;

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;

use sea_orm::{DatabaseTransaction, DbErr};
use serde::Serialize;
use uuid::Uuid;

use super::connect::prepare_file;
use super::failure::{Failure, classify, tell};
use super::link::Role;
use super::reader::Reader;
use super::refusal::cannot_open;
use super::schema::{self, State};
use super::{Location, Mode, Purpose};
use crate::clock;
use crate::error::{Code, Error};
use digest::{Digest, digest};
use marks::Mark;
use table::{Table, tables};

/// How often to ask for the tables of a source whose writers wait for each other.
const REPEATS: u32 = 10;

/// What a copy is doing, for those who watch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It copies so many rows, or compares them; what it did before is over.
    Begin(Stage, u64),
    /// It has done so many of them.
    Rows(u64),
}

/// The parts of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Rows go from one database into the other.
    Copy,
    /// Both are read and compared.
    Verify,
}

/// One table that is the same in both databases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// Its name.
    pub table: &'static str,
    /// How many rows it has.
    pub rows: u64,
    /// SHA-256 over every value of every row, in the order of the keys.
    pub sha256: String,
}

/// What became of a hold that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Released {
    /// There was none.
    NotHeld,
    /// The copy to this database was not finished.
    Unfinished(String),
    /// There is a finished copy: what is written from now on is in one of both only.
    Copied(String),
}

/// Copies everything from one database into another that is empty, or goes on with the same copy.
/// The source stays held afterwards. What happens is told to `watch`.
///
/// # Errors
/// `database_not_ready` when one of them is not fit for it; `copy_mismatch` when they differ in
/// the end; `database_unavailable` when one of them fails: the same call then goes on.
pub async fn copy(
    from: &Location,
    to: &Location,
    watch: &mut impl FnMut(Progress),
) -> Result<Vec<Copied>, Error> {
    if from == to || is_same_file(from, to) {
        return Err(Error::invalid("the two databases are the same one"));
    }
    let source = open(from, Purpose::Change).await?;
    let copied = match prepare(from, to, &source).await {
        Ok((target, mark)) => {
            let copied = transfer(&source, &target, mark, watch).await;
            let _ = target.close().await;
            copied
        }
        Err(error) => Err(error),
    };
    // The file alone is then the whole database.
    let _ = source.close().await;
    copied
}

/// Whether two names lead to one file.
fn is_same_file(one: &Location, other: &Location) -> bool {
    let file = |location: &Location| {
        let meta = location.path()?.metadata().ok()?;
        Some((meta.dev(), meta.ino()))
    };
    file(one).is_some_and(|one| file(other) == Some(one))
}

async fn open(location: &Location, purpose: Purpose) -> Result<Reader, Error> {
    prepare_file(location, Mode::Real, purpose)?;
    let opened = Reader::connect(location, Role::Work).await;
    opened.map_err(|error| cannot_open(location, &error))
}

/// Makes the target and marks both databases.
async fn prepare(from: &Location, to: &Location, source: &Reader) -> Result<(Reader, Mark), Error> {
    let state = State::read(source).await.map_err(|error| tell(&error))?;
    if state.is_newer || state.pending > 0 {
        let (what, hint) = match state.is_newer {
            true => ("was made by a newer convo", "copy it with the version that made it"),
            false => ("is not up to date", "bring it up to date with `convo migrate` first"),
        };
        return Err(unfit(from, what, hint));
    }
    marks::refuse_unfinished(&state.meta)?;
    let target = open(to, Purpose::Serve).await?;
    match agree(from, to, source, &state, &target).await {
        Ok(mark) => Ok((target, mark)),
        Err(error) => {
            let _ = target.close().await;
            Err(error)
        }
    }
}

/// Finds out whether this copy may begin or go on, and marks both databases: the target first,
/// so that no source is held for nothing.
async fn agree(
    from: &Location,
    to: &Location,
    source: &Reader,
    state: &State,
    target: &Reader,
) -> Result<Mark, Error> {
    let mode = state.mode();
    let made = async { schema::migrate(&target.link()?, mode).await };
    made.await.map_err(|error: DbErr| cannot_open(to, &error))?;
    let there = State::read(target).await.map_err(|error| tell(&error))?;
    if there.is_newer || there.pending > 0 || there.mode() != mode || marks::is_held(&there.meta) {
        let hint = "give an empty database";
        return Err(unfit(to, "is of another kind or version, or is held itself", hint));
    }
    let (held, copy) = (marks::held(&state.meta), marks::copy(&there.meta));
    if let Some(held) = held.clone().filter(|held| Some(held.id) == copy.map(|copy| copy.id)) {
        return Ok(held);
    }
    if !is_empty(target).await.map_err(|error| tell(&error))? {
        let what = "already holds something else";
        return Err(unfit(to, what, "give an empty database: nothing in it is overwritten"));
    }
    // Held for another target: two copies would both be taken for the database.
    marks::refuse_held(&state.meta)?;
    let since = clock::now();
    let mark = Mark { id: Uuid::now_v7(), other: from.to_string(), since, done: None };
    let marked = within(target, async |txn| marks::mark_copy(txn, &mark).await).await;
    marked.map_err(|error| tell(&error))?;
    let mark = Mark { other: to.to_string(), ..mark };
    hold(source, &mark).await?;
    Ok(mark)
}

fn unfit(location: &Location, what: &str, hint: &str) -> Error {
    Error::new(Code::DatabaseNotReady, format!("{location} {what}")).hint(hint)
}

async fn is_empty(db: &Reader) -> Result<bool, DbErr> {
    for table in tables()? {
        if table.last(db).await?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Holds the source, unless another copy has come first.
async fn hold(source: &Reader, mark: &Mark) -> Result<(), Error> {
    let mut repeats = 0;
    loop {
        let mut earlier = HashMap::new();
        let held = within(source, async |txn| {
            // From here on whoever else wants to hold it waits.
            marks::hold(txn).await?;
            let state = State::read(txn).await?;
            if marks::is_held(&state.meta) {
                earlier = state.meta;
                return Ok(());
            }
            marks::mark_held(txn, mark).await
        });
        match held.await {
            Err(error) if classify(&error) == Failure::Contention && repeats < REPEATS => {
                repeats += 1;
            }
            ended => {
                ended.map_err(|error| tell(&error))?;
                return marks::refuse_held(&earlier);
            }
        }
    }
}

/// Whether the source is still held for this copy.
async fn is_held_for(source: &Reader, mark: &Mark) -> Result<bool, DbErr> {
    let state = State::read(source).await?;
    Ok(marks::held(&state.meta).is_some_and(|held| held.id == mark.id))
}

fn given_up() -> Error {
    Error::new(Code::CopyMismatch, "the hold of the source was given up while it was copied")
        .hint("the copy may lack what was written since: throw it away, and copy again")
}

/// Does something in a transaction of its own.
async fn within(
    db: &Reader,
    work: impl AsyncFnOnce(&DatabaseTransaction) -> Result<(), DbErr>,
) -> Result<(), DbErr> {
    let txn = db.link()?.begin().await?;
    work(&txn).await?;
    txn.commit().await
}

async fn transfer(
    source: &Reader,
    target: &Reader,
    mark: Mark,
    watch: &mut impl FnMut(Progress),
) -> Result<Vec<Copied>, Error> {
    let tables = tables().map_err(|error| tell(&error))?;
    if mark.done.is_none() {
        fill(source, target, &tables, watch).await.map_err(|error| tell(&error))?;
    }
    if !is_held_for(source, &mark).await.map_err(|error| tell(&error))? {
        return Err(given_up());
    }
    let copied = compare(source, target, &tables, watch).await?;
    // The source first: it is never free again while the target may be used.
    let done = Some(mark.done.unwrap_or_else(clock::now));
    let mark = Mark { done, ..mark };
    let mut is_held = false;
    let held = within(source, async |txn| {
        is_held = marks::finish_held(txn, &mark).await?;
        Ok(())
    });
    held.await.map_err(|error| tell(&error))?;
    if !is_held {
        return Err(given_up());
    }
    let marked = within(target, async |txn| finish(txn, done).await).await;
    marked.map_err(|error| tell(&error))?;
    Ok(copied)
}

/// Opens the target for everybody.
async fn finish(
    target: &DatabaseTransaction,
    done: Option<crate::domain::Timestamp>,
) -> Result<(), DbErr> {
    let state = State::read(target).await?;
    match marks::copy(&state.meta) {
        Some(mark) => marks::mark_copy(target, &Mark { done, ..mark }).await,
        None => Err(DbErr::RecordNotFound("the mark of the copy".to_owned())),
    }
}

/// Copies what the target lacks.
async fn fill(
    source: &Reader,
    target: &Reader,
    tables: &[Table],
    watch: &mut impl FnMut(Progress),
) -> Result<(), DbErr> {
    let state = State::read(source).await?;
    let sandbox = state.meta.get(schema::SANDBOX);
    let mut missing = 0;
    for table in tables {
        missing += table.count(source).await?.saturating_sub(table.count(target).await?);
    }
    watch(Progress::Begin(Stage::Copy, missing));
    for table in tables {
        let mut after = table.last(target).await?;
        loop {
            let page = table.page(source, after.as_ref()).await?;
            let Some(last) = page.last() else { break };
            within(target, async |txn| table.insert(txn, &page).await).await?;
            watch(Progress::Rows(page.len() as u64));
            after = Some(table.key_of(last));
        }
    }
    match sandbox {
        Some(url) => within(target, async |txn| schema::set(txn, schema::SANDBOX, url).await).await,
        None => Ok(()),
    }
}

/// Reads both databases at once and compares them table by table.
async fn compare(
    source: &Reader,
    target: &Reader,
    tables: &[Table],
    watch: &mut impl FnMut(Progress),
) -> Result<Vec<Copied>, Error> {
    let mut total = 0;
    for table in tables {
        total += table.count(source).await.map_err(|error| tell(&error))?;
    }
    watch(Progress::Begin(Stage::Verify, total));
    let mut copied = Vec::new();
    for table in tables {
        let here = digest(source, table, |rows| watch(Progress::Rows(rows)));
        let both = futures_util::future::try_join(here, digest(target, table, |_| {})).await;
        let (here, there) = both.map_err(|error| tell(&error))?;
        if here != there {
            return Err(differ(table, &here, &there));
        }
        let Digest { rows, sha256 } = here;
        copied.push(Copied { table: table.name, rows, sha256 });
    }
    Ok(copied)
}

fn differ(table: &Table, here: &Digest, there: &Digest) -> Error {
    let what = match here.rows == there.rows {
        true => format!("the {} rows of {} are not the same", here.rows, table.name),
        false => format!("{} has {} rows, its copy {}", table.name, here.rows, there.rows),
    };
    Error::new(Code::CopyMismatch, format!("the copy is not what it should be: {what}"))
        .hint("something else wrote to it; make it anew, empty, and copy again")
}

/// Lets a database that was held for a copy take changes again.
///
/// # Errors
/// `database_not_ready` when there is none, `database_unavailable` when it cannot be reached.
pub async fn release(location: &Location) -> Result<Released, Error> {
    let source = open(location, Purpose::Change).await?;
    let released = async {
        let state = State::read(&source).await?;
        let Some(mark) = marks::held(&state.meta) else { return Ok(Released::NotHeld) };
        within(&source, async |txn| marks::release(txn).await).await?;
        Ok(match mark.done {
            Some(_) => Released::Copied(mark.other),
            None => Released::Unfinished(mark.other),
        })
    };
    let released = released.await.map_err(|error: DbErr| tell(&error));
    let _ = source.close().await;
    released
}
