//! Removing old messages, one conversation after the other, with everything that belongs to them. The
//! conversation's counters and its last message are right again in the same transaction; one without
//! messages goes, and the feed says so.

use sea_orm::sea_query::{Expr, ExprTrait, Query, SimpleExpr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use uuid::Uuid;

use crate::domain::{Direction, Status, Timestamp};
use crate::error::Error;
use crate::store::Store;
use crate::store::db_error::OrTell;
use crate::store::entity::conversation::{Column as V, Entity as Conversations};
use crate::store::entity::message::{Column as C, Entity as Messages};
use crate::store::entity::{
    TelnyxId, delivery_report, idempotency_key, merged_message, message, micros,
};
use crate::store::feed::FeedChange;
use crate::store::job::Settlement;
use crate::store::transaction::WriteTransaction;
use crate::store::{batches, media, search, sql, unread};

/// How many conversations are looked at together.
const LOOK: u64 = 1_000;
/// How many messages are removed at once.
const STEP: u64 = 200;

/// A stretch of the conversations, and which of them have messages from before a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OldMessages {
    /// The key of the last conversation that was looked at.
    pub(crate) last: i64,
    /// The keys of those that have some.
    pub(crate) conversations: Vec<i64>,
}

impl Store {
    /// The next conversations after a key; `None` at the end.
    ///
    /// # Errors
    /// `database_unavailable`, like the other methods here.
    pub(crate) async fn old_messages(
        &self,
        before: Timestamp,
        after: i64,
    ) -> Result<Option<OldMessages>, Error> {
        let keys: Vec<i64> = Conversations::find()
            .select_only()
            .column(V::Key)
            .filter(V::Key.gt(after))
            .order_by_asc(V::Key)
            .limit(LOOK)
            .into_tuple()
            .all(&self.reader)
            .await
            .or_tell()?;
        let Some(last) = keys.last().copied() else { return Ok(None) };
        let old = Query::select()
            .expr(Expr::val(1))
            .from(Messages)
            .and_where(sql::qualified(C::ConversationKey).eq(sql::qualified(V::Key)))
            .and_where(C::CreatedAt.lt(micros(before)))
            .to_owned();
        let conversations = Conversations::find()
            .select_only()
            .column(V::Key)
            .filter(V::Key.gt(after).and(V::Key.lte(last)))
            .filter(Expr::exists(old))
            .order_by_asc(V::Key)
            .into_tuple()
            .all(&self.reader)
            .await
            .or_tell()?;
        Ok(Some(OldMessages { last, conversations }))
    }

    /// How many messages of a conversation are from before a time and can be removed, and whether these
    /// are all that it has.
    pub(crate) async fn count_old_messages(
        &self,
        conversation: i64,
        before: Timestamp,
    ) -> Result<(u64, bool), Error> {
        let old = Messages::find().filter(is_old(conversation, micros(before), false));
        let all = Messages::find().filter(C::ConversationKey.eq(conversation));
        let old = old.count(&self.reader).await.or_tell()?;
        Ok((old, old == all.count(&self.reader).await.or_tell()?))
    }

    /// Removes some of the messages of a conversation from before a time, oldest first. Returns how many,
    /// 0 at the end, and whether the conversation went with them. Those whose outcome is not decided are
    /// left, unless they are asked for.
    pub(crate) async fn remove_old_messages(
        &self,
        conversation: i64,
        before: Timestamp,
        with_undecided: bool,
    ) -> Result<(u64, bool), Error> {
        let before = micros(before);
        self.writer()?.settle(RemoveOld { conversation, before, with_undecided }).await
    }
}

#[derive(Debug)]
struct RemoveOld {
    conversation: i64,
    before: i64,
    with_undecided: bool,
}

impl Settlement for RemoveOld {
    type Output = (u64, bool);

    async fn write(&self, db: &WriteTransaction) -> Result<(u64, bool), DbErr> {
        let read_up_to = lock(db, self.conversation).await?;
        let old = Messages::find()
            .filter(is_old(self.conversation, self.before, self.with_undecided))
            .order_by_asc(C::CreatedAt)
            .order_by_asc(C::Id)
            .limit(STEP);
        let removed = remove(db, old, read_up_to).await?;
        let is_gone = removed.count > 0 && leave(db, self.conversation, removed).await?;
        Ok((removed.count, is_gone))
    }
}

/// Messages of a conversation from before a time, with or without those whose outcome is not decided.
fn is_old(conversation: i64, before: i64, with_undecided: bool) -> SimpleExpr {
    let undecided = Status::UNDECIDED.map(Status::rank);
    let old = C::ConversationKey.eq(conversation).and(C::CreatedAt.lt(before));
    if with_undecided { old } else { old.and(C::StatusRank.is_not_in(undecided)) }
}

