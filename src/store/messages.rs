//! Storing messages and the threads they join, many at a time.
//!
//! A thread is made by an upsert on its contact, so a burst of first messages makes one; its
//! counters move in the same transaction as its messages, so they always equal the rows.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query, SimpleExpr};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};
use uuid::Uuid;

use super::entity::{conversation, id, list_to_json, message, micros};
use super::row::{NewMessage, OptOutChange};
use super::sql::{Values, later, lock_rows, own};
use crate::domain::Timestamp;

/// Stores messages, leaving out those whose Telnyx id is known. Returns convo's ids of the stored.
pub(super) async fn insert(
    db: &impl ConnectionTrait,
    messages: &[&NewMessage],
) -> Result<HashSet<Uuid>, DbErr> {
    if messages.is_empty() {
        return Ok(HashSet::new());
    }
    let threads = threads(db, messages).await?;
    let mut sorted = messages.to_vec();
    sorted.sort_by(|a, b| (&a.telnyx_message_id, a.id).cmp(&(&b.telnyx_message_id, b.id)));
    let stored = insert_rows(db, &sorted, &threads).await?;
    let new: Vec<_> = messages.iter().filter(|message| stored.contains(&message.id)).collect();
    count(db, &new, &threads).await?;
    Ok(stored)
}

/// The threads of the messages' contacts, made where they are missing, locked in order.
async fn threads(
    db: &impl ConnectionTrait,
    messages: &[&NewMessage],
) -> Result<HashMap<String, Uuid>, DbErr> {
    let mut first: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for message in messages {
        let at = first.entry(message.contact().as_str()).or_insert(message.created_at);
        *at = message.created_at.min(*at);
    }
    let mut known = find_threads(db, first.keys().copied()).await?;
    let missing: Vec<_> =
        first.iter().filter(|(contact, _)| !known.contains_key(**contact)).collect();
    if !missing.is_empty() {
        let mut insert = Query::insert();
        insert.into_table(conversation::Entity).columns([
            conversation::Column::Id,
            conversation::Column::ContactNumber,
            conversation::Column::MessageCount,
            conversation::Column::LastMessageAt,
            conversation::Column::CreatedAt,
        ]);
        for (contact, at) in &missing {
            let row: [SimpleExpr; 5] = [
                id(Uuid::now_v7()).into(),
                (**contact).into(),
                0_i64.into(),
                micros(**at).into(),
                micros(**at).into(),
            ];
            insert.values(row).map_err(|error| DbErr::Custom(error.to_string()))?;
        }
        insert.on_conflict(
            OnConflict::column(conversation::Column::ContactNumber).do_nothing().to_owned(),
        );
        db.execute(&insert).await?;
        known.extend(find_threads(db, missing.iter().map(|(contact, _)| **contact)).await?);
    }
    Ok(known)
}

async fn find_threads(
    db: &impl ConnectionTrait,
    contacts: impl Iterator<Item = &str>,
) -> Result<HashMap<String, Uuid>, DbErr> {
    let mut query = Query::select();
    query
        .columns([conversation::Column::ContactNumber, conversation::Column::Id])
        .from(conversation::Entity)
        .and_where(conversation::Column::ContactNumber.is_in(contacts))
        .order_by(conversation::Column::ContactNumber, sea_orm::Order::Asc);
    lock_rows(&mut query, db);
    let rows = db.query_all(&query).await?;
    let read = |row: &sea_orm::QueryResult| {
        let contact: String = row.try_get_by_index(0)?;
        let thread: sea_orm::prelude::TextUuid = row.try_get_by_index(1)?;
        Ok((contact, thread.0))
    };
    rows.iter().map(read).collect()
}

