//! The two ends of a send: the row before the offer, the outcome after it.

use sea_orm::sea_query::{Expr, LockType, OnConflict, Query, SimpleExpr};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait,
    QueryFilter, QuerySelect, Set,
};
use uuid::Uuid;

use super::entity::{conversation, id, idempotency_key, message, micros, to_json};
use super::row::{Closing, NewSend, Opened, Outcome};
use super::{Facts, messages, reports};
use crate::domain::{Message, MessageError, PhoneNumber, Status, Timestamp};

/// How long a caller's key binds.
const KEY_SECONDS: i64 = 30 * 24 * 3_600;
/// How often a key is looked at that other servers take and free at the same moment.
const KEY_TRIES: u32 = 5;

/// Stores a message that is about to be offered, unless its key or its contact forbid it.
pub(super) async fn open(db: &impl ConnectionTrait, send: &NewSend) -> Result<Opened, DbErr> {
    let now = send.message.created_at;
    for _ in 0..KEY_TRIES {
        if let Some((key, hash)) = &send.key
            && let Some(earlier) = earlier(db, key, hash, now).await?
        {
            return Ok(earlier);
        }
        if send.only_repeat {
            return Ok(Opened::NoRepeat);
        }
        if let Some(refusal) = opted_out(db, send).await? {
            return Ok(refusal);
        }
        if let Some((key, hash)) = &send.key
            && !take_key(db, key, hash, send.message.id, now).await?
        {
            // Another server took the key between the look and the insert, and has committed.
            // What it stands for is to be looked at, unless it is free again by now.
            continue;
        }
        messages::insert(db, &[&send.message]).await?;
        return Ok(Opened::Stored);
    }
    Err(DbErr::Custom("an idempotency key that changes hands all the time".to_owned()))
}

/// What a key stands for already.
async fn earlier(
    db: &impl ConnectionTrait,
    key: &str,
    hash: &[u8],
    now: Timestamp,
) -> Result<Option<Opened>, DbErr> {
    let mut look = idempotency_key::Entity::find_by_id(key);
    if db.get_database_backend() == DatabaseBackend::Postgres {
        // While it is looked at, nobody frees it: its message stays what it stands for.
        look = look.lock(LockType::KeyShare);
    }
    let Some(bound) = look.one(db).await? else {
        return Ok(None);
    };
    let expired = micros(now.plus_seconds(-KEY_SECONDS));
    if bound.created_at < expired {
        // Only the expired one: another server may have renewed it in this moment.
        idempotency_key::Entity::delete_by_id(key)
            .filter(idempotency_key::Column::CreatedAt.lt(expired))
            .exec(db)
            .await?;
        return Ok(None);
    }
    if bound.request_hash != hash {
        return Ok(Some(Opened::KeyReused));
    }
    Ok(Some(Opened::Replay(Box::new(read(db, bound.message_id.0).await?))))
}

async fn opted_out(db: &impl ConnectionTrait, send: &NewSend) -> Result<Option<Opened>, DbErr> {
    if send.despite_opt_out {
        return Ok(None);
    }
    let thread = conversation::Entity::find()
        .filter(conversation::Column::ContactNumber.eq(send.message.contact().as_str()))
        .one(db)
        .await?;
    Ok(thread.and_then(|thread| {
        Some(Opened::OptedOut {
            since: Timestamp::from_micros(thread.opted_out_at?),
            number: thread.opted_out_number.map(PhoneNumber::from_stored),
        })
    }))
}

/// Binds a key to a message; whether it was free.
pub(super) async fn take_key(
    db: &impl ConnectionTrait,
    key: &str,
    hash: &[u8],
    message: Uuid,
    now: Timestamp,
) -> Result<bool, DbErr> {
    use idempotency_key::Column as C;
    let row: [SimpleExpr; 4] =
        [key.into(), hash.to_vec().into(), id(message).into(), micros(now).into()];
    let mut insert = Query::insert();
    insert
        .into_table(idempotency_key::Entity)
        .columns([C::Key, C::RequestHash, C::MessageId, C::CreatedAt])
        .values(row)
        .map_err(|error| DbErr::Custom(error.to_string()))?
        .on_conflict(OnConflict::column(C::Key).do_nothing().to_owned());
    Ok(db.execute(&insert).await?.rows_affected() > 0)
}

/// Records how an offer ended and returns the message as it stands: a report may have told more
/// than the answer did.
pub(super) async fn close(db: &impl ConnectionTrait, closing: &Closing) -> Result<Message, DbErr> {
    match &closing.outcome {
        Outcome::Accepted { telnyx_message_id, status, facts, lift_opt_out } => {
            accept(db, closing.id, *status, facts).await?;
            reports::attach(db, closing.id, telnyx_message_id).await?;
            if *lift_opt_out {
                lift(db, closing.id).await?;
            }
        }
        Outcome::NotSent { error, status, opt_out } => {
            if end(db, closing, *status, error).await? {
                free_key(db, closing.id).await?;
            }
            if let Some(change) = opt_out {
                let contact = read(db, closing.id).await?.contact().clone();
                messages::decide_opt_out(db, contact.as_str(), change).await?;
            }
        }
        Outcome::Unknown => {
            advance(db, closing.id, Status::Unknown).await?;
            promise_repeat(db, closing.id).await?;
            end_attempt(db, closing).await?;
        }
        // The attempt keeps its end, which is the pause before the next.
        Outcome::StillUnknown { unspent: true } => give_back(db, closing).await?,
        Outcome::StillUnknown { unspent: false } => end_attempt(db, closing).await?,
    }
    read(db, closing.id).await
}