/// Locks a conversation, before its messages as everywhere, so that no server adds a message meanwhile.
/// Returns its watermark.
async fn lock(db: &impl ConnectionTrait, conversation: i64) -> Result<i64, DbErr> {
    let mut query = Query::select();
    query.column(V::ReadUpTo).from(Conversations).and_where(V::Key.eq(conversation));
    sql::lock_rows(&mut query, db);
    let row = db.query_one(&query).await?;
    row.map_or(Ok(0), |row| row.try_get_by_index(0))
}

/// What is needed of a message to remove it.
#[derive(Debug, FromQueryResult)]
struct FoundMessage {
    id: Uuid,
    direction: i16,
    telnyx_message_id: Option<TelnyxId>,
    created_at: i64,
    arrival: Option<i64>,
}

/// Messages that were removed.
#[derive(Clone, Copy, Debug, Default)]
struct RemovedMessages {
    count: u64,
    /// How many of them were unread.
    unread: i64,
}

/// Removes the messages that a query finds, with their reports, keys and former ids.
async fn remove(
    db: &WriteTransaction,
    messages: sea_orm::Select<Messages>,
    read_up_to: i64,
) -> Result<RemovedMessages, DbErr> {
    let found: Vec<FoundMessage> = messages
        .select_only()
        .columns([C::Id, C::Direction, C::TelnyxMessageId, C::CreatedAt, C::Arrival])
        .into_model()
        .all(db)
        .await?;
    if found.is_empty() {
        return Ok(RemovedMessages::default());
    }
    let ids = || found.iter().map(|found| found.id);
    let outbound = message::direction(Direction::Outbound);
    // A text between two numbers of ours has one id in both directions, and its reports are about the
    // outbound one.
    let sent = found.iter().filter(|found| found.direction == outbound);
    let reported: Vec<_> = sent.filter_map(|found| found.telnyx_message_id.clone()).collect();
    if !reported.is_empty() {
        let of = delivery_report::Column::TelnyxMessageId.is_in(reported);
        delivery_report::Entity::delete_many().filter(of).exec(db).await?;
    }
    let of = idempotency_key::Column::MessageId.is_in(ids());
    idempotency_key::Entity::delete_many().filter(of).exec(db).await?;
    batches::remove(db, ids()).await?;
    let of = merged_message::Column::SurvivorId.is_in(ids());
    merged_message::Entity::delete_many().filter(of).exec(db).await?;
    let removed = Messages::delete_many().filter(C::Id.is_in(ids())).exec(db).await?;
    let dated: Vec<_> = found.iter().map(|found| (found.id, found.created_at)).collect();
    search::remove(db, &dated).await?;
    db.recount(ids());
    media::remove_media(db, &ids().collect::<Vec<_>>()).await?;
    let unread = found
        .iter()
        .filter(|found| unread::is_unread(found.direction, found.arrival, read_up_to))
        .count();
    Ok(RemovedMessages {
        count: removed.rows_affected,
        unread: i64::try_from(unread).unwrap_or(i64::MAX),
    })
}

/// Corrects a conversation that has lost some messages; one that has none left goes. Returns whether it
/// went.
async fn leave(
    db: &WriteTransaction,
    conversation: i64,
    removed: RemovedMessages,
) -> Result<bool, DbErr> {
    let count = i64::try_from(removed.count).unwrap_or(i64::MAX);
    Conversations::update_many()
        .col_expr(V::MessageCount, Expr::col(V::MessageCount).sub(count))
        .col_expr(V::UnreadCount, Expr::col(V::UnreadCount).sub(removed.unread))
        .filter(V::Key.eq(conversation))
        .exec(db)
        .await?;
    let last: Option<i64> = Messages::find()
        .select_only()
        .column(C::CreatedAt)
        .filter(C::ConversationKey.eq(conversation))
        .order_by_desc(C::CreatedAt)
        .limit(1)
        .into_tuple()
        .one(db)
        .await?;
    if let Some(last) = last {
        Conversations::update_many()
            .col_expr(V::LastMessageAt, Expr::value(last))
            .col_expr(V::LastRoute, Expr::value(None::<String>))
            .filter(V::Key.eq(conversation).and(V::LastMessageAt.ne(last)))
            .exec(db)
            .await?;
        return Ok(false);
    }
    let id: Option<Uuid> = Conversations::find_by_id(conversation)
        .select_only()
        .column(V::Id)
        .into_tuple()
        .one(db)
        .await?;
    Conversations::delete_by_id(conversation).exec(db).await?;
    if let Some(id) = id {
        db.record(FeedChange::Removed { conversation: id });
    }
    Ok(true)
}
