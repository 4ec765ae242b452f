//! Opening the database as each role needs it.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, Statement};

use super::copy::marks;
use super::link::{Link, Role};
use super::location::FileMode;
use super::reader::Reader;
use super::refusal::cannot_open;
use super::schema::State;
use super::writer::Writer;
use super::{Location, schema};
use crate::error::{Code, Error};

/// Connections a server reads with.
pub(super) const READERS: u32 = 4;

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
    pub(super) reader: Reader,
    writer: Option<Writer>,
    pub(super) mode: Mode,
}

impl Store {
    /// Opens the database.
    ///
    /// # Errors
    /// `database_not_ready` when it is missing, out of date or of the other mode;
    /// `database_unavailable` when it cannot be reached.
    pub async fn open(location: &Location, mode: Mode, purpose: Purpose) -> Result<Self, Error> {
        prepare_file(location, mode, purpose)?;
        let role = match purpose {
            Purpose::Serve => Role::Readers(READERS),
            _ => Role::Reader,
        };
        let reader = Reader::connect(location, role).await;
        let reader = reader.map_err(|error| cannot_open(location, &error))?;
        if let Err(error) = make_ready(location, mode, purpose, &reader).await {
            let _ = reader.close().await;
            return Err(error);
        }
        let writer = match purpose {
            Purpose::Read => None,
            _ => {
                let location = location.clone();
                let own = async move || {
                    let link = Link::connect(&location, Role::Writer).await;
                    link.map_err(|error| cannot_open(&location, &error))
                };
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
        prepare_file(location, mode, Purpose::Serve)?;
        let refuse = |error| cannot_open(location, &error);
        let link = Link::connect(location, Role::Work).await.map_err(refuse)?;
        let ran = schema::migrate(&link, mode).await.map_err(refuse)?;
        let txn = link.begin().await.map_err(refuse)?;
        let checked = schema::check(&txn, mode).await;
        txn.rollback().await.map_err(refuse)?;
        link.db.close().await.map_err(refuse)?;
        marks::refuse_held(&checked?.meta)?;
        if location.path().is_some() {
            // Whoever writes leaves the file in WAL mode: it shall be so from the beginning.
            let writer = Link::connect(location, Role::Writer).await.map_err(refuse)?;
            writer.db.close().await.map_err(refuse)?;
        }
        Ok(ran)
    }

    /// Writes what was submitted and closes every connection. SQLite then folds its WAL into the
    /// file, unless another process still has it open: the file alone is the whole database.
    pub async fn close(&self) {
        if let Some(writer) = &self.writer {
            writer.end().await;
        }
        if let Err(error) = self.reader.close().await {
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

    /// Why the database takes no changes; `None` when it does.
    pub async fn objection(&self) -> Option<&'static str> {
        match (self.is_read_only().await, State::read(&self.reader).await) {
            (Ok(false), Ok(state)) if marks::is_held(&state.meta) => Some("it is held for a copy"),
            (Ok(false), Ok(_)) => None,
            (Ok(true), _) => Some("it may only be read"),
            _ => Some("it cannot be read"),
        }
    }

    /// Whether PostgreSQL is a standby, or refuses changes by a setting.
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

/// Makes the file if it may be made, readable by its owner alone; SQLite gives its side files the
/// same rights.
pub(super) fn prepare_file(location: &Location, mode: Mode, purpose: Purpose) -> Result<(), Error> {
    let Location::Sqlite { path, mode: may } = location else { return Ok(()) };
    if *may == FileMode::Read && purpose != Purpose::Read {
        let what = "DATABASE_URL says mode=ro, so nothing can be written";
        return Err(Error::new(Code::DatabaseNotReady, what).hint("leave out ?mode=ro"));
    }
    if path.metadata().is_ok_and(|file| file.len() > 0) {
        return Ok(());
    }
    if matches!(purpose, Purpose::Read | Purpose::Change) || *may != FileMode::Create {
        let what = format!("there is no database at {}", path.display());
        return Err(Error::new(Code::DatabaseNotReady, what).hint(match mode {
            Mode::Real => "start `convo serve` or send a message first, or set DATABASE_URL",
            Mode::Sandbox => "start `convo serve --sandbox` first",
        }));
    }
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    file.map(drop).map_err(|error| cannot_make(path, &error))
}

/// Makes or renews the schema where that is this program's part, and checks it.
async fn make_ready(
    location: &Location,
    mode: Mode,
    purpose: Purpose,
    reader: &Reader,
) -> Result<(), Error> {
    let refuse = |error| cannot_open(location, &error);
    if is_to_be_made(location, purpose, reader).await.map_err(refuse)? {
        let link = Link::connect(location, Role::Work).await.map_err(refuse)?;
        let made = schema::migrate(&link, mode).await;
        link.db.close().await.map_err(refuse)?;
        made.map_err(refuse)?;
    }
    let state = schema::check(reader, mode).await?;
    if purpose == Purpose::Read { Ok(()) } else { marks::refuse_held(&state.meta) }
}

/// Whether the schema is to be made or renewed: a server sees to that, and a command that writes
/// makes a file of its own. Of two commands that find no database, one makes the file and both
/// bring it up.
async fn is_to_be_made(
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

fn cannot_make(path: &Path, error: &std::io::Error) -> Error {
    Error::new(
        Code::DatabaseNotReady,
        format!("cannot make a database at {}: {error}", path.display()),
    )
    .hint("check the directory and its rights, or set DATABASE_URL")
}
