//! Opening the database as each role needs it.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr};

use super::failure::{Failure, classify, is_no_database};
use super::location::FileMode;
use super::writer::Writer;
use super::{Location, schema};
use crate::error::{Code, Error};

/// How long a reader waits for SQLite's rare exclusive moments (recovery, first opening).
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// How often to try again to open a file in such a moment: SQLite's own waiting does not cover
/// opening.
const BUSY_POLL: Duration = Duration::from_millis(5);
/// How long to wait for a connection of the pool, and for PostgreSQL to accept one.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections a server reads with.
pub(super) const READERS: u32 = 4;

/// SQLite's page cache per connection; negative means KiB. The writer touches every index.
const READER_CACHE: &str = "-4000";
const WRITER_CACHE: &str = "-32000";
/// Pages in the WAL before they are copied into the file: 32 MiB.
const CHECKPOINT_PAGES: &str = "8000";

/// Prepared statements kept per connection. A statement for many rows is another one for each
/// number of rows, and the writer's numbers vary.
const STATEMENTS: usize = 512;

/// How long PostgreSQL's writer waits for a row that somebody else holds: less than a webhook's
/// caller waits, so that nothing is written for one who was told to come again.
const LOCK_TIMEOUT: &str = "1200ms";

/// What a database is for. One made for the one is refused by the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Real threads.
    Real,
    /// Play.
    Sandbox,
}

impl Mode {
    /// The word in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Sandbox => "sandbox",
        }
    }
}

/// What the database is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To serve: made and brought up to date as needed.
    Serve,
    /// For one command that writes: a missing file is made, an old schema refused.
    Write,
    /// For one command that changes what is there: nothing is made, an old schema refused.
    Change,
    /// For one command that reads: nothing is made or changed.
    Read,
}

/// An open database. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) reader: DatabaseConnection,
    writer: Option<Writer>,
    mode: Mode,
}

impl Store {
    /// Opens the database.
    ///
    /// # Errors
    /// `database_not_ready` when it is missing, out of date or of the other mode;
    /// `database_unavailable` when it cannot be reached.
    pub async fn open(location: &Location, mode: Mode, purpose: Purpose) -> Result<Self, Error> {
        prepare_file(location, purpose)?;
        let readers = if purpose == Purpose::Serve { READERS } else { 1 };
        let reader = connect(location, Role::Readers(readers)).await?;
        if let Err(error) = make_ready(location, mode, purpose, &reader).await {
            let _ = reader.close().await;
            return Err(error);
        }
        let writer = match purpose {
            Purpose::Read => None,
            _ => {
                let location = location.clone();
                let own = async move || connect(&location, Role::Writer).await;
                Some(Writer::start(own).await?)
            }
        };
        Ok(Self { reader, writer, mode })
    }

    /// Brings the schema up to date. Returns how many migrations ran.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn migrate(location: &Location, mode: Mode) -> Result<usize, Error> {
        prepare_file(location, Purpose::Serve)?;
        let db = connect(location, Role::Readers(1)).await?;
        let ran =
            schema::migrate(&db, mode).await.map_err(|error| cannot_open(location, &error))?;
        schema::check(&db, mode).await?;
        db.close().await.map_err(|error| cannot_open(location, &error))?;
        Ok(ran)
    }

    /// Writes what was submitted and closes every connection. SQLite then folds its WAL into the
    /// file, unless another process still has it open: the file alone is the whole database.
    pub async fn close(&self) {
        if let Some(writer) = &self.writer {
            writer.end().await;
        }
        if let Err(error) = self.reader.clone().close().await {
            tracing::warn!(%error, "the database did not close");
        }
    }

    /// The writer.
    ///
    /// # Errors
    /// `internal` when the database was opened for reading only, which no writing command does.
    pub fn writer(&self) -> Result<&Writer, Error> {
        self.writer.as_ref().ok_or_else(Error::internal)
    }

    /// Whether the database answers.
    pub async fn answers(&self) -> bool {
        self.reader.execute_unprepared("SELECT 1").await.is_ok()
    }

    /// Whether the schema is the one this program needs.
    pub async fn is_current(&self) -> bool {
        schema::check(&self.reader, self.mode).await.is_ok()
    }
}

/// Makes the file if it may be made, readable by its owner alone; SQLite gives its side files the
/// same rights.
fn prepare_file(location: &Location, purpose: Purpose) -> Result<(), Error> {
    let Location::Sqlite { path, mode } = location else { return Ok(()) };
    if *mode == FileMode::Read && purpose != Purpose::Read {
        let what = "DATABASE_URL says mode=ro, so nothing can be written";
        return Err(Error::new(Code::DatabaseNotReady, what).hint("leave out ?mode=ro"));
    }
    if path.metadata().is_ok_and(|file| file.len() > 0) {
        return Ok(());
    }
    if matches!(purpose, Purpose::Read | Purpose::Change) || *mode != FileMode::Create {
        return Err(Error::new(
            Code::DatabaseNotReady,
            format!("there is no database at {}", path.display()),
        )
        .hint("start `convo serve` or send a message first, or set DATABASE_URL"));
    }
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    file.map(drop).map_err(|error| cannot_make(path, &error))
}

