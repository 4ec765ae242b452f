//! Reading raw events: newest first along their key, and their bodies in bounded memory.

use sea_orm::sea_query::{Expr, ExprTrait, Func, SimpleExpr};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
};

use super::Store;
use super::db_error::OrTell;
use super::entity::event::{Column as C, Entity as Events, Model, USUAL_TYPE};
use super::entity::{TelnyxId, micros};
use super::raw_event::RawEvent;
use crate::domain::{StoredEventCursor, Timestamp};
use crate::error::Error;

/// How many bodies are read at once.
const BODIES: usize = 50;
/// How many bytes they may have together, as stored; one body may have more.
const BODY_BYTES: u64 = 256 * 1024;

/// What is stored beside an event's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredEventKey {
    pub(crate) cursor: StoredEventCursor,
    pub(crate) event_type: String,
    pub(crate) received_at: Timestamp,
    /// The size of its body as stored, in bytes.
    bytes: u64,
}

impl Store {
    /// Events before a position, newest first, from a time on.
    ///
    /// # Errors
    /// `database_unavailable`, like the other methods here.
    pub(crate) async fn event_keys(
        &self,
        before: Option<&StoredEventCursor>,
        since: Option<Timestamp>,
        limit: u64,
    ) -> Result<Vec<StoredEventKey>, Error> {
        let length = match self.reader.get_database_backend() {
            DatabaseBackend::Sqlite => Func::cust("length").arg(C::Body.into_expr()),
            _ => Func::cust("octet_length").arg(C::Body.into_expr()),
        };
        let rows: Vec<(i64, TelnyxId, Option<String>, i64, i64)> = Events::find()
            .select_only()
            .columns([C::OccurredAt, C::Id, C::EventType, C::ReceivedAt])
            .expr(Expr::from(length).cast_as("bigint"))
            .filter(before_and_since(before, since))
            .order_by_desc(C::OccurredAt)
            .order_by_desc(C::Id)
            .limit(limit)
            .into_tuple()
            .all(&self.reader)
            .await
            .or_tell()?;
        let keys = rows.into_iter().map(|(occurred_at, id, event_type, received_at, bytes)| {
            StoredEventKey {
                cursor: StoredEventCursor { occurred_at, id: id.into_string() },
                event_type: event_type.unwrap_or_else(|| USUAL_TYPE.to_owned()),
                received_at: Timestamp::from_micros(received_at),
                bytes: u64::try_from(bytes).unwrap_or_default(),
            }
        });
        Ok(keys.collect())
    }

    /// The bodies of as many of the first of some events as are read at once: at least one. What cannot be
    /// restored, or was removed meanwhile, is absent.
    pub(crate) async fn event_bodies(
        &self,
        keys: &[StoredEventKey],
    ) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let mut bytes = 0;
        let fits = |key: &&StoredEventKey| {
            let is_first = bytes == 0;
            bytes += key.bytes + 1;
            is_first || bytes <= BODY_BYTES
        };
        let keys: Vec<_> = keys.iter().take(BODIES).take_while(fits).collect();
        let any = keys.iter().fold(Condition::any(), |any, key| any.add(is_at(&key.cursor)));
        let mut found = Events::find().filter(any).all(&self.reader).await.or_tell()?;
        let mut body = |key: &StoredEventKey| {
            let id = TelnyxId::new(&key.cursor.id);
            let is_it = |row: &Model| row.occurred_at == key.cursor.occurred_at && row.id == id;
            let place = found.iter().position(is_it)?;
            restore(found.swap_remove(place))
        };
        Ok(keys.into_iter().map(&mut body).collect())
    }

    /// The body of the event at a position.
    pub(crate) async fn event_body(
        &self,
        cursor: &StoredEventCursor,
    ) -> Result<Option<Vec<u8>>, Error> {
        let row = Events::find().filter(is_at(cursor)).one(&self.reader).await.or_tell()?;
        Ok(row.and_then(restore))
    }

    /// The positions of the next events before a position, newest first.
    pub(crate) async fn event_positions(
        &self,
        before: Option<&StoredEventCursor>,
        limit: u64,
    ) -> Result<Vec<StoredEventCursor>, Error> {
        self.positions(before, limit).await.or_tell()
    }

    async fn positions(
        &self,
        before: Option<&StoredEventCursor>,
        limit: u64,
    ) -> Result<Vec<StoredEventCursor>, DbErr> {
        let rows: Vec<(i64, TelnyxId)> = Events::find()
            .select_only()
            .columns([C::OccurredAt, C::Id])
            .filter(before_and_since(before, None))
            .order_by_desc(C::OccurredAt)
            .order_by_desc(C::Id)
            .limit(limit)
            .into_tuple()
            .all(&self.reader)
            .await?;
        let cursor = |(occurred_at, id): (i64, TelnyxId)| StoredEventCursor {
            occurred_at,
            id: id.into_string(),
        };
        Ok(rows.into_iter().map(cursor).collect())
    }
}

fn before_and_since(before: Option<&StoredEventCursor>, since: Option<Timestamp>) -> Condition {
    let before = before.map(|cursor| -> SimpleExpr {
        let columns = Expr::tuple([C::OccurredAt.into_expr(), C::Id.into_expr()]);
        let place = [Expr::value(cursor.occurred_at), Expr::value(TelnyxId::new(&cursor.id))];
        columns.lt(Expr::tuple(place))
    });
    let since = since.map(|since| C::OccurredAt.gte(micros(since)));
    Condition::all().add_option(before).add_option(since)
}

fn is_at(cursor: &StoredEventCursor) -> SimpleExpr {
    C::OccurredAt.eq(cursor.occurred_at).and(C::Id.eq(TelnyxId::new(&cursor.id)))
}

fn restore(row: Model) -> Option<Vec<u8>> {
    let restored = RawEvent { dictionary: row.dictionary, bytes: row.body }.restore();
    if restored.is_none() {
        tracing::warn!("a stored event cannot be read: it is damaged, or of a later version");
    }
    restored
}