/// Moves a message forward; whether it moved.
async fn advance(db: &impl ConnectionTrait, ours: Uuid, status: Status) -> Result<bool, DbErr> {
    let moved = message::Entity::update_many()
        .col_expr(message::Column::Status, Expr::value(status.as_str()))
        .col_expr(message::Column::StatusRank, Expr::value(status.rank()))
        .filter(message::Column::Id.eq(id(ours)))
        .filter(message::Column::StatusRank.lt(status.rank()))
        .exec(db)
        .await?;
    Ok(moved.rows_affected > 0)
}

async fn accept(
    db: &impl ConnectionTrait,
    ours: Uuid,
    status: Status,
    facts: &Facts,
) -> Result<(), DbErr> {
    advance(db, ours, status).await?;
    let mut row = message::ActiveModel { id: Set(id(ours)), ..Default::default() };
    if let Some(encoding) = &facts.encoding {
        row.encoding = Set(Some(encoding.clone()));
    }
    if let Some(segments) = facts.segments.and_then(|count| i32::try_from(count).ok()) {
        row.segments = Set(Some(segments));
    }
    if let Some(cost) = &facts.cost {
        row.cost_amount = Set(Some(cost.amount.clone()));
        row.cost_currency = Set(Some(cost.currency.clone()));
    }
    if row.is_changed() {
        row.update(db).await?;
    }
    Ok(())
}

/// A caller who is told that nobody knows counts on the message being settled.
async fn promise_repeat(db: &impl ConnectionTrait, ours: Uuid) -> Result<(), DbErr> {
    use message::Column as C;
    message::Entity::update_many()
        .col_expr(C::RepeatsLeft, Expr::value(1))
        .filter(C::Id.eq(id(ours)))
        .filter(C::RepeatsLeft.is_null())
        .filter(C::StatusRank.lte(Status::Unknown.rank()))
        .exec(db)
        .await?;
    Ok(())
}

/// Lets others settle the message from now on, unless they do already.
async fn end_attempt(db: &impl ConnectionTrait, closing: &Closing) -> Result<(), DbErr> {
    use message::Column as C;
    message::Entity::update_many()
        .col_expr(C::AttemptUntil, Expr::value(micros(closing.at.min(closing.until))))
        .filter(C::Id.eq(id(closing.id)))
        .filter(C::AttemptUntil.eq(micros(closing.until)))
        .exec(db)
        .await?;
    Ok(())
}

/// An attempt that reached nobody was none.
async fn give_back(db: &impl ConnectionTrait, closing: &Closing) -> Result<(), DbErr> {
    use message::Column as C;
    message::Entity::update_many()
        .col_expr(C::RepeatsLeft, Expr::value(1))
        .filter(C::Id.eq(id(closing.id)))
        .filter(C::AttemptUntil.eq(micros(closing.until)))
        .exec(db)
        .await?;
    Ok(())
}

/// Closes a message that was surely not sent; whether it was still open. One that a report has
/// moved was sent after all. One that was found open too long and counts as unknown may still be
/// closed by whoever alone has offered it.
async fn end(
    db: &impl ConnectionTrait,
    closing: &Closing,
    status: Status,
    error: &MessageError,
) -> Result<bool, DbErr> {
    use message::Column as C;
    let closed = message::Entity::update_many()
        .col_expr(message::Column::Status, Expr::value(status.as_str()))
        .col_expr(message::Column::StatusRank, Expr::value(status.rank()))
        .col_expr(message::Column::Error, Expr::value(to_json(error)))
        .filter(C::Id.eq(id(closing.id)))
        .filter(C::StatusRank.lte(Status::Unknown.rank()))
        .filter(C::AttemptUntil.eq(micros(closing.until)))
        .filter(C::TelnyxMessageId.is_null())
        .exec(db)
        .await?;
    Ok(closed.rows_affected > 0)
}

pub(super) async fn free_key(db: &impl ConnectionTrait, ours: Uuid) -> Result<(), DbErr> {
    idempotency_key::Entity::delete_many()
        .filter(idempotency_key::Column::MessageId.eq(id(ours)))
        .exec(db)
        .await?;
    Ok(())
}

/// Telnyx took a message to a contact that was marked: the mark is out of date.
async fn lift(db: &impl ConnectionTrait, ours: Uuid) -> Result<(), DbErr> {
    let message = read(db, ours).await?;
    let change = super::row::OptOutChange {
        opted_out: false,
        at: message.created_at,
        number: None,
        profile: None,
    };
    messages::decide_opt_out(db, message.contact().as_str(), &change).await
}

pub(super) async fn read(db: &impl ConnectionTrait, ours: Uuid) -> Result<Message, DbErr> {
    message::Entity::find_by_id(id(ours))
        .one(db)
        .await?
        .ok_or_else(|| DbErr::RecordNotFound("a message that was just written".to_owned()))?
        .into_domain()
}
