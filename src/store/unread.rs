//! Which messages are unread: those above a conversation's watermark, in the order of their arrival.
//!
//! Each inbound message takes the next number of its conversation while that is locked, so the order of the
//! numbers is the order in which messages become visible: what arrives later is always above the watermark,
//! whatever its date. How many are above it is kept in the conversation's row. New messages add to it in the
//! statement that counts all messages; everything else that changes it is here.

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, Statement,
};
use uuid::Uuid;

use super::db_error::OrTell;
use super::entity::conversation::{self, Column as V, Entity as Conversations};
use super::entity::message::{Column as C, Entity as Messages, direction};
use super::job::Settlement;
use super::transaction::WriteTransaction;
use super::{Store, messages};
use crate::domain::{Conversation, Direction};
use crate::error::Error;

impl Store {
    /// Why conversations cannot be marked; `None` if they can.
    pub(crate) async fn mark_objection(&self) -> Option<&'static str> {
        match self.may_update_conversations().await {
            Ok(true) => self.write_objection().await,
            Ok(false) => Some("the database does not let you change conversations"),
            Err(_) => Some("the database cannot be read"),
        }
    }

    async fn may_update_conversations(&self) -> Result<bool, DbErr> {
        let backend = self.reader.get_database_backend();
        if backend != DatabaseBackend::Postgres {
            return Ok(true);
        }
        let ask = "SELECT has_table_privilege('conversations', 'UPDATE')";
        let row = self.reader.query_one_raw(Statement::from_string(backend, ask)).await?;
        row.map_or(Ok(true), |row| row.try_get_by_index(0))
    }

    /// The place of a message of a conversation in the order of arrival, 0 if it was never unread; `None`
    /// if the conversation does not have it.
    ///
    /// # Errors
    /// `database_unavailable`, like the other methods here.
    pub(crate) async fn arrival(
        &self,
        conversation: Uuid,
        message: Uuid,
    ) -> Result<Option<u64>, Error> {
        let found: Option<Option<i64>> = Messages::find_by_id(message)
            .select_only()
            .column(C::Arrival)
            .inner_join(Conversations)
            .filter(V::Id.eq(conversation))
            .into_tuple()
            .one(&self.reader)
            .await
            .or_tell()?;
        Ok(found.map(|arrival| u64::try_from(arrival.unwrap_or_default()).unwrap_or_default()))
    }

    /// Marks as read what has arrived in a conversation up to a number. Never marks anything unread. Returns
    /// how many messages are unread then, 0 if the conversation is gone.
    pub(crate) async fn mark_read(
        &self,
        conversation: &Conversation,
        up_to: u64,
    ) -> Result<u64, Error> {
        let up_to = i64::try_from(up_to).unwrap_or(i64::MAX);
        self.mark(conversation, Marking::Read { up_to }).await
    }

    /// Makes the last inbound message of a conversation unread, as if it had just arrived, unless one is.
    /// Returns as [`mark_read`](Self::mark_read).
    pub(crate) async fn mark_unread(&self, conversation: &Conversation) -> Result<u64, Error> {
        self.mark(conversation, Marking::Unread).await
    }

    async fn mark(&self, conversation: &Conversation, mark: Marking) -> Result<u64, Error> {
        let contact = conversation.contact_number.as_str().to_owned();
        let unread =
            self.writer()?.settle(MarkJob { conversation: conversation.id, contact, mark }).await?;
        Ok(u64::try_from(unread).unwrap_or_default())
    }
}

#[derive(Clone, Copy, Debug)]
enum Marking {
    Read { up_to: i64 },
    Unread,
}

#[derive(Debug)]
struct MarkJob {
    conversation: Uuid,
    contact: String,
    mark: Marking,
}

impl Settlement for MarkJob {
    type Output = i64;

    fn contact(&self) -> Option<&str> {
        Some(&self.contact)
    }

