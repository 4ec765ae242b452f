//! The entries that the rows of the feed hold.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

use crate::domain::FeedCursor;
use crate::store::entity::feed::{Column, Entity, Model};

/// How many entries a row holds at most.
pub(super) const MOST_IN_ROW: usize = 64;
/// The length of an id.
const ID_BYTES: usize = 16;
/// How many entries a row holds, in SQL.
pub(in crate::store) const ENTRIES_IN_ROW: &str = "coalesce(octet_length(message_ids) / 16, 1)";
/// How many entries a row is expected to hold where many are read.
const OFTEN_IN_ROW: u64 = 16;

/// An entry of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct FeedEntry {
    pub(in crate::store) cursor: FeedCursor,
    pub(in crate::store) at: i64,
    /// What changed: see [`kind`](crate::store::entity::feed::kind).
    pub(in crate::store) kind: i16,
    pub(in crate::store) status_rank: Option<i16>,
    pub(in crate::store) message_id: Option<Uuid>,
    pub(in crate::store) replaces: Option<Uuid>,
    pub(in crate::store) conversation_id: Option<Uuid>,
    pub(in crate::store) contact: Option<String>,
}

/// Some entries after a position.
#[derive(Debug)]
pub(in crate::store) struct FeedEntries {
    pub(in crate::store) entries: Vec<FeedEntry>,
    /// Whether more follow.
    pub(in crate::store) has_more: bool,
}

/// Up to `limit` entries after a position. `None` if the entry at the position is no longer there, or is
/// another one.
pub(in crate::store) async fn entries_after(
    db: &impl ConnectionTrait,
    after: FeedCursor,
    limit: u64,
) -> Result<Option<FeedEntries>, DbErr> {
    let mut entries = entries_from(db, after.position, limit.saturating_add(2)).await?;
    if entries.first().is_none_or(|first| first.cursor != after) {
        return Ok(None);
    }
    entries.remove(0);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    Ok(Some(FeedEntries { entries, has_more }))
}

/// The first entries at a position and after it; fewer if what follows is being removed.
async fn entries_from(
    db: &impl ConnectionTrait,
    position: i64,
    count: u64,
) -> Result<Vec<FeedEntry>, DbErr> {
    // Few rows at first, since they hold many entries where many are written; then as many as are needed if
    // each holds one.
    let few = count / OFTEN_IN_ROW + 2;
    let mut rows = rows_from(db, position, few).await?;
    let held: usize = rows.iter().map(entries_in).sum();
    let missing = (count + MOST_IN_ROW as u64).saturating_sub(held as u64);
    if rows.len() as u64 == few
        && missing > 0
        && let Some(last) = rows.last().map(|last| last.position)
    {
        let more = rows_from(db, last, missing + 1).await?;
        // If it is gone, so are rows after it, and the reader is told when it asks for them.
        if more.first().is_some_and(|first| first.position == last) {
            rows.extend(more.into_iter().skip(1));
        }
    }
    let entries = rows.into_iter().flat_map(entries_of);
    let entries = entries.skip_while(|entry| entry.cursor.position < position);
    Ok(entries.take(usize::try_from(count).unwrap_or(usize::MAX)).collect())
}

async fn rows_from(
    db: &impl ConnectionTrait,
    position: i64,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let query = Entity::find().filter(Column::Position.gte(position));
    query.order_by_asc(Column::Position).limit(limit).all(db).await
}

/// The entries of a row, in their order.
fn entries_of(row: Model) -> impl Iterator<Item = FeedEntry> {
    let ids: Vec<_> = match &row.message_ids {
        Some(ids) => message_ids(ids).collect(),
        None => vec![None],
    };
    let first = first_cursor_of(&row);
    (0_u32..).zip(ids).map(move |(place, message_id)| FeedEntry {
        cursor: FeedCursor {
            position: first.position + i64::from(place),
            nonce: first.nonce.wrapping_add(place),
        },
        at: row.at,
        kind: row.kind,
        status_rank: row.status_rank,
        message_id,
        replaces: row.replaces,
        conversation_id: row.conversation_id,
        contact: row.contact.clone(),
    })
}

/// How many entries a row holds.
fn entries_in(row: &Model) -> usize {
    row.message_ids.as_ref().map_or(1, |ids| ids.len() / ID_BYTES)
}

/// The position of the last entry of a row.
pub(super) fn cursor_of(row: &Model) -> FeedCursor {
    FeedCursor { position: row.position, nonce: row.nonce.cast_unsigned() }
}

/// The position of the first entry of a row.
pub(super) fn first_cursor_of(row: &Model) -> FeedCursor {
    let last = cursor_of(row);
    let before_last = u32::try_from(entries_in(row).saturating_sub(1)).unwrap_or_default();
    FeedCursor {
        position: last.position - i64::from(before_last),
        nonce: last.nonce.wrapping_sub(before_last),
    }
}

/// The ids in the column of a row; `None` where an entry was blanked.
pub(in crate::store) fn message_ids(column: &[u8]) -> impl Iterator<Item = Option<Uuid>> {
    column.chunks(ID_BYTES).map(|id| Uuid::from_slice(id).ok().filter(|id| !id.is_nil()))
}

/// The column without some ids.
pub(in crate::store) fn blanked(mut column: Vec<u8>, is_blanked: impl Fn(Uuid) -> bool) -> Vec<u8> {
    for id in column.chunks_mut(ID_BYTES) {
        if Uuid::from_slice(id).is_ok_and(&is_blanked) {
            id.fill(0);
        }
    }
    column
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::entity::feed::kind;

    fn row(ids: &[u128]) -> Model {
        Model {
            position: 7,
            at: 1,
            nonce: 1,
            kind: kind::MESSAGE,
            status_rank: None,
            message_ids: Some(ids.iter().flat_map(|id| id.to_be_bytes()).collect()),
            replaces: None,
            conversation_id: None,
            contact: None,
        }
    }

    fn read(row: Model) -> Vec<(i64, u32, Option<u128>)> {
        let read = |entry: FeedEntry| {
            let id = entry.message_id.map(|id| id.as_u128());
            (entry.cursor.position, entry.cursor.nonce, id)
        };
        entries_of(row).map(read).collect()
    }

    #[test]
    fn the_entries_of_a_row_count_up_to_its_position() {
        let expected = [(5, u32::MAX, Some(30)), (6, 0, None), (7, 1, Some(10))];
        assert_eq!(read(row(&[30, 0, 10])), expected);
        let other = Model { message_ids: None, ..row(&[]) };
        assert_eq!(read(other), [(7, 1, None)]);
    }

    #[test]
    fn blanking_leaves_the_others_where_they_are() {
        let row = row(&[30, 20, 10]);
        let ids = blanked(row.message_ids.expect("ids"), |id| id.as_u128() == 20);
        assert_eq!(
            message_ids(&ids).collect::<Vec<_>>(),
            [Some(30), None, Some(10)].map(|id| id.map(Uuid::from_u128))
        );
    }
}
