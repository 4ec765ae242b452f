//! Sends: the row before the offer to Telnyx, the outcome after it, and the idempotency keys.

use sea_orm::sea_query::{Expr, OnConflict, Query, SimpleExpr};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, Set,
};
use uuid::Uuid;

use super::db_error::OrTell;
use super::entity::{conversation, from_json, idempotency_key, message, micros, opt_out, to_json};
use super::feed::FeedChange;
use super::model::{Closing, NewSend, Opened, OptOutChange, Outcome, StoredSend};
use super::transaction::WriteTransaction;
use super::{Facts, Store, batches, forget, messages, opt_outs, reports, send_limits, unread};
use crate::domain::{IdempotencyKey, MessageError, PhoneNumber, Status, Timestamp, verdict};
use crate::error::{Error, ErrorBody};

/// How long a key is kept.
const KEY_SECONDS: i64 = 30 * 24 * 3_600;
/// How often a key is read that other servers take and free at the same time.
const KEY_TRIES: u32 = 5;

/// Stores a message before it is offered, unless its key is bound, its contact has opted out, or has had
/// enough.
pub(super) async fn open(db: &WriteTransaction, send: &NewSend) -> Result<Opened, DbErr> {
    let now = send.message.created_at;
    for _ in 0..KEY_TRIES {
        if let Some(opened) = earlier_send(db, &send.key, &send.request_hash, now).await? {
            return Ok(opened);
        }
        if let Some(opened) = earlier_row(db, send).await? {
            return Ok(opened);
        }
        if send.only_repeat {
            return Ok(Opened::NoRepeat);
        }
        if let Some(opened) = opted_out(db, send).await? {
            return Ok(opened);
        }
        if let Some(opened) = double(db, send).await? {
            return Ok(opened);
        }
        if let Some(opened) = send_limits::refusal(db, send).await? {
            return Ok(opened);
        }
        if !take_key(db, &send.key, &send.request_hash, send.message.id, now).await? {
            // Another server took the key after it was read, and has committed: read it again.
            continue;
        }
        if let Some(row) = &send.batch {
            batches::put(db, row, send.message.id, now).await?;
        }
        messages::insert(db, &[&send.message]).await?;
        // Neither a program's answer nor a text to many was written by somebody who has read the thread.
        if send.message.in_reply_to.is_none() && send.batch.is_none() {
            unread::answered(db, send.message.contact().as_str()).await?;
        }
        return Ok(Opened::Stored);
    }
    Err(DbErr::Custom(
        "other servers took and released the idempotency key at every attempt".to_owned(),
    ))
}

/// The earlier send under a key. If it is refused at the same time, its refusal is the answer: a repeat
/// that finds the key bound does not take it when it becomes free.
async fn earlier_send(
    db: &impl ConnectionTrait,
    key: &IdempotencyKey,
    hash: &[u8],
    now: Timestamp,
) -> Result<Option<Opened>, DbErr> {
    let Some(bound) = idempotency_key::Entity::find_by_id(key.as_str()).one(db).await? else {
        return Ok(None);
    };
    let expired = micros(now.plus_seconds(-KEY_SECONDS));
    // A message is answered once, however late.
    if bound.created_at < expired && key.answered().is_none() {
        // Only an expired row: another server may just have bound the key again.
        idempotency_key::Entity::delete_by_id(key.as_str())
            .filter(idempotency_key::Column::CreatedAt.lt(expired))
            .exec(db)
            .await?;
        return Ok(None);
    }
    if bound.request_hash != hash {
        return Ok(Some(Opened::KeyReused));
    }
    Ok(Some(Opened::Replay(Box::new(read(db, bound.message_id).await?))))
}

/// The earlier send of a row of a batch, which is known for longer than its key.
async fn earlier_row(db: &impl ConnectionTrait, send: &NewSend) -> Result<Option<Opened>, DbErr> {
    let Some(row) = &send.batch else { return Ok(None) };
    let Some(message) = batches::sent(db, row).await? else { return Ok(None) };
    Ok(Some(Opened::Replay(Box::new(read(db, message).await?))))
}

/// The double of a row of a batch.
async fn double(db: &WriteTransaction, send: &NewSend) -> Result<Option<Opened>, DbErr> {
    let Some(row) = &send.batch else { return Ok(None) };
    Ok(batches::double(db, send, row).await?.map(Opened::Double))
}

