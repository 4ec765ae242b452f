//! Migrating the schema, and checking its version.
//!
//! During a rolling upgrade, old servers work beside new ones, on a newer schema than their own.
//! Migrations only add, so they can, unless a migration sets the `needs` key in the database: then
//! programs that do not know that migration refuse to work.

use std::collections::{HashMap, HashSet};

use migration::{Migrator, MigratorTrait, UNRELEASED};
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, Statement};

use super::hold;
use super::open_error::cannot_open;
use super::pool::Pool;
use super::{Location, Mode};
use super::{entity, meta, seed};
use crate::error::{Code, Error};

/// The advisory lock that serializes migrations of servers that start together. Any number will do if
/// every release uses the same; this one spells "convo".
const LOCK: i64 = 0x63_6f_6e_76_6f;

/// What a database reveals about itself.
#[derive(Debug)]
pub(super) struct SchemaState {
    /// The number of this program's migrations that are not applied.
    pub(super) pending: usize,
    /// Whether migrations are applied that this program does not know.
    pub(super) is_newer: bool,
    /// Whether it was made before the first release, with another schema.
    is_unreleased: bool,
    /// Whether it is a file with another program's tables.
    pub(super) is_foreign: bool,
    /// Whether it has the tables of the example program that convo grew from.
    is_seed: bool,
    /// The encoding of a PostgreSQL database that cannot store every text.
    unfit_encoding: Option<String>,
    /// The contents of the `meta` table.
    pub(super) meta: HashMap<String, String>,
}

impl SchemaState {
    pub(super) async fn read(db: &impl ConnectionTrait) -> Result<Self, DbErr> {
        let ours: HashSet<String> =
            Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
        let applied = applied(db).await?;
        let is_seed = applied.is_none() && seed::is_seed(db).await?;
        let is_foreign = is_seed || applied.is_none() && !is_blank(db).await?;
        let applied = applied.unwrap_or_default();
        let pending = ours.difference(&applied).count();
        let is_newer = applied.iter().any(|name| !ours.contains(name));
        let meta = if applied.is_empty() {
            HashMap::new()
        } else {
            let rows = entity::meta::Entity::find().all(db).await?;
            rows.into_iter().map(|row| (row.key, row.value)).collect()
        };
        let is_unreleased = applied.iter().any(|name| UNRELEASED.contains(&name.as_str()));
        let unfit_encoding = encoding(db).await?.filter(|encoding| encoding != "UTF8");
        Ok(Self { pending, is_newer, is_unreleased, is_foreign, is_seed, unfit_encoding, meta })
    }

    /// Refuses a database that cannot store every text.
    pub(super) fn check_encoding(&self) -> Result<(), Error> {
        let Some(encoding) = &self.unfit_encoding else { return Ok(()) };
        Err(refuse(
            &format!("the database's encoding is {encoding}, which cannot store every text"),
            "create one with CREATE DATABASE convo ENCODING 'UTF8' TEMPLATE template0, and use it in \
             DATABASE_URL",
        ))
    }

    /// Whether this program can work on it: no migration is pending, and it knows the one that the
    /// database requires.
    pub(super) fn is_understood(&self) -> bool {
        let is_known = |needed: &String| {
            Migrator::migrations().iter().any(|migration| migration.name() == needed)
        };
        self.pending == 0 && (!self.is_newer || self.meta.get(meta::NEEDS).is_none_or(is_known))
    }

    /// Refuses a database that this program cannot work on, or that has the other mode.
    pub(super) fn check(&self, mode: Mode) -> Result<(), Error> {
        self.check_encoding()?;
        if self.is_foreign {
            return Err(refuse(
                "this database belongs to another program",
                "set DATABASE_URL to another file",
            ));
        }
        if self.is_unreleased {
            return Err(refuse(
                "this database has the schema of a development version of convo",
                "there is no migration from it: set DATABASE_URL to a new database",
            ));
        }
        if !self.is_understood() {
            return Err(if self.is_newer {
                refuse(
                    "the database requires a newer version of convo",
                    "upgrade convo to the version that the other servers run",
                )
            } else {
                refuse("the database's schema is out of date", "run `convo migrate`")
            });
        }
        if let Some(found) = self.meta.get(meta::MODE).filter(|found| *found != mode.as_str()) {
            let hint = match mode {
                Mode::Real => {
                    "it was created with --sandbox: use that flag, or another DATABASE_URL"
                }
                Mode::Sandbox => "it contains real conversations: --sandbox will not touch it",
            };
            return Err(refuse(&format!("this is a {found} database"), hint));
        }
        hold::refuse_unfinished(&self.meta)
    }

    pub(super) fn mode(&self) -> Mode {
        match self.meta.get(meta::MODE).map(String::as_str) {
            Some("sandbox") => Mode::Sandbox,
            _ => Mode::Real,
        }
    }
}

fn refuse(what: &str, hint: &str) -> Error {
    Error::new(Code::DatabaseNotReady, what).hint(hint)
}

/// The encoding of a PostgreSQL database.
async fn encoding(db: &impl ConnectionTrait) -> Result<Option<String>, DbErr> {
    let backend = db.get_database_backend();
    if backend != DatabaseBackend::Postgres {
        return Ok(None);
    }
    let encoding = Statement::from_string(backend, "SHOW server_encoding");
    let row = db.query_one_raw(encoding).await?;
    row.map(|row| row.try_get_by_index(0)).transpose()
}

/// The names of the applied migrations; `None` if that table does not exist.
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

/// Applies the pending migrations, sets the mode of a new database, and returns how many migrations
/// ran. Of processes that start together, one does so while the others wait. A database that
/// [`check`] would refuse is left unchanged.
pub(super) async fn migrate(pool: &Pool, mode: Mode) -> Result<usize, DbErr> {
    let txn = pool.begin().await?;
    if txn.get_database_backend() == DatabaseBackend::Postgres {
        txn.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
    }
    let state = SchemaState::read(&txn).await?;
    let is_ours = !state.is_newer
        && !state.is_foreign
        && state.unfit_encoding.is_none()
        && !hold::is_held(&state.meta);
    if state.pending > 0 && is_ours {
        Migrator::up(&txn, None).await?;
    }
    if is_ours && !state.meta.contains_key(meta::MODE) {
        meta::set(&txn, meta::MODE, mode.as_str()).await?;
    }
    txn.commit().await?;
    Ok(if is_ours { state.pending } else { 0 })
}

/// Whether a file has no tables. A PostgreSQL database always counts as blank: it may be shared with
/// other programs, a file is not.
pub(super) async fn is_blank(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    let backend = db.get_database_backend();
    if backend != DatabaseBackend::Sqlite {
        return Ok(true);
    }
    let statement = Statement::from_string(backend, "SELECT 1 FROM sqlite_master");
    Ok(db.query_one_raw(statement).await?.is_none())
}

/// Reads the state, and refuses a database that is out of date, too new, of the other mode, or an
/// unfinished copy.
pub(super) async fn check(
    db: &impl ConnectionTrait,
    location: &Location,
    mode: Mode,
) -> Result<SchemaState, Error> {
    let state = SchemaState::read(db).await.map_err(|error| cannot_open(location, &error))?;
    if state.is_seed {
        return Err(seed::refuse(location, db).await);
    }
    state.check(mode).map(|()| state)
}
