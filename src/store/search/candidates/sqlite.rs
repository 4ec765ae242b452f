//! SearchCandidates on SQLite: both the index and the list of its rows are in the order of the row ids, which
//! begin with the second. Within a second they have no order, so a window ends with a whole second.

use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::{SearchCandidates, SearchScope, Seen, Sql, candidates};
use crate::domain::search::Pattern;
use crate::domain::{Cursor, Timestamp};
use crate::store::entity::micros;
use crate::store::search::expression::{expression, has_only_prefixes};
use crate::store::search::{KEY_BITS, second_key};

/// How many of the newest messages are looked at before the index is asked for beginnings of words: it
/// would have to collect the messages of all these words first.
const NEWEST: u64 = 2_048;

/// Fewer messages than this are few for a word of several.
const FEW: i64 = 500;
/// How many of the words are looked at for that.
const COUNTED: usize = 16;
/// The step of a search none of whose words is rare.
const NONE_IS_RARE: usize = 2;

/// The messages that have the words.
pub(super) async fn indexed(
    db: &impl ConnectionTrait,
    scope: SearchScope<'_>,
    after: Option<Cursor>,
    window: u64,
    step: usize,
) -> Result<SearchCandidates, DbErr> {
    let mut patterns = scope.search.patterns();
    let mut next = 1;
    if scope.conversation.is_none() {
        if step == 0 && has_only_prefixes(&patterns) {
            let newest = walk(db, scope, after, NEWEST, None).await?;
            return Ok(SearchCandidates { step: 1, ..newest });
        }
        let rarest = if step == NONE_IS_RARE { None } else { rarest(db, &patterns).await? };
        match rarest {
            Some(rare) => patterns = vec![rare],
            None => next = NONE_IS_RARE,
        }
    }
    let words = expression(&patterns, scope.conversation, db.get_database_backend());
    let found = walk(db, scope, after, window, Some(&words)).await?;
    Ok(SearchCandidates { step: next, ..found })
}

/// The word among several that the fewest messages have, if they are few: these are sooner looked at than
/// found by all of the words, since the index looks for each of them among those of a common word.
async fn rarest<'a>(
    db: &impl ConnectionTrait,
    patterns: &[&'a Pattern],
) -> Result<Option<&'a Pattern>, DbErr> {
    if patterns.len() < 2 {
        return Ok(None);
    }
    let (mut rarest, mut least) = (None, FEW);
    let words = patterns.iter().filter(|pattern| matches!(pattern, Pattern::Word(_)));
    for word in words.take(COUNTED) {
        let mut sql = Sql::new();
        let asked = sql.bind(expression(&[word], None, db.get_database_backend()));
        sql.text = format!(
            "SELECT count(*) FROM (SELECT 1 FROM search_words WHERE search_words MATCH {asked} \
             LIMIT {least})"
        );
        let rows = sql.rows(db).await?;
        let count: i64 = rows.first().map_or(Ok(least), |row| row.try_get_by_index(0))?;
        if count < least {
            (rarest, least) = (Some(*word), count);
        }
    }
    Ok(rarest)
}

/// All messages.
pub(super) async fn all(
    db: &impl ConnectionTrait,
    scope: SearchScope<'_>,
    after: Option<Cursor>,
    window: u64,
) -> Result<SearchCandidates, DbErr> {
    walk(db, scope, after, window, None).await
}

async fn walk(
    db: &impl ConnectionTrait,
    scope: SearchScope<'_>,
    after: Option<Cursor>,
    window: u64,
    words: Option<&str>,
) -> Result<SearchCandidates, DbErr> {
    let search = scope.search;
    let first = search.since.map_or(0, |since| second_key(micros(since)));
    let until = search.until.map(|until| Cursor { at: until, id: Uuid::nil(), until: None });
    let ends = until.into_iter().chain(after).map(key_beyond);
    let end = ends.min().unwrap_or(i64::MAX);
    let (mut seen, last, count) = rows(db, scope, after, words, (first, end), Some(window)).await?;
    let Some(last) = last.filter(|_| count == window) else { return Ok(candidates(seen, None)) };
    let second = last >> KEY_BITS << KEY_BITS;
    let (rest, ..) = rows(db, scope, after, words, (second.max(first), last), None).await?;
    seen.extend(rest);
    let at = Timestamp::from_micros((second >> KEY_BITS) * 1_000_000);
    Ok(candidates(seen, Some(Cursor { at, id: Uuid::nil(), until: None })))
}

/// The row id below which all messages before a position are.
fn key_beyond(position: Cursor) -> i64 {
    let at = micros(position.at);
    // A position at the very beginning of a second leaves out the whole second.
    let is_boundary = at.rem_euclid(1_000_000) == 0 && position.id.is_nil();
    second_key(at) + if is_boundary { 0 } else { 1 << KEY_BITS }
}

/// The rows with row ids in a range, from the highest on; the last row id, and how many rows there are.
async fn rows(
    db: &impl ConnectionTrait,
    scope: SearchScope<'_>,
    after: Option<Cursor>,
    words: Option<&str>,
    (first, end): (i64, i64),
    limit: Option<u64>,
) -> Result<(Vec<Seen>, Option<i64>, u64), DbErr> {
    let mut sql = Sql::new();
    let matches = sql.matches(scope.search, after);
    let (first, end) = (sql.bind(first), sql.bind(end));
    let (key, source, condition) = match words {
        Some(words) => (
            "w.rowid",
            "search_words AS w CROSS JOIN search_rows AS r ON r.key = w.rowid",
            format!("w.search_words MATCH {} AND ", sql.bind(words)),
        ),
        None => ("r.key", "search_rows AS r", String::new()),
    };
    let limit = limit.map(|limit| format!(" LIMIT {limit}")).unwrap_or_default();
    sql.text = format!(
        "SELECT r.key, r.message_id, m.created_at, {matches} FROM {source} \
         LEFT JOIN messages AS m ON m.id = r.message_id \
         WHERE {condition}{key} >= {first} AND {key} < {end} ORDER BY {key} DESC{limit}"
    );
    let rows = sql.rows(db).await?;
    let last = rows.last().map(|row| row.try_get_by_index(0)).transpose()?;
    let seen: Vec<Option<Seen>> =
        rows.iter().map(|row| Seen::read(row, 1)).collect::<Result<_, _>>()?;
    Ok((seen.into_iter().flatten().collect(), last, rows.len() as u64))
}
