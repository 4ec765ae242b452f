//! One way to the database: its connections, and what holds in their sessions.
//!
//! PostgreSQL is reached directly or through a pooler such as PgBouncer, which lends another of
//! its own sessions to each transaction. A session of our own gets its settings once, when it
//! begins, and keeps prepared statements. In a borrowed one neither would last: every transaction
//! sets what it needs and forgets the statements that others left under the same names. Which of
//! both it is shows by itself, when a connection is made.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{self, Executor, Row};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection,
    DatabaseTransaction, DbErr, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};

use super::Location;
use super::failure::{Failure, classify, is_refused_setting};
use super::location::FileMode;

/// How long a reader waits for SQLite's rare exclusive moments (recovery, first opening).
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// How often to try again to open a file in such a moment: SQLite's own waiting does not cover
/// opening.
const BUSY_POLL: Duration = Duration::from_millis(5);
/// How long to wait for a connection of the pool, and for PostgreSQL to accept one. A server
/// waits less: it asks again, and may then find another machine under the same name.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
const SERVER_ACQUIRE_TIMEOUT: Duration = Duration::from_millis(1_500);

/// SQLite's page cache per connection; negative means KiB. The writer touches every index.
const READER_CACHE: &str = "-4000";
const WRITER_CACHE: &str = "-32000";
/// Pages in the WAL before a commit has to copy them into the file: 128 MiB. A page that is written
/// often is copied once. As a rule a [`lull`](super::lull) comes first.
const CHECKPOINT_PAGES: &str = "32000";

/// Prepared statements kept per connection. A statement for many rows is another one for each
/// number of rows, and the writer's numbers vary.
const STATEMENTS: usize = 512;

/// A setting of ours that PostgreSQL knows nothing about: where it is still there after the
/// beginning of a session, so are the others.
const MARK: &str = "convo.session";
/// A role or database may have it off; an acknowledged message must be on the disk.
const DURABLE: (&str, &str) = ("synchronous_commit", "on");
/// What a migration finds already made is no news.
const QUIET: (&str, &str) = ("client_min_messages", "warning");
/// How long PostgreSQL's writer waits for a row that somebody else holds: less than a webhook's
/// caller waits, so that nothing is written for one who was told to come again.
const LOCK_TIMEOUT: (&str, &str) = ("lock_timeout", "1200ms");
/// The writer finds every row by a key. A plan made while a table is small would read it whole, and
/// be kept while it grows.
const BY_KEY: (&str, &str) = ("enable_seqscan", "off");
/// When PostgreSQL gives up a page that is read. Every page is along an index: longer means that
/// somebody holds the whole table.
const READ_TIMEOUT: (&str, &str) = ("statement_timeout", "3s");
/// When PostgreSQL ends a transaction of which nothing more is heard: the machine that began it
/// is gone, and its rows must not stay locked for the others.
const SILENCE_TIMEOUT: (&str, &str) = ("idle_in_transaction_session_timeout", "10s");

/// How long a page, or a transaction, may take before the connection to PostgreSQL counts as dead:
/// the machine at its other end may be gone without a word. Longer than the timeouts above, which
/// are told.
const READ_PATIENCE: Duration = Duration::from_secs(4);
const WRITE_PATIENCE: Duration = Duration::from_secs(3);

/// What connections are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// To read for a command: one connection.
    Reader,
    /// To read for a server: so many at once.
    Readers(u32),
    /// To write: one, whose task asks for SQLite's lock itself, in short intervals.
    Writer,
    /// To bring the schema up to date, or to copy: one, for statements that take their time.
    Work,
}

impl Role {
    fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Reader | Self::Readers(_) => &[DURABLE, READ_TIMEOUT],
            Self::Writer => &[DURABLE, LOCK_TIMEOUT, SILENCE_TIMEOUT, BY_KEY],
            Self::Work => &[DURABLE, QUIET],
        }
    }

    fn patience(self) -> Option<Duration> {
        match self {
            Self::Reader | Self::Readers(_) => Some(READ_PATIENCE),
            Self::Writer => Some(WRITE_PATIENCE),
            Self::Work => None,
        }
    }
}

/// Connections to a database. Cloning is cheap.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// The connections. Where sessions are borrowed, they are used in transactions alone.
    pub(super) db: DatabaseConnection,
    role: Role,
    /// What every transaction has to say first, where sessions are borrowed.
    preface: Option<Arc<str>>,
}

impl Link {
    /// Connects.
    pub(super) async fn connect(location: &Location, role: Role) -> Result<Self, DbErr> {
        match location {
            Location::Sqlite { path, mode } => open_file(path, *mode, role).await,
            Location::Postgres { url } => connect_postgres(url, role).await,
        }
    }

    /// Begins a transaction that may write at once.
    pub(super) async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        let txn = self.db.begin_with_options(options).await?;
        if let Some(preface) = &self.preface {
            txn.execute_unprepared(preface).await?;
        }
        Ok(txn)
    }

    /// Whether each transaction may find itself in another session.
    pub(super) fn is_borrowed(&self) -> bool {
        self.preface.is_some()
    }

    /// Whether it is a file, SQLite's, which other processes may want to write to as well.
    pub(super) fn is_file(&self) -> bool {
        self.db.get_database_backend() == DatabaseBackend::Sqlite
    }

    /// How long an answer may take; `None` for as long as it takes.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.role.patience().filter(|_| !self.is_file())
    }
}

async fn open_file(path: &Path, mode: FileMode, role: Role) -> Result<Link, DbErr> {
    let since = Instant::now();
    loop {
        let mut options = sqlite_options(path, mode, role);
        set_pool(&mut options, role);
        match Database::connect(options).await {
            Err(error)
                if classify(&error) == Failure::Contention && since.elapsed() < BUSY_TIMEOUT =>
            {
                tokio::time::sleep(BUSY_POLL).await;
            }
            opened => return Ok(Link { db: opened?, role, preface: None }),
        }
    }
}

