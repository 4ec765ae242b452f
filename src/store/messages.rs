//! Storing messages and the conversations they belong to, many at a time.
//!
//! A conversation is created by an upsert on its contact, so a burst of first messages creates one.
//! Its counters change in the same transaction as its messages, so they always match the rows.

use std::cmp::Ordering;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sea_orm::sea_query::{Expr, ExprTrait, Order, Query, Value};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter, QueryOrder,
};
use uuid::Uuid;

use super::entity::message::direction;
use super::entity::{TelnyxId, conversation, list_to_json, merged_message, message, micros};
use super::feed::FeedChange;
use super::model::NewMessage;
use super::search;
use super::sql::{self, BulkInsert};
use super::transaction::WriteTransaction;
use crate::domain::{Direction, PhoneNumber, Timestamp};

/// Stores messages, skipping those whose Telnyx id exists.
pub(super) async fn insert(db: &WriteTransaction, messages: &[&NewMessage]) -> Result<(), DbErr> {
    let Some(first) = messages.first() else { return Ok(()) };
    let existing = existing(db, first.direction, telnyx_ids(messages)).await?;
    let new = without_existing(messages, &existing);
    for message in &new {
        db.record_as(FeedChange::Message(message.id), message.recovered);
    }
    let rows = new.iter().map(|message| (*message, Box::new(values(message)))).collect();
    sql::run_all(db, inserts(rows, None)).await?;
    mark_recovered(db, &new).await
}

/// Marks those of some new messages that a sync has brought. A statement of its own: every other message
/// would pay for one more value.
pub(super) async fn mark_recovered(
    db: &impl ConnectionTrait,
    new: &[&NewMessage],
) -> Result<(), DbErr> {
    let recovered: Vec<_> = new.iter().filter(|one| one.recovered).map(|one| one.id).collect();
    if recovered.is_empty() {
        return Ok(());
    }
    message::Entity::update_many()
        .col_expr(message::Column::Recovered, Expr::value(1_i16))
        .filter(message::Column::Id.is_in(recovered))
        .exec(db)
        .await
        .map(drop)
}

pub(super) fn telnyx_ids<'a>(messages: &[&'a NewMessage]) -> impl Iterator<Item = &'a str> {
    messages.iter().filter_map(|message| message.telnyx_message_id.as_deref())
}

/// The messages whose Telnyx ids do not exist, each once and in key order: two servers that insert
/// in the same order cannot deadlock.
fn without_existing<'a>(
    messages: &[&'a NewMessage],
    existing: &HashSet<String>,
) -> Vec<&'a NewMessage> {
    let mut new = messages.to_vec();
    new.retain(|message| {
        message.telnyx_message_id.as_ref().is_none_or(|id| !existing.contains(id))
    });
    new.sort_by(|a, b| (&a.telnyx_message_id, a.id).cmp(&(&b.telnyx_message_id, b.id)));
    new.dedup_by(|a, b| {
        a.telnyx_message_id.is_some() && a.telnyx_message_id == b.telnyx_message_id
    });
    new
}

/// Finds an inbound message by its Telnyx id.
pub(super) const STORED_INBOUND: &str =
    "messages WHERE telnyx_message_id = v.telnyx_message_id AND direction = 0";

/// The inserts of new messages, after their conversations. What finds an [existing](BulkInsert::existing) one
/// prevents all.
pub(super) fn inserts(
    mut new: Vec<(&NewMessage, Box<MessageValues>)>,
    existing: Option<&'static str>,
) -> Vec<BulkInsert> {
    if new.is_empty() {
        return Vec::new();
    }
    number_arrivals(&mut new);
    let conversations = upsert_conversations(new.iter().map(|(message, _)| *message));
    let rows = new.into_iter().map(|(_, row)| *row);
    let messages = BulkInsert::new("messages", &MESSAGE_COLUMNS, rows)
        .existing(existing)
        .link("conversations", "contact_number", "conversation_key")
        .computed("conversation_key", "linked.key")
        .computed("arrival", "linked.arrived - {}");
    vec![conversations, messages]
}

/// Sets how many inbound messages of its conversation arrive after each message in the same statement. The
/// counter in the conversation, which includes them, gives each its number.
fn number_arrivals(new: &mut [(&NewMessage, Box<MessageValues>)]) {
    let mut later: HashMap<&str, i64> = HashMap::new();
    for (message, values) in new.iter_mut().rev() {
        let later = later.entry(message.contact().as_str()).or_default();
        values[ARRIVAL] = (*later).into();
        *later += i64::from(message.direction == Direction::Inbound);
    }
}