async fn opted_out(db: &impl ConnectionTrait, send: &NewSend) -> Result<Option<Opened>, DbErr> {
    if send.despite_opt_out {
        return Ok(None);
    }
    let contact = send.message.contact().as_str();
    // What was decided since a contact was forgotten counts, and else what was known before.
    let (at, number) = match opt_out::Entity::find_by_id(contact).one(db).await? {
        Some(decided) => (decided.opted_out_at, decided.opted_out_number),
        None => (forget::find(db, contact).await?.and_then(|mark| mark.opted_out_at), None),
    };
    Ok(at.map(|at| Opened::OptedOut {
        since: Timestamp::from_micros(at),
        number: number.map(PhoneNumber::from_stored),
    }))
}

/// Binds a key to a message; returns whether the key was free.
pub(super) async fn take_key(
    db: &impl ConnectionTrait,
    key: &IdempotencyKey,
    hash: &[u8],
    message: Uuid,
    now: Timestamp,
) -> Result<bool, DbErr> {
    use idempotency_key::Column as C;
    let row: [SimpleExpr; 4] =
        [key.as_str().into(), hash.to_vec().into(), message.into(), micros(now).into()];
    let mut insert = Query::insert();
    insert
        .into_table(idempotency_key::Entity)
        .columns([C::Key, C::RequestHash, C::MessageId, C::CreatedAt])
        .values(row)
        .map_err(|error| DbErr::Custom(error.to_string()))?
        .on_conflict(OnConflict::column(C::Key).do_nothing().to_owned());
    Ok(db.execute(&insert).await?.rows_affected() > 0)
}

/// Records the outcome of an offer and returns the send as it stands: a report may have raised its status
/// further.
pub(super) async fn close(db: &WriteTransaction, closing: &Closing) -> Result<StoredSend, DbErr> {
    match &closing.outcome {
        Outcome::Accepted { telnyx_message_id, status, facts, lift_opt_out, report } => {
            accept(db, closing.id, *status, facts).await?;
            reports::attach(db, closing.id, telnyx_message_id).await?;
            if let Some(change) = lift_opt_out {
                decide_opt_out(db, closing.id, change).await?;
            }
            if let Some(report) = report {
                reports::write(db, &[report.as_ref()], closing.at).await?;
            }
        }
        Outcome::NotSent { error, status, opt_out, refusal } => {
            if close_unsent(db, closing, *status, error, refusal).await? {
                free_key(db, closing.id).await?;
            }
            if let Some(change) = opt_out {
                decide_opt_out(db, closing.id, change).await?;
            }
        }
        Outcome::Unknown => {
            advance(db, closing.id, Status::Unknown).await?;
            allow_repeat(db, closing.id).await?;
            end_attempt(db, closing).await?;
        }
        // The end of the attempt stays, as the pause before the next.
        Outcome::StillUnknown { may_have_arrived: false } => restore_repeat(db, closing).await?,
        Outcome::StillUnknown { may_have_arrived: true } => end_attempt(db, closing).await?,
    }
    read(db, closing.id).await
}

async fn decide_opt_out(
    db: &WriteTransaction,
    ours: Uuid,
    change: &OptOutChange,
) -> Result<(), DbErr> {
    let message = read(db, ours).await?.message;
    opt_outs::decide(db, message.contact().as_str(), change).await
}

/// Raises the status of a message; a lower one changes nothing. Returns whether it was raised.
async fn advance(db: &WriteTransaction, ours: Uuid, status: Status) -> Result<bool, DbErr> {
    let raised = message::Entity::update_many()
        .col_expr(message::Column::StatusRank, Expr::value(status.rank()))
        .filter(message::Column::Id.eq(ours))
        .filter(message::Column::StatusRank.lt(status.rank()))
        .exec(db)
        .await?;
    if raised.rows_affected > 0 {
        db.record(FeedChange::Status { message: ours, status, replaces: None });
    }
    Ok(raised.rows_affected > 0)
}

async fn accept(
    db: &WriteTransaction,
    ours: Uuid,
    status: Status,
    facts: &Facts,
) -> Result<(), DbErr> {
    let is_raised = advance(db, ours, status).await?;
    let mut row = message::ActiveModel { id: Set(ours), ..Default::default() };
    if let Some(from) = &facts.from {
        messages::reset_route(db, ours, from).await?;
        row.from_number = Set(from.as_str().to_owned());
    }
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
        if !is_raised {
            db.recount([ours]);
        }
    }
    Ok(())
}

