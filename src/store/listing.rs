//! The list of threads, page by page along the index of their activity.
//!
//! What a thread's last message must be like is looked up thread by thread, in the order of the
//! list: two look-ups each, whatever the tables' size, and for a status that most messages do not
//! end with, one glance before. How many threads one page looks at is bounded, so that a wish that
//! few fulfil costs many small pages and never one endless statement.

use sea_orm::sea_query::{Alias, Expr, ExprTrait, Func, JoinType, Query};
use sea_orm::{
    ColumnTrait, Condition, DbErr, EntityTrait, FromQueryResult, Iden, Order, QueryFilter,
    QueryOrder, QueryResult, QuerySelect, QueryTrait, Select,
};

use super::connect::Store;
use super::entity::{conversation, id, message, micros};
use super::failure::tell;
use crate::domain::{Conversation, Cursor, Direction, Listing, Page, Status, Timestamp};
use crate::error::Error;

/// How many threads one page looks at, at most: about a tenth of a second's work.
const STRETCH: u64 = 5_000;
/// How many, where a glance into a small index tells most of them apart.
const LONG_STRETCH: u64 = 50_000;
/// What the columns of a thread's last message are called beside those of the thread.
const LAST: &str = "last_";

impl Store {
    /// One page of the threads that a listing asks for. It may have fewer rows than wanted, even
    /// none, and still not be the last.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn list(
        &self,
        listing: &Listing,
        after: Option<Cursor>,
        limit: u64,
    ) -> Result<Page<Conversation>, Error> {
        self.page(listing, after, limit).await.map_err(|error| tell(&error))
    }

    async fn page(
        &self,
        listing: &Listing,
        after: Option<Cursor>,
        limit: u64,
    ) -> Result<Page<Conversation>, DbErr> {
        let until = match after {
            _ if !listing.reverse => None,
            Some(after) => after.until,
            None => self.latest_activity().await?,
        };
        let walk = Walk { listing, after, until };
        let glance = glance(listing);
        let end = match (listing.looks_at_messages(), &glance) {
            (false, _) => None,
            (true, None) => self.nth(&walk, STRETCH).await?,
            (true, Some(_)) => self.nth(&walk, LONG_STRETCH).await?,
        };
        let mut query = walk.threads();
        if let Some(end) = end {
            query = query.filter(walk.up_to(end));
        }
        // One more than wanted tells whether there is a next page.
        let wanted = of_last_message(listing).add_option(glance);
        let query = query.filter(wanted).limit(limit.saturating_add(1));
        let mut rows = self.with_last_messages(query).await?;
        let is_full = rows.len() as u64 > limit;
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let last = if is_full { rows.last().map(Conversation::cursor) } else { end };
        Ok(Page { rows, next: last.map(|cursor| Cursor { until, ..cursor }) })
    }

    /// Where the walk is after so many threads, if there are as many.
    async fn nth(&self, walk: &Walk<'_>, count: u64) -> Result<Option<Cursor>, DbErr> {
        use conversation::Column as C;
        let query = walk.threads().select_only().columns([C::LastMessageAt, C::Id]);
        let query = query.offset(count.saturating_sub(1)).limit(1);
        let row: Option<(i64, sea_orm::prelude::TextUuid)> =
            query.into_tuple().one(&self.reader).await?;
        let cursor = |(at, row_id): (i64, sea_orm::prelude::TextUuid)| Cursor {
            at: Timestamp::from_micros(at),
            id: row_id.0,
            until: None,
        };
        Ok(row.map(cursor))
    }

    async fn latest_activity(&self) -> Result<Option<Timestamp>, DbErr> {
        let newest = Listing::default();
        let walk = Walk { listing: &newest, after: None, until: None };
        Ok(self.nth(&walk, 1).await?.map(|cursor| cursor.at))
    }

    /// Threads, each with its last message in short: one look into the thread's index each, in
    /// the same statement, so that both are of one moment.
    pub(super) async fn with_last_messages(
        &self,
        mut query: Select<conversation::Entity>,
    ) -> Result<Vec<Conversation>, DbErr> {
        use message::Column as C;
        let newest = Alias::new("newest");
        let column = |column: C| Expr::col((Alias::new("newest"), column));
        let last = Query::select()
            .expr(column(C::Id))
            .from_as(message::Entity, newest.clone())
            .and_where(
                column(C::ConversationId).equals((conversation::Entity, conversation::Column::Id)),
            )
            .order_by((newest.clone(), C::CreatedAt), Order::Desc)
            .order_by((newest, C::Id), Order::Desc)
            .limit(1)
            .to_owned();
        let select = QueryTrait::query(&mut query);
        select.join(JoinType::LeftJoin, message::Entity, C::Id.into_expr().eq(last));
        for column in message::Short::COLUMNS {
            let alias = Alias::new(format!("{LAST}{}", column.to_string()));
            select.expr_as(column.into_expr(), alias);
        }
        let rows = query.into_model::<Row>().all(&self.reader).await?;
        rows.into_iter().map(Row::into_domain).collect()
    }
}

