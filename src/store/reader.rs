//! The connections that everything is read with, and their replacement when they are dead.
//!
//! A connection that broke while it lay idle is not the reader's fault: what was asked is asked
//! again. One whose other end is silent would be waited for until TCP gives up, a quarter of an
//! hour; all of them are replaced then, and the name of the machine is looked up again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseExecutor, DbErr, ExecResult, QueryResult, RuntimeErr,
    Statement,
};

use super::Location;
use super::failure::is_broken;
use super::link::{Link, Role};

/// How often to ask again for what a broken connection did not answer: there are four of them.
const REPEATS: u32 = 5;
/// How long to wait before new connections are tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// A pool to read with. Cloning is cheap.
#[derive(Clone, Debug)]
pub(super) struct Reader(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    location: Location,
    role: Role,
    link: RwLock<Link>,
    is_being_replaced: AtomicBool,
}

impl Shared {
    fn exchange(&self, fresh: Link) -> Link {
        let mut link = self.link.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *link, fresh)
    }
}

/// What is asked, put to a connection or within a transaction.
trait Question<T>: for<'a> Fn(DatabaseExecutor<'a>) -> BoxFuture<'a, Result<T, DbErr>> + Sync {}

impl<T, F> Question<T> for F where
    F: for<'a> Fn(DatabaseExecutor<'a>) -> BoxFuture<'a, Result<T, DbErr>> + Sync
{
}

impl Reader {
    /// Connects.
    pub(super) async fn connect(location: &Location, role: Role) -> Result<Self, DbErr> {
        let link = RwLock::new(Link::connect(location, role).await?);
        let is_being_replaced = AtomicBool::new(false);
        Ok(Self(Arc::new(Shared { location: location.clone(), role, link, is_being_replaced })))
    }

    /// The connections as they are now.
    pub(super) fn link(&self) -> Link {
        self.0.link.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The kind of database.
    pub(super) fn get_database_backend(&self) -> DatabaseBackend {
        self.link().db.get_database_backend()
    }

    /// Closes every connection.
    pub(super) async fn close(&self) -> Result<(), DbErr> {
        self.link().db.close().await
    }

    /// Asks, and asks again if `repeats` allow it and the connection was broken.
    async fn ask<T>(&self, mut repeats: u32, question: impl Question<T>) -> Result<T, DbErr> {
        loop {
            let link = self.link();
            let Some(patience) = link.patience() else { return put(&link, &question).await };
            match tokio::time::timeout(patience, put(&link, &question)).await {
                Ok(Err(error)) if repeats > 0 && is_broken(&error) => repeats -= 1,
                Ok(answer) => return answer,
                Err(_) => {
                    self.replace();
                    return Err(silent());
                }
            }
        }
    }

    /// Makes new connections in place of these, as soon as the database can be reached.
    fn replace(&self) {
        if self.0.is_being_replaced.swap(true, Ordering::SeqCst) {
            return;
        }
        // Whoever holds the reader ends this; nobody waits for it.
        let shared = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            while let Some(reader) = shared.upgrade() {
                if let Ok(fresh) = Link::connect(&reader.location, reader.role).await {
                    let dead = reader.exchange(fresh);
                    reader.is_being_replaced.store(false, Ordering::SeqCst);
                    tracing::warn!("the database did not answer; it is read by new connections");
                    let _ = tokio::time::timeout(PAUSE, dead.db.close()).await;
                    return;
                }
                drop(reader);
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
}

/// A connection whose other end is silent.
pub(super) fn silent() -> DbErr {
    DbErr::Conn(RuntimeErr::Internal("the database did not answer in time".to_owned()))
}

async fn put<T>(link: &Link, question: &impl Question<T>) -> Result<T, DbErr> {
    if !link.is_borrowed() {
        return question(DatabaseExecutor::Connection(&link.db)).await;
    }
    let txn = link.begin().await?;
    let answer = question(DatabaseExecutor::Transaction(&txn)).await?;
    txn.commit().await?;
    Ok(answer)
}

#[async_trait]
impl ConnectionTrait for Reader {
    fn get_database_backend(&self) -> DatabaseBackend {
        Self::get_database_backend(self)
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.ask(0, |db| {
            let statement = statement.clone();
            async move { db.execute_raw(statement).await }.boxed()
        })
        .await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.ask(0, |db| {
            let sql = sql.to_owned();
            async move { db.execute_unprepared(&sql).await }.boxed()
        })
        .await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.ask(REPEATS, |db| {
            let statement = statement.clone();
            async move { db.query_one_raw(statement).await }.boxed()
        })
        .await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.ask(REPEATS, |db| {
            let statement = statement.clone();
            async move { db.query_all_raw(statement).await }.boxed()
        })
        .await
    }
}
