//! Bringing the schema up to date, and knowing whether it is.

use migration::{Migrator, MigratorTrait};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseConnection, DbErr, EntityTrait,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};

use super::connect::{Mode, Store};
use super::entity::meta;
use super::failure::tell;
use crate::error::{Code, Error};

/// The advisory lock that servers starting together take in turn. Any number will do, as long as
/// every release uses the same: these are the letters "convo".
const LOCK: i64 = 0x63_6f_6e_76_6f;

/// Applies what is missing and marks a new database with its mode. Safe when several processes
/// start at once: the others wait, then find nothing to do. Returns how many migrations ran.
pub(super) async fn migrate(db: &DatabaseConnection, mode: Mode) -> Result<usize, DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let txn = db.begin_with_options(options).await?;
    if txn.get_database_backend() == DatabaseBackend::Postgres {
        txn.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
    }
    let before = Migrator::get_pending_migrations_read_only(&txn).await?.len();
    if before > 0 {
        Migrator::up(&txn, None).await?;
    }
    if meta::Entity::find_by_id(MODE).one(&txn).await?.is_none() {
        let row = meta::ActiveModel {
            key: sea_orm::Set(MODE.to_owned()),
            value: sea_orm::Set(mode.as_str().to_owned()),
        };
        meta::Entity::insert(row).exec_without_returning(&txn).await?;
    }
    txn.commit().await?;
    Ok(before)
}

const MODE: &str = "mode";

/// Whether there is nothing at all in a SQLite file.
pub(super) async fn is_blank(db: &DatabaseConnection) -> Result<bool, DbErr> {
    let statement =
        Statement::from_string(db.get_database_backend(), "SELECT 1 FROM sqlite_master");
    Ok(db.query_one_raw(statement).await?.is_none())
}

/// Refuses a database that is not up to date, newer than this program, or of the other mode.
pub(super) async fn check(db: &DatabaseConnection, mode: Mode) -> Result<(), Error> {
    let stale = |what: &str, hint: &str| Err(Error::new(Code::DatabaseNotReady, what).hint(hint));
    match Migrator::get_pending_migrations_read_only(db).await {
        Ok(pending) if pending.is_empty() => {}
        Ok(_) => {
            return stale("the database's schema is out of date", "run `convo migrate`");
        }
        Err(DbErr::Custom(what)) if what.contains("missing") => {
            return stale(
                "the database was made by a newer convo",
                "upgrade this convo to the version that made it",
            );
        }
        Err(error) => return Err(tell(&error)),
    }
    let found = meta::Entity::find_by_id(MODE).one(db).await.map_err(|e| tell(&e))?;
    match found {
        Some(found) if found.value != mode.as_str() => stale(
            &format!("this is a {} database", found.value),
            match mode {
                Mode::Real => "it was made with --sandbox: use that flag, or another DATABASE_URL",
                Mode::Sandbox => "it holds real threads: --sandbox will not touch it",
            },
        ),
        _ => Ok(()),
    }
}

const SANDBOX: &str = "sandbox_base_url";

impl Store {
    /// Leaves the address of the simulated Telnyx for commands that open the database directly.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn note_sandbox(&self, base_url: &str) -> Result<(), Error> {
        let row = meta::ActiveModel {
            key: sea_orm::Set(SANDBOX.to_owned()),
            value: sea_orm::Set(base_url.to_owned()),
        };
        let newest =
            OnConflict::column(meta::Column::Key).update_column(meta::Column::Value).to_owned();
        let insert = meta::Entity::insert(row).on_conflict(newest);
        insert.exec_without_returning(&self.reader).await.map(drop).map_err(|error| tell(&error))
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
