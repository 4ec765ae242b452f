//! A walk along the activity of conversations, and the conversations on it whose last messages may match
//! a filter.
//!
//! Which ones may match is told by indices, mostly without reading a row: by the index on the activity,
//! whose entries have the route of the last message, or by the index on the statuses that few messages
//! have, while few messages have them.

use sea_orm::sea_query::{
    Alias, CommonTableExpression, Expr, ExprTrait, Query, SelectStatement, WithClause, WithQuery,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, FromQueryResult,
    Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select, StatementBuilder,
};
use uuid::Uuid;

use crate::domain::{Cursor, Direction, Listing, Selector, Status, Timestamp};
use crate::store::entity::conversation::{route, route_prefix};
use crate::store::entity::{conversation, message, micros};
use crate::store::reader::Reader;

/// The most messages with a rare status whose conversations one search looks up.
const MAX_RARE: u64 = 5_000;

/// A walk along the activity of conversations, from `after` on.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    pub(super) listing: &'a Listing,
    pub(super) after: Option<Cursor>,
    /// Conversations with later activity are left out: in reverse order, those that became active
    /// while the list is read would otherwise appear again.
    pub(super) until: Option<Timestamp>,
}

/// Conversations whose last messages may match, in the order of the walk.
pub(super) struct Candidates {
    pub(super) ids: Vec<Uuid>,
    /// Where the search stopped; `None` at the end of the walk.
    pub(super) end: Option<Cursor>,
}

#[derive(FromQueryResult)]
struct Entry {
    last_message_at: i64,
    id: Uuid,
}

impl Entry {
    fn cursor(&self) -> Cursor {
        Cursor { at: Timestamp::from_micros(self.last_message_at), id: self.id, until: None }
    }
}

impl Candidates {
    /// From what a search of at most `limit` conversations found before its `end`.
    fn new(found: Vec<Entry>, limit: u64, end: Option<Cursor>) -> Self {
        let last = found.last().filter(|_| found.len() as u64 == limit).map(Entry::cursor);
        Self { ids: found.into_iter().map(|entry| entry.id).collect(), end: last.or(end) }
    }
}