/// Allows settling to offer the message once more: its caller was told that the outcome is unknown and
/// relies on it.
async fn allow_repeat(db: &impl ConnectionTrait, ours: Uuid) -> Result<(), DbErr> {
    use message::Column as C;
    message::Entity::update_many()
        .col_expr(C::RepeatsLeft, Expr::value(1))
        .filter(C::Id.eq(ours))
        .filter(C::RepeatsLeft.is_null())
        .filter(C::StatusRank.lte(Status::Unknown.rank()))
        .exec(db)
        .await?;
    Ok(())
}

/// Ends the attempt, so that other processes may settle the message from now on.
async fn end_attempt(db: &impl ConnectionTrait, closing: &Closing) -> Result<(), DbErr> {
    use message::Column as C;
    message::Entity::update_many()
        .col_expr(C::AttemptUntil, Expr::value(micros(closing.at.min(closing.until))))
        .filter(C::Id.eq(closing.id))
        .filter(C::AttemptUntil.eq(micros(closing.until)))
        .exec(db)
        .await?;
    Ok(())
}

/// Restores the repeat that an attempt used up without reaching Telnyx.
async fn restore_repeat(db: &impl ConnectionTrait, closing: &Closing) -> Result<(), DbErr> {
    use message::Column as C;
    message::Entity::update_many()
        .col_expr(C::RepeatsLeft, Expr::value(1))
        .filter(C::Id.eq(closing.id))
        .filter(C::AttemptUntil.eq(micros(closing.until)))
        .exec(db)
        .await?;
    Ok(())
}

/// Closes a message that was certainly not sent; returns whether it was still open. One with a report was
/// sent after all. One that has become unknown because its attempt took too long is closed as well, unless
/// another process has offered it.
async fn close_unsent(
    db: &WriteTransaction,
    closing: &Closing,
    status: Status,
    error: &MessageError,
    refusal: &ErrorBody,
) -> Result<bool, DbErr> {
    use message::Column as C;
    let closed = message::Entity::update_many()
        .col_expr(C::StatusRank, Expr::value(status.rank()))
        .col_expr(C::Error, Expr::value(to_json(error)))
        .col_expr(C::Refusal, Expr::value(to_json(refusal)))
        .filter(C::Id.eq(closing.id))
        .filter(C::StatusRank.lte(Status::Unknown.rank()))
        .filter(C::AttemptUntil.eq(micros(closing.until)))
        .filter(C::TelnyxMessageId.is_null())
        .exec(db)
        .await?;
    let is_closed = closed.rows_affected > 0;
    if is_closed {
        db.record(FeedChange::Status { message: closing.id, status, replaces: None });
    }
    Ok(is_closed)
}

/// Frees the key of a message that was certainly not sent, and the row of a batch that it was.
pub(super) async fn free_key(db: &impl ConnectionTrait, ours: Uuid) -> Result<(), DbErr> {
    idempotency_key::Entity::delete_many()
        .filter(idempotency_key::Column::MessageId.eq(ours))
        .exec(db)
        .await?;
    batches::remove(db, [ours]).await
}

/// Reads a send that must exist.
pub(super) async fn read(db: &impl ConnectionTrait, ours: Uuid) -> Result<StoredSend, DbErr> {
    let missing = || DbErr::RecordNotFound("a message that was just written".to_owned());
    find(db, ours).await?.ok_or_else(missing)
}

async fn find(db: &impl ConnectionTrait, ours: Uuid) -> Result<Option<StoredSend>, DbErr> {
    let query = message::Entity::find_by_id(ours).find_also_related(conversation::Entity);
    let Some((row, Some(conversation))) = query.one(db).await? else { return Ok(None) };
    stored_send(row, conversation.id).map(Some)
}

fn stored_send(mut row: message::Model, conversation: Uuid) -> Result<StoredSend, DbErr> {
    let refusal = row.refusal.take();
    let until = row.attempt_until.map(Timestamp::from_micros);
    let message = row.into_domain(conversation)?;
    // A newer version may have written an error that this one does not know.
    let refusal = refusal.and_then(|json| {
        from_json(Some(&json)).or_else(|| verdict(&message).err().map(|error| error.body()))
    });
    Ok(StoredSend { message, refusal, until })
}

impl Store {
    /// A send as its row has it.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn stored_send(&self, id: Uuid) -> Result<Option<StoredSend>, Error> {
        find(&self.reader, id).await.or_tell()
    }
}