/// Which of some Telnyx ids belong to stored messages of a direction: a text between two numbers of
/// ours has one id in both.
pub(super) async fn existing(
    db: &impl ConnectionTrait,
    of: Direction,
    telnyx_ids: impl Iterator<Item = &str>,
) -> Result<HashSet<String>, DbErr> {
    let ids: Vec<&str> = telnyx_ids.collect();
    let condition = match of {
        Direction::Inbound => "messages WHERE telnyx_message_id = v.column2 AND direction = 0",
        Direction::Outbound => "messages WHERE telnyx_message_id = v.column2 AND direction = 1",
    };
    let keys = ids.iter().map(|id| [TelnyxId::new(id).into()]);
    let places = sql::existing(db, condition, keys).await?;
    Ok(places.into_iter().filter_map(|place| ids.get(place)).map(|id| (*id).to_owned()).collect())
}

/// Locks the existing conversations of some contacts, in the order of the contacts. SQLite has a
/// single writer and needs no row locks.
pub(super) async fn lock_conversations(
    db: &impl ConnectionTrait,
    contacts: impl Iterator<Item = &str>,
) -> Result<(), DbErr> {
    use conversation::Column as C;
    let contacts = distinct(contacts);
    if contacts.is_empty() || db.get_database_backend() != DatabaseBackend::Postgres {
        return Ok(());
    }
    let mut query = Query::select();
    query.column(C::Key).from(conversation::Entity).and_where(C::ContactNumber.is_in(contacts));
    query.order_by(C::ContactNumber, Order::Asc);
    sql::lock_rows(&mut query, db);
    db.query_all(&query).await.map(drop)
}

/// What new messages add to one conversation.
struct Tally {
    count: i64,
    inbound: i64,
    first: Timestamp,
    last: Timestamp,
    /// The route of the last message; `None` if several messages of other routes share its time.
    route: Option<String>,
}

impl Tally {
    fn new(message: &NewMessage) -> Self {
        let at = message.created_at;
        let own = match message.direction {
            Direction::Inbound => message.first_recipient(),
            Direction::Outbound => &message.from,
        };
        let route = Some(conversation::route(message.direction, own.as_str()));
        let inbound = i64::from(message.direction == Direction::Inbound);
        Self { count: 1, inbound, first: at, last: at, route }
    }

    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.inbound += other.inbound;
        self.first = self.first.min(other.first);
        match other.last.cmp(&self.last) {
            Ordering::Less => {}
            Ordering::Equal if other.route == self.route => {}
            Ordering::Equal => self.route = None,
            Ordering::Greater => self.route = other.route,
        }
        self.last = self.last.max(other.last);
    }
}

const CONVERSATION_COLUMNS: [&str; 10] = [
    "id",
    "contact_number",
    "message_count",
    "last_message_at",
    "created_at",
    "opted_out_at",
    "opted_out_number",
    "last_route",
    "arrived",
    "unread_count",
];

/// Adds new messages to the counters of their conversations, creating those that do not exist.
/// Contacts are locked in order.
fn upsert_conversations<'a>(messages: impl Iterator<Item = &'a NewMessage>) -> BulkInsert {
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    for message in messages {
        let new = Tally::new(message);
        match tallies.entry(message.contact().as_str()) {
            Entry::Occupied(mut tally) => tally.get_mut().add(new),
            Entry::Vacant(none) => drop(none.insert(new)),
        }
    }
    let rows = tallies.into_iter().map(|(contact, tally)| -> [Value; 10] {
        [
            Uuid::now_v7().into(),
            contact.into(),
            tally.count.into(),
            micros(tally.last).into(),
            micros(tally.first).into(),
            contact.into(),
            contact.into(),
            tally.route.into(),
            tally.inbound.into(),
            tally.inbound.into(),
        ]
    });
    let insert = BulkInsert::new("conversations AS c", &CONVERSATION_COLUMNS, rows)
        .computed("opted_out_at", "(SELECT opted_out_at FROM opt_outs WHERE contact_number = {})")
        .computed(
            "opted_out_number",
            "(SELECT opted_out_number FROM opt_outs WHERE contact_number = {})",
        );
    insert.on_conflict(
        "ON CONFLICT (contact_number) DO UPDATE SET \
         message_count = c.message_count + excluded.message_count, \
         arrived = c.arrived + excluded.arrived, \
         unread_count = c.unread_count + excluded.unread_count, \
         last_message_at = CASE WHEN c.last_message_at < excluded.last_message_at \
         THEN excluded.last_message_at ELSE c.last_message_at END, \
         last_route = CASE WHEN c.last_message_at < excluded.last_message_at \
         THEN excluded.last_route WHEN c.last_message_at > excluded.last_message_at \
         OR c.last_route = excluded.last_route THEN c.last_route END",
    )
}

/// The conversation of a message must look at its last message again: the sender of this one becomes
/// `from`.
pub(super) async fn reset_route(
    db: &impl ConnectionTrait,
    message: Uuid,
    from: &PhoneNumber,
) -> Result<(), DbErr> {
    use message::Column as C;
    let changed = Query::select()
        .column(C::ConversationKey)
        .from(message::Entity)
        .and_where(C::Id.eq(message).and(C::FromNumber.ne(from.as_str())))
        .to_owned();
    conversation::Entity::update_many()
        .col_expr(conversation::Column::LastRoute, Expr::value(None::<String>))
        .filter(conversation::Column::Key.in_subquery(changed))
        .exec(db)
        .await
        .map(drop)
}

