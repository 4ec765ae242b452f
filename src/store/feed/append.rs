//! Appending entries at the end of a transaction.

use sea_orm::sea_query::Value;
use sea_orm::{DatabaseBackend, Statement};
use uuid::Uuid;

use super::{FeedChange, RecordedChange};
use crate::domain::Timestamp;
use crate::store::entity::micros;
use crate::store::sql;

/// The statement for SQLite, whose write lock is held already. Counts on from the newest entry, which is
/// always kept.
pub(in crate::store) fn append(changes: &[RecordedChange], now: Timestamp) -> Statement {
    const WIDTH: usize = 9;
    let count = sql::padded(changes.len());
    let mut values = Vec::with_capacity(count * WIDTH);
    for (change, (step, nonce)) in changes.iter().zip((1_i64..).zip(nonces())) {
        let (status, replaces) = status(&change.change);
        let row: [Value; WIDTH] = [
            step.into(),
            micros(now).into(),
            nonce.into(),
            change.kind().into(),
            status.into(),
            change.change.message().into(),
            replaces.into(),
            contact(&change.change).into(),
            conversation(&change.change).into(),
        ];
        values.extend(row);
    }
    let values = sql::pad(values, count * WIDTH, WIDTH);
    let mut text = "INSERT INTO feed \
         (position, at, nonce, kind, status_rank, message_id, replaces, contact, conversation_id) \
         SELECT h.position + column1, max(h.at, column2), column3, column4, column5, column6, \
         column7, column8, column9 \
         FROM (SELECT position, at FROM feed ORDER BY position DESC LIMIT 1) AS h, (VALUES "
        .to_owned();
    for row in 0..count {
        text.push_str(if row == 0 {
            "(?, ?, ?, ?, ?, ?, ?, ?, ?)"
        } else {
            ", (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        });
    }
    text.push_str(") AS v WHERE column1 IS NOT NULL");
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
