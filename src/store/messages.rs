//! Storing messages and the threads they join, many at a time.
//!
//! A thread is made by an upsert on its contact, so a burst of first messages makes one; its
//! counters move in the same transaction as its messages, so they always equal the rows.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use sea_orm::sea_query::{Expr, ExprTrait, Order, Query, Value};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, QueryFilter, QueryOrder,
};
use uuid::Uuid;

use super::entity::{conversation, id, list_to_json, message, micros};
use super::row::{NewMessage, OptOutChange};
use super::sql::{self, Insertion};
use crate::domain::Timestamp;

/// Stores messages, leaving out those whose Telnyx id is known.
pub(super) async fn insert(
    db: &impl ConnectionTrait,
    messages: &[&NewMessage],
) -> Result<(), DbErr> {
    let known = known(db, telnyx_ids(messages)).await?;
    insert_unknown(db, &unknown(messages, &known)).await
}

/// The Telnyx ids that some messages have.
pub(super) fn telnyx_ids<'a>(messages: &[&'a NewMessage]) -> impl Iterator<Item = &'a str> {
    messages.iter().filter_map(|message| message.telnyx_message_id.as_deref())
}

/// Those of some messages whose Telnyx ids are not known, each once, in the order of their keys,
/// so that two servers never wait for each other.
pub(super) fn unknown<'a>(
    messages: &[&'a NewMessage],
    known: &HashSet<String>,
) -> Vec<&'a NewMessage> {
    let mut new = messages.to_vec();
    new.retain(|message| {
        message.telnyx_message_id.as_ref().is_none_or(|known_as| !known.contains(known_as))
    });
    new.sort_by(|a, b| (&a.telnyx_message_id, a.id).cmp(&(&b.telnyx_message_id, b.id)));
    new.dedup_by(|a, b| {
        a.telnyx_message_id.is_some() && a.telnyx_message_id == b.telnyx_message_id
    });
    new
}

/// Stores messages that are [`unknown`], after the threads they join.
///
/// # Errors
/// Also when one of them is known all the same.
pub(super) async fn insert_unknown(
    db: &impl ConnectionTrait,
    new: &[&NewMessage],
) -> Result<(), DbErr> {
    if new.is_empty() {
        return Ok(());
    }
    threads(new).run(db).await?;
    rows(new).run(db).await
}

/// Which of some Telnyx ids belong to stored messages.
pub(super) async fn known(
    db: &impl ConnectionTrait,
    telnyx_ids: impl Iterator<Item = &str>,
) -> Result<HashSet<String>, DbErr> {
    sql::known(db, ("messages", "telnyx_message_id"), telnyx_ids).await
}

/// Locks the threads of some contacts, as far as they are there, in the order of the contacts.
/// SQLite has one writer and needs no such lock.
pub(super) async fn lock_threads(
    db: &impl ConnectionTrait,
    contacts: impl Iterator<Item = &str>,
) -> Result<(), DbErr> {
    use conversation::Column as C;
    let contacts = distinct(contacts);
    if contacts.is_empty() || db.get_database_backend() != DatabaseBackend::Postgres {
        return Ok(());
    }
    let mut query = Query::select();
    query.column(C::Id).from(conversation::Entity).and_where(C::ContactNumber.is_in(contacts));
    query.order_by(C::ContactNumber, Order::Asc);
    sql::lock_rows(&mut query, db);
    db.query_all(&query).await.map(drop)
}

/// What new messages mean for one thread.
struct Tally {
    count: i64,
    first: Timestamp,
    last: Timestamp,
}

/// Adds new messages to the counters of their threads. A thread that is missing is made. Contacts
/// are locked in their order.
fn threads(messages: &[&NewMessage]) -> Insertion {
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    for message in messages {
        let at = message.created_at;
        let tally = tallies.entry(message.contact().as_str());
        let tally = tally.or_insert(Tally { count: 0, first: at, last: at });
        tally.count += 1;
        tally.first = at.min(tally.first);
        tally.last = at.max(tally.last);
    }
    let rows = tallies.into_iter().map(|(contact, tally)| -> [Value; 5] {
        [
            id(Uuid::now_v7()).into(),
            contact.into(),
            tally.count.into(),
            micros(tally.last).into(),
            micros(tally.first).into(),
        ]
    });
    Insertion::new(
        "conversations AS c (id, contact_number, message_count, last_message_at, created_at) \
         SELECT column1, column2, column3, column4, column5",
        rows,
        "ON CONFLICT (contact_number) DO UPDATE SET \
         message_count = c.message_count + excluded.message_count, \
         last_message_at = CASE WHEN c.last_message_at < excluded.last_message_at \
         THEN excluded.last_message_at ELSE c.last_message_at END",
    )
}