/// The columns of an inserted message, in the order of [`values`].
const MESSAGE_COLUMNS: [&str; 27] = [
    "id",
    "conversation_key",
    "telnyx_message_id",
    "direction",
    "from_number",
    "to_number",
    "recipients",
    "cc",
    "body",
    "subject",
    "media",
    "encoding",
    "segments",
    "cost_amount",
    "cost_currency",
    "status_rank",
    "created_at",
    "send_at",
    "sent_at",
    "completed_at",
    "request_body",
    "base_url",
    "attempt_until",
    "repeats_left",
    "in_reply_to",
    "autoresponse_type",
    "arrival",
];

/// The place of `arrival`.
const ARRIVAL: usize = MESSAGE_COLUMNS.len() - 1;

/// The values of a message in the order of [`MESSAGE_COLUMNS`].
pub(super) type MessageValues = [Value; MESSAGE_COLUMNS.len()];

/// The values of a message's row; its contact stands in for its conversation.
pub(super) fn values(message: &NewMessage) -> MessageValues {
    let recipients: &[_] = if message.to.len() > 1 { &message.to } else { &[] };
    let facts = &message.facts;
    let offer = message.offer.as_ref();
    [
        message.id.into(),
        message.contact().as_str().into(),
        message.telnyx_message_id.as_deref().map(TelnyxId::new).into(),
        direction(message.direction).into(),
        message.from.as_str().into(),
        message.first_recipient().as_str().into(),
        list_to_json(recipients).into(),
        list_to_json(&message.cc).into(),
        message.body.as_str().into(),
        message.subject.clone().into(),
        list_to_json(&message.media).into(),
        facts.encoding.clone().into(),
        facts.segments.and_then(|count| i32::try_from(count).ok()).into(),
        facts.cost.as_ref().map(|cost| cost.amount.clone()).into(),
        facts.cost.as_ref().map(|cost| cost.currency.clone()).into(),
        message.status.rank().into(),
        micros(message.created_at).into(),
        message.send_at.map(micros).into(),
        facts.sent_at.map(micros).into(),
        facts.completed_at.map(micros).into(),
        offer.map(|offer| offer.body.clone()).into(),
        offer.map(|offer| offer.base_url.clone()).into(),
        attempt_until(message).map(micros).into(),
        offer.and_then(|offer| offer.repeats_left).into(),
        message.in_reply_to.into(),
        message.autoresponse_type.clone().into(),
        // `number_arrivals` sets it.
        0_i64.into(),
    ]
}

/// When the attempt of a message ends. Telnyx has that of another program already; a sync asks what became
/// of it.
fn attempt_until(message: &NewMessage) -> Option<Timestamp> {
    match (&message.offer, message.direction) {
        (Some(offer), _) => Some(offer.until),
        (None, Direction::Outbound) if message.telnyx_message_id.is_some() => {
            Some(message.created_at)
        }
        (None, _) => None,
    }
}

/// Deletes a row whose message another row stands for, the survivor, and corrects the counters of its
/// conversation.
pub(super) async fn remove(
    db: &WriteTransaction,
    gone: &message::Model,
    survivor: Uuid,
) -> Result<(), DbErr> {
    use conversation::Column as C;
    message::Entity::delete_by_id(gone.id).exec(db).await?;
    db.recount([gone.id]);
    search::remove(db, &[(gone.id, gone.created_at)]).await?;
    let merged = merged_message::Model { id: gone.id, survivor_id: survivor };
    merged_message::Entity::insert(merged.into_active_model()).exec_without_returning(db).await?;
    // The counter first: its update locks the conversation, so that no other server adds a message
    // between finding the last one and recording its time.
    conversation::Entity::update_many()
        .col_expr(C::MessageCount, Expr::col(C::MessageCount).sub(1))
        .filter(C::Key.eq(gone.conversation_key))
        .exec(db)
        .await?;
    let last = message::Entity::find()
        .filter(message::Column::ConversationKey.eq(gone.conversation_key))
        .order_by_desc(message::Column::CreatedAt)
        .order_by_desc(message::Column::Id)
        .one(db)
        .await?;
    if let Some(last) = last {
        conversation::Entity::update_many()
            .col_expr(C::LastMessageAt, Expr::value(last.created_at))
            .col_expr(C::LastRoute, Expr::value(None::<String>))
            .filter(C::Key.eq(gone.conversation_key))
            .exec(db)
            .await?;
    }
    Ok(())
}

/// Without repeats, in order.
pub(super) fn distinct<'a>(ids: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    ids.collect()
}

#[cfg(test)]
mod tests;
