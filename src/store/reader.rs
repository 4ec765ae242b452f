//! The connections that everything is read with, and their replacement when they are dead.
//!
//! A connection that broke while it lay idle is not the reader's fault: what was asked is asked
//! again. One whose other end is silent would be waited for until TCP gives up, a quarter of an
//! hour; all of them are replaced then, and the name of the machine is looked up again.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseExecutor, DbErr, ExecResult, QueryResult, RuntimeErr,
    Statement,
};
use tokio::sync::watch;

use super::Location;
use super::failure::is_broken;
use super::link::{Link, Role};

/// How often to ask again for what a broken connection did not answer: there are four of them.
const REPEATS: u32 = 5;
/// How long to wait before new connections are tried again.
const PAUSE: Duration = Duration::from_millis(200);
/// How long to wait for them with a question.
const NEW_LINK: Duration = Duration::from_millis(1_500);

/// A pool to read with. Cloning is cheap.
#[derive(Clone, Debug)]
pub(super) struct Reader(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    location: Location,
    role: Role,
    /// The connections; `None` while there are to be new ones.
    link: watch::Sender<Option<Link>>,
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
        let (link, _) = watch::channel(Some(Link::connect(location, role).await?));
        Ok(Self(Arc::new(Shared { location: location.clone(), role, link })))
    }

    /// The connections as they are now.
    pub(super) fn link(&self) -> Result<Link, DbErr> {
        self.0.link.borrow().clone().ok_or_else(silent)
    }

    /// The kind of database.
    pub(super) fn get_database_backend(&self) -> DatabaseBackend {
        match self.0.location {
            Location::Sqlite { .. } => DatabaseBackend::Sqlite,
            Location::Postgres { .. } => DatabaseBackend::Postgres,
        }
    }

    /// Closes every connection.
    pub(super) async fn close(&self) -> Result<(), DbErr> {
        match self.link() {
            Ok(link) => link.db.close().await,
            Err(_) => Ok(()),
        }
    }

    /// Asks, and asks again if `repeats` allow it and the connection was broken or replaced.
    async fn ask<T>(&self, mut repeats: u32, question: impl Question<T>) -> Result<T, DbErr> {
        loop {
            let mut changes = self.0.link.subscribe();
            let link = tokio::time::timeout(NEW_LINK, changes.wait_for(Option::is_some)).await;
            let link = link.ok().and_then(|link| link.ok()?.clone()).ok_or_else(silent)?;
            let Some(patience) = link.patience() else { return put(&link, &question).await };
            tokio::select! {
                answer = tokio::time::timeout(patience, put(&link, &question)) => match answer {
                    Ok(Err(error)) if repeats > 0 && is_broken(&error) => repeats -= 1,
                    Ok(answer) => return answer,
                    Err(_) => {
                        self.replace();
                        return Err(silent());
                    }
                },
                _ = changes.changed(), if repeats > 0 => repeats -= 1,
            }
        }
    }

    /// Makes new connections in place of these, as soon as the database can be reached.
    fn replace(&self) {
        let mut dead = None;
        self.0.link.send_if_modified(|link| {
            dead = link.take();
            dead.is_some()
        });
        // Whoever took them away sees to the new ones.
        let Some(dead) = dead else { return };
        tracing::warn!("the database does not answer; asking for new connections to it");
        // Nobody waits for the new ones when nobody holds the reader any more.
        let shared = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            while let Some(reader) = shared.upgrade() {
                if let Ok(link) = Link::connect(&reader.location, reader.role).await {
                    reader.link.send_replace(Some(link));
                    break;
                }
                drop(reader);
                tokio::time::sleep(PAUSE).await;
            }
            let _ = tokio::time::timeout(PAUSE, dead.db.close()).await;
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
