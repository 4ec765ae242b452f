//! A transaction of the writer, which remembers what it changes: that becomes the feed's entries at its
//! end.

mod commit;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, ExecResult, QueryResult,
    Statement,
};
use uuid::Uuid;

pub(super) use commit::Aborted;

use super::feed::{FeedChange, RecordedChange};
use super::sql::BulkInsert;
use super::write_session::WriteSession;

/// A transaction that writes. Everything that changes a message or an opt-out must
/// [`record`](Self::record) it here.
#[derive(Debug)]
pub(super) struct WriteTransaction {
    session: WriteSession,
    /// It begins with its first statement: what is only inserted needs none before the commit.
    has_begun: AtomicBool,
    /// What is inserted at the end.
    inserts: Mutex<Vec<BulkInsert>>,
    changes: Mutex<Vec<RecordedChange>>,
    /// The messages that are counted otherwise from now on, which the feed does not tell.
    recounted: Mutex<Vec<Uuid>>,
    /// Whether what is recorded now was brought by a sync.
    recovering: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WriteTransaction {
    /// One that begins when it has to.
    pub(super) fn new(session: &WriteSession) -> Self {
        Self {
            session: session.clone(),
            has_begun: AtomicBool::new(false),
            inserts: Mutex::default(),
            changes: Mutex::default(),
            recounted: Mutex::default(),
            recovering: AtomicBool::new(false),
        }
    }

    /// One that begins now, on SQLite with the write lock taken.
    pub(super) async fn begin(session: &WriteSession) -> Result<Self, DbErr> {
        let transaction = Self::new(session);
        transaction.begun().await?;
        Ok(transaction)
    }

    async fn begun(&self) -> Result<&DatabaseTransaction, DbErr> {
        // Set first: of several statements that begin it, one may fail after BEGIN.
        if !self.has_begun.swap(true, Ordering::Relaxed) {
            self.session.begin().await?;
        }
        Ok(self.session.connection())
    }

    /// Inserts these at the end, after everything else that the transaction does; not twice in one. A row that
    /// exists makes the commit fail with an error that [tells of a duplicate](super::db_error::is_duplicate).
    pub(super) fn insert_at_end(&self, inserts: Vec<BulkInsert>) {
        locked(&self.inserts).extend(inserts.into_iter().filter(|insert| insert.rows() > 0));
    }

    /// Adds a change to the feed when the transaction commits.
    pub(super) fn record(&self, change: FeedChange) {
        self.record_as(change, self.recovering.load(Ordering::Relaxed));
    }

    /// Adds a change of which it is known whether a sync has brought it.
    pub(super) fn record_as(&self, change: FeedChange, recovered: bool) {
        locked(&self.changes).push(RecordedChange { change, recovered });
    }

    /// Tells that messages were removed, or stored or changed without an entry in the feed: statistics
    /// have to count them again.
    pub(super) fn recount(&self, messages: impl IntoIterator<Item = Uuid>) {
        locked(&self.recounted).extend(messages);
    }

    /// Whether what is recorded from now on was brought by a sync, and not by a webhook.
    pub(super) fn set_recovering(&self, recovering: bool) {
        self.recovering.store(recovering, Ordering::Relaxed);
    }

    pub(super) async fn rollback(self) -> Result<(), DbErr> {
        if self.has_begun.into_inner() { self.session.rollback().await } else { Ok(()) }
    }
}

#[async_trait]
impl ConnectionTrait for WriteTransaction {
    fn get_database_backend(&self) -> DatabaseBackend {
        self.session.connection().get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.begun().await?.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.begun().await?.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.begun().await?.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.begun().await?.query_all_raw(statement).await
    }
}