impl Walk<'_> {
    /// The conversations in order, filtered by their own columns.
    pub(super) fn conversations(&self) -> Select<conversation::Entity> {
        let query = conversation::Entity::find().filter(self.condition());
        Self::columns()
            .into_iter()
            .fold(query, |query, column| query.order_by(column, self.order()))
    }

    /// The cursor of the nth conversation, if there are as many.
    pub(super) async fn nth(&self, db: &Reader, count: u64) -> Result<Option<Cursor>, DbErr> {
        let query = self.conversations().select_only().columns(Self::columns());
        let query = query.offset(count.saturating_sub(1)).limit(1);
        let entry = query.into_model::<Entry>().one(db).await?;
        Ok(entry.map(|entry| entry.cursor()))
    }

    /// Those of the next `entries` conversations whose last messages may match; at most `limit`.
    pub(super) async fn candidates(
        &self,
        db: &Reader,
        limit: u64,
        entries: u64,
    ) -> Result<Candidates, DbErr> {
        if self.are_rare(db).await? {
            let found = read(db, &self.by_status(limit)).await?;
            return Ok(Candidates::new(found, limit, None));
        }
        // To bound the search, SQLite is given its end: through a subquery, it reads entries at a third
        // of the speed. For PostgreSQL, finding the end takes longer than the search.
        if db.get_database_backend() == DatabaseBackend::Sqlite {
            let end = self.nth(db, entries).await?;
            let found = read(db, &self.by_route_up_to(end, limit)).await?;
            return Ok(Candidates::new(found, limit, end));
        }
        let found = read(db, &self.by_route(limit, entries)).await?;
        let is_full = found.len() as u64 == limit;
        let end = if is_full { None } else { self.nth(db, entries).await? };
        Ok(Candidates::new(found, limit, end))
    }

    fn columns() -> [conversation::Column; 2] {
        [conversation::Column::LastMessageAt, conversation::Column::Id]
    }

    fn order(&self) -> Order {
        if self.listing.reverse { Order::Asc } else { Order::Desc }
    }

    fn condition(&self) -> Condition {
        use conversation::Column as C;
        let time = |time: Option<Timestamp>| time.map(micros);
        Condition::all()
            .add_option(time(self.listing.since).map(|since| C::LastMessageAt.gte(since)))
            .add_option(time(self.listing.until).map(|until| C::LastMessageAt.lt(until)))
            .add_option(self.listing.contact.as_ref().map(with_contact))
            .add_option(time(self.until).map(|until| C::LastMessageAt.lte(until)))
            // The same text as in the index, so that SQLite sees that it applies.
            .add_option(self.listing.unread.then(|| Expr::cust("unread_count > 0")))
            .add_option(self.listing.opted_out.then(|| C::OptedOutAt.is_not_null()))
            .add_option(self.after.map(|after| self.beyond(after)))
    }

    /// Conversations that come after a place.
    fn beyond(&self, place: Cursor) -> Expr {
        use conversation::Column as C;
        let at = micros(place.at);
        let id = place.id;
        if self.listing.reverse {
            C::LastMessageAt.gte(at).and(C::LastMessageAt.gt(at).or(C::Id.gt(id)))
        } else {
            C::LastMessageAt.lte(at).and(C::LastMessageAt.lt(at).or(C::Id.lt(id)))
        }
    }

    /// The conversations up to a place whose route may match. It reads nothing but the index.
    fn by_route_up_to(&self, end: Option<Cursor>, limit: u64) -> SelectStatement {
        let up_to = Condition::all().add_option(end.map(|end| self.up_to(end)));
        let query = self.conversations().filter(up_to).filter(self.route()).limit(limit);
        QueryTrait::into_query(query.select_only().columns(Self::columns()))
    }

    /// Those of the next `entries` conversations whose route may match. It reads nothing but the index.
    fn by_route(&self, limit: u64, entries: u64) -> SelectStatement {
        let query = self.conversations().select_only().columns(Self::columns());
        let query = query.column(conversation::Column::LastRoute).limit(entries);
        let mut matching = Query::select();
        matching.columns(Self::columns());
        matching.from_subquery(QueryTrait::into_query(query), Alias::new("walk"));
        matching.cond_where(self.route()).limit(limit);
        for column in Self::columns() {
            matching.order_by(column, self.order());
        }
        matching
    }

    /// Conversations up to and including a place.
    fn up_to(&self, place: Cursor) -> Expr {
        use conversation::Column as C;
        let at = micros(place.at);
        let id = place.id;
        if self.listing.reverse {
            C::LastMessageAt.lte(at).and(C::LastMessageAt.lt(at).or(C::Id.lte(id)))
        } else {
            C::LastMessageAt.gte(at).and(C::LastMessageAt.gt(at).or(C::Id.gte(id)))
        }
    }

    /// The routes that a last message may have, and NULL.
    fn route(&self) -> Condition {
        let Listing { number, .. } = self.listing;
        let column = || Expr::col(conversation::Column::LastRoute);
        let directions = match self.direction() {
            Some(direction) => vec![direction],
            None => vec![Direction::Inbound, Direction::Outbound],
        };
        let is_match = match number {
            Some(number) => {
                let own = number.as_str();
                column().is_in(directions.into_iter().map(|direction| route(direction, own)))
            }
            None if directions.len() > 1 => return Condition::all(),
            None => {
                let prefix = directions.into_iter().map(route_prefix).collect::<String>();
                column().gte(prefix.as_str()).and(column().lt(prefix.replace(':', ";")))
            }
        };
        Condition::any().add(column().is_null()).add(is_match)
    }

    /// The direction that the filters require; every status belongs to messages of one direction.
    fn direction(&self) -> Option<Direction> {
        let Listing { direction, statuses, .. } = self.listing;
        let inbound = statuses.iter().filter(|status| **status == Status::Received).count();
        match direction {
            Some(direction) => Some(*direction),
            None if statuses.is_empty() => None,
            None if inbound == 0 => Some(Direction::Outbound),
            None => (inbound == statuses.len()).then_some(Direction::Inbound),
        }
    }

    /// Whether few messages have the statuses. Those below `delivered` are in a partial index.
    async fn are_rare(&self, db: &Reader) -> Result<bool, DbErr> {
        let statuses = &self.listing.statuses;
        if statuses.is_empty() || statuses.iter().any(|status| *status >= Status::Delivered) {
            return Ok(false);
        }
        let mut query = Query::select();
        query.expr(Expr::value(1)).from(message::Entity).cond_where(self.has_status());
        query.offset(MAX_RARE).limit(1);
        Ok(db.query_one(&query).await?.is_none())
    }

    fn has_status(&self) -> Condition {
        let ranks = self.listing.statuses.iter().map(|status| status.rank());
        Condition::all()
            .add(message::Column::StatusRank.is_in(ranks))
            // The same text as in the index, so that both engines see that it applies.
            .add(Expr::cust("status_rank < 110"))
    }

    /// The conversations in whose last moment there is a message with one of the statuses. Materialized,
    /// so that neither engine walks along the activity for it.
    fn by_status(&self, limit: u64) -> WithQuery {
        use conversation::Column as C;
        let found = || Alias::new("found");
        let messages = Query::select()
            .columns([message::Column::ConversationKey, message::Column::CreatedAt])
            .distinct()
            .from(message::Entity)
            .cond_where(self.has_status())
            .to_owned();
        let messages = CommonTableExpression::new()
            .query(messages)
            .table_name(found())
            .columns(["conversation_key", "created_at"])
            .materialized(true)
            .to_owned();
        let column = |column: &'static str| Expr::col((found(), Alias::new(column)));
        let is_last = column("conversation_key")
            .equals((conversation::Entity, C::Key))
            .and(column("created_at").equals((conversation::Entity, C::LastMessageAt)));
        let query = self.conversations().select_only().columns(Self::columns()).limit(limit);
        let mut query = QueryTrait::into_query(query);
        query.inner_join(found(), is_last);
        query.with(WithClause::new().cte(messages).to_owned())
    }
}

async fn read(db: &Reader, query: &impl StatementBuilder) -> Result<Vec<Entry>, DbErr> {
    let rows = db.query_all(query).await?;
    rows.iter().map(|row| Entry::from_query_result(row, "")).collect()
}

/// The conversation with a contact.
fn with_contact(contact: &Selector) -> Expr {
    use conversation::Column as C;
    match contact.id() {
        Some(whole) => C::Id.eq(whole),
        None => C::ContactNumber.is_in(contact.numbers()),
    }
}

#[cfg(test)]
mod tests;
