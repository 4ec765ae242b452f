//! Reading one thread and its messages along the indices. Nothing here grows with the
//! tables, but looking for an id by a fragment of less than eight digits.

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{
    ColumnTrait, Condition, DatabaseBackend, DbErr, EntityTrait, Order, QueryFilter, QueryOrder,
    QuerySelect,
};
use uuid::Uuid;

use super::connect::Store;
use super::entity::{conversation, id, message, micros};
use super::failure::tell;
use super::reports;
use crate::domain::conversation::SHOWN_SUFFIX;
use crate::domain::{Conversation, Direction, Message, PhoneNumber, Place, Selector, Window};
use crate::error::Error;

/// How many candidates an ambiguous name is answered with.
const CANDIDATES: u64 = 6;

impl Store {
    /// The threads a person may have meant, best first: by id, by number, by a part of the id.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn candidates(&self, selector: &Selector) -> Result<Vec<Conversation>, Error> {
        use conversation::Column as C;
        let find = conversation::Entity::find;
        let mut tries = vec![find().filter(C::ContactNumber.is_in(selector.numbers()))];
        if let Some(whole) = selector.id() {
            tries.insert(0, find().filter(C::Id.eq(id(whole))));
        } else if let Some(fragment) = selector.fragment() {
            tries.push(find().filter(self.has_fragment(&fragment)).limit(CANDIDATES));
        }
        for query in tries {
            let found = self.with_last_messages(query.order_by_desc(C::LastMessageAt)).await;
            let found = found.map_err(|error| tell(&error))?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    /// Whether an id begins or ends with a fragment. Ids are compared by their bytes, so a
    /// beginning is a range of the primary key, and the last eight characters have an index.
    fn has_fragment(&self, fragment: &str) -> Condition {
        use conversation::Column as C;
        let beyond_hex = format!("{fragment}~");
        let begins = C::Id.gte(fragment).and(C::Id.lt(beyond_hex));
        let tail: String =
            fragment.chars().skip(fragment.len().saturating_sub(SHOWN_SUFFIX)).collect();
        let ends = if tail.len() == SHOWN_SUFFIX {
            self.id_suffix().eq(tail).and(C::Id.ends_with(fragment))
        } else {
            C::Id.ends_with(fragment)
        };
        Condition::any().add(begins).add(ends)
    }

    /// Threads whose contact or id begins with a text, or whose id ends with digits that begin so,
    /// without their messages: as many of each as wanted, along an index each.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn beginning_with(&self, text: &str, limit: u64) -> Result<Vec<Conversation>, Error> {
        use conversation::Column as C;
        let beyond = format!("{text}{}", char::MAX);
        let suffix = self.id_suffix();
        let mut found = Vec::new();
        for (key, is_possible) in [
            (C::ContactNumber.into_expr(), true),
            (suffix, text.len() <= SHOWN_SUFFIX && is_of_id(text)),
            (C::Id.into_expr(), is_of_id(text)),
        ] {
            if !is_possible {
                continue;
            }
            let begins = key.clone().gte(text).and(key.clone().lt(beyond.as_str()));
            let query = conversation::Entity::find().filter(begins).order_by_asc(key).limit(limit);
            let rows = query.all(&self.reader).await.map_err(|error| tell(&error))?;
            found.extend(rows.into_iter().map(Conversation::from));
        }
        Ok(found)
    }

    /// The last eight characters of an id, which have an index.
    fn id_suffix(&self) -> Expr {
        Expr::cust(match self.reader.get_database_backend() {
            DatabaseBackend::Sqlite => "substr(conversations.id, -8)",
            _ => "right(conversations.id, 8)",
        })
    }

    /// Messages of a thread in chronological order; `None` when the window begins at a message
    /// that the thread does not have.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn messages(
        &self,
        thread: Uuid,
        window: Window,
    ) -> Result<Option<Vec<Message>>, Error> {
        self.window(thread, window).await.map_err(|error| tell(&error))
    }

    async fn window(&self, thread: Uuid, window: Window) -> Result<Option<Vec<Message>>, DbErr> {
        use message::Column as C;
        let (anchor, limit, backwards) = match window {
            Window::Newest { before, limit } => (before, limit, true),
            Window::Oldest { after, limit } => (after.map(Place::Message), limit, false),
        };
        let mut query = message::Entity::find().filter(C::ConversationId.eq(id(thread)));
        if let Some(Place::Time(time)) = anchor {
            query = query.filter(C::CreatedAt.lt(micros(time)));
        }
        if let Some(Place::Message(anchor)) = anchor {
            let row = message::Entity::find_by_id(id(anchor)).one(&self.reader).await?;
            let Some(row) = row.filter(|row| row.conversation_id.0 == thread) else {
                return Ok(None);
            };
            let at_anchor = C::CreatedAt.eq(row.created_at);
            query = query.filter(if backwards {
                C::CreatedAt.lt(row.created_at).or(at_anchor.and(C::Id.lt(row.id)))
            } else {
                C::CreatedAt.gt(row.created_at).or(at_anchor.and(C::Id.gt(row.id)))
            });
        }
        let order = if backwards { Order::Desc } else { Order::Asc };
        let rows = query
            .order_by(C::CreatedAt, order.clone())
            .order_by(C::Id, order)
            .limit(limit)
            .all(&self.reader)
            .await?;
        let mut messages: Vec<_> =
            rows.into_iter().map(message::Model::into_domain).collect::<Result<_, _>>()?;
        if backwards {
            messages.reverse();
        }
        Ok(Some(messages))
    }

    /// One message with its history.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn message(&self, message: Uuid) -> Result<Option<Message>, Error> {
        let row = message::Entity::find_by_id(id(message)).one(&self.reader).await;
        let message = row.and_then(|row| row.map(message::Model::into_domain).transpose());
        match message.map_err(|error| tell(&error))? {
            Some(message) => Ok(self.with_history(vec![message]).await?.pop()),
            None => Ok(None),
        }
    }

    /// Messages with everything that was reported about them.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn with_history(&self, mut messages: Vec<Message>) -> Result<Vec<Message>, Error> {
        let known = messages.iter().filter_map(|message| message.telnyx_message_id.as_deref());
        let reports = reports::histories(&self.reader, known).await;
        let mut reports = reports.map_err(|error| tell(&error))?;
        for message in &mut messages {
            let own = message.telnyx_message_id.as_ref().and_then(|known| reports.remove(known));
            message.history = Some(own.unwrap_or_default());
        }
        Ok(messages)
    }

    /// Which of some own numbers a contact last wrote to.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn last_written_to(
        &self,
        contact: &PhoneNumber,
        numbers: &[PhoneNumber],
    ) -> Result<Option<PhoneNumber>, Error> {
        use message::Column as C;
        let thread = Query::select()
            .column(conversation::Column::Id)
            .from(conversation::Entity)
            .and_where(conversation::Column::ContactNumber.eq(contact.as_str()))
            .to_owned();
        let number: Option<String> = message::Entity::find()
            .select_only()
            .column(C::ToNumber)
            .filter(C::ConversationId.in_subquery(thread))
            .filter(C::Direction.eq(Direction::Inbound.as_str()))
            .filter(C::ToNumber.is_in(numbers.iter().map(PhoneNumber::as_str)))
            .order_by_desc(C::CreatedAt)
            .order_by_desc(C::Id)
            .limit(1)
            .into_tuple()
            .one(&self.reader)
            .await
            .map_err(|error| tell(&error))?;
        Ok(number.map(PhoneNumber::from_stored))
    }
}

/// Whether a text can be a part of an id.
fn is_of_id(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}
