//! How many texts and automatic answers a contact may get within an hour, counted in the database.

use sea_orm::sea_query::{Query, SimpleExpr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select, Statement,
};

use super::entity::{conversation, message, micros};
use super::model::{NewSend, Opened};
use super::sql;
use super::transaction::WriteTransaction;
use crate::domain::Timestamp;

/// The time within which texts are counted.
const WINDOW_SECONDS: i64 = 3_600;
/// The class of PostgreSQL's advisory locks for contacts without a conversation.
const NEW_CONTACT: i32 = 1_717_921_125;

/// What refuses a send because its contact has had as many texts, or as many automatic answers, within the
/// hour as are allowed. What was certainly not sent does not count: it cost nothing and reached nobody.
pub(super) async fn refusal(
    db: &WriteTransaction,
    send: &NewSend,
) -> Result<Option<Opened>, DbErr> {
    use message::Column as C;
    let replies = send.message.in_reply_to.is_some().then_some(send.reply_limit);
    if replies.is_none() && send.send_limit.is_none() {
        return Ok(None);
    }
    let window = HourWindow {
        conversation: lock_conversation(db, send.message.contact().as_str()).await?,
        since: send.message.created_at.plus_seconds(-WINDOW_SECONDS),
    };
    if let Some(limit) = replies
        && let Some(next) = window.next(db, limit, Some(C::InReplyTo.is_not_null())).await?
    {
        return Ok(Some(Opened::ReplyLimit { next }));
    }
    if let Some(limit) = send.send_limit
        && let Some(next) = window.next(db, limit, None).await?
    {
        return Ok(Some(Opened::SendLimit { next }));
    }
    Ok(None)
}

/// The messages that count.
struct HourWindow {
    /// `None` for a contact without one.
    conversation: Option<i64>,
    since: Timestamp,
}

impl HourWindow {
    /// When one more message is allowed, of those that `only` selects; `Some(None)` if none ever is, `None` if
    /// it is allowed now.
    async fn next(
        &self,
        db: &WriteTransaction,
        limit: usize,
        only: Option<SimpleExpr>,
    ) -> Result<Option<Option<Timestamp>>, DbErr> {
        use message::Column as C;
        let Some(before_last) = limit.checked_sub(1) else { return Ok(Some(None)) };
        let Some(conversation) = self.conversation else { return Ok(None) };
        let oldest: Option<i64> = message::Entity::find()
            .select_only()
            .column(C::CreatedAt)
            .filter(C::ConversationKey.eq(conversation))
            .filter(C::CreatedAt.gt(micros(self.since)))
            // What convo offered, not what another program sent. These two are the condition of an
            // index: what the contact itself wrote is not read, however much it is.
            .filter(C::BaseUrl.is_not_null())
            .filter(C::Refusal.is_null())
            .apply_if(only, Select::filter)
            .order_by_desc(C::CreatedAt)
            .offset(u64::try_from(before_last).unwrap_or(u64::MAX))
            .limit(1)
            .into_tuple()
            .one(db)
            .await?;
        let next = |oldest| Some(Timestamp::from_micros(oldest).plus_seconds(WINDOW_SECONDS));
        Ok(oldest.map(next))
    }
}

/// Locks the conversation of a contact, so that another server that sends to the same contact waits, and
/// then counts this message. Returns its key.
pub(super) async fn lock_conversation(
    db: &WriteTransaction,
    contact: &str,
) -> Result<Option<i64>, DbErr> {
    let mut query = Query::select();
    query
        .column(conversation::Column::Key)
        .from(conversation::Entity)
        .and_where(conversation::Column::ContactNumber.eq(contact));
    sql::lock_rows(&mut query, db);
    let locked = db.query_one(&query).await?;
    if locked.is_some() || db.get_database_backend() != DatabaseBackend::Postgres {
        return locked.map(|row| row.try_get_by_index(0)).transpose();
    }
    // There is no row to lock. The first messages of two servers would not count each other.
    let lock = "SELECT pg_advisory_xact_lock($1, hashtext($2))";
    let values = [NEW_CONTACT.into(), contact.into()];
    let lock = Statement::from_sql_and_values(DatabaseBackend::Postgres, lock, values);
    db.query_one_raw(lock).await?;
    let row = db.query_one(&query).await?;
    row.map(|row| row.try_get_by_index(0)).transpose()
}
