//! Bringing the schema up to date, and knowing whether it is.
//!
//! While servers are renewed one after the other, old ones work beside new ones on a schema that
//! is newer than they know. Migrations only add, so that is well, unless one of them says in the
//! database that programs without it do not understand what they find.

use std::collections::{HashMap, HashSet};

use migration::{Migrator, MigratorTrait};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, Statement};

use super::connect::{Mode, Store};
use super::copy::marks;
use super::entity::meta;
use super::failure::tell;
use super::link::Link;
use crate::error::{Code, Error};

/// The advisory lock that servers starting together take in turn. Any number will do, as long as
/// every release uses the same: these are the letters "convo".
const LOCK: i64 = 0x63_6f_6e_76_6f;

/// `real` or `sandbox`.
const MODE: &str = "mode";
/// The name of the last migration without which a program does not understand the database.
const NEEDS: &str = "needs";
/// Where the simulated Telnyx last answered.
pub(super) const SANDBOX: &str = "sandbox_base_url";

/// What a database tells about itself.
#[derive(Debug)]
pub(super) struct State {
    /// How many migrations of this program it lacks.
    pub(super) pending: usize,
    /// Whether it has migrations that this program does not know.
    pub(super) is_newer: bool,
    /// Whether it is a file that another program keeps its tables in.
    is_foreign: bool,
    /// Its facts.
    pub(super) meta: HashMap<String, String>,
}

impl State {
    /// Looks at a database.
    pub(super) async fn read(db: &impl ConnectionTrait) -> Result<Self, DbErr> {
        let ours: HashSet<String> =
            Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
        let applied = applied(db).await?;
        let is_foreign = applied.is_none() && !is_blank(db).await?;
        let applied = applied.unwrap_or_default();
        let pending = ours.difference(&applied).count();
        let is_newer = applied.iter().any(|name| !ours.contains(name));
        let meta = match applied.is_empty() {
            true => HashMap::new(),
            false => {
                let rows = meta::Entity::find().all(db).await?;
                rows.into_iter().map(|row| (row.key, row.value)).collect()
            }
        };
        Ok(Self { pending, is_newer, is_foreign, meta })
    }

    /// Whether this program understands it: nothing is missing, and nothing needs to be known
    /// that it does not know.
    fn is_understood(&self) -> bool {
        let is_known = |needed: &String| {
            Migrator::migrations().iter().any(|migration| migration.name() == needed)
        };
        self.pending == 0 && (!self.is_newer || self.meta.get(NEEDS).is_none_or(is_known))
    }

    /// Refuses a database that this program cannot work on, or that is of the other mode.
    fn check(&self, mode: Mode) -> Result<(), Error> {
        if self.is_foreign {
            return Err(refuse(
                "this is a database of another program, not of convo",
                "set DATABASE_URL to another file",
            ));
        }
        if !self.is_understood() {
            return Err(match self.is_newer {
                true => refuse(
                    "the database was made by a newer convo",
                    "upgrade this convo to the version that made it",
                ),
                false => refuse("the database's schema is out of date", "run `convo migrate`"),
            });
        }
        if let Some(found) = self.meta.get(MODE).filter(|found| *found != mode.as_str()) {
            return Err(refuse(
                &format!("this is a {found} database"),
                match mode {
                    Mode::Real => {
                        "it was made with --sandbox: use that flag, or another DATABASE_URL"
                    }
                    Mode::Sandbox => "it holds real threads: --sandbox will not touch it",
                },
            ));
        }
        marks::refuse_unfinished(&self.meta)
    }

    /// The mode it was made for.
    pub(super) fn mode(&self) -> Mode {
        match self.meta.get(MODE).map(String::as_str) {
            Some("sandbox") => Mode::Sandbox,
            _ => Mode::Real,
        }
    }
}

fn refuse(what: &str, hint: &str) -> Error {
    Error::new(Code::DatabaseNotReady, what).hint(hint)
}

