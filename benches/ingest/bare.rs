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

/// The median time, in milliseconds, of a transaction that stores the rows of one more webhook: copies
/// of rows that the run has stored, under new keys, by three prepared statements.
pub async fn commit(database: &BenchDatabase) -> f64 {
    let db = database.connect().await;
    if database.is_sqlite() {
        db.execute_unprepared("PRAGMA synchronous = FULL").await.expect("a setting");
    }
    let events = keys(&db, "SELECT id, occurred_at FROM events").await;
    let messages = keys(&db, "SELECT id, conversation_key FROM messages").await;
    let mut times = Vec::with_capacity(COMMITS);
    for (event, message) in events.into_iter().zip(messages) {
        let begun = Instant::now();
        let transaction = db.begin().await.expect("a transaction");
        let backend = transaction.get_database_backend();
        for (sql, values) in statements(database.is_sqlite(), event, message) {
            let statement = Statement::from_sql_and_values(backend, sql, values);
            transaction.execute_raw(statement).await.expect("stored");
        }
        transaction.commit().await.expect("committed");
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    median(&mut times)
}

/// The keys of some stored rows.
async fn keys(db: &DatabaseConnection, sql: &str) -> Vec<(Value, i64)> {
    let sql = format!("{sql} LIMIT {COMMITS}");
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await;
    let read = |row: &QueryResult| {
        let id = row.try_get_by_index::<Uuid>(0).map(Value::from);
        let id = id.or_else(|_| row.try_get_by_index::<Vec<u8>>(0).map(Value::from));
        (id.expect("an id"), row.try_get_by_index(1).expect("a number"))
    };
    rows.expect("rows").iter().map(read).collect()
}

fn statements(
    is_sqlite: bool,
    (event, occurred_at): (Value, i64),
    (message, conversation): (Value, i64),
) -> [(String, Vec<Value>); 3] {
    let id = Uuid::now_v7();
    let telnyx_id = || Value::from(id.as_bytes().to_vec());
    let place = |n: u8| if is_sqlite { "?".to_owned() } else { format!("${n}") };
    let (one, two, three) = (place(1), place(2), place(3));
    [
        (
            format!(
                "INSERT INTO events (id, event_type, occurred_at, received_at, dictionary, body) \
                 SELECT {one}, event_type, occurred_at + 1, received_at, dictionary, body FROM events \
                 WHERE occurred_at = {two} AND id = {three}"
            ),
            vec![telnyx_id(), occurred_at.into(), event],
        ),
        (
            format!(
                "INSERT INTO messages (id, conversation_key, telnyx_message_id, direction, \
                 from_number, to_number, body, encoding, segments, status_rank, created_at) \
                 SELECT {one}, conversation_key, {two}, direction, from_number, to_number, body, \
                 encoding, segments, status_rank, created_at FROM messages WHERE id = {three}"
            ),
            vec![id.into(), telnyx_id(), message],
        ),
        (
            format!(
                "UPDATE conversations SET message_count = message_count + 1, \
                 last_message_at = last_message_at + 1 WHERE key = {one}"
            ),
            vec![conversation.into()],
        ),
    ]
}