/// The columns a message is stored with, each beside its value: one constructor for all, since
/// rows of one statement must have the same columns.
fn cells(message: &NewMessage, thread: Uuid) -> Vec<(message::Column, SimpleExpr)> {
    use message::Column as C;
    let recipients: &[_] = if message.to.len() > 1 { &message.to } else { &[] };
    let facts = &message.facts;
    let offer = message.offer.as_ref();
    vec![
        (C::Id, id(message.id).into()),
        (C::ConversationId, id(thread).into()),
        (C::TelnyxMessageId, message.telnyx_message_id.clone().into()),
        (C::Direction, message.direction.as_str().into()),
        (C::FromNumber, message.from.as_str().into()),
        (C::ToNumber, message.first_recipient().as_str().into()),
        (C::Recipients, list_to_json(recipients).into()),
        (C::Cc, list_to_json(&message.cc).into()),
        (C::Body, message.body.clone().into()),
        (C::Subject, message.subject.clone().into()),
        (C::Media, list_to_json(&message.media).into()),
        (C::Encoding, facts.encoding.clone().into()),
        (C::Segments, facts.segments.and_then(|count| i32::try_from(count).ok()).into()),
        (C::CostAmount, facts.cost.as_ref().map(|cost| cost.amount.clone()).into()),
        (C::CostCurrency, facts.cost.as_ref().map(|cost| cost.currency.clone()).into()),
        (C::Status, message.status.as_str().into()),
        (C::StatusRank, message.status.rank().into()),
        (C::CreatedAt, micros(message.created_at).into()),
        (C::SendAt, message.send_at.map(micros).into()),
        (C::SentAt, facts.sent_at.map(micros).into()),
        (C::CompletedAt, facts.completed_at.map(micros).into()),
        (C::RequestBody, offer.map(|offer| offer.body.clone()).into()),
        (C::BaseUrl, offer.map(|offer| offer.base_url.clone()).into()),
        (C::AttemptUntil, offer.map(|offer| micros(offer.until)).into()),
        (C::RepeatsLeft, offer.and_then(|offer| offer.repeats_left).into()),
    ]
}

async fn insert_rows(
    db: &impl ConnectionTrait,
    messages: &[&NewMessage],
    threads: &HashMap<String, Uuid>,
) -> Result<HashSet<Uuid>, DbErr> {
    let mut insert = Query::insert();
    insert.into_table(message::Entity);
    for message in messages {
        let contact = message.contact().as_str();
        let thread = threads.get(contact).copied().ok_or_else(|| {
            DbErr::RecordNotFound("the thread of a contact that was just made".to_owned())
        })?;
        let (columns, values): (Vec<_>, Vec<_>) = cells(message, thread).into_iter().unzip();
        insert.columns(columns);
        insert.values(values).map_err(|error| DbErr::Custom(error.to_string()))?;
    }
    insert
        .on_conflict(OnConflict::column(message::Column::TelnyxMessageId).do_nothing().to_owned());
    insert.returning_col(message::Column::Id);
    let rows = db.query_all(&insert).await?;
    let read = |row: &sea_orm::QueryResult| {
        row.try_get_by_index::<sea_orm::prelude::TextUuid>(0).map(|id| id.0)
    };
    rows.iter().map(read).collect()
}

/// Adds the stored messages to their threads' counters.
async fn count(
    db: &impl ConnectionTrait,
    new: &[&&NewMessage],
    threads: &HashMap<String, Uuid>,
) -> Result<(), DbErr> {
    let mut tally: BTreeMap<Uuid, (i64, Timestamp)> = BTreeMap::new();
    for message in new {
        let Some(thread) = threads.get(message.contact().as_str()) else { continue };
        let (count, latest) = tally.entry(*thread).or_insert((0, message.created_at));
        *count += 1;
        *latest = message.created_at.max(*latest);
    }
    if tally.is_empty() {
        return Ok(());
    }
    let rows = tally
        .into_iter()
        .map(|(thread, (count, latest))| {
            vec![id(thread).into(), count.into(), micros(latest).into()]
        })
        .collect();
    let mut update = Query::update();
    update
        .table(conversation::Entity)
        .value(
            conversation::Column::MessageCount,
            own(conversation::Column::MessageCount).add(Values::column(2)),
        )
        .value(
            conversation::Column::LastMessageAt,
            later(conversation::Column::LastMessageAt, Values::column(3)),
        )
        .from(Values::table(rows))
        .and_where(own(conversation::Column::Id).eq(Values::column(1)));
    db.execute(&update).await?;
    Ok(())
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

/// Moves what two rows of one message told into the one that stays, and takes the other away.
/// Its thread loses one message; the time of its last one is looked up.
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
