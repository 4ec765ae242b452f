//! Leases: what only one process may do at a time, whichever server it runs on.
//!
//! A lease is a row with a random token and the time when it expires, by the clock of the database: the
//! clocks of servers may differ. Its holder renews it while it works. If the holder dies, the lease
//! expires, and the next process that asks takes it under a token of its own. A holder that was held up
//! for too long then learns that it has lost the lease: every write under it names the token.

use std::time::Duration;

use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, Statement};
use uuid::Uuid;

use super::job::Settlement;
use super::transaction::WriteTransaction;
use super::writer::Writer;
use crate::error::Error;

/// How long a lease lasts unless it is renewed.
pub(crate) const LEASE_TIME: Duration = Duration::from_secs(10);

/// A lease that a process holds, or wants to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    name: String,
    token: Uuid,
}

impl Lease {
    /// A lease under a new token; it is not held before it is taken.
    pub(crate) fn new(name: String) -> Self {
        Self { name, token: Uuid::new_v4() }
    }

    /// Renews the lease within a transaction that writes under it, and locks its row until the commit.
    /// Returns whether it is still held: if not, the transaction must write nothing under it.
    pub(in crate::store) async fn hold(&self, db: &WriteTransaction) -> Result<bool, DbErr> {
        let (now, term) = (clock(db), LEASE_TIME.as_micros());
        let sql =
            format!("UPDATE leases SET expires_at = {now} + {term} WHERE name = $1 AND token = $2");
        self.execute(db, sql).await
    }

    async fn execute(&self, db: &WriteTransaction, sql: String) -> Result<bool, DbErr> {
        let values: [Value; 2] = [self.name.clone().into(), self.token.into()];
        let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
        Ok(db.execute_raw(statement).await?.rows_affected() == 1)
    }
}

/// The present time of the database, in microseconds.
fn clock(db: &impl ConnectionTrait) -> &'static str {
    match db.get_database_backend() {
        DatabaseBackend::Sqlite => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
        // Not the time when the transaction began: it may have waited for a lock.
        _ => "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)",
    }
}

impl Writer {
    /// Takes a lease, or renews it. Returns whether it is held from now on, for [`LEASE_TIME`].
    ///
    /// # Errors
    /// `database_unavailable`; whether it is held is then unknown.
    pub(crate) async fn take_lease(&self, lease: &Lease) -> Result<bool, Error> {
        self.settle(TakeLease(lease.clone())).await
    }

    /// Gives a lease up, so that another process need not wait until it expires.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn release_lease(&self, lease: &Lease) -> Result<(), Error> {
        self.settle(ReleaseLease(lease.clone())).await
    }
}

#[derive(Debug)]
struct TakeLease(Lease);

impl Settlement for TakeLease {
    type Output = bool;

    async fn write(&self, db: &WriteTransaction) -> Result<bool, DbErr> {
        let (now, term) = (clock(db), LEASE_TIME.as_micros());
        let sql = format!(
            "INSERT INTO leases (name, token, expires_at) VALUES ($1, $2, {now} + {term}) \
             ON CONFLICT (name) DO UPDATE \
             SET token = excluded.token, expires_at = excluded.expires_at \
             WHERE leases.token = excluded.token OR leases.expires_at <= {now}"
        );
        self.0.execute(db, sql).await
    }
}

#[derive(Debug)]
struct ReleaseLease(Lease);

impl Settlement for ReleaseLease {
    type Output = ();

    async fn write(&self, db: &WriteTransaction) -> Result<(), DbErr> {
        let sql = "DELETE FROM leases WHERE name = $1 AND token = $2".to_owned();
        self.0.execute(db, sql).await.map(drop)
    }
}