/// The names of the migrations that a database has; `None` where none was ever noted.
async fn applied(db: &impl ConnectionTrait) -> Result<Option<HashSet<String>>, DbErr> {
    let backend = db.get_database_backend();
    let exists = match backend {
        DatabaseBackend::Sqlite => "SELECT 1 FROM sqlite_master WHERE name = 'seaql_migrations'",
        _ => "SELECT 1 WHERE to_regclass('seaql_migrations') IS NOT NULL",
    };
    if db.query_one_raw(Statement::from_string(backend, exists)).await?.is_none() {
        return Ok(None);
    }
    let names = Statement::from_string(backend, "SELECT version FROM seaql_migrations");
    let names = db.query_all_raw(names).await?;
    names.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>().map(Some)
}

/// Applies what is missing and marks a new database with its mode. Safe when several processes
/// start at once: the others wait, then find nothing to do. Returns how many migrations ran. A
/// database that [`check`] would refuse is left as it is.
pub(super) async fn migrate(link: &Link, mode: Mode) -> Result<usize, DbErr> {
    let txn = link.begin().await?;
    if txn.get_database_backend() == DatabaseBackend::Postgres {
        txn.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
    }
    let state = State::read(&txn).await?;
    let is_ours = !state.is_newer && !state.is_foreign && !marks::is_held(&state.meta);
    if state.pending > 0 && is_ours {
        Migrator::up(&txn, None).await?;
    }
    if is_ours && !state.meta.contains_key(MODE) {
        set(&txn, MODE, mode.as_str()).await?;
    }
    txn.commit().await?;
    Ok(if is_ours { state.pending } else { 0 })
}

/// Notes a fact about the database.
pub(super) async fn set(db: &impl ConnectionTrait, key: &str, value: &str) -> Result<(), DbErr> {
    let row = meta::ActiveModel {
        key: sea_orm::Set(key.to_owned()),
        value: sea_orm::Set(value.to_owned()),
    };
    let newest =
        OnConflict::column(meta::Column::Key).update_column(meta::Column::Value).to_owned();
    meta::Entity::insert(row).on_conflict(newest).exec_without_returning(db).await.map(drop)
}

/// Whether nobody keeps anything in a database. One of a PostgreSQL server may be shared with other
/// programs; a file is not.
pub(super) async fn is_blank(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    let backend = db.get_database_backend();
    if backend != DatabaseBackend::Sqlite {
        return Ok(true);
    }
    let statement = Statement::from_string(backend, "SELECT 1 FROM sqlite_master");
    Ok(db.query_one_raw(statement).await?.is_none())
}

/// Refuses a database that is not up to date, too new for this program, of the other mode, or
/// half copied.
pub(super) async fn check(db: &impl ConnectionTrait, mode: Mode) -> Result<State, Error> {
    let state = State::read(db).await.map_err(|error| tell(&error))?;
    state.check(mode).map(|()| state)
}

impl Store {
    /// Why this program cannot work on the database as it is now; `None` when it can.
    pub async fn schema_objection(&self) -> Option<&'static str> {
        match State::read(&self.reader).await {
            Ok(state) if state.check(self.mode).is_ok() => None,
            Ok(state) if state.is_understood() => Some("it is another database than at the start"),
            Ok(state) if state.is_newer => Some("the schema is of a newer convo"),
            Ok(_) => Some("the schema is out of date"),
            Err(_) => Some("it cannot be read"),
        }
    }

    /// Leaves the address of the simulated Telnyx for commands that open the database directly.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn note_sandbox(&self, base_url: &str) -> Result<(), Error> {
        set(&self.reader, SANDBOX, base_url).await.map_err(|error| tell(&error))
    }

    /// The address of the simulated Telnyx that last served this database.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn sandbox(&self) -> Result<Option<String>, Error> {
        let found = meta::Entity::find_by_id(SANDBOX).one(&self.reader).await;
        Ok(found.map_err(|error| tell(&error))?.map(|row| row.value))
    }
}
