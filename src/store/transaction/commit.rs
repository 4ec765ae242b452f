//! How a transaction ends: what is left to insert, the feed's entries and the commit leave in as few messages
//! as the database allows.

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, Statement};

use super::{WriteTransaction, locked};
use crate::domain::Timestamp;
use crate::store::db_error::{Failure, classify, is_duplicate, left_out};
use crate::store::feed::{self, RecordedChange};
use crate::store::sql::{self, BulkInsert, Written};
use crate::store::stats;
use crate::store::write_session::{BEGIN_ON_SQLITE, WriteSession};

/// Why a transaction failed.
#[derive(Debug)]
pub(in crate::store) struct Aborted {
    pub(in crate::store) error: DbErr,
    /// Whether it may be committed all the same: the answer to COMMIT was lost.
    pub(in crate::store) in_doubt: bool,
    /// Whether the connection is certain to be outside any transaction. SQLite rolls back by itself
    /// after some failed writes; the driver, unaware of that, could continue in a transaction that
    /// is never committed, and acknowledge writes that are lost. Such a connection is discarded.
    pub(in crate::store) reusable: bool,
}

impl Aborted {
    /// It failed before COMMIT, and everything was rolled back if `rolled_back` says so.
    pub(in crate::store) fn before_commit(error: DbErr, rolled_back: bool) -> Self {
        let reusable = rolled_back && classify(&error) != Failure::Unavailable;
        Self { error, in_doubt: false, reusable }
    }

    fn in_commit(error: DbErr) -> Self {
        Self { error, in_doubt: true, reusable: false }
    }
}

impl WriteTransaction {
    /// Inserts what is left, writes the feed's entries and commits. Returns whether there were any.
    pub(in crate::store) async fn commit(self, now: Timestamp) -> Result<bool, Aborted> {
        let recounted = std::mem::take(&mut *locked(&self.recounted));
        if !recounted.is_empty()
            && let Err(error) = stats::record_changes(&self, recounted).await
        {
            return Err(Aborted::before_commit(error, self.rollback().await.is_ok()));
        }
        let changes = feed::without_repeats(std::mem::take(&mut *locked(&self.changes)));
        let inserts = std::mem::take(&mut *locked(&self.inserts));
        let Self { session, has_begun, .. } = self;
        let (has_begun, grows) = (has_begun.into_inner(), !changes.is_empty());
        if inserts.is_empty() && !grows {
            if has_begun {
                session.commit().await.map_err(Aborted::in_commit)?;
            }
        } else if session.pool().is_sqlite() {
            on_sqlite(&session, has_begun, inserts, &changes, now).await?;
        } else if has_begun || inserts.is_empty() || session.pool().is_transaction_pooled() {
            if !has_begun {
                let begun = session.begin().await;
                begun.map_err(|error| Aborted::before_commit(error, false))?;
            }
            on_postgres(&session, inserts, &changes, now).await?;
        } else {
            at_once(&session, inserts, &changes, now).await?;
        }
        Ok(grows)
    }
}

/// In as few calls as possible: the driver hands each to a thread of its own. What has begun may hold a send,
/// whose caller has to know whether it failed before the commit or in it.
async fn on_sqlite(
    session: &WriteSession,
    has_begun: bool,
    inserts: Vec<BulkInsert>,
    changes: &[RecordedChange],
    now: Timestamp,
) -> Result<(), Aborted> {
    let (mut texts, mut values) = (Vec::new(), Vec::new());
    if !has_begun {
        texts.push(BEGIN_ON_SQLITE.to_owned());
    }
    if !inserts.is_empty() {
        let (text, given) = sql::for_sqlite(inserts);
        texts.push(text);
        values.extend(given);
    }
    if !changes.is_empty() {
        let append = feed::append(changes, now);
        texts.push(append.sql);
        values.extend(append.values.into_iter().flat_map(|values| values.0));
    }
    if !has_begun {
        texts.push("COMMIT".to_owned());
    }
    let statement =
        Statement::from_sql_and_values(DatabaseBackend::Sqlite, texts.join("; "), values);
    match session.connection().execute_raw(statement).await {
        Ok(_) if has_begun => session.commit().await.map_err(Aborted::in_commit),
        Ok(_) => Ok(()),
        // Another process holds the write lock, so nothing has begun.
        Err(error) if !has_begun && is_locked(&error) => Err(Aborted::before_commit(error, true)),
        Err(error) if !has_begun && classify(&error) == Failure::Unavailable => {
            Err(Aborted::in_commit(error))
        }
        // No row fails in COMMIT.
        Err(error) => Err(Aborted::before_commit(error, session.rollback().await.is_ok())),
    }
}

fn is_locked(error: &DbErr) -> bool {
    classify(error) == Failure::Contention && !is_duplicate(error)
}

async fn on_postgres(
    session: &WriteSession,
    inserts: Vec<BulkInsert>,
    changes: &[RecordedChange],
    now: Timestamp,
) -> Result<(), Aborted> {
    if let Err(error) = sql::insert_all(session.connection(), inserts).await {
        return Err(Aborted::before_commit(error, session.rollback().await.is_ok()));
    }
    if changes.is_empty() {
        return session.commit().await.map_err(Aborted::in_commit);
    }
    // Positions, entries and COMMIT leave in one message: were this process to stop between them, every
    // other server would wait for its lock.
    let append = feed::append_under_lock(changes, now);
    let ended = session.connection().execute_unprepared(&format!("{append}; COMMIT")).await;
    ended.map(drop).map_err(Aborted::in_commit)
}

/// As one statement, which PostgreSQL commits by itself.
async fn at_once(
    session: &WriteSession,
    inserts: Vec<BulkInsert>,
    changes: &[RecordedChange],
    now: Timestamp,
) -> Result<(), Aborted> {
    let written = statement_at_once(inserts, changes, now);
    let statement = written.map_err(|error| Aborted::before_commit(error, true))?;
    match session.connection().query_one_raw(statement).await {
        Ok(Some(_)) => Ok(()),
        // A row exists, and nothing was written. Where none is looked for, such a row is an error.
        Ok(None) => Err(Aborted::before_commit(left_out(), true)),
        Err(error) if classify(&error) != Failure::Unavailable => {
            Err(Aborted::before_commit(error, true))
        }
        Err(error) => Err(Aborted::in_commit(error)),
    }
}

/// It returns a row if everything was written.
fn statement_at_once(
    inserts: Vec<BulkInsert>,
    changes: &[RecordedChange],
    now: Timestamp,
) -> Result<Statement, DbErr> {
    let expected = sql::rows(&inserts);
    let Written { with, count, mut values } = sql::for_postgres(inserts)?;
    let mut result = "1".to_owned();
    if !changes.is_empty() {
        let (append, given) = feed::append_expression(changes, now, values.len())?;
        values.extend(given);
        result = append;
    }
    // The condition comes first: the feed's lock is taken once everything else is done.
    values.push(expected.into());
    let text = format!("{with} SELECT {result} WHERE {count} = ${}", values.len());
    Ok(Statement::from_sql_and_values(DatabaseBackend::Postgres, text, values))
}
