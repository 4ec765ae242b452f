//! Opening the database.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, Statement};

use super::database_file::{DatabaseFile, wal_path};
use super::db_error::OrTell;
use super::feed::wake::{FeedGrowth, FeedSignal};
use super::file_access::{check_owner, check_private};
use super::leftover_wal::is_own_log;
use super::location::FileMode;
use super::open_error::{FREE_SPACE, cannot_open};
use super::pool::{Pool, Role};
use super::reader::Reader;
use super::schema::SchemaState;
use super::write_session::WriteSession;
use super::writer::Writer;
use super::{Location, Mode, entity, hold, meta, schema};
use crate::error::{Code, Error};

/// The number of a server's connections for reads.
pub(super) const READERS: u32 = 4;

/// How long a read that is still running may delay closing the writer.
const READERS_CLOSE_TIME: Duration = Duration::from_secs(1);

/// What the database is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A server: creates a missing file and migrates an old schema.
    Serve,
    /// A command that writes: creates a missing file, refuses an old schema.
    Write,
    /// A command that changes existing data: refuses a missing file and an old schema.
    Change,
    /// A command that reads: refuses the same, and changes nothing.
    Read,
}

/// An open database. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) reader: Reader,
    writer: Option<Writer>,
    file: Option<Arc<DatabaseFile>>,
    pub(super) mode: Mode,
    created: Option<PathBuf>,
    feed: FeedSignal,
}

impl Store {
    /// Opens the database.
    ///
    /// # Errors
    /// `database_not_ready` if it is missing, out of date, read-only or of the other mode;
    /// `database_unavailable` if it cannot be reached.
    pub async fn open(location: &Location, mode: Mode, purpose: Purpose) -> Result<Self, Error> {
        let created = prepare_file(location, mode, purpose)?;
        let role = match purpose {
            Purpose::Serve => Role::Readers(READERS),
            _ => Role::Reader,
        };
        let refuse = |error| cannot_open(location, &error);
        let reader = Reader::connect(location, role).await.map_err(refuse)?;
        let prepared = async {
            check_private(location, &reader).await?;
            make_ready(location, mode, purpose, &reader).await
        };
        if let Err(error) = prepared.await {
            let _ = reader.close().await;
            return Err(error);
        }
        let file = open_file(location)?;
        let feed = FeedSignal::new();
        let writer = match purpose {
            Purpose::Read => None,
            _ => {
                let (location, file) = (location.clone(), file.clone());
                let connect = async move || connect_writer(&location, file.as_ref()).await;
                Some(Writer::start(connect, feed.clone()).await?)
            }
        };
        if writer.is_some() && location.path().is_none() {
            feed.announce(&reader);
        }
        Ok(Self { reader, writer, file, mode, created, feed })
    }

