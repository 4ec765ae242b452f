//! Reading one conversation and its messages, along indices. Only the search for an id by the last
//! few digits, fewer than eight, takes longer as the table grows.

use sea_orm::sea_query::{Expr, ExprTrait, Query, Value};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, Order,
    QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::connect::Store;
use super::db_error::OrTell;
use super::entity::message::direction;
use super::entity::{TelnyxId, conversation, merged_message, message, micros};
use super::model::StoredSend;
use super::{reports, weight};
use crate::domain::conversation::SHOWN_SUFFIX;
use crate::domain::{
    Conversation, Direction, Message, MessagePage, PhoneNumber, Place, Selector, Window,
};
use crate::error::Error;

/// How many candidates an ambiguous id fragment is answered with.
const CANDIDATES: u64 = 6;

impl Store {
    /// The conversation with an id, or else with a contact, both whole.
    pub(crate) async fn exactly(&self, selector: &Selector) -> Result<Option<Conversation>, Error> {
        use conversation::Column as C;
        let with_id = selector.id().map(|id| C::Id.eq(id));
        for named in with_id.into_iter().chain([C::ContactNumber.is_in(selector.numbers())]) {
            let query = conversation::Entity::find().filter(named);
            let query = query.order_by_desc(C::LastMessageAt).limit(1);
            let mut found = self.with_last_messages(query).await.or_tell()?;
            if let Some(found) = found.pop() {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Some of the conversations whose ids begin or end with some digits.
    pub(crate) async fn with_id_part(&self, digits: &str) -> Result<Vec<Conversation>, Error> {
        let query = conversation::Entity::find().filter(self.has_fragment(digits));
        let query = query.order_by_desc(conversation::Column::LastMessageAt).limit(CANDIDATES);
        self.with_last_messages(query).await.or_tell()
    }

    /// Whether an id starts or ends with some digits. A prefix is a range of ids; the last eight digits have
    /// an index of their own.
    fn has_fragment(&self, digits: &str) -> Condition {
        use conversation::Column as C;
        let (first, last) = ids_with_prefix(digits);
        let tail = &digits[digits.len().saturating_sub(SHOWN_SUFFIX)..];
        let mut ends = Condition::all();
        if tail.len() == SHOWN_SUFFIX {
            ends = ends.add(self.id_suffix().eq(self.suffix(tail)));
        }
        if digits.len() != SHOWN_SUFFIX {
            ends = ends.add(self.id_digits().like(format!("%{digits}")));
        }
        Condition::any().add(C::Id.between(first, last)).add(ends)
    }

    /// Conversations, without messages, whose contact, id, or last eight digits of the id start with a
    /// text: up to `limit` for each of the three, along its index.
    pub(crate) async fn beginning_with(
        &self,
        text: &str,
        limit: u64,
    ) -> Result<Vec<Conversation>, Error> {
        use conversation::Column as C;
        let beyond = format!("{text}{}", char::MAX);
        let contact = C::ContactNumber.gte(text).and(C::ContactNumber.lt(beyond));
        let mut queries = vec![(contact, C::ContactNumber.into_expr())];
        if is_id_part(text) {
            let digits = text.replace('-', "").to_ascii_lowercase();
            if digits.len() <= SHOWN_SUFFIX {
                let first = self.id_suffix().gte(self.suffix(&format!("{digits:0<8}")));
                let last = self.id_suffix().lte(self.suffix(&format!("{digits:f<8}")));
                queries.push((first.and(last), self.id_suffix()));
            }
            let (first, last) = ids_with_prefix(&digits);
            queries.push((C::Id.between(first, last), C::Id.into_expr()));
        }
        let mut found = Vec::new();
        for (starts, key) in queries {
            let query = conversation::Entity::find().filter(starts).order_by_asc(key).limit(limit);
            let rows = query.all(&self.reader).await.or_tell()?;
            found.extend(rows.into_iter().map(Conversation::from));
        }
        Ok(found)
    }

    /// The ids of up to two messages that end with some digits. It reads all of them: for sandboxes.
    pub(crate) async fn messages_ending(&self, digits: &str) -> Result<Vec<Uuid>, Error> {
        let id = Expr::cust(match self.reader.get_database_backend() {
            DatabaseBackend::Sqlite => "lower(hex(messages.id))",
            _ => "replace(messages.id::text, '-', '')",
        });
        message::Entity::find()
            .select_only()
            .column(message::Column::Id)
            .filter(id.like(format!("%{digits}")))
            .limit(2)
            .into_tuple()
            .all(&self.reader)
            .await
            .or_tell()
    }

    /// The last eight digits of an id, in the form that has an index.
    fn id_suffix(&self) -> Expr {
        Expr::cust(match self.reader.get_database_backend() {
            DatabaseBackend::Sqlite => "substr(conversations.id, -4)",
            _ => "right(conversations.id::text, 8)",
        })
    }

    /// Eight digits in that form.
    fn suffix(&self, digits: &str) -> Value {
        match self.reader.get_database_backend() {
            DatabaseBackend::Sqlite => {
                let number = u32::from_str_radix(digits, 16).unwrap_or_default();
                number.to_be_bytes().to_vec().into()
            }
            _ => digits.into(),
        }
    }

    /// All digits of an id, without hyphens.
    fn id_digits(&self) -> Expr {
        Expr::cust(match self.reader.get_database_backend() {
            DatabaseBackend::Sqlite => "lower(hex(conversations.id))",
            _ => "replace(conversations.id::text, '-', '')",
        })
    }

    /// A page of the messages of a conversation in chronological order; `None` if the window is anchored
    /// to a message that the conversation does not have.
    pub(crate) async fn messages(
        &self,
        conversation: Uuid,
        window: Window,
    ) -> Result<Option<MessagePage>, Error> {
        self.window(conversation, window).await.or_tell()
    }

    async fn window(
        &self,
        conversation: Uuid,
        window: Window,
    ) -> Result<Option<MessagePage>, DbErr> {
        use message::Column as C;
        let (anchor, limit, is_backwards) = match window {
            Window::Newest { before, limit } => (before, limit, true),
            Window::Oldest { after, limit } => (after.map(Place::Message), limit, false),
        };
        let key = conversation::Entity::find()
            .select_only()
            .column(conversation::Column::Key)
            .filter(conversation::Column::Id.eq(conversation))
            .into_tuple::<i64>()
            .one(&self.reader)
            .await?;
        let Some(key) = key else { return Ok(Some(MessagePage { rows: Vec::new(), next: None })) };
        let mut query = message::Entity::find().filter(C::ConversationKey.eq(key));
        if let Some(Place::Time(time)) = anchor {
            query = query.filter(C::CreatedAt.lt(micros(time)));
        }
        if let Some(Place::Message(anchor)) = anchor {
            let row = message::Entity::find_by_id(anchor).one(&self.reader).await?;
            let Some(row) = row.filter(|row| row.conversation_key == key) else {
                return Ok(None);
            };
            // As a row value: SQLite would read an OR of two comparisons from the conversation's end.
            let place = Expr::tuple([C::CreatedAt.into_expr(), C::Id.into_expr()]);
            let anchor = Expr::tuple([row.created_at.into(), row.id.into()]);
            query = query.filter(if is_backwards { place.lt(anchor) } else { place.gt(anchor) });
        }
        let order = if is_backwards { Order::Desc } else { Order::Asc };
        let query = query.order_by(C::CreatedAt, order.clone()).order_by(C::Id, order);
        let (found, is_all) = weight::page(&self.reader, query, limit).await?;
        let next = found.last().filter(|_| !is_all).map(|row| row.id);
        let rows = found.into_iter().map(|row| row.into_domain(conversation));
        let mut rows: Vec<_> = rows.collect::<Result<_, _>>()?;
        if is_backwards {
            rows.reverse();
        }
        self.add_media_states(&mut rows).await?;
        Ok(Some(MessagePage { rows, next }))
    }

    /// Whether a message of ours, or with this id of Telnyx, is stored.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn has_message(
        &self,
        telnyx_id: &str,
        own: Option<Uuid>,
    ) -> Result<bool, Error> {
        use message::Column as C;
        let found = message::Entity::find()
            .select_only()
            .column(C::Id)
            .filter(
                Condition::any()
                    .add(C::TelnyxMessageId.eq(TelnyxId::new(telnyx_id)))
                    .add_option(own.map(|id| C::Id.eq(id))),
            )
            .limit(1)
            .into_tuple::<Uuid>()
            .one(&self.reader)
            .await;
        Ok(found.or_tell()?.is_some())
    }

    /// A message with its history.
    pub(crate) async fn message(&self, message: Uuid) -> Result<Option<Message>, Error> {
        let stored = match self.stored_send(message).await? {
            None => match self.survivor(message).await.or_tell()? {
                Some(survivor) => self.stored_send(survivor).await?,
                None => None,
            },
            stored => stored,
        };
        match stored {
            Some(StoredSend { mut message, .. }) => {
                self.add_media_states([&mut message]).await.or_tell()?;
                Ok(self.with_history(vec![message]).await?.pop())
            }
            None => Ok(None),
        }
    }

    /// The message that another one turned out to be.
    async fn survivor(&self, id: Uuid) -> Result<Option<Uuid>, DbErr> {
        let row = merged_message::Entity::find_by_id(id).one(&self.reader).await?;
        Ok(row.map(|row| row.survivor_id))
    }

    /// Adds the reports about each message.
    pub(crate) async fn with_history(
        &self,
        mut messages: Vec<Message>,
    ) -> Result<Vec<Message>, Error> {
        let is_reported = |message: &Message| message.direction == Direction::Outbound;
        let reported = messages.iter().filter(|message| is_reported(message));
        let ids = reported.filter_map(|message| message.telnyx_message_id.as_deref());
        let mut histories = reports::histories(&self.reader, ids).await.or_tell()?;
        for message in &mut messages {
            let id = message.telnyx_message_id.as_ref().filter(|_| is_reported(message));
            let history = id.and_then(|id| histories.remove(id));
            message.history = Some(history.unwrap_or_default());
        }
        Ok(messages)
    }

    /// Which of our numbers a contact last wrote to.
    pub(crate) async fn last_written_to(
        &self,
        contact: &PhoneNumber,
        numbers: &[PhoneNumber],
    ) -> Result<Option<PhoneNumber>, Error> {
        use message::Column as C;
        let conversation = Query::select()
            .column(conversation::Column::Key)
            .from(conversation::Entity)
            .and_where(conversation::Column::ContactNumber.eq(contact.as_str()))
            .to_owned();
        let number: Option<String> = message::Entity::find()
            .select_only()
            .column(C::ToNumber)
            .filter(C::ConversationKey.in_subquery(conversation))
            .filter(C::Direction.eq(direction(Direction::Inbound)))
            .filter(C::ToNumber.is_in(numbers.iter().map(PhoneNumber::as_str)))
            .order_by_desc(C::CreatedAt)
            .order_by_desc(C::Id)
            .limit(1)
            .into_tuple()
            .one(&self.reader)
            .await
            .or_tell()?;
        Ok(number.map(PhoneNumber::from_stored))
    }
}

/// The first and the last id that may begin with some digits.
fn ids_with_prefix(digits: &str) -> (Uuid, Uuid) {
    let digits = &digits[..digits.len().min(32)];
    let id = |fill: u128| {
        let given = u128::from_str_radix(digits, 16).unwrap_or_default();
        let bits = 128 - 4 * u32::try_from(digits.len()).unwrap_or(32);
        let low = u128::MAX.checked_shr(128 - bits).unwrap_or_default();
        Uuid::from_u128(given.checked_shl(bits).unwrap_or_default() | (fill & low))
    };
    (id(0), id(u128::MAX))
}

/// Whether a text can be part of an id.
fn is_id_part(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}
