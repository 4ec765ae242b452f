//! The pool for reads, which replaces its connections when they are dead.
//!
//! A query on a connection that broke while it was idle is retried on another. When a query times
//! out, its peer may be gone, and TCP would take a quarter of an hour to notice: then all
//! connections are replaced, and the host name is resolved again, which may lead to a standby. The same
//! when no connection becomes free and nothing is answered: the driver tests a connection whose query is
//! over or was given up, without a time limit, before it is free again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseExecutor, DbErr, ExecResult, QueryResult, RuntimeErr,
    Statement,
};
use tokio::sync::watch;

use super::Location;
use super::db_error::{is_broken, is_pool_exhausted};
use super::pool::{Pool, Role};

/// How often a query is retried after its connection broke: more often than a server has
/// connections, all of which may be broken.
const RETRIES: u32 = 5;
/// The pause between attempts to reconnect, and how long the dead connections may take to close.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);
/// How long a query waits while the connections are being replaced.
const REPLACEMENT_WAIT: Duration = Duration::from_millis(1_500);

/// A pool for reads. Cloning is cheap.
#[derive(Clone, Debug)]
pub(super) struct Reader(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    location: Location,
    role: Role,
    /// `None` while the connections are being replaced.
    pool: watch::Sender<Option<Pool>>,
    /// Since when queries have begun and none was answered. `None` after an answer.
    unanswered_since: Mutex<Option<Instant>>,
}

impl Shared {
    fn unanswered_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.unanswered_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_query(&self) {
        self.unanswered_since().get_or_insert_with(Instant::now);
    }

    fn note_answer(&self) {
        *self.unanswered_since() = None;
    }

    /// Whether nothing has been answered for so long, though something was asked.
    fn is_silent_for(&self, time: Duration) -> bool {
        self.unanswered_since().is_some_and(|since| since.elapsed() > time)
    }
}

/// A query, which may be run several times, on a connection or in a transaction.
trait ReadQuery<T>: for<'a> Fn(DatabaseExecutor<'a>) -> BoxFuture<'a, Result<T, DbErr>> + Sync {}

impl<T, F> ReadQuery<T> for F where
    F: for<'a> Fn(DatabaseExecutor<'a>) -> BoxFuture<'a, Result<T, DbErr>> + Sync
{
}

impl Reader {
    pub(super) async fn connect(location: &Location, role: Role) -> Result<Self, DbErr> {
        let (pool, _) = watch::channel(Some(Pool::connect(location, role).await?));
        let unanswered_since = Mutex::new(None);
        Ok(Self(Arc::new(Shared { location: location.clone(), role, pool, unanswered_since })))
    }

    /// The current connections.
    ///
    /// # Errors
    /// While they are being replaced.
    pub(super) fn pool(&self) -> Result<Pool, DbErr> {
        self.0.pool.borrow().clone().ok_or_else(timed_out)
    }

    /// The database that it reads.
    pub(super) fn location(&self) -> &Location {
        &self.0.location
    }

    pub(super) async fn close(&self) -> Result<(), DbErr> {
        match self.pool() {
            Ok(pool) => pool.db.close().await,
            Err(_) => Ok(()),
        }
    }

    /// Runs a query, with as many retries if its connection breaks or is replaced.
    async fn run<T>(&self, mut retries: u32, query: impl ReadQuery<T>) -> Result<T, DbErr> {
        loop {
            let mut changes = self.0.pool.subscribe();
            let pool = changes.wait_for(Option::is_some);
            let pool = tokio::time::timeout(REPLACEMENT_WAIT, pool).await;
            let pool = pool.ok().and_then(|pool| pool.ok()?.clone()).ok_or_else(timed_out)?;
            let Some(timeout) = pool.timeout() else { return run_on(&pool, &query).await };
            self.0.note_query();
            tokio::select! {
                result = tokio::time::timeout(timeout, run_on(&pool, &query)) => match result {
                    Ok(Err(error)) if retries > 0 && is_broken(&error) => retries -= 1,
                    Ok(Err(error)) if is_pool_exhausted(&error) => {
                        if self.0.is_silent_for(timeout) {
                            self.replace();
                        }
                        return Err(error);
                    }
                    Ok(result) => {
                        self.0.note_answer();
                        return result;
                    }
                    Err(_) => {
                        self.replace();
                        return Err(timed_out());
                    }
                },
                _ = changes.changed(), if retries > 0 => retries -= 1,
            }
        }
    }

    /// Replaces the connections as soon as the database can be reached again.
    fn replace(&self) {
        let mut dead = None;
        self.0.pool.send_if_modified(|pool| {
            dead = pool.take();
            dead.is_some()
        });
        // If they are gone already, another query is replacing them.
        let Some(dead) = dead else { return };
        tracing::warn!("the database does not respond; replacing all connections to it");
        // Stop trying once the reader itself is dropped.
        let shared = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            while let Some(reader) = shared.upgrade() {
                if let Ok(pool) = Pool::connect(&reader.location, reader.role).await {
                    reader.note_answer();
                    reader.pool.send_replace(Some(pool));
                    break;
                }
                drop(reader);
                tokio::time::sleep(RECONNECT_PAUSE).await;
            }
            let _ = tokio::time::timeout(RECONNECT_PAUSE, dead.db.close()).await;
        });
    }
}

pub(super) fn timed_out() -> DbErr {
    DbErr::Conn(RuntimeErr::Internal("the database did not respond in time".to_owned()))
}

async fn run_on<T>(pool: &Pool, query: &impl ReadQuery<T>) -> Result<T, DbErr> {
    if !pool.is_transaction_pooled() {
        return query(DatabaseExecutor::Connection(&pool.db)).await;
    }
    let txn = pool.begin().await?;
    let result = query(DatabaseExecutor::Transaction(&txn)).await?;
    txn.commit().await?;
    Ok(result)
}

#[async_trait]
impl ConnectionTrait for Reader {
    fn get_database_backend(&self) -> DatabaseBackend {
        match self.0.location {
            Location::Sqlite { .. } => DatabaseBackend::Sqlite,
            Location::Postgres { .. } => DatabaseBackend::Postgres,
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.run(0, |db| {
            let statement = statement.clone();
            async move { db.execute_raw(statement).await }.boxed()
        })
        .await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.run(0, |db| {
            let sql = sql.to_owned();
            async move { db.execute_unprepared(&sql).await }.boxed()
        })
        .await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.run(RETRIES, |db| {
            let statement = statement.clone();
            async move { db.query_one_raw(statement).await }.boxed()
        })
        .await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.run(RETRIES, |db| {
            let statement = statement.clone();
            async move { db.query_all_raw(statement).await }.boxed()
        })
        .await
    }
}