/// A thread beside its last message.
struct Row {
    thread: conversation::Model,
    last: Option<message::Short>,
}

impl FromQueryResult for Row {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        Ok(Self {
            thread: conversation::Model::from_query_result(row, prefix)?,
            last: message::Short::from_query_result_optional(row, LAST)?,
        })
    }
}

impl Row {
    fn into_domain(self) -> Result<Conversation, DbErr> {
        let last_message = self.last.map(message::Short::into_domain).transpose()?;
        Ok(Conversation { last_message, ..self.thread.into() })
    }
}

/// A walk along the activity of the threads.
struct Walk<'a> {
    listing: &'a Listing,
    after: Option<Cursor>,
    until: Option<Timestamp>,
}

impl Walk<'_> {
    /// The threads on the way, as far as the threads themselves tell, in order.
    fn threads(&self) -> Select<conversation::Entity> {
        use conversation::Column as C;
        let time = |time: Option<Timestamp>| time.map(micros);
        let order = if self.listing.reverse { Order::Asc } else { Order::Desc };
        conversation::Entity::find()
            .filter(
                Condition::all()
                    .add_option(time(self.listing.since).map(|since| C::LastMessageAt.gte(since)))
                    .add_option(time(self.until).map(|until| C::LastMessageAt.lte(until)))
                    .add_option(self.listing.opted_out.then(|| C::OptedOutAt.is_not_null()))
                    .add_option(self.after.map(|after| self.beyond(after))),
            )
            .order_by(C::LastMessageAt, order.clone())
            .order_by(C::Id, order)
    }

    /// Threads that come after a place.
    fn beyond(&self, place: Cursor) -> Expr {
        use conversation::Column as C;
        let (at, row_id) = (micros(place.at), id(place.id));
        match self.listing.reverse {
            true => C::LastMessageAt.gte(at).and(C::LastMessageAt.gt(at).or(C::Id.gt(row_id))),
            false => C::LastMessageAt.lte(at).and(C::LastMessageAt.lt(at).or(C::Id.lt(row_id))),
        }
    }

    /// Threads up to a place, it included.
    fn up_to(&self, place: Cursor) -> Expr {
        use conversation::Column as C;
        let (at, row_id) = (micros(place.at), id(place.id));
        match self.listing.reverse {
            true => C::LastMessageAt.lte(at).and(C::LastMessageAt.lt(at).or(C::Id.lte(row_id))),
            false => C::LastMessageAt.gte(at).and(C::LastMessageAt.gt(at).or(C::Id.gte(row_id))),
        }
    }
}

/// What the last message of a thread must be like. Said so that a thread without any message has
/// an answer, too: then PostgreSQL keeps to the threads, and does not read all messages first.
fn of_last_message(listing: &Listing) -> Condition {
    use message::Column as C;
    let last = |column: C| Expr::from(Func::coalesce([column.into_expr(), Expr::value("")]));
    let is = |direction: Direction| last(C::Direction).eq(direction.as_str());
    let statuses = listing.statuses.iter().map(|status| status.as_str());
    let number = listing.number.as_ref().map(|number| {
        let number = number.as_str();
        let out = is(Direction::Outbound).and(last(C::FromNumber).eq(number));
        out.or(is(Direction::Inbound).and(last(C::ToNumber).eq(number)))
    });
    Condition::all()
        .add_option((!listing.statuses.is_empty()).then(|| last(C::Status).is_in(statuses)))
        .add_option(listing.direction.map(is))
        .add_option(number)
}

/// Whether a thread has any message at all with one of the statuses, where an index of few rows
/// can tell: it has those below `delivered`.
fn glance(listing: &Listing) -> Option<Expr> {
    use message::Column as C;
    let statuses = &listing.statuses;
    if statuses.is_empty() || statuses.iter().any(|status| *status >= Status::Delivered) {
        return None;
    }
    let any = Alias::new("any_message");
    let column = |column: C| Expr::col((Alias::new("any_message"), column));
    // A value, not EXISTS: SQLite would make that a join, and look at the last messages first.
    let found = Query::select()
        .expr(column(C::StatusRank))
        .from_as(message::Entity, any)
        .and_where(
            column(C::ConversationId).equals((conversation::Entity, conversation::Column::Id)),
        )
        .and_where(column(C::StatusRank).is_in(statuses.iter().map(|status| status.rank())))
        // In the very words of the index, so that both engines know it can be used.
        .and_where(Expr::cust("any_message.status_rank < 110"))
        .limit(1)
        .to_owned();
    Some(Expr::from(found).is_not_null())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_has_every_status_below_delivered() {
        assert_eq!(Status::Delivered.rank(), 110);
    }
}
