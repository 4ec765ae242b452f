//! Opening an SQLite file.

use std::path::Path;
use std::time::{Duration, Instant};

use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr};

use super::{Pool, Role, STATEMENTS, set_pool_options};
use crate::store::db_error::{Failure, classify};
use crate::store::location::FileMode;

/// How long a reader waits while SQLite holds its exclusive lock, which is rare (recovery, first
/// opening).
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// The interval between attempts to open the file meanwhile: SQLite's busy timeout does not cover
/// opening.
const OPEN_POLL: Duration = Duration::from_millis(5);

/// SQLite's page cache per connection; negative means KiB. The writer touches every index.
const READER_CACHE: &str = "-4000";
const WRITER_CACHE: &str = "-32000";
/// Pages in the WAL before a commit has to checkpoint: 128 MiB. Usually a
/// [`Checkpointer`](crate::store::checkpoint::Checkpointer) comes first. A large WAL saves work, since
/// a page that was written many times is copied once.
const CHECKPOINT_PAGES: &str = "32000";
/// Rows that SQLite's thread reads ahead of the one that takes them: a page, so that the two seldom wait
/// for each other.
const ROW_BUFFER: usize = 512;
/// The same for a copy, which writes one page while it reads the next.
const WORK_ROW_BUFFER: usize = 2_000;

pub(super) async fn connect(path: &Path, mode: FileMode, role: Role) -> Result<Pool, DbErr> {
    let since = Instant::now();
    loop {
        let mut options = options(path, mode, role);
        set_pool_options(&mut options, role);
        if let Role::Readers(count) = role {
            // None is opened later: by then the path could lead to another file.
            options.min_connections(count);
        }
        match open(options, role).await {
            Err(error)
                if classify(&error) == Failure::Contention && since.elapsed() < BUSY_TIMEOUT =>
            {
                tokio::time::sleep(OPEN_POLL).await;
            }
            opened => return Ok(Pool { db: opened?, role, prologue: None, file: None }),
        }
    }
}

/// Opens the file once. SQLite opens the write-ahead log when it first reads, which fails while another process
/// recovers it; a writer must not meet that later.
async fn open(options: ConnectOptions, role: Role) -> Result<DatabaseConnection, DbErr> {
    let db = Database::connect(options).await?;
    if role == Role::Writer
        && let Err(error) = db.execute_unprepared("SELECT count(*) FROM sqlite_master").await
    {
        let _ = db.close().await;
        return Err(error);
    }
    Ok(db)
}

fn options(path: &Path, mode: FileMode, role: Role) -> ConnectOptions {
    let path = path.to_owned();
    let (busy_timeout, cache) = match role {
        Role::Reader | Role::Readers(_) | Role::Work => (BUSY_TIMEOUT, READER_CACHE),
        Role::Writer => (Duration::ZERO, WRITER_CACHE),
    };
    let row_buffer = if role == Role::Work { WORK_ROW_BUFFER } else { ROW_BUFFER };
    let mut options = ConnectOptions::new("sqlite:file");
    options.test_before_acquire(false).map_sqlx_sqlite_opts(move |sqlite| {
        let sqlite = sqlite
            .filename(&path)
            .create_if_missing(false)
            .statement_cache_capacity(STATEMENTS)
            .read_only(mode == FileMode::Read)
            .row_buffer_size(row_buffer)
            .busy_timeout(busy_timeout)
            // Keeps statement journals and transient indices in memory.
            .pragma("temp_store", "memory")
            .pragma("cache_size", cache)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            // FULL syncs the WAL on every commit, before it is acknowledged.
            .synchronous(SqliteSynchronous::Full);
        // Only the writer changes the file's journal mode. By then the file was checked: it could
        // have been another program's.
        match role {
            Role::Writer => sqlite.journal_mode(SqliteJournalMode::Wal),
            _ => sqlite,
        }
    });
    options
}
