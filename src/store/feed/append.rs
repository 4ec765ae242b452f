//! Appending entries at the end of a transaction.

use sea_orm::sea_query::Value;
use sea_orm::{DatabaseBackend, DbErr, Statement};
use uuid::Uuid;

use super::entries::MOST_IN_ROW;
use super::{FeedChange, RecordedChange};
use crate::domain::Timestamp;
use crate::store::entity::micros;
use crate::store::sql;

/// What is given for a row: how far its last entry is from the newest one that is stored, and columns.
const COLUMNS: [&str; 8] = [
    "step",
    "nonce",
    "kind",
    "status_rank",
    "message_ids",
    "replaces",
    "contact",
    "conversation_id",
];

/// Rows in the order of [`COLUMNS`].
fn rows(changes: &[RecordedChange]) -> Vec<[Value; COLUMNS.len()]> {
    // Another history of the database does not have it.
    let nonce = Uuid::new_v4().as_u64_pair().1 as u32;
    let mut step = 0_u32;
    let row = |entries: &[RecordedChange]| {
        step += u32::try_from(entries.len()).unwrap_or_default();
        let first = &entries[0];
        let (status, replaces) = status(&first.change);
        let ids = entries.iter().filter_map(|one| one.change.message());
        let ids: Vec<u8> = ids.flat_map(Uuid::into_bytes).collect();
        [
            step.cast_signed().into(),
            nonce.wrapping_add(step).cast_signed().into(),
            first.kind().into(),
            status.into(),
            Some(ids).filter(|ids| !ids.is_empty()).into(),
            replaces.into(),
            contact(&first.change).into(),
            conversation(&first.change).into(),
        ]
    };
    let together = changes.chunk_by(are_in_one_row);
    together.flat_map(|entries| entries.chunks(MOST_IN_ROW)).map(row).collect()
}

/// Whether two changes that follow one another may be in a row: what else it holds is the same for both.
fn are_in_one_row(one: &RecordedChange, next: &RecordedChange) -> bool {
    let is_new = |one: &RecordedChange| matches!(one.change, FeedChange::Message(_));
    is_new(one) && is_new(next) && one.recovered == next.recovered
}

/// The statement for SQLite, whose write lock is held already. Counts on from the newest entry, which is
/// always kept.
pub(in crate::store) fn append(changes: &[RecordedChange], now: Timestamp) -> Statement {
    let rows = rows(changes);
    let count = sql::padded(rows.len());
    let values = rows.into_iter().flatten().collect();
    let (used, values) = sql::used_columns(values, COLUMNS.len(), |_| false);
    let width = used.len();
    let row = format!("({})", vec!["?"; width].join(", "));
    let columns: Vec<_> = used[1..].iter().map(|place| COLUMNS[*place]).collect();
    let given: Vec<_> = (2..=width).map(|place| format!("column{place}")).collect();
    let text = format!(
        "INSERT INTO feed (position, at, {}) SELECT h.position + column1, max(h.at, ?), {} \
         FROM (SELECT position, at FROM feed ORDER BY position DESC LIMIT 1) AS h, \
         (VALUES {}) AS v WHERE column1 IS NOT NULL",
        columns.join(", "),
        given.join(", "),
        vec![row; count].join(", "),
    );
    let values = sql::pad(values, count * width, width);
    let values = std::iter::once(micros(now).into()).chain(values);
    Statement::from_sql_and_values(DatabaseBackend::Sqlite, text, values)
}

/// The statement for PostgreSQL, to be sent in one message, by the simple protocol, with the commit: it
/// takes the lock, and other servers wait from here on. The values are arrays: a list of rows would take
/// PostgreSQL longer to parse than to insert.
pub(in crate::store) fn append_under_lock(changes: &[RecordedChange], now: Timestamp) -> String {
    let rows = rows(changes);
    let column = |place: usize| array(rows.iter().map(|row| sql::element_text(&row[place])));
    let arrays: Vec<_> = (0..COLUMNS.len()).map(column).collect();
    format!("SELECT append_to_feed({}, {})", micros(now), arrays.join(", "))
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
    let values = rows(changes).into_iter().flatten().collect();
    let (used, given) = sql::used_columns(values, COLUMNS.len(), |_| false);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Status;

    /// The step of each row, and how many ids it holds.
    fn steps(changes: &[RecordedChange]) -> Vec<(i32, usize)> {
        let read = |[step, _, _, _, ids, ..]: [Value; COLUMNS.len()]| {
            let ids: Option<Vec<u8>> = ids.unwrap();
            (step.unwrap(), ids.unwrap_or_default().len() / 16)
        };
        rows(changes).into_iter().map(read).collect()
    }

    #[test]
    fn new_messages_that_follow_one_another_share_rows() {
        let new = |n| FeedChange::Message(Uuid::from_u128(n));
        let status = |n| FeedChange::Status {
            message: Uuid::from_u128(n),
            status: Status::Sent,
            replaces: None,
        };
        let opt_out = FeedChange::OptOut { contact: "+12125550001".to_owned(), opted_out: true };
        let plain = |change| RecordedChange { change, recovered: false };
        let recovered = |change| RecordedChange { change, recovered: true };
        let mut changes: Vec<_> = (1..=130).map(new).map(plain).collect();
        changes.extend([status(1), status(2), opt_out].map(plain));
        changes.extend([new(131), new(132)].map(recovered));
        changes.extend([plain(new(133))]);
        let expected =
            [(64, 64), (128, 64), (130, 2), (131, 1), (132, 1), (133, 0), (135, 2), (136, 1)];
        assert_eq!(steps(&changes), expected);
    }

    #[test]
    fn the_elements_of_an_array_are_quoted_twice() {
        let elements = [None, Some("NULL"), Some("o'clock"), Some(r#"\ " , {}"#)];
        let elements = elements.into_iter().map(|element| element.map(str::to_owned));
        assert_eq!(array(elements), r#"E'{NULL,"NULL","o\'clock","\\\\ \\" , {}"}'"#);
        assert_eq!(array([None, None].into_iter()), "NULL");
    }
}
