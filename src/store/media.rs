//! What became of the media of inbound messages: reading it, finding what is to be fetched.

mod remove;
mod write;

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait, Func, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use uuid::Uuid;

use super::Store;
use super::db_error::OrTell;
use super::entity::media::{Column as C, Entity as Media, Model, state};
use super::entity::message::direction;
use super::entity::{from_json, media_garbage, media_progress, message, micros};
use crate::clock;
use crate::domain::{ContentHash, Direction, FeedCursor, MediaState, Message, Timestamp};
use crate::error::Error;
pub(in crate::store) use remove::remove_media;
pub(in crate::store) use write::walk_again;
pub(crate) use write::{MediaStep, MediumEnd};

/// How many waiting media are counted at most.
const MOST_COUNTED: u64 = 100_000;

/// A medium that was found in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundMedium {
    pub(crate) message_id: Uuid,
    /// Its place among the message's media, from 1.
    pub(crate) number: i32,
    /// Of the message.
    pub(crate) created_at: Timestamp,
}

/// A medium that is waiting to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WaitingMedium {
    pub(crate) found: FoundMedium,
    /// As the message has it; `None` if that is gone.
    pub(crate) medium: Option<crate::domain::Media>,
    pub(crate) attempts: u32,
    pub(crate) due: Timestamp,
}

/// How far the fetcher has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MediaProgress {
    /// The entry of the feed up to which all media are known.
    pub(crate) place: FeedCursor,
    /// Whether all messages from before the feed were looked at.
    pub(crate) is_walked: bool,
    /// The message down to which they were looked at.
    pub(crate) walked_to: Option<Uuid>,
}

impl FoundMedium {
    /// The media of an inbound message.
    pub(crate) fn all_of(message: &Message) -> impl Iterator<Item = Self> {
        let (message_id, created_at) = (message.id, message.created_at);
        let is_inbound = message.direction == Direction::Inbound;
        let count = if is_inbound { message.media.len() } else { 0 };
        let last = i32::try_from(count).unwrap_or(i32::MAX);
        (1..=last).map(move |number| Self { message_id, number, created_at })
    }
}

impl Store {
    /// Says of each medium of inbound messages what became of it.
    pub(in crate::store) async fn add_media_states(
        &self,
        messages: impl IntoIterator<Item = &mut Message>,
    ) -> Result<(), DbErr> {
        let has_media = |message: &&mut Message| {
            message.direction == Direction::Inbound && !message.media.is_empty()
        };
        let mut messages: Vec<_> = messages.into_iter().filter(has_media).collect();
        if messages.is_empty() {
            return Ok(());
        }
        let ids = messages.iter().map(|message| message.id);
        let rows = Media::find().filter(C::MessageId.is_in(ids)).all(&self.reader).await?;
        let mut rows: HashMap<_, _> =
            rows.into_iter().map(|row| ((row.message_id, row.number), row)).collect();
        let now = clock::now();
        for message in &mut messages {
            for (number, medium) in (1..).zip(&mut message.media) {
                medium.state = Some(match rows.remove(&(message.id, number)) {
                    Some(row) => describe(medium, row),
                    None => MediaState::untried(message.created_at, now),
                });
            }
        }
        Ok(())
    }

    /// Up to `limit` of the media that are waiting, the one that is due first at the front.
    ///
    /// # Errors
    /// `database_unavailable`, like the other methods here.
    pub(crate) async fn waiting_media(&self, limit: u64) -> Result<Vec<WaitingMedium>, Error> {
        let query = Media::find().filter(C::NextAttemptAt.is_not_null());
        let query = query.order_by_asc(C::NextAttemptAt).limit(limit);
        let rows = query.all(&self.reader).await.or_tell()?;
        let ids: Vec<_> = rows.iter().map(|row| row.message_id).collect();
        let found: Vec<(Uuid, Option<String>)> = message::Entity::find()
            .select_only()
            .columns([message::Column::Id, message::Column::Media])
            .filter(message::Column::Id.is_in(ids))
            .into_tuple()
            .all(&self.reader)
            .await
            .or_tell()?;
        let media: HashMap<_, _> = found.into_iter().collect();
        Ok(rows.into_iter().map(|row| waiting(&row, &media)).collect())
    }

    /// How many media are waiting, up to 100,000.
    pub(crate) async fn count_waiting_media(&self) -> Result<i64, Error> {
        let mut waiting = Query::select();
        waiting.column(C::Number).from(Media);
        waiting.and_where(C::NextAttemptAt.is_not_null()).limit(MOST_COUNTED);
        let mut query = Query::select();
        query.expr(Func::count(Expr::val(1))).from_subquery(waiting, "waiting");
        let row = self.reader.query_one(&query).await.or_tell()?;
        row.map_or(Ok(0), |row| row.try_get_by_index(0)).or_tell()
    }

