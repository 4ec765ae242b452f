//! A transaction of the writer, which remembers what it changes: that becomes the feed's entries at its
//! end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, ExecResult, QueryResult,
    Statement,
};

use uuid::Uuid;

use super::feed::{self, FeedChange, RecordedChange};
use super::stats;
use crate::domain::Timestamp;

/// A transaction that writes. Everything that changes a message or an opt-out must
/// [`record`](Self::record) it here.
#[derive(Debug)]
pub(super) struct WriteTransaction {
    txn: DatabaseTransaction,
    changes: Mutex<Vec<RecordedChange>>,
    /// The messages that are counted otherwise from now on, which the feed does not tell.
    recounted: Mutex<Vec<Uuid>>,
    /// Whether what is recorded now was brought by a sync.
    recovering: AtomicBool,
}

impl WriteTransaction {
    pub(super) fn new(txn: DatabaseTransaction) -> Self {
        let (changes, recounted) = (Mutex::default(), Mutex::default());
        Self { txn, changes, recounted, recovering: AtomicBool::new(false) }
    }

    /// Adds a change to the feed when the transaction commits.
    pub(super) fn record(&self, change: FeedChange) {
        self.record_as(change, self.recovering.load(Ordering::Relaxed));
    }

    /// Adds a change of which it is known whether a sync has brought it.
    pub(super) fn record_as(&self, change: FeedChange, recovered: bool) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.push(RecordedChange { change, recovered });
    }

    /// Tells that messages were removed, or stored or changed without an entry in the feed: statistics
    /// have to count them again.
    pub(super) fn recount(&self, messages: impl IntoIterator<Item = Uuid>) {
        let mut recounted = self.recounted.lock().unwrap_or_else(PoisonError::into_inner);
        recounted.extend(messages);
    }

    /// Whether what is recorded from now on was brought by a sync, and not by a webhook.
    pub(super) fn set_recovering(&self, recovering: bool) {
        self.recovering.store(recovering, Ordering::Relaxed);
    }

    /// Writes the feed's entries and commits. Returns whether there were any.
    pub(super) async fn commit(self, now: Timestamp) -> Result<bool, DbErr> {
        let recounted = self.recounted.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !recounted.is_empty() {
            stats::record_changes(&self.txn, recounted).await?;
        }
        let changes = self.changes.into_inner().unwrap_or_else(PoisonError::into_inner);
        let changes = feed::without_repeats(changes);
        if changes.is_empty() {
            self.txn.commit().await?;
            return Ok(false);
        }
        match self.txn.get_database_backend() {
            DatabaseBackend::Sqlite => {
                self.txn.execute_raw(feed::append(&changes, now)).await?;
                self.txn.commit().await?;
            }
            _ => {
                // Positions, entries and COMMIT leave in one message: were this process to stop between
                // them, every other server would wait for its lock. The driver still has to end a
                // transaction; it is given an empty one, whose end it does not wait for.
                let append = feed::append_under_lock(&changes, now);
                self.txn.execute_unprepared(&format!("{append}; COMMIT; BEGIN")).await?;
                drop(self.txn);
            }
        }
        Ok(true)
    }

    pub(super) async fn rollback(self) -> Result<(), DbErr> {
        self.txn.rollback().await
    }
}

#[async_trait]
impl ConnectionTrait for WriteTransaction {
    fn get_database_backend(&self) -> DatabaseBackend {
        self.txn.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.txn.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.txn.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.txn.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.txn.query_all_raw(statement).await
    }
}
