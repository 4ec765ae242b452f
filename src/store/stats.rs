//! Sums of messages in the database, which statistics are read from.
//!
//! The messages are divided into blocks, ranges of ids of a few thousand messages each. The sums of a block
//! are made by reading its messages. Whoever asks for statistics, and a server in the background, first
//! follows the feed and marks the blocks of messages that have changed, and then makes the sums of marked
//! blocks anew, and by as much as these differ, the totals of all blocks change; a block that has become too
//! large is divided. So the first sums of a large database are made
//! in the same small steps.
//!
//! A block's messages are read before the transaction that replaces its sums, which takes no lock that a
//! webhook would wait for. That transaction changes nothing if the block was marked meanwhile. A mark that
//! is set later is about a change that was committed later than the messages were read, or does no harm.

mod blocks;
mod changes;
mod contacts;
mod place;
mod read;
mod rows;
mod totals;

use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};

pub(crate) use changes::PendingChanges;
pub(super) use changes::record_changes;
pub(crate) use place::StatsPlace;

/// How many messages a block has at most.
const BLOCK: usize = 4_096;

/// Runs a query with values for `$1` and so on.
async fn query(
    db: &impl ConnectionTrait,
    sql: impl Into<String>,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<QueryResult>, DbErr> {
    let backend = db.get_database_backend();
    db.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await
}

/// Runs a statement with values, and returns how many rows it has changed.
async fn execute(
    db: &impl ConnectionTrait,
    sql: impl Into<String>,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64, DbErr> {
    let backend = db.get_database_backend();
    let statement = Statement::from_sql_and_values(backend, sql, values);
    Ok(db.execute_raw(statement).await?.rows_affected())
}