    /// How far the fetcher has come; `None` before it has begun.
    pub(crate) async fn media_progress(&self) -> Result<Option<MediaProgress>, Error> {
        let row = media_progress::Entity::find().one(&self.reader).await.or_tell()?;
        Ok(row.map(|row| MediaProgress {
            place: FeedCursor { position: row.position, nonce: row.nonce.cast_unsigned() },
            is_walked: row.walked != 0,
            walked_to: row.walked_to,
        }))
    }

    /// The media of some of the messages before another one, newest first, down to an id; and the last
    /// message that was looked at, `None` at the end.
    pub(crate) async fn media_before(
        &self,
        before: Option<Uuid>,
        oldest: Uuid,
        limit: u64,
    ) -> Result<(Vec<FoundMedium>, Option<Uuid>), Error> {
        use message::Column as M;
        let mut ids = message::Entity::find().select_only().column(M::Id).filter(M::Id.gte(oldest));
        if let Some(before) = before {
            ids = ids.filter(M::Id.lt(before));
        }
        let ids: Vec<Uuid> =
            ids.order_by_desc(M::Id).limit(limit).into_tuple().all(&self.reader).await.or_tell()?;
        let (Some(newest), Some(last)) = (ids.first(), ids.last()) else {
            return Ok((Vec::new(), None));
        };
        let rows: Vec<(Uuid, i64, Option<String>)> = message::Entity::find()
            .select_only()
            .columns([M::Id, M::CreatedAt, M::Media])
            .filter(M::Id.between(*last, *newest))
            .filter(M::Media.is_not_null())
            .filter(M::Direction.eq(direction(Direction::Inbound)))
            .into_tuple()
            .all(&self.reader)
            .await
            .or_tell()?;
        let found = rows.into_iter().flat_map(|(message_id, created_at, media)| {
            let media: Vec<serde_json::Value> = from_json(media.as_deref()).unwrap_or_default();
            let created_at = Timestamp::from_micros(created_at);
            (1..).zip(media).map(move |(number, _)| FoundMedium { message_id, number, created_at })
        });
        Ok((found.collect(), Some(*last)))
    }

    /// Some of the content that is kept, in the order of the hashes after one.
    pub(crate) async fn kept_content(
        &self,
        after: Option<ContentHash>,
        limit: u64,
    ) -> Result<Vec<ContentHash>, Error> {
        let mut query = Media::find().select_only().column(C::Hash).distinct();
        query = match after {
            Some(after) => query.filter(C::Hash.gt(after.as_bytes().to_vec())),
            None => query.filter(C::Hash.is_not_null()),
        };
        let query = query.order_by_asc(C::Hash).limit(limit);
        let rows: Vec<Vec<u8>> = query.into_tuple().all(&self.reader).await.or_tell()?;
        Ok(rows.iter().filter_map(|hash| ContentHash::from_bytes(hash)).collect())
    }

    /// How many media of messages from before a time are kept.
    pub(crate) async fn count_old_media(&self, before: Timestamp) -> Result<u64, Error> {
        let old = C::CreatedAt.lt(micros(before)).and(C::Hash.is_not_null());
        Media::find().filter(old).count(&self.reader).await.or_tell()
    }

    /// Some of the content that rows referred to which were removed, with whether others refer to it.
    pub(crate) async fn media_garbage(
        &self,
        limit: u64,
    ) -> Result<Vec<(ContentHash, bool)>, Error> {
        let rows = media_garbage::Entity::find().limit(limit).all(&self.reader).await.or_tell()?;
        let mut found = Vec::new();
        for row in rows {
            let Some(hash) = ContentHash::from_bytes(&row.hash) else { continue };
            let used = Media::find().filter(C::Hash.eq(row.hash)).one(&self.reader).await;
            found.push((hash, used.or_tell()?.is_some()));
        }
        Ok(found)
    }
}

/// Says what is known of a medium, and returns its state.
fn describe(medium: &mut crate::domain::Media, row: Model) -> MediaState {
    let found = MediaState::ALL.into_iter().find(|each| state(*each) == row.state);
    let hash = row.hash.as_deref().and_then(ContentHash::from_bytes);
    match (found, hash) {
        (Some(MediaState::Kept), Some(hash)) => {
            medium.sha256 = Some(hash.to_string());
            medium.size = row.content_size.and_then(|size| u64::try_from(size).ok());
            medium.content_type = row.content_type;
            MediaState::Kept
        }
        (Some(MediaState::Kept) | None, _) => MediaState::Gone,
        (Some(other), _) => other,
    }
}

fn waiting(row: &Model, media: &HashMap<Uuid, Option<String>>) -> WaitingMedium {
    let media = media.get(&row.message_id).and_then(|media| media.as_deref());
    let mut media: Vec<crate::domain::Media> = from_json(media).unwrap_or_default();
    let at = usize::try_from(row.number - 1).unwrap_or(usize::MAX);
    WaitingMedium {
        found: FoundMedium {
            message_id: row.message_id,
            number: row.number,
            created_at: Timestamp::from_micros(row.created_at),
        },
        medium: (at < media.len()).then(|| media.swap_remove(at)),
        attempts: row.attempts.cast_unsigned(),
        due: Timestamp::from_micros(row.next_attempt_at.unwrap_or_default()),
    }
}
