//! Examining a database for `convo doctor`: step by step, without changing it, and without the checks
//! that would end any other command at the first fault.

use std::path::Path;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, QueryResult, Statement};

use super::file_access::{check_mode_of, check_owner};
use super::open_error::cannot_open;
use super::pool::{Pool, Role};
use super::schema::{self, SchemaState};
use super::{Location, Mode, hold};
use crate::error::{Code, Error};

/// A database that is examined.
pub(crate) struct ExaminedDatabase {
    location: Location,
    mode: Mode,
    pool: Pool,
}

/// What is free on the disk of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DiskSpace {
    /// Bytes that this user can still write.
    pub free: u64,
    /// The size of the database's file in bytes.
    pub used: u64,
}

/// Whether only its owner can access the files of a database. A missing file has no fault.
///
/// # Errors
/// `database_not_ready`; SQLite must not open such a file.
pub(crate) fn check_files(location: &Location) -> Result<(), Error> {
    let Some(path) = location.path() else { return Ok(()) };
    check_owner(path)?;
    check_mode_of(path)
}

/// The free space around a file.
///
/// # Errors
/// The system's.
pub(crate) fn disk_space(path: &Path) -> std::io::Result<DiskSpace> {
    let stat = rustix::fs::statvfs(path)?;
    let used = path.metadata()?.len();
    Ok(DiskSpace { free: stat.f_bavail.saturating_mul(stat.f_frsize), used })
}

impl ExaminedDatabase {
    /// Connects to the database.
    ///
    /// # Errors
    /// `database_not_ready` if it does not exist, `database_unavailable` if it cannot be reached.
    pub(crate) async fn connect(location: &Location, mode: Mode) -> Result<Self, Error> {
        if let Some(path) = location.path()
            && !path.metadata().is_ok_and(|file| file.len() > 0)
        {
            let what = format!("there is no database at {}", path.display());
            return Err(Error::new(Code::DatabaseNotReady, what).hint(match mode {
                Mode::Real => "start convo serve, which creates it, or set DATABASE_URL",
                Mode::Sandbox => "start convo serve --sandbox, which creates it",
            }));
        }
        let refuse = |error| cannot_open(location, &error);
        let pool = Pool::connect(location, Role::Reader).await.map_err(refuse)?;
        // SQLite does not read the file before a statement does.
        let answered = match &pool.db {
            db if pool.is_sqlite() => db.execute_unprepared("SELECT count(*) FROM sqlite_master"),
            db => db.execute_unprepared("SELECT 1"),
        };
        answered.await.map_err(refuse)?;
        Ok(Self { location: location.clone(), mode, pool })
    }

    /// Closes the connection.
    pub(crate) async fn close(self) {
        let _ = self.pool.db.close().await;
    }

    /// Whether it is a database of this mode that this program understands, and accepts changes.
    ///
    /// # Errors
    /// `database_not_ready`.
    pub(crate) async fn schema(&self) -> Result<(), Error> {
        let state: SchemaState = schema::check(&self.pool.db, &self.location, self.mode).await?;
        hold::refuse_held(&state.meta)
    }

    /// Whether a commit survives a power failure, in words.
    ///
    /// # Errors
    /// `database_not_ready` if it does not.
    pub(crate) async fn durability(&self) -> Result<String, Error> {
        if self.pool.is_sqlite() {
            let journal = self.text("PRAGMA journal_mode").await?;
            let synchronous: i64 = self.value("PRAGMA synchronous").await?;
            // 2 is FULL, 3 EXTRA.
            if journal == "wal" && synchronous >= 2 {
                return Ok("journal_mode=wal, synchronous=FULL".to_owned());
            }
            let what = format!("journal_mode={journal}, synchronous={synchronous}");
            return Err(Error::new(Code::DatabaseNotReady, what)
                .hint("stop every program that uses the file, then run convo migrate"));
        }
        let mut shown = Vec::new();
        let mut off = Vec::new();
        // `synchronous_commit` is set by convo for each of its sessions.
        for name in ["fsync", "full_page_writes"] {
            let value = self.text(&format!("SHOW {name}")).await?;
            if value == "off" {
                off.push(name);
            }
            shown.push(format!("{name}={value}"));
        }
        let shown = shown.join(", ");
        if off.is_empty() {
            return Ok(shown);
        }
        let hint = format!("set {} = on in postgresql.conf", off.join(" and "));
        Err(Error::new(Code::DatabaseNotReady, shown).hint(hint))
    }

    /// A quick look for damage, in words. `None` if it takes longer than this.
    ///
    /// # Errors
    /// `database_damaged` if there is any.
    pub(crate) async fn integrity(&self, patience: Duration) -> Option<Result<String, Error>> {
        let check = async {
            if self.pool.is_sqlite() { self.sqlite_integrity().await } else { self.indices().await }
        };
        tokio::time::timeout(patience, check).await.ok()
    }

    async fn sqlite_integrity(&self) -> Result<String, Error> {
        let found = self.text("PRAGMA quick_check(1)").await?;
        if found == "ok" {
            return Ok("quick_check found no damage".to_owned());
        }
        Err(damaged(&format!("quick_check: {found}")))
    }

    /// PostgreSQL has no quick check of everything. It counts the pages whose checksum was wrong, and
    /// knows which indices are unusable.
    async fn indices(&self) -> Result<String, Error> {
        let failures: Option<i64> = self
            .value(
                "SELECT checksum_failures FROM pg_stat_database \
                 WHERE datname = current_database()",
            )
            .await?;
        if let Some(count) = failures.filter(|count| *count > 0) {
            return Err(damaged(&format!("{count} pages had a wrong checksum")));
        }
        let invalid: i64 = self
            .value(
                "SELECT count(*) FROM pg_index JOIN pg_class ON oid = indexrelid \
                 WHERE NOT indisvalid AND relnamespace = current_schema()::regnamespace",
            )
            .await?;
        match (invalid, failures) {
            (0, Some(_)) => Ok("no wrong checksum, no invalid index".to_owned()),
            (0, None) => Ok("no invalid index (page checksums are off)".to_owned()),
            (count, _) => {
                let what = format!("{count} indices are invalid");
                Err(Error::new(Code::DatabaseDamaged, what).hint("rebuild them with REINDEX"))
            }
        }
    }

    async fn text(&self, sql: &str) -> Result<String, Error> {
        self.value(sql).await
    }

    async fn value<T: sea_orm::TryGetable>(&self, sql: &str) -> Result<T, Error> {
        let read = async {
            let row = self.row(sql).await?;
            row.ok_or_else(|| DbErr::RecordNotFound(String::new()))?.try_get_by_index(0)
        };
        read.await.map_err(|error| cannot_open(&self.location, &error))
    }

    /// The first row. A pooler may run each transaction in another session, so each has its prologue.
    async fn row(&self, sql: &str) -> Result<Option<QueryResult>, DbErr> {
        let backend = self.pool.db.get_database_backend();
        let statement = Statement::from_string(backend, sql);
        if backend == DatabaseBackend::Sqlite {
            return self.pool.db.query_one_raw(statement).await;
        }
        let txn = self.pool.begin().await?;
        let row = txn.query_one_raw(statement).await?;
        txn.rollback().await?;
        Ok(row)
    }
}

fn damaged(what: &str) -> Error {
    Error::new(Code::DatabaseDamaged, what)
        .hint("restore a backup; until then, keep the damaged database as it is")
}
