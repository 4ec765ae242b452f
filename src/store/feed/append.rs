//! Appending entries at the end of a transaction.

use sea_orm::sea_query::Value;
use sea_orm::{DatabaseBackend, DbErr, Statement};
use uuid::Uuid;

use super::{FeedChange, RecordedChange};
use crate::domain::Timestamp;
use crate::store::entity::micros;
use crate::store::sql;

/// The columns of an entry after its position and its time.
const COLUMNS: [&str; 7] =
    ["nonce", "kind", "status_rank", "message_id", "replaces", "contact", "conversation_id"];

/// Entries in the order of [`COLUMNS`].
fn rows(changes: &[RecordedChange]) -> Vec<Value> {
    let row = |(one, nonce): (&RecordedChange, i32)| -> [Value; 7] {
        let (status, replaces) = status(&one.change);
        [
            nonce.into(),
            one.kind().into(),
            status.into(),
            one.change.message().into(),
            replaces.into(),
            contact(&one.change).into(),
            conversation(&one.change).into(),
        ]
    };
    changes.iter().zip(nonces()).flat_map(row).collect()
}

/// The statement for SQLite, whose write lock is held already. Counts on from the newest entry, which is
/// always kept.
pub(in crate::store) fn append(changes: &[RecordedChange], now: Timestamp) -> Statement {
    let (used, values) = sql::used_columns(rows(changes), COLUMNS.len(), |_| false);
    let mut values = values.into_iter();
    let numbered = (1_i64..).take(changes.len()).flat_map(|step| {
        std::iter::once(step.into()).chain(values.by_ref().take(used.len()).collect::<Vec<_>>())
    });
    let (width, count) = (1 + used.len(), sql::padded(changes.len()));
    let values = sql::pad(numbered.collect(), count * width, width);
    let columns: Vec<_> = used.iter().map(|place| COLUMNS[*place]).collect();
    let given: Vec<_> = (2..=width).map(|place| format!("column{place}")).collect();
    let row = format!("({})", vec!["?"; width].join(", "));
    let text = format!(
        "INSERT INTO feed (position, at, {}) SELECT h.position + column1, max(h.at, ?), {} \
         FROM (SELECT position, at FROM feed ORDER BY position DESC LIMIT 1) AS h, \
         (VALUES {}) AS v WHERE column1 IS NOT NULL",
        columns.join(", "),
        given.join(", "),
        vec![row; count].join(", "),
    );
    let values = std::iter::once(micros(now).into()).chain(values);
    Statement::from_sql_and_values(DatabaseBackend::Sqlite, text, values)
}

/// The statement for PostgreSQL, to be sent in one message, by the simple protocol, with the commit: it
/// takes the lock, and other servers wait from here on. The values are arrays: a list of rows would take
/// PostgreSQL longer to parse than to insert.
pub(in crate::store) fn append_under_lock(changes: &[RecordedChange], now: Timestamp) -> String {
    let bare = || changes.iter().map(|one| &one.change);
    let statuses = || bare().map(status);
    let number = |number: i16| number.to_string();
    // Few transactions remove a conversation.
    let removed = match array(bare().map(|change| conversation(change).map(|id| id.to_string()))) {
        none if none == "NULL" => String::new(),
        ids => format!(", {ids}"),
    };
    format!(
        "SELECT append_to_feed({}, {}, {}, {}, {}, {}, {}{removed})",
        micros(now),
        array(changes.iter().zip(nonces()).map(|(_, nonce)| Some(nonce.to_string()))),
        array(changes.iter().map(|change| Some(number(change.kind())))),
        array(statuses().map(|(rank, _)| rank.map(number))),
        array(bare().map(|change| change.message().map(|id| id.to_string()))),
        array(statuses().map(|(_, replaces)| replaces.map(|id| id.to_string()))),
        array(bare().map(contact)),
    )
}

/// The same as an expression of a prepared statement, after so many other parameters, and their values.
///
/// # Errors
/// None for what the feed holds.
pub(in crate::store) fn append_expression(
    changes: &[RecordedChange],
    now: Timestamp,
    before: usize,
) -> Result<(String, Vec<Value>), DbErr> {
    let (used, given) = sql::used_columns(rows(changes), COLUMNS.len(), |_| false);
    let (arrays, mut values) = sql::as_arrays(given, used.len(), before)?;
    values.push(micros(now).into());
    let array = |place| used.iter().position(|used| *used == place).map(|at| arrays[at].as_str());
    let arrays: Vec<_> = (0..COLUMNS.len()).map(|place| array(place).unwrap_or("NULL")).collect();
    let now = before + values.len();
    Ok((format!("append_to_feed(${now}, {})", arrays.join(", ")), values))
}

/// A literal of an array, whatever `standard_conforming_strings` is; NULL if nothing is in it.
fn array(elements: impl Iterator<Item = Option<String>>) -> String {
    let elements: Vec<_> = elements.collect();
    if elements.iter().all(Option::is_none) {
        return "NULL".to_owned();
    }
    let array = sql::array_text(elements.into_iter());
    format!("E'{}'", array.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn status(change: &FeedChange) -> (Option<i16>, Option<Uuid>) {
    match change {
        FeedChange::Status { status, replaces, .. } => (Some(status.rank()), *replaces),
        _ => (None, None),
    }
}

fn contact(change: &FeedChange) -> Option<String> {
    match change {
        FeedChange::OptOut { contact, .. } => Some(contact.clone()),
        _ => None,
    }
}

/// The conversation that was removed: there is nothing left to find it by.
fn conversation(change: &FeedChange) -> Option<Uuid> {
    match change {
        FeedChange::Removed { conversation } => Some(*conversation),
        _ => None,
    }
}

/// Bytes that differ from entry to entry, and that another history of the database does not have.
fn nonces() -> impl Iterator<Item = i32> {
    let random = Uuid::new_v4().as_u64_pair().1 as u32;
    (0_u32..).map(move |step| random.wrapping_add(step).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_elements_of_an_array_are_quoted_twice() {
        let elements = [None, Some("NULL"), Some("o'clock"), Some(r#"\ " , {}"#)];
        let elements = elements.into_iter().map(|element| element.map(str::to_owned));
        assert_eq!(array(elements), r#"E'{NULL,"NULL","o\'clock","\\\\ \\" , {}"}'"#);
        assert_eq!(array([None, None].into_iter()), "NULL");
    }
}
