//! The writer's connection, which it keeps, and on which it begins and ends transactions itself.
//!
//! The driver's own transactions take a connection from a pool and give it back, which costs a round trip, and
//! begin and end with one each. Here a transaction that only adds rows is one message. SeaORM lends a connection
//! only as a transaction, so one is begun and rolled back by a statement, of which the driver takes no notice.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, TransactionTrait};
use tokio::time::timeout;

use super::pool::Pool;
use super::reader::timed_out;

/// After so long without use, a connection to PostgreSQL is tested first: it may have died.
const TEST_IF_IDLE: Duration = Duration::from_secs(10);
/// How long a connection that may be dead has for an answer.
const TEST_TIME: Duration = Duration::from_millis(1_500);

/// A connection that is kept. Cloning is cheap.
#[derive(Clone, Debug)]
pub(super) struct WriteSession {
    pool: Pool,
    /// For the driver a transaction, in the database none unless [`begin`](Self::begin) has begun one.
    held: Arc<DatabaseTransaction>,
}

impl WriteSession {
    /// Takes a connection of a pool for good.
    ///
    /// # Errors
    /// If the database does not answer in time, too: a pooler accepts connections without one.
    pub(super) async fn open(pool: Pool) -> Result<Self, DbErr> {
        let taken = async {
            let held = pool.db.begin().await?;
            held.execute_unprepared("ROLLBACK").await?;
            Ok(held)
        };
        let held = timeout(TEST_TIME, taken).await.unwrap_or_else(|_| Err(timed_out()))?;
        Ok(Self { pool, held: Arc::new(held) })
    }

    /// The pool that the connection is from.
    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// For statements inside a transaction, or for one that is a transaction by itself.
    pub(super) fn connection(&self) -> &DatabaseTransaction {
        &self.held
    }

    /// Begins a transaction, on SQLite with the write lock taken.
    pub(super) async fn begin(&self) -> Result<(), DbErr> {
        let begin = match (self.pool.is_sqlite(), self.pool.prologue()) {
            (true, _) => BEGIN_ON_SQLITE,
            (false, None) => "BEGIN",
            (false, Some(prologue)) => &format!("{BEGIN_THROUGH_POOLER}; {prologue}"),
        };
        self.held.execute_unprepared(begin).await.map(drop)
    }

    pub(super) async fn commit(&self) -> Result<(), DbErr> {
        self.held.execute_unprepared("COMMIT").await.map(drop)
    }

    pub(super) async fn rollback(&self) -> Result<(), DbErr> {
        self.held.execute_unprepared("ROLLBACK").await.map(drop)
    }

    /// Whether it can be used after so long without use.
    pub(super) async fn is_usable_after(&self, idle: Duration) -> bool {
        if idle <= TEST_IF_IDLE || self.pool.is_sqlite() {
            return true;
        }
        let answer = timeout(TEST_TIME, self.held.execute_unprepared("SELECT 1")).await;
        answer.is_ok_and(|answer| answer.is_ok())
    }

    /// Gives the connection back to the pool. The driver then rolls its transaction back. If there were none,
    /// SQLite's driver would go on counting it, and PostgreSQL would warn in its log.
    pub(super) async fn release(self) {
        let _ = timeout(TEST_TIME, self.held.execute_unprepared("BEGIN")).await;
    }

    /// Closes the connection and its pool.
    pub(super) async fn close(self) -> Result<(), DbErr> {
        let pool = self.pool.clone();
        self.release().await;
        pool.db.close().await
    }
}

/// Here the level that a session of ours asks for when it starts has to be asked for each time.
const BEGIN_THROUGH_POOLER: &str = "BEGIN ISOLATION LEVEL read committed";
/// SQLite then takes the write lock at once.
pub(super) const BEGIN_ON_SQLITE: &str = "BEGIN IMMEDIATE";
