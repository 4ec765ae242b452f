//! Where forwarding stands: the place of each name in the feed, and ranges of entries apart from it.

mod request;
mod write;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, ExprTrait, FromQueryResult, QueryFilter,
    QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::Store;
use super::db_error::OrTell;
use super::entity::forward_range::state;
use super::entity::{feed, forward, forward_range};
use super::feed::ENTRIES_IN_ROW;
use crate::domain::{FeedCursor, Timestamp};
use crate::error::Error;
pub(crate) use write::ForwardStep;

/// A place in the feed from which events are forwarded, and how that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForwardPlace {
    pub(crate) part: ForwardPart,
    /// The entry up to which everything was delivered.
    pub(crate) after: FeedCursor,
    /// The failed attempts to deliver what follows.
    pub(crate) attempts: u32,
    pub(crate) failing_since: Option<Timestamp>,
    pub(crate) next_attempt_at: Option<Timestamp>,
}

/// Which of the places of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForwardPart {
    /// The one that follows the feed.
    Live,
    /// A replay, with the position of its last entry.
    Replay { id: Uuid, until: i64 },
}

/// The stored state of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredForward {
    pub(crate) name: String,
    pub(crate) live: ForwardPlace,
    pub(crate) is_paused: bool,
    pub(crate) restarted_at: Option<Timestamp>,
    pub(crate) last_success_at: Option<Timestamp>,
    pub(crate) last_error: Option<String>,
    pub(crate) last_error_at: Option<Timestamp>,
}

/// A range of entries that were given up or are replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForwardRange {
    pub(crate) name: String,
    pub(crate) is_given_up: bool,
    /// With what is left of it.
    pub(crate) place: ForwardPlace,
    /// The position of its last entry.
    pub(crate) until: i64,
    pub(crate) from_at: Timestamp,
    pub(crate) until_at: Timestamp,
}

/// What follows a position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ForwardLag {
    /// How many entries.
    pub(crate) entries: u64,
    /// When the first of them was stored.
    pub(crate) oldest: Option<Timestamp>,
}

impl Store {
    /// The stored state of every name, by name.
    ///
    /// # Errors
    /// `database_unavailable`, like the other methods here.
    pub(crate) async fn forwards(&self) -> Result<Vec<StoredForward>, Error> {
        let query = forward::Entity::find().order_by_asc(forward::Column::Name);
        let rows = query.all(&self.reader).await.or_tell()?;
        Ok(rows.into_iter().map(stored).collect())
    }

    /// The stored state of one name.
    pub(crate) async fn forward(&self, name: &str) -> Result<Option<StoredForward>, Error> {
        let row = forward::Entity::find_by_id(name.to_owned()).one(&self.reader).await.or_tell()?;
        Ok(row.map(stored))
    }

    /// The ranges of all names, oldest first.
    pub(crate) async fn forward_ranges(&self) -> Result<Vec<ForwardRange>, Error> {
        let query = forward_range::Entity::find();
        let query = query.order_by_asc(forward_range::Column::AfterPosition);
        let rows = query.all(&self.reader).await.or_tell()?;
        Ok(rows.into_iter().map(range).collect())
    }

    /// The oldest range of a name that is to be replayed.
    pub(crate) async fn forward_replay(&self, name: &str) -> Result<Option<ForwardRange>, Error> {
        use forward_range::Column as C;
        let query = forward_range::Entity::find()
            .filter(C::Name.eq(name).and(C::State.eq(state::REPLAYING)))
            .order_by_asc(C::AfterPosition);
        Ok(query.one(&self.reader).await.or_tell()?.map(range))
    }

    /// How many entries follow a position, up to another one.
    pub(crate) async fn forward_lag(&self, after: i64, until: i64) -> Result<ForwardLag, Error> {
        lag(&self.reader, after, until).await.or_tell()
    }
}

async fn lag(db: &impl ConnectionTrait, after: i64, until: i64) -> Result<ForwardLag, DbErr> {
    let newest = feed::Entity::find().order_by_desc(feed::Column::Position).one(db).await?;
    let (Some(first), Some(newest)) = (first_after(db, after).await?, newest) else {
        return Ok(ForwardLag::default());
    };
    // Positions count the entries. None is left of those before the first row.
    let before = Ord::max(after, first.position - first.entries);
    let entries = u64::try_from(Ord::min(until, newest.position) - before).unwrap_or_default();
    let oldest = Some(Timestamp::from_micros(first.at)).filter(|_| entries > 0);
    Ok(ForwardLag { entries, oldest })
}

/// When the first entry after a position was stored.
async fn at_after(db: &impl ConnectionTrait, after: i64) -> Result<Option<i64>, DbErr> {
    Ok(first_after(db, after).await?.map(|first| first.at))
}

/// A row of the feed.
#[derive(FromQueryResult)]
struct FeedRow {
    position: i64,
    at: i64,
    entries: i64,
}

/// The row with the first entry after a position.
async fn first_after(db: &impl ConnectionTrait, after: i64) -> Result<Option<FeedRow>, DbErr> {
    feed::Entity::find()
        .select_only()
        .columns([feed::Column::Position, feed::Column::At])
        .expr_as(Expr::cust(format!("CAST({ENTRIES_IN_ROW} AS bigint)")), "entries")
        .filter(feed::Column::Position.gt(after))
        .order_by_asc(feed::Column::Position)
        .limit(1)
        .into_model()
        .one(db)
        .await
}

fn stored(row: forward::Model) -> StoredForward {
    let time = |at: Option<i64>| at.map(Timestamp::from_micros);
    StoredForward {
        live: ForwardPlace {
            part: ForwardPart::Live,
            after: FeedCursor { position: row.position, nonce: row.nonce.cast_unsigned() },
            attempts: row.attempts.cast_unsigned(),
            failing_since: time(row.failing_since),
            next_attempt_at: time(row.next_attempt_at),
        },
        name: row.name,
        is_paused: row.paused != 0,
        restarted_at: time(row.restarted_at),
        last_success_at: time(row.last_success_at),
        last_error: row.last_error,
        last_error_at: time(row.last_error_at),
    }
}

fn range(row: forward_range::Model) -> ForwardRange {
    let (nonce, until) = (row.after_nonce.cast_unsigned(), row.until_position);
    ForwardRange {
        place: ForwardPlace {
            part: ForwardPart::Replay { id: row.id, until },
            after: FeedCursor { position: row.after_position, nonce },
            attempts: row.attempts.cast_unsigned(),
            failing_since: row.failing_since.map(Timestamp::from_micros),
            next_attempt_at: row.next_attempt_at.map(Timestamp::from_micros),
        },
        name: row.name,
        is_given_up: row.state == state::GIVEN_UP,
        until,
        from_at: Timestamp::from_micros(row.from_at),
        until_at: Timestamp::from_micros(row.until_at),
    }
}
