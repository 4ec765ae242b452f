//! Adding messages to the search index.

use std::collections::HashSet;

use sea_orm::sea_query::{Order, Query, Value};
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseBackend, DbErr, QueryResult, Statement};
use uuid::Uuid;

use super::{IndexDocument, KEYS, NextDocuments, first_key, postgres_rows};
use crate::error::Error;
use crate::store::entity::message;
use crate::store::job::Settlement;
use crate::store::sql::{self, BulkInsert};
use crate::store::transaction::WriteTransaction;
use crate::store::writer::Writer;

impl Writer {
    /// Adds messages to the index and moves its place, unless another process has moved it. Messages that
    /// are in it already stay as they are.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn index(&self, next: NextDocuments) -> Result<(), Error> {
        self.settle(next).await
    }
}

impl Settlement for NextDocuments {
    type Output = ();

    fn shares_locks(&self) -> bool {
        true
    }

    async fn write(&self, db: &WriteTransaction) -> Result<(), DbErr> {
        if !self.from.advance(self.to, db).await? || self.documents.is_empty() {
            return Ok(());
        }
        // They may have been removed since they were read.
        let existing = lock_existing(db, &self.documents).await?;
        let documents = self.documents.iter().filter(|document| existing.contains(&document.id));
        let documents: Vec<_> = documents.collect();
        let inserts = match db.get_database_backend() {
            DatabaseBackend::Sqlite => sqlite_rows(db, &documents).await?,
            _ => vec![postgres_rows(&documents)],
        };
        sql::run_all(db, inserts).await.map(drop)
    }
}

/// Which of the messages exist. They cannot be removed before the commit.
async fn lock_existing(
    db: &WriteTransaction,
    documents: &[IndexDocument],
) -> Result<HashSet<Uuid>, DbErr> {
    use message::Column as C;
    let mut query = Query::select();
    query.column(C::Id).from(message::Entity);
    query.and_where(C::Id.is_in(documents.iter().map(|document| document.id)));
    query.order_by(C::Id, Order::Asc);
    if db.get_database_backend() == DatabaseBackend::Postgres {
        query.lock(sea_orm::sea_query::LockType::KeyShare);
    }
    let rows = db.query_all(&query).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// The inserts on SQLite, of messages that are not in the index, under row ids that are free.
async fn sqlite_rows(
    db: &WriteTransaction,
    documents: &[&IndexDocument],
) -> Result<Vec<BulkInsert>, DbErr> {
    let taken = taken_keys(db, documents).await?;
    let known: HashSet<Uuid> = taken.iter().map(|(_, id)| *id).collect();
    let mut keys: HashSet<i64> = taken.into_iter().map(|(key, _)| key).collect();
    let (mut rows, mut words): (Vec<[Value; 2]>, Vec<[Value; 2]>) = Default::default();
    for document in documents.iter().filter(|document| !known.contains(&document.id)) {
        let first = first_key(document.id, document.created_at);
        let free: Vec<i64> = (first..first + KEYS).filter(|key| !keys.contains(key)).collect();
        for (key, part) in free.into_iter().zip(&document.parts) {
            keys.insert(key);
            rows.push([key.into(), document.id.into()]);
            words.push([key.into(), part.as_str().into()]);
        }
    }
    Ok(vec![
        BulkInsert::new("search_rows", &["key", "message_id"], rows),
        BulkInsert::new("search_words", &["rowid", "words"], words),
    ])
}

/// The row ids that are taken of those that some messages may have, and by which messages.
async fn taken_keys(
    db: &WriteTransaction,
    documents: &[&IndexDocument],
) -> Result<Vec<(i64, Uuid)>, DbErr> {
    let firsts = documents.iter().map(|document| first_key(document.id, document.created_at));
    let firsts: Vec<Value> = firsts.map(Value::from).collect();
    if firsts.is_empty() {
        return Ok(Vec::new());
    }
    let count = sql::padded(firsts.len());
    let list = vec!["(?)"; count].join(", ");
    let text = format!(
        "SELECT r.key, r.message_id FROM (VALUES {list}) AS v CROSS JOIN search_rows AS r \
         ON r.key >= v.column1 AND r.key < v.column1 + {KEYS}"
    );
    let values = sql::pad(firsts, count, 1);
    let statement = Statement::from_sql_and_values(DatabaseBackend::Sqlite, text, values);
    let read = |row: &QueryResult| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?));
    db.query_all_raw(statement).await?.iter().map(read).collect()
}
