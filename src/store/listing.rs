//! Listing conversations by keyset pagination along the index on their activity.
//!
//! A filter on the last message first finds the conversations that may match, by indices, and then looks
//! at their last messages. How many one page examines is bounded, so that a filter with few matches costs
//! several pages and never one endless statement.

mod walk;

use sea_orm::sea_query::{Alias, Expr, ExprTrait, Func, JoinType, Query};
use sea_orm::{
    ColumnTrait, Condition, DbErr, FromQueryResult, Iden, Order, QueryFilter, QueryResult,
    QueryTrait, Select,
};
use uuid::Uuid;

use super::connect::Store;
use super::db_error::OrTell;
use super::entity::message::direction;
use super::entity::{conversation, message};
use super::sql::padded;
use super::weight::{self, Fitting};
use crate::domain::{Conversation, Cursor, Direction, Listing, Page, Timestamp};
use crate::error::Error;
use walk::Walk;

/// The most last messages that one page looks at.
const MAX_EXAMINED: u64 = 5_000;
/// The most entries of the index on the activity that one search reads: a hundredth of a second's work, and
/// enough for a page of fifty where one conversation in a thousand matches.
const MAX_ENTRIES: u64 = 75_000;
/// As many as usually suffice.
const FEW_ENTRIES: u64 = 5_000;
/// The prefix of the last message's columns, beside those of the conversation.
const LAST: &str = "last_";

impl Store {
    /// One page of a listing. It may have fewer rows than `limit`, or none, and still not be the last.
    pub(crate) async fn list(
        &self,
        listing: &Listing,
        after: Option<Cursor>,
        limit: u64,
    ) -> Result<Page<Conversation>, Error> {
        self.page(listing, after, limit).await.or_tell()
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
        let mut page = match listing.looks_at_messages() {
            true => self.matching(walk, limit).await?,
            false => {
                let listed = self.page_with_last_messages(walk.conversations(), limit).await?;
                Page { next: listed.end(), rows: listed.rows }
            }
        };
        let is_full = page.rows.len() as u64 > limit;
        page.rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let last = page.rows.last().filter(|_| is_full).map(Conversation::cursor);
        Ok(Page { next: last.or(page.next).map(|next| Cursor { until, ..next }), ..page })
    }

    /// The conversations on a walk whose last messages match. Usually the first candidates suffice.
    async fn matching(&self, mut walk: Walk<'_>, limit: u64) -> Result<Page<Conversation>, DbErr> {
        let mut page = Page { rows: Vec::new(), next: None };
        let most = limit.saturating_add(1);
        let mut count = most;
        for entries in [FEW_ENTRIES, MAX_ENTRIES] {
            let missing = most.saturating_sub(page.rows.len() as u64);
            let candidates = walk.candidates(&self.reader, count, entries).await?;
            let query = among(&walk, &candidates.ids).filter(last_message_filter(walk.listing));
            let mut listed = self.page_with_last_messages(query, missing).await?;
            let end = listed.end();
            // Where the index alone told which ones match, few more candidates are needed.
            let all_match = listed.rows.len() == candidates.ids.len();
            page.rows.append(&mut listed.rows);
            count = if all_match { most } else { MAX_EXAMINED };
            page.next = end.or(candidates.end);
            walk.after = page.next;
            if page.next.is_none() || end.is_some() || page.rows.len() as u64 > limit {
                break;
            }
        }
        Ok(page)
    }

    async fn latest_activity(&self) -> Result<Option<Timestamp>, DbErr> {
        let newest = Listing::default();
        let walk = Walk { listing: &newest, after: None, until: None };
        Ok(walk.nth(&self.reader, 1).await?.map(|cursor| cursor.at))
    }

    /// The first conversations that a query finds, with their last messages. It ends early where these have
    /// too many bytes.
    async fn page_with_last_messages(
        &self,
        query: Select<conversation::Entity>,
        limit: u64,
    ) -> Result<Listed, DbErr> {
        let weight = |row: &ListedRow| row.weight;
        let Fitting { rows, is_all } =
            weight::fitting(&self.reader, with_last(query), limit, weight).await?;
        Ok(Listed { rows: self.completed(rows).await?, is_all })
    }

    /// The conversations that a query finds, with their last messages.
    pub(super) async fn with_last_messages(
        &self,
        query: Select<conversation::Entity>,
    ) -> Result<Vec<Conversation>, DbErr> {
        self.completed(with_last(query).into_model().all(&self.reader).await?).await
    }