    /// Migrates the schema, creating a missing file. Returns how many migrations ran.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) async fn migrate(location: &Location, mode: Mode) -> Result<usize, Error> {
        prepare_file(location, mode, Purpose::Serve)?;
        let refuse = |error| cannot_open(location, &error);
        let pool = Pool::connect(location, Role::Work).await.map_err(refuse)?;
        if let Err(error) = check_private(location, &pool.db).await {
            let _ = pool.db.close().await;
            return Err(error);
        }
        let ran = schema::migrate(&pool, mode).await.map_err(refuse)?;
        let txn = pool.begin().await.map_err(refuse)?;
        let checked = schema::check(&txn, location, mode).await;
        txn.rollback().await.map_err(refuse)?;
        pool.db.close().await.map_err(refuse)?;
        hold::refuse_held(&checked?.meta)?;
        if location.path().is_some() {
            // Connecting as a writer puts the file into WAL mode from the start.
            let writer = Pool::connect(location, Role::Writer).await.map_err(refuse)?;
            writer.db.close().await.map_err(refuse)?;
        }
        Ok(ran)
    }

    /// The file, if opening it created the database.
    pub(crate) fn created_file(&self) -> Option<&Path> {
        self.created.as_deref()
    }

    /// Writes what was submitted, and closes every connection. Unless another process has the file
    /// open, SQLite then checkpoints its WAL, and the file alone is the whole database.
    pub async fn close(&self) {
        let closed = tokio::time::timeout(READERS_CLOSE_TIME, self.reader.close()).await;
        if let Ok(Err(error)) = closed {
            tracing::warn!(%error, "the database did not close");
        }
        // Last, since the last connection checkpoints: the writer's is certain to use the log that
        // it wrote, even if that was removed meanwhile.
        if let Some(writer) = &self.writer {
            writer.end().await;
        }
    }

    /// Wakes when the feed has grown, whoever has written.
    pub(crate) fn feed_growth(&self) -> FeedGrowth {
        self.feed.subscribe(&self.reader)
    }

    /// # Errors
    /// `internal` if the database was opened to read only: a mistake in the program.
    pub(crate) fn writer(&self) -> Result<&Writer, Error> {
        self.writer.as_ref().ok_or_else(Error::internal)
    }

    /// Whether the database answers.
    pub(crate) async fn answers(&self) -> bool {
        self.reader.execute_unprepared("SELECT 1").await.is_ok()
    }

    /// Why this program cannot work on the database's present schema; `None` if it can.
    pub(crate) async fn schema_objection(&self) -> Option<&'static str> {
        match SchemaState::read(&self.reader).await {
            Ok(state) if state.check(self.mode).is_ok() => None,
            Ok(state) if state.is_understood() => {
                Some("the database is not the one opened at startup")
            }
            Ok(state) if state.is_newer => Some("the schema is from a newer version of convo"),
            Ok(_) => Some("the schema is out of date"),
            Err(_) => Some("the database cannot be read"),
        }
    }

    /// Why a commit is not expected to succeed; `None` if it is. A database opened to read only has
    /// no objection.
    pub(crate) async fn commit_objection(&self, patience: Duration) -> Option<&'static str> {
        let problem = self.file.as_ref().and_then(|file| file.problem_of_any());
        match (problem, &self.writer) {
            (None, Some(writer)) => writer.commit_objection(patience).await,
            (problem, _) => problem,
        }
    }

    /// Stores the address and the public key of the simulated Telnyx for commands that open the
    /// database directly.
    pub(crate) async fn note_sandbox(&self, base_url: &str, key: &str) -> Result<(), Error> {
        meta::set(&self.reader, meta::SANDBOX_KEY, key).await.or_tell()?;
        meta::set(&self.reader, meta::SANDBOX, base_url).await.or_tell()
    }

    /// The address of the simulated Telnyx that last served this database.
    pub(crate) async fn sandbox(&self) -> Result<Option<String>, Error> {
        self.fact(meta::SANDBOX).await
    }

    /// Its public key.
    pub(crate) async fn sandbox_key(&self) -> Result<Option<String>, Error> {
        self.fact(meta::SANDBOX_KEY).await
    }

    /// A value of the `meta` table.
    pub(super) async fn fact(&self, key: &str) -> Result<Option<String>, Error> {
        let found = entity::meta::Entity::find_by_id(key).one(&self.reader).await;
        Ok(found.or_tell()?.map(|row| row.value))
    }

    /// Why the database accepts no changes; `None` if it does.
    pub(crate) async fn write_objection(&self) -> Option<&'static str> {
        match (self.is_read_only().await, SchemaState::read(&self.reader).await) {
            (Ok(false), Ok(state)) if hold::is_held(&state.meta) => {
                Some("the database is read-only because of a copy")
            }
            (Ok(false), Ok(_)) => None,
            (Ok(true), _) => Some("the database is read-only"),
            _ => Some("the database cannot be read"),
        }
    }

    /// Whether PostgreSQL is a standby, or read-only by a setting.
    async fn is_read_only(&self) -> Result<bool, DbErr> {
        let backend = self.reader.get_database_backend();
        if backend != DatabaseBackend::Postgres {
            return Ok(false);
        }
        let setting = Statement::from_string(backend, "SHOW transaction_read_only");
        let Some(row) = self.reader.query_one_raw(setting).await? else { return Ok(false) };
        row.try_get_by_index::<String>(0).map(|value| value == "on")
    }
}

/// The SQLite file that was just opened; `None` for PostgreSQL.
fn open_file(location: &Location) -> Result<Option<Arc<DatabaseFile>>, Error> {
    let Some(path) = location.path() else { return Ok(None) };
    let opened = DatabaseFile::opened(path).map_err(|error| {
        let what = format!("cannot access the database at {}: {error}", path.display());
        Error::new(Code::DatabaseUnavailable, what).hint("check whether the file was moved")
    });
    opened.map(|file| Some(Arc::new(file)))
}