/// Messages in the threads of their contacts.
fn rows(messages: &[&NewMessage]) -> Insertion {
    let columns = messages.first().map(|first| cells(first).map(|(column, _)| column));
    let columns = columns.iter().flatten();
    let given = (1..).map(|place| format!("column{place}"));
    let values = columns.clone().zip(given).map(|(column, given)| match *column {
        THREAD => format!("(SELECT id FROM conversations WHERE contact_number = v.{given})"),
        _ => given,
    });
    let values = values.collect::<Vec<_>>().join(", ");
    let columns = columns.copied().collect::<Vec<_>>().join(", ");
    Insertion::new(
        format!("messages ({columns}) SELECT {values}"),
        messages.iter().map(|message| cells(message).map(|(_, value)| value)),
        "",
    )
}

/// The column that the contact stands for when a message is stored.
const THREAD: &str = "conversation_id";

/// The columns of a message, each with its value: one constructor for all.
fn cells(message: &NewMessage) -> [(&'static str, Value); 25] {
    let recipients: &[_] = if message.to.len() > 1 { &message.to } else { &[] };
    let facts = &message.facts;
    let offer = message.offer.as_ref();
    [
        ("id", id(message.id).into()),
        (THREAD, message.contact().as_str().into()),
        ("telnyx_message_id", message.telnyx_message_id.clone().into()),
        ("direction", message.direction.as_str().into()),
        ("from_number", message.from.as_str().into()),
        ("to_number", message.first_recipient().as_str().into()),
        ("recipients", list_to_json(recipients).into()),
        ("cc", list_to_json(&message.cc).into()),
        ("body", message.body.as_str().into()),
        ("subject", message.subject.clone().into()),
        ("media", list_to_json(&message.media).into()),
        ("encoding", facts.encoding.clone().into()),
        ("segments", facts.segments.and_then(|count| i32::try_from(count).ok()).into()),
        ("cost_amount", facts.cost.as_ref().map(|cost| cost.amount.clone()).into()),
        ("cost_currency", facts.cost.as_ref().map(|cost| cost.currency.clone()).into()),
        ("status", message.status.as_str().into()),
        ("status_rank", message.status.rank().into()),
        ("created_at", micros(message.created_at).into()),
        ("send_at", message.send_at.map(micros).into()),
        ("sent_at", facts.sent_at.map(micros).into()),
        ("completed_at", facts.completed_at.map(micros).into()),
        ("request_body", offer.map(|offer| offer.body.clone()).into()),
        ("base_url", offer.map(|offer| offer.base_url.clone()).into()),
        ("attempt_until", offer.map(|offer| micros(offer.until)).into()),
        ("repeats_left", offer.and_then(|offer| offer.repeats_left).into()),
    ]
}

/// Marks a contact as opted out, or lifts the mark, unless something later has decided already.
pub(super) async fn decide_opt_out(
    db: &impl ConnectionTrait,
    contact: &str,
    change: &OptOutChange,
) -> Result<(), DbErr> {
    use conversation::Column as C;
    let out = change.opted_out;
    let at = micros(change.at);
    let number = change.number.as_ref().map(|number| number.as_str().to_owned());
    conversation::Entity::update_many()
        .col_expr(C::OptedOutAt, Expr::value(out.then_some(at)))
        .col_expr(C::OptedOutNumber, Expr::value(number.filter(|_| out)))
        .col_expr(C::OptedOutProfile, Expr::value(change.profile.clone().filter(|_| out)))
        .col_expr(C::OptOutDecidedAt, Expr::value(at))
        .filter(C::ContactNumber.eq(contact))
        .filter(C::OptOutDecidedAt.is_null().or(C::OptOutDecidedAt.lt(at)))
        .exec(db)
        .await?;
    Ok(())
}

/// Takes a row away whose message another row stands for. Its thread loses one message; the time of its last one is looked up.
pub(super) async fn remove(db: &impl ConnectionTrait, gone: &message::Model) -> Result<(), DbErr> {
    use conversation::Column as C;
    message::Entity::delete_by_id(gone.id).exec(db).await?;
    // The counter first: it locks the thread, so that no other server adds a message between
    // looking for the last one and noting its time.
    conversation::Entity::update_many()
        .col_expr(C::MessageCount, Expr::col(C::MessageCount).sub(1))
        .filter(C::Id.eq(gone.conversation_id))
        .exec(db)
        .await?;
    let last = message::Entity::find()
        .filter(message::Column::ConversationId.eq(gone.conversation_id))
        .order_by_desc(message::Column::CreatedAt)
        .order_by_desc(message::Column::Id)
        .one(db)
        .await?;
    if let Some(last) = last {
        conversation::Entity::update_many()
            .col_expr(C::LastMessageAt, Expr::value(last.created_at))
            .filter(C::Id.eq(gone.conversation_id))
            .exec(db)
            .await?;
    }
    Ok(())
}

/// The distinct Telnyx ids among some, in order.
pub(super) fn distinct<'a>(ids: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    ids.collect()
}