/// Makes or renews the schema where that is this program's part, and checks it.
async fn make_ready(
    location: &Location,
    mode: Mode,
    purpose: Purpose,
    db: &DatabaseConnection,
) -> Result<(), Error> {
    if is_to_be_made(location, purpose, db).await? {
        schema::migrate(db, mode).await.map_err(|error| cannot_open(location, &error))?;
    }
    schema::check(db, mode).await
}

/// Whether the schema is to be made or renewed: a server sees to that, and a command that writes
/// makes a file of its own. Of two commands that find no database, one makes the file and both
/// bring it up.
async fn is_to_be_made(
    location: &Location,
    purpose: Purpose,
    db: &DatabaseConnection,
) -> Result<bool, Error> {
    match (purpose, location) {
        (Purpose::Serve, _) => Ok(true),
        (Purpose::Write, Location::Sqlite { mode: FileMode::Create, .. }) => {
            schema::is_blank(db).await.map_err(|error| cannot_open(location, &error))
        }
        _ => Ok(false),
    }
}

fn cannot_make(path: &Path, error: &std::io::Error) -> Error {
    Error::new(
        Code::DatabaseNotReady,
        format!("cannot make a database at {}: {error}", path.display()),
    )
    .hint("check the directory and its rights, or set DATABASE_URL")
}

/// What connections are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// To read, so many at once.
    Readers(u32),
    /// To write: one, whose task asks for SQLite's lock itself, in short intervals.
    Writer,
}

async fn connect(location: &Location, role: Role) -> Result<DatabaseConnection, Error> {
    let connections = match role {
        Role::Readers(count) => count,
        Role::Writer => 1,
    };
    let since = Instant::now();
    loop {
        let mut options = match location {
            Location::Sqlite { path, mode } => sqlite_options(path, *mode, role),
            Location::Postgres { url } => postgres_options(url, role),
        };
        options.max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT).sqlx_logging(false);
        match Database::connect(options).await {
            Err(error)
                if classify(&error) == Failure::Contention && since.elapsed() < BUSY_TIMEOUT =>
            {
                tokio::time::sleep(BUSY_POLL).await;
            }
            result => return result.map_err(|error| cannot_open(location, &error)),
        }
    }
}

fn sqlite_options(path: &Path, mode: FileMode, role: Role) -> ConnectOptions {
    let path = path.to_owned();
    let (busy_timeout, cache) = match role {
        Role::Readers(_) => (BUSY_TIMEOUT, READER_CACHE),
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
            // A page that is written often is copied into the file once per checkpoint.
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            // FULL: a commit is on the disk before it is acknowledged, also in WAL mode.
            .synchronous(SqliteSynchronous::Full);
        if mode == FileMode::Read { sqlite } else { sqlite.journal_mode(SqliteJournalMode::Wal) }
    });
    options
}

fn postgres_options(url: &str, role: Role) -> ConnectOptions {
    let (lock_timeout, scans) = match role {
        Role::Writer => (LOCK_TIMEOUT, "off"),
        Role::Readers(_) => ("0", "on"),
    };
    let mut options = ConnectOptions::new(url);
    options
        .set_application_name("convo")
        .test_before_acquire_if_idle_for(Duration::from_secs(10))
        // A role or database may have it off; an acknowledged message must be on the disk.
        .map_sqlx_postgres_opts(move |postgres| {
            let settings = [
                ("synchronous_commit", "on"),
                ("lock_timeout", lock_timeout),
                // The writer finds every row by a key. A plan made while a table is small would
                // read it whole, and be kept while it grows.
                ("enable_seqscan", scans),
            ];
            postgres.statement_cache_capacity(STATEMENTS).options(settings)
        });
    options
}

/// What a user is told when the database cannot be opened. It is their own database, so they are
/// told why; a password is never part of it.
fn cannot_open(location: &Location, error: &DbErr) -> Error {
    if is_no_database(error) {
        let what = format!("{location} is no database of convo");
        return Error::new(Code::DatabaseNotReady, what).hint("set DATABASE_URL to another file");
    }
    let why = match error {
        DbErr::Conn(cause) => cause.to_string(),
        other => other.to_string(),
    };
    Error::new(Code::DatabaseUnavailable, format!("cannot open the database {location}: {why}"))
        .hint("check DATABASE_URL and that the database is running")
}