/// The writer's connection. Another file at the path is not opened: SQLite would apply the
/// write-ahead log of the open one to it.
async fn connect_writer(
    location: &Location,
    file: Option<&Arc<DatabaseFile>>,
) -> Result<WriteSession, Error> {
    if let Some(problem) = file.and_then(|file| file.problem()) {
        return Err(Error::new(Code::DatabaseUnavailable, problem));
    }
    let pool = Pool::connect(location, Role::Writer).await;
    let pool = pool.map_err(|error| cannot_open(location, &error))?;
    if let Some(file) = file {
        file.note_wal();
    }
    let session = WriteSession::open(pool.with_file(file.cloned())).await;
    session.map_err(|error| cannot_open(location, &error))
}

/// Creates the file if that is allowed, readable only by its owner; SQLite gives the WAL and
/// shared-memory files the same permissions. Returns the path of a file that had no content yet.
pub(super) fn prepare_file(
    location: &Location,
    mode: Mode,
    purpose: Purpose,
) -> Result<Option<PathBuf>, Error> {
    let Location::Sqlite { path, mode: file_mode } = location else { return Ok(None) };
    if *file_mode == FileMode::Read && purpose != Purpose::Read {
        let what = "DATABASE_URL has mode=ro, so nothing can be written";
        return Err(Error::new(Code::DatabaseNotReady, what).hint("remove ?mode=ro"));
    }
    check_owner(path)?;
    if path.metadata().is_ok_and(|file| file.len() > 0) {
        return refuse_leftover_wal(path).map(|()| None);
    }
    if matches!(purpose, Purpose::Read | Purpose::Change) || *file_mode != FileMode::Create {
        let what = format!("there is no database at {}", path.display());
        return Err(Error::new(Code::DatabaseNotReady, what).hint(match mode {
            Mode::Real => "start `convo serve` or send a message first, or set DATABASE_URL",
            Mode::Sandbox => "start `convo serve --sandbox` first",
        }));
    }
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    file.map_err(|error| cannot_create(path, &error))?;
    Ok(Some(path.clone()))
}

/// Refuses a file beside the write-ahead log of another. What cannot be read here is reported when
/// SQLite opens the file.
fn refuse_leftover_wal(path: &Path) -> Result<(), Error> {
    let is_own = wal_path(path).and_then(|wal| is_own_log(path, &wal));
    if is_own.unwrap_or(true) {
        return Ok(());
    }
    let path = path.display();
    let what = format!("the write-ahead log {path}-wal does not belong to {path}");
    Err(Error::new(Code::DatabaseNotReady, what).hint(format!(
        "if {path} was restored from a backup, move {path}-wal and {path}-shm away and start again"
    )))
}

/// Creates or migrates the schema where the purpose allows it, and checks it.
async fn make_ready(
    location: &Location,
    mode: Mode,
    purpose: Purpose,
    reader: &Reader,
) -> Result<(), Error> {
    let refuse = |error| cannot_open(location, &error);
    if must_migrate(location, purpose, reader).await.map_err(refuse)? {
        let pool = Pool::connect(location, Role::Work).await.map_err(refuse)?;
        let migrated = schema::migrate(&pool, mode).await;
        pool.db.close().await.map_err(refuse)?;
        migrated.map_err(refuse)?;
    }
    let state = schema::check(reader, location, mode).await?;
    if purpose == Purpose::Read { Ok(()) } else { hold::refuse_held(&state.meta) }
}

/// Whether to create or migrate the schema: a server always does, a command that writes only in a
/// new file. Of two commands that find no file, one creates it, and either may migrate it.
async fn must_migrate(
    location: &Location,
    purpose: Purpose,
    reader: &Reader,
) -> Result<bool, DbErr> {
    match (purpose, location) {
        (Purpose::Serve, _) => Ok(true),
        (Purpose::Write, Location::Sqlite { mode: FileMode::Create, .. }) => {
            schema::is_blank(reader).await
        }
        _ => Ok(false),
    }
}

fn cannot_create(path: &Path, error: &std::io::Error) -> Error {
    // A full disk may have room again when a supervisor tries once more.
    let (code, hint) = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            (Code::DatabaseUnavailable, FREE_SPACE)
        }
        _ => {
            (Code::DatabaseNotReady, "check the directory and its permissions, or set DATABASE_URL")
        }
    };
    let what = format!("cannot create a database at {}: {error}", path.display());
    Error::new(code, what).hint(hint)
}
