//! A pool of connections for one role, and how its transactions begin.
//!
//! PostgreSQL may be reached directly or through PgBouncer in transaction mode; [`postgres`] finds out
//! which when it connects.

mod postgres;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{
    AccessMode, ConnectOptions, ConnectionTrait, DatabaseBackend, DatabaseConnection,
    DatabaseTransaction, DbErr, IsolationLevel, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};

use super::Location;
use super::database_file::DatabaseFile;

/// How long to wait for a free connection, and for PostgreSQL to accept a new one.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// The same on a server, which tries again and may then find another machine under the same name.
const SERVER_ACQUIRE_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Prepared statements cached per connection. The writer needs one for each combination of columns that have
/// values and, on SQLite, of a few sizes.
const STATEMENTS: usize = 512;

/// How long a read or a transaction may take before a connection to PostgreSQL counts as dead: the
/// server's host may be gone without having closed it. Longer than PostgreSQL's own timeouts
/// (see [`postgres`]), which are reported as errors.
const READ_TIMEOUT: Duration = Duration::from_secs(4);
const WRITE_TIMEOUT: Duration = Duration::from_secs(3);

/// What the connections of a pool are used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// One connection for the reads of a command.
    Reader,
    /// This many connections for the reads of a server.
    Readers(u32),
    /// One connection for the writer, which polls for SQLite's write lock itself.
    Writer,
    /// One connection for migrations and copies, whose statements may run for long.
    Work,
}

impl Role {
    fn timeout(self) -> Option<Duration> {
        match self {
            Self::Reader | Self::Readers(_) => Some(READ_TIMEOUT),
            Self::Writer => Some(WRITE_TIMEOUT),
            Self::Work => None,
        }
    }
}

/// Connections to a database. Cloning is cheap.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    /// With transaction pooling, to be used inside transactions only.
    pub(super) db: DatabaseConnection,
    role: Role,
    /// The statements every transaction begins with under transaction pooling.
    prologue: Option<Arc<str>>,
    /// The SQLite file that must still be at its path; only the writer checks that.
    file: Option<Arc<DatabaseFile>>,
}

impl Pool {
    pub(super) async fn connect(location: &Location, role: Role) -> Result<Self, DbErr> {
        let pool = match location {
            Location::Sqlite { path, mode } => sqlite::connect(path, *mode, role).await,
            Location::Postgres { url } => postgres::connect(url, role).await,
        };
        #[cfg(test)]
        let pool = pool.map(|mut pool| {
            super::tests::recorder::attach(location, &mut pool.db);
            pool
        });
        pool
    }

    /// The same pool, which [`verify_file`](Self::verify_file) then checks.
    pub(super) fn with_file(self, file: Option<Arc<DatabaseFile>>) -> Self {
        Self { file, ..self }
    }

    /// # Errors
    /// If the SQLite file was removed, replaced or moved.
    pub(super) fn verify_file(&self) -> Result<(), DbErr> {
        self.file.as_ref().map_or(Ok(()), |file| file.verify())
    }

    /// Begins a transaction, on SQLite with the write lock taken.
    pub(super) async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        let txn = self.db.begin_with_options(options).await?;
        if let Some(prologue) = &self.prologue {
            txn.execute_unprepared(prologue).await?;
        }
        Ok(txn)
    }

    /// Begins a transaction that sees the whole database as it is at its first query, and that changes
    /// nothing.
    pub(super) async fn begin_snapshot(&self) -> Result<DatabaseTransaction, DbErr> {
        let options = match self.is_sqlite() {
            true => TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Deferred),
                ..Default::default()
            },
            false => TransactionOptions {
                isolation_level: Some(IsolationLevel::RepeatableRead),
                access_mode: Some(AccessMode::ReadOnly),
                ..Default::default()
            },
        };
        let txn = self.db.begin_with_options(options).await?;
        if let Some(prologue) = &self.prologue {
            txn.execute_unprepared(prologue).await?;
        }
        Ok(txn)
    }

    /// What a transaction that is not begun here has to begin with.
    pub(super) fn prologue(&self) -> Option<&str> {
        self.prologue.as_deref()
    }

    /// Whether a pooler may run each transaction in another session.
    pub(super) fn is_transaction_pooled(&self) -> bool {
        self.prologue.is_some()
    }

    pub(super) fn is_sqlite(&self) -> bool {
        self.db.get_database_backend() == DatabaseBackend::Sqlite
    }

    /// How long the database may take to answer before its connections count as dead. SQLite has
    /// no such limit.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.role.timeout().filter(|_| !self.is_sqlite())
    }
}

fn set_pool_options(options: &mut ConnectOptions, role: Role) {
    let (connections, timeout) = match role {
        Role::Readers(count) => (count, SERVER_ACQUIRE_TIMEOUT),
        Role::Writer => (1, SERVER_ACQUIRE_TIMEOUT),
        Role::Reader | Role::Work => (1, ACQUIRE_TIMEOUT),
    };
    options.max_connections(connections).acquire_timeout(timeout).sqlx_logging(false);
    // Never close a connection for its age or idleness: there are few, and all are needed. The
    // driver's task that would close them can miscount and then loop forever (sqlx issue 3645).
    options.idle_timeout(None::<Duration>).max_lifetime(None::<Duration>);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With either of them, the driver starts the task that can loop forever.
    #[test]
    fn no_pool_has_an_idle_timeout_or_a_max_lifetime() {
        for role in [Role::Reader, Role::Readers(4), Role::Writer, Role::Work] {
            let mut options = ConnectOptions::new("sqlite:file");
            set_pool_options(&mut options, role);
            let timeouts = (options.get_idle_timeout(), options.get_max_lifetime());
            assert_eq!(timeouts, (Some(None), Some(None)), "{role:?}");
        }
    }
}