fn set_pool(options: &mut ConnectOptions, role: Role) {
    let (connections, timeout) = match role {
        Role::Readers(count) => (count, SERVER_ACQUIRE_TIMEOUT),
        Role::Writer => (1, SERVER_ACQUIRE_TIMEOUT),
        Role::Reader | Role::Work => (1, ACQUIRE_TIMEOUT),
    };
    options.max_connections(connections).acquire_timeout(timeout).sqlx_logging(false);
    // The connections are few and wanted, so none is closed for its age or for want of work. The
    // sweep that would do so can lose count, and then spins for ever (sqlx's issue 3645).
    options.idle_timeout(None::<Duration>).max_lifetime(None::<Duration>);
}

fn sqlite_options(path: &Path, mode: FileMode, role: Role) -> ConnectOptions {
    let path = path.to_owned();
    let (busy_timeout, cache) = match role {
        Role::Reader | Role::Readers(_) | Role::Work => (BUSY_TIMEOUT, READER_CACHE),
        Role::Writer => (Duration::ZERO, WRITER_CACHE),
    };
    let mut options = ConnectOptions::new("sqlite:file");
    options.test_before_acquire(false).map_sqlx_sqlite_opts(move |sqlite| {
        let sqlite = sqlite
            .filename(&path)
            .create_if_missing(false)
            .statement_cache_capacity(STATEMENTS)
            .read_only(mode == FileMode::Read)
            .busy_timeout(busy_timeout)
            .foreign_keys(true)
            // Statement journals stay in memory, as do the pages of the indices.
            .pragma("temp_store", "memory")
            .pragma("cache_size", cache)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            // FULL: a commit is on the disk before it is acknowledged, also in WAL mode.
            .synchronous(SqliteSynchronous::Full);
        // Whoever writes has looked first: it might have been another program's file.
        match role {
            Role::Writer => sqlite.journal_mode(SqliteJournalMode::Wal),
            _ => sqlite,
        }
    });
    options
}

/// Connects as to PostgreSQL itself. A pooler either refuses the settings of the session, or
/// forgets them, which the mark betrays: then it is taken for one.
async fn connect_postgres(url: &str, role: Role) -> Result<Link, DbErr> {
    let watch = Arc::new(Watch::default());
    let mut options = postgres_options(url, role);
    options
        .map_sqlx_postgres_opts(move |postgres| {
            let mark = [(MARK, "own")];
            let settings = role.settings().iter().copied().chain(mark);
            postgres.statement_cache_capacity(STATEMENTS).options(settings)
        })
        .map_sqlx_postgres_pool_opts({
            let watch = Arc::clone(&watch);
            move |pool| watched(pool, Arc::clone(&watch))
        });
    match Database::connect(options).await {
        Ok(db) if !watch.is_borrowed.load(Ordering::SeqCst) => {
            watch.is_settled.store(true, Ordering::SeqCst);
            Ok(Link { db, role, preface: None })
        }
        Ok(db) => {
            let _ = db.close().await;
            connect_pooler(url, role).await
        }
        Err(error) if is_refused_setting(&error) => connect_pooler(url, role).await,
        Err(error) => Err(error),
    }
}

/// Connects to a pooler, without anything that is meant for a whole session.
async fn connect_pooler(url: &str, role: Role) -> Result<Link, DbErr> {
    let mut options = postgres_options(url, role);
    options.map_sqlx_postgres_opts(|postgres: PgConnectOptions| {
        postgres.statement_cache_capacity(0).extra_float_digits(None)
    });
    let db = Database::connect(options).await?;
    let settings = role.settings().iter();
    let settings = settings.map(|(name, value)| format!("; SET LOCAL {name} = '{value}'"));
    let preface = "DEALLOCATE ALL".to_owned() + &settings.collect::<String>();
    Ok(Link { db, role, preface: Some(preface.into()) })
}

fn postgres_options(url: &str, role: Role) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    set_pool(&mut options, role);
    options.set_application_name("convo").test_before_acquire_if_idle_for(Duration::from_secs(10));
    options
}

/// What is known of the sessions of a pool.
#[derive(Debug, Default)]
struct Watch {
    /// One of them had lost the mark.
    is_borrowed: AtomicBool,
    /// They are taken for our own, and must all be.
    is_settled: AtomicBool,
}

/// Looks at every new session, since the way to the database may change while a program runs.
fn watched(pool: PgPoolOptions, watch: Arc<Watch>) -> PgPoolOptions {
    pool.after_connect(move |connection, _| {
        let watch = Arc::clone(&watch);
        Box::pin(async move {
            // Not prepared: a pooler may lend the next message another session.
            let mark = connection.fetch_one("SELECT current_setting('convo.session', true)");
            if mark.await?.try_get::<Option<String>, _>(0)?.as_deref() == Some("own") {
                return Ok(());
            }
            watch.is_borrowed.store(true, Ordering::SeqCst);
            if watch.is_settled.load(Ordering::SeqCst) {
                let what = "the database is behind a pooler all at once";
                return Err(sqlx::Error::Configuration(what.into()));
            }
            Ok(())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With either of them the driver sweeps its pool, and may do so for ever.
    #[test]
    fn no_pool_is_swept() {
        for role in [Role::Reader, Role::Readers(4), Role::Writer, Role::Work] {
            let mut options = ConnectOptions::new("sqlite:file");
            set_pool(&mut options, role);
            let told = (options.get_idle_timeout(), options.get_max_lifetime());
            assert_eq!(told, (Some(None), Some(None)), "{role:?}");
        }
    }
}