    /// Adds what the heavy ones lack.
    async fn completed(&self, mut rows: Vec<ListedRow>) -> Result<Vec<Conversation>, DbErr> {
        let heavy = rows.iter().filter(|row| weight::is_heavy(row.weight));
        let heavy: Vec<_> = heavy.filter_map(|row| Some(row.last.as_ref()?.id)).collect();
        let mut whole = weight::last_messages(&self.reader, &heavy).await?;
        for row in &mut rows {
            if let Some(last) = row.last.as_mut().and_then(|last| whole.remove(&last.id)) {
                row.last = Some(last);
            }
        }
        let rows = rows.into_iter().map(ListedRow::into_domain);
        let mut rows = rows.collect::<Result<Vec<_>, DbErr>>()?;
        self.add_names(&mut rows).await?;
        Ok(rows)
    }
}

/// Adds the last message of each conversation to a query, by an index lookup: in one statement, so that both
/// are from the same snapshot.
fn with_last(mut query: Select<conversation::Entity>) -> Select<conversation::Entity> {
    use message::Column as C;
    let newest = Alias::new("newest");
    let column = |column: C| Expr::col((Alias::new("newest"), column));
    let last = Query::select()
        .expr(column(C::Id))
        .from_as(message::Entity, newest.clone())
        .and_where(
            column(C::ConversationKey).equals((conversation::Entity, conversation::Column::Key)),
        )
        .order_by((newest.clone(), C::CreatedAt), Order::Desc)
        .order_by((newest, C::Id), Order::Desc)
        .limit(1)
        .to_owned();
    let select = QueryTrait::query(&mut query);
    select.join(JoinType::LeftJoin, message::Entity, C::Id.into_expr().eq(last));
    for column in message::LastMessageRow::COLUMNS {
        let alias = Alias::new(format!("{LAST}{}", column.to_string()));
        select.expr_as(weight::if_light(column), alias);
    }
    select.expr_as(weight::weight(), Alias::new(format!("{LAST}{}", weight::WEIGHT)));
    query
}

/// Conversations with their last messages.
struct Listed {
    rows: Vec<Conversation>,
    /// Whether the query found no more.
    is_all: bool,
}

impl Listed {
    /// Where it ended early.
    fn end(&self) -> Option<Cursor> {
        self.rows.last().filter(|_| !self.is_all).map(Conversation::cursor)
    }
}

/// A conversation with its last message, without the long columns of a heavy one.
struct ListedRow {
    conversation: conversation::Model,
    last: Option<message::LastMessageRow>,
    weight: u64,
}

impl FromQueryResult for ListedRow {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        Ok(Self {
            conversation: conversation::Model::from_query_result(row, prefix)?,
            last: message::LastMessageRow::from_query_result_optional(row, LAST)?,
            weight: weight::read(row, LAST)?,
        })
    }
}

impl ListedRow {
    fn into_domain(self) -> Result<Conversation, DbErr> {
        let last_message = self.last.map(message::LastMessageRow::into_domain).transpose()?;
        Ok(Conversation { last_message, ..self.conversation.into() })
    }
}

/// The conversations on a walk with some ids. Few numbers of ids make few statements to
/// prepare and cache.
fn among(walk: &Walk<'_>, ids: &[Uuid]) -> Select<conversation::Entity> {
    let repeated = ids.last().into_iter().cycle();
    let ids = ids.iter().chain(repeated).take(padded(ids.len())).copied();
    walk.conversations().filter(conversation::Column::Id.is_in(ids))
}

/// The filter on the last message. Not NULL for a conversation without messages either: PostgreSQL would
/// otherwise turn the left join into an inner one, and might read all messages first.
fn last_message_filter(listing: &Listing) -> Condition {
    use message::Column as C;
    let or = |column: C, other: Expr| Expr::from(Func::coalesce([column.into_expr(), other]));
    let number_of = |column: C| or(column, Expr::value(-1_i16));
    let last = |column: C| or(column, Expr::value(""));
    let is = |of: Direction| number_of(C::Direction).eq(direction(of));
    let statuses = listing.statuses.iter().map(|status| status.rank());
    let number = listing.number.as_ref().map(|number| {
        let number = number.as_str();
        let out = is(Direction::Outbound).and(last(C::FromNumber).eq(number));
        out.or(is(Direction::Inbound).and(last(C::ToNumber).eq(number)))
    });
    Condition::all()
        .add_option(
            (!listing.statuses.is_empty()).then(|| number_of(C::StatusRank).is_in(statuses)),
        )
        .add_option(listing.direction.map(is))
        .add_option(number)
}
