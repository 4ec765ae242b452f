//! SearchCandidates on PostgreSQL. Each statement leaves its planner one way only: a subquery with LIMIT or
//! OFFSET is run as it stands, and the numbers of rows are part of the text.

use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use super::{SearchCandidates, SearchScope, Seen, Sql, candidates};
use crate::domain::{Cursor, Timestamp};
use crate::store::search::expression::expression;

/// How many of the newest vectors are looked through first: enough for a page of a common word, and to tell
/// how common a word is. It takes about 5 ms.
const FIRST: u64 = 2_000;
/// A word that fewer of these have is rare. Of ten million messages, 30,000 have such a word, which takes as
/// long to read and to sort as to look through further vectors.
const RARE: usize = 6;
/// How many vectors are looked through for a word that is not: enough for a page of it.
const MANY: u64 = 40_000;
/// The step from which on the index is asked.
const BY_INDEX: usize = 2;
/// The rows of a long text may be more than the one at which the newest vectors end.
const PARTS: u64 = 64;
/// The columns of the order.
const ORDER: [&str; 2] = ["created_at", "message_id"];

/// The messages that have the words.
pub(super) async fn indexed(
    db: &impl ConnectionTrait,
    scope: SearchScope<'_>,
    after: Option<Cursor>,
    window: u64,
    step: usize,
) -> Result<SearchCandidates, DbErr> {
    let words = expression(&scope.search.patterns(), scope.conversation, db.get_database_backend());
    // The messages of a conversation are few, and their vectors have a word for it.
    let step = if scope.conversation.is_some() { BY_INDEX } else { step };
    let (found, rows) = match step {
        0 => by_date(db, scope, after, window, &words, FIRST).await?,
        1 => by_date(db, scope, after, window, &words, MANY).await?,
        _ => by_index(db, scope, after, window, &words).await?,
    };
    let step = match step {
        // As long as there are many of them, the next window has more.
        _ if rows as u64 >= window => step,
        0 if rows >= RARE => 1,
        _ => BY_INDEX,
    };
    Ok(SearchCandidates { step, ..found })
}

/// Those among the newest `count` rows.
async fn by_date(
    db: &impl ConnectionTrait,
    scope: SearchScope<'_>,
    after: Option<Cursor>,
    window: u64,
    words: &str,
    count: u64,
) -> Result<(SearchCandidates, usize), DbErr> {
    let end = nth(db, scope, after, count).await?;
    let mut sql = Sql::new();
    let words = sql.bind(words);
    let mut range = sql.range(scope.search, after, ORDER);
    if let Some(end) = end {
        let (at, id) = (sql.bind(end.at.as_micros()), sql.bind(end.id));
        range = format!("{range} AND (created_at, message_id) >= ({at}, {id})");
    }
    let found = format!(
        "SELECT created_at, message_id FROM (SELECT created_at, message_id, words \
         FROM search_rows WHERE {range} ORDER BY created_at DESC, message_id DESC \
         LIMIT {}) AS newest WHERE words @@ CAST({words} AS tsquery)",
        count + PARTS,
    );
    let seen = matching(db, sql, scope, after, &found, window).await?;
    let rows = seen.len();
    let end = if rows as u64 >= window { seen.last().map(Seen::position) } else { end };
    Ok((candidates(seen, end), rows))
}

/// Those that the index has.
async fn by_index(
    db: &impl ConnectionTrait,
    scope: SearchScope<'_>,
    after: Option<Cursor>,
    window: u64,
    words: &str,
) -> Result<(SearchCandidates, usize), DbErr> {
    let mut sql = Sql::new();
    let words = sql.bind(words);
    let range = sql.range(scope.search, after, ORDER);
    let found = format!(
        "SELECT created_at, message_id FROM (SELECT created_at, message_id FROM search_rows \
         WHERE words @@ CAST({words} AS tsquery) OFFSET 0) AS indexed WHERE {range}"
    );
    let seen = matching(db, sql, scope, after, &found, window).await?;
    let rows = seen.len();
    let end = seen.last().filter(|_| rows as u64 >= window).map(Seen::position);
    Ok((candidates(seen, end), rows))
}

/// All messages.
pub(super) async fn all(
    db: &impl ConnectionTrait,
    scope: SearchScope<'_>,
    after: Option<Cursor>,
    window: u64,
) -> Result<SearchCandidates, DbErr> {
    let mut sql = Sql::new();
    let range = sql.range(scope.search, after, ORDER);
    let found =
        format!("SELECT created_at, message_id FROM search_rows WHERE part = 0 AND {range}");
    let seen = matching(db, sql, scope, after, &found, window).await?;
    let end = seen.last().filter(|_| seen.len() as u64 >= window).map(Seen::position);
    Ok(candidates(seen, end))
}

/// Looks whether the messages of the newest of some rows match the filters. A message that is gone does
/// not.
async fn matching(
    db: &impl ConnectionTrait,
    mut sql: Sql,
    scope: SearchScope<'_>,
    after: Option<Cursor>,
    found: &str,
    window: u64,
) -> Result<Vec<Seen>, DbErr> {
    let matches = sql.matches(scope.search, after);
    sql.text = format!(
        "SELECT f.message_id, f.created_at, {matches} \
         FROM ({found} ORDER BY created_at DESC, message_id DESC LIMIT {window}) AS f \
         LEFT JOIN messages AS m ON m.id = f.message_id \
         ORDER BY f.created_at DESC, f.message_id DESC"
    );
    let rows = sql.rows(db).await?;
    let read = |row: &QueryResult| Seen::read(row, 0);
    let seen: Vec<Option<Seen>> = rows.iter().map(read).collect::<Result<_, _>>()?;
    Ok(seen.into_iter().flatten().collect())
}

/// The position of the last of `count` rows; `None` if there are fewer.
async fn nth(
    db: &impl ConnectionTrait,
    scope: SearchScope<'_>,
    after: Option<Cursor>,
    count: u64,
) -> Result<Option<Cursor>, DbErr> {
    let mut sql = Sql::new();
    let range = sql.range(scope.search, after, ORDER);
    sql.text = format!(
        "SELECT created_at, message_id FROM search_rows WHERE {range} \
         ORDER BY created_at DESC, message_id DESC OFFSET {} LIMIT 1",
        count - 1
    );
    let position = |row: &QueryResult| -> Result<Cursor, DbErr> {
        let at = Timestamp::from_micros(row.try_get_by_index(0)?);
        Ok(Cursor { at, id: row.try_get_by_index(1)?, until: None })
    };
    sql.rows(db).await?.first().map(position).transpose()
}