    async fn write(&self, db: &WriteTransaction) -> Result<i64, DbErr> {
        // A batch of one job locks nothing.
        messages::lock_conversations(db, self.contact().into_iter()).await?;
        let row = Conversations::find().filter(V::Id.eq(self.conversation)).one(db).await?;
        match (row, self.mark) {
            (None, _) => Ok(0),
            (Some(row), Marking::Read { up_to }) => read(db, &row, up_to).await,
            (Some(row), Marking::Unread) => unread(db, &row).await,
        }
    }
}

/// Raises the watermark.
async fn read(db: &WriteTransaction, row: &conversation::Model, up_to: i64) -> Result<i64, DbErr> {
    let up_to = Ord::min(up_to, row.arrived);
    if row.unread_count == 0 || up_to <= row.read_up_to {
        return Ok(row.unread_count);
    }
    let unread_count = count_above(db, row, up_to).await?;
    set(db, &conversation::Model { read_up_to: up_to, unread_count, ..row.clone() }).await?;
    Ok(unread_count)
}

/// How many inbound messages are above a number that is not below the watermark. They are counted only where
/// some of them have been removed, which leaves gaps.
async fn count_above(
    db: &impl ConnectionTrait,
    row: &conversation::Model,
    number: i64,
) -> Result<i64, DbErr> {
    if number == row.arrived || row.unread_count == row.arrived - row.read_up_to {
        return Ok(row.arrived - number);
    }
    let above = Messages::find()
        .filter(C::ConversationKey.eq(row.key))
        .filter(C::Direction.eq(direction(Direction::Inbound)))
        .filter(C::Arrival.gt(number))
        .count(db)
        .await?;
    Ok(i64::try_from(above).unwrap_or(i64::MAX))
}

/// Gives the last inbound message the next number, which those after it follow.
async fn unread(db: &WriteTransaction, row: &conversation::Model) -> Result<i64, DbErr> {
    if row.unread_count > 0 {
        return Ok(row.unread_count);
    }
    let last: Option<(i64, Uuid)> = Messages::find()
        .select_only()
        .columns([C::CreatedAt, C::Id])
        .filter(C::ConversationKey.eq(row.key))
        .filter(C::Direction.eq(direction(Direction::Inbound)))
        .order_by_desc(C::CreatedAt)
        .order_by_desc(C::Id)
        .into_tuple()
        .one(db)
        .await?;
    let Some((created_at, id)) = last else { return Ok(0) };
    let arrived = row.arrived + 1;
    let place = Expr::tuple([C::CreatedAt.into_expr(), C::Id.into_expr()]);
    Messages::update_many()
        .col_expr(C::Arrival, Expr::value(arrived))
        .filter(C::ConversationKey.eq(row.key))
        .filter(place.gte(Expr::tuple([created_at.into(), id.into()])))
        .exec(db)
        .await?;
    let marked =
        conversation::Model { arrived, read_up_to: row.arrived, unread_count: 1, ..row.clone() };
    set(db, &marked).await?;
    Ok(marked.unread_count)
}

async fn set(db: &WriteTransaction, row: &conversation::Model) -> Result<(), DbErr> {
    Conversations::update_many()
        .col_expr(V::Arrived, Expr::value(row.arrived))
        .col_expr(V::ReadUpTo, Expr::value(row.read_up_to))
        .col_expr(V::UnreadCount, Expr::value(row.unread_count))
        .filter(V::Key.eq(row.key))
        .exec(db)
        .await
        .map(drop)
}

/// Marks everything from a contact as read: somebody has answered.
pub(super) async fn answered(db: &WriteTransaction, contact: &str) -> Result<(), DbErr> {
    Conversations::update_many()
        .col_expr(V::ReadUpTo, Expr::col(V::Arrived))
        .col_expr(V::UnreadCount, Expr::value(0))
        .filter(V::ContactNumber.eq(contact))
        .filter(V::UnreadCount.gt(0))
        .exec(db)
        .await
        .map(drop)
}

/// Whether a message is unread in a conversation with this watermark.
pub(super) fn is_unread(way: i16, arrival: Option<i64>, read_up_to: i64) -> bool {
    way == direction(Direction::Inbound) && arrival.is_some_and(|number| number > read_up_to)
}
