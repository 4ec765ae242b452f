//! What the database alone needs to commit the rows of one webhook.

use std::time::Instant;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, QueryResult, Statement, TransactionTrait, Value,
};
use uuid::Uuid;

use crate::database::BenchDatabase;
use crate::median;

/// Commits that are measured.
const COMMITS: usize = 500;
/// Webhooks in a batch with 64 connections: while about half of them commit, the others gather.
pub const BATCH: usize = 30;

/// The median time, in milliseconds, of a transaction that stores the rows of so many more webhooks: copies
/// of rows that the run has stored, under new keys, by three prepared statements.
pub async fn commit(database: &BenchDatabase, webhooks: usize) -> f64 {
    let db = database.connect().await;
    if database.is_sqlite() {
        db.execute_unprepared("PRAGMA synchronous = FULL").await.expect("a setting");
    } else {
        // The copied rows are found by their keys.
        let settings =
            "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";
        db.execute_unprepared(settings).await.expect("settings");
    }
    let limit = COMMITS * webhooks;
    // A webhook is copied once: its copy has the same time, plus one.
    let events = keys(&db, "SELECT id, occurred_at FROM events ORDER BY received_at", limit).await;
    let messages = keys(&db, "SELECT id, conversation_key FROM messages ORDER BY id", limit).await;
    let mut times = Vec::with_capacity(COMMITS);
    for (events, messages) in events.chunks(webhooks).zip(messages.chunks(webhooks)) {
        let statements = statements(database.is_sqlite(), events, messages);
        let begun = Instant::now();
        let transaction = db.begin().await.expect("a transaction");
        let backend = transaction.get_database_backend();
        for (sql, values) in statements {
            let statement = Statement::from_sql_and_values(backend, sql, values);
            transaction.execute_raw(statement).await.expect("stored");
        }
        transaction.commit().await.expect("committed");
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    median(&mut times)
}

/// The keys of some stored rows.
async fn keys(db: &DatabaseConnection, sql: &str, limit: usize) -> Vec<(Value, i64)> {
    let sql = format!("{sql} LIMIT {limit}");
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await;
    let read = |row: &QueryResult| {
        let id = row.try_get_by_index::<Uuid>(0).map(Value::from);
        let id = id.or_else(|_| row.try_get_by_index::<Vec<u8>>(0).map(Value::from));
        (id.expect("an id"), row.try_get_by_index(1).expect("a number"))
    };
    rows.expect("rows").iter().map(read).collect()
}

/// The statements that copy some rows under new keys.
fn statements(
    is_sqlite: bool,
    events: &[(Value, i64)],
    messages: &[(Value, i64)],
) -> [(String, Vec<Value>); 3] {
    let ids: Vec<Uuid> = events.iter().map(|_| Uuid::now_v7()).collect();
    let telnyx_id = |id: &Uuid| Value::from(id.as_bytes().to_vec());
    let mut conversations: Vec<i64> = messages.iter().map(|(_, key)| *key).collect();
    conversations.sort_unstable();
    conversations.dedup();
    let event = |(id, (event, at)): (&Uuid, &(Value, i64))| {
        [telnyx_id(id), Value::from(*at), event.clone()]
    };
    let message = |(id, (message, _)): (&Uuid, &(Value, i64))| {
        [Value::from(*id), telnyx_id(id), message.clone()]
    };
    [
        (
            format!(
                "INSERT INTO events (id, event_type, occurred_at, received_at, dictionary, body) \
                 SELECT v.column1, event_type, occurred_at + 1, received_at, dictionary, body \
                 FROM ({}) AS v JOIN events ON occurred_at = v.column2 AND id = v.column3",
                list(is_sqlite, ids.len(), 3)
            ),
            ids.iter().zip(events).flat_map(event).collect(),
        ),
        (
            format!(
                "INSERT INTO messages (id, conversation_key, telnyx_message_id, direction, \
                 from_number, to_number, body, encoding, segments, status_rank, created_at) \
                 SELECT v.column1, conversation_key, v.column2, direction, from_number, to_number, \
                 body, encoding, segments, status_rank, created_at \
                 FROM ({}) AS v JOIN messages ON id = v.column3",
                list(is_sqlite, messages.len(), 3)
            ),
            ids.iter().zip(messages).flat_map(message).collect(),
        ),
        (
            format!(
                "UPDATE conversations SET message_count = message_count + 1, \
                 last_message_at = last_message_at + 1 WHERE key IN ({})",
                list(is_sqlite, conversations.len(), 1)
            ),
            conversations.into_iter().map(Value::from).collect(),
        ),
    ]
}

/// A VALUES list of so many rows and columns.
fn list(is_sqlite: bool, rows: usize, columns: usize) -> String {
    let place = |n: usize| if is_sqlite { "?".to_owned() } else { format!("${n}") };
    let row = |row: usize| {
        let places: Vec<_> = (1..=columns).map(|column| place(row * columns + column)).collect();
        format!("({})", places.join(", "))
    };
    format!("VALUES {}", (0..rows).map(row).collect::<Vec<_>>().join(", "))
}
