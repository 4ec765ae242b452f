//! Reading the feed from a position.

use std::collections::{HashMap, HashSet};

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, JoinType, QueryFilter, QueryOrder,
    QuerySelect, RelationTrait,
};
use uuid::Uuid;

use super::entries::{FeedEntries, FeedEntry, cursor_of, entries_after, first_cursor_of};
use crate::domain::feed::cursor_expired;
use crate::domain::{FeedCursor, FeedEvent, FeedKind, FeedPage, Message, PhoneNumber, Timestamp};
use crate::error::Error;
use crate::store::db_error::OrTell;
use crate::store::entity::feed::{Column, Entity, Model, kind};
use crate::store::entity::{conversation, merged_message, message, micros};
use crate::store::{Store, names, weight};

/// Some of what follows a position.
#[derive(Clone, Debug)]
pub(crate) struct FeedSlice {
    /// The events, and where the next ones follow.
    pub(crate) page: FeedPage,
    /// Whether more follow that were there already.
    pub(crate) has_more: bool,
}

impl Store {
    /// The position of the newest entry.
    ///
    /// # Errors
    /// `database_unavailable`, like the other methods here.
    pub(crate) async fn feed_head(&self) -> Result<FeedCursor, Error> {
        let newest = Entity::find().order_by_desc(Column::Position).one(&self.reader).await;
        newest.and_then(found).map(|row| cursor_of(&row)).or_tell()
    }

    /// The position that the first entry at a time or later follows; the oldest there is if all of them
    /// are later.
    pub(crate) async fn feed_before(&self, time: Timestamp) -> Result<FeedCursor, Error> {
        last_before(&self.reader, micros(time)).await.or_tell()
    }

    /// Up to `limit` entries after a position.
    ///
    /// # Errors
    /// `cursor_expired` if the entry at the position is no longer there, or is another one.
    pub(crate) async fn feed_after(
        &self,
        after: FeedCursor,
        limit: u64,
    ) -> Result<FeedSlice, Error> {
        let Some(found) = entries_after(&self.reader, after, limit).await.or_tell()? else {
            let oldest = Entity::find().order_by_asc(Column::Position).one(&self.reader).await;
            let oldest = oldest.and_then(self::found).or_tell()?;
            return Err(cursor_expired(first_cursor_of(&oldest)));
        };
        self.slice(after, found).await.or_tell()
    }

    /// The events of some entries: all of them, or of the first ones if their messages are too long to be
    /// held in memory together.
    async fn slice(&self, after: FeedCursor, found: FeedEntries) -> Result<FeedSlice, DbErr> {
        let FeedEntries { mut entries, mut has_more } = found;
        loop {
            if let Some(subjects) = Subjects::read(self, &entries).await? {
                let events = entries.iter().filter_map(|entry| subjects.event(entry)).collect();
                let next = entries.last().map_or(after, |last| last.cursor);
                return Ok(FeedSlice { page: FeedPage { events, next }, has_more });
            }
            entries.truncate((entries.len() / 2).max(1));
            has_more = true;
        }
    }
}

/// The newest row is never removed.
fn found(row: Option<Model>) -> Result<Model, DbErr> {
    row.ok_or_else(|| DbErr::RecordNotFound("an entry of the feed".to_owned()))
}

/// The last entry before a time, or the oldest of all, by bisection: positions and times rise together.
async fn last_before(db: &impl ConnectionTrait, time: i64) -> Result<FeedCursor, DbErr> {
    let mut low = found(Entity::find().order_by_asc(Column::Position).one(db).await?)?;
    let mut high = found(Entity::find().order_by_desc(Column::Position).one(db).await?)?;
    if high.at < time {
        return Ok(cursor_of(&high));
    }
    while low.position + 1 < high.position {
        let middle = low.position + (high.position - low.position) / 2;
        let query = Entity::find().filter(Column::Position.lte(middle));
        let row = found(query.order_by_desc(Column::Position).one(db).await?)?;
        if row.at < time {
            if row.position == low.position {
                // There is nothing between it and the middle.
                let query = Entity::find().filter(Column::Position.gt(middle));
                let next = found(query.order_by_asc(Column::Position).one(db).await?)?;
                if next.at >= time || next.position >= high.position {
                    return Ok(cursor_of(&low));
                }
                low = next;
            } else {
                low = row;
            }
        } else {
            high = row;
        }
    }
    Ok(if low.at < time { cursor_of(&low) } else { first_cursor_of(&low) })
}

fn kind_of(stored: i16) -> Option<FeedKind> {
    match kind::bare(stored) {
        kind::MESSAGE => Some(FeedKind::Message),
        kind::STATUS => Some(FeedKind::Status),
        kind::OPTED_OUT | kind::OPTED_IN => Some(FeedKind::OptOut),
        kind::REMOVED => Some(FeedKind::Removed),
        _ => None,
    }
}

/// What entries are about, as it is now.
struct Subjects {
    messages: HashMap<Uuid, (Message, PhoneNumber)>,
    /// The messages that others were merged into.
    survivors: HashMap<Uuid, Uuid>,
    /// The conversations of contacts.
    conversations: HashMap<String, Uuid>,
    /// The names of contacts.
    names: HashMap<String, String>,
}

impl Subjects {
    /// `None` if the messages are too long for one page.
    async fn read(store: &Store, entries: &[FeedEntry]) -> Result<Option<Self>, DbErr> {
        let ids: HashSet<Uuid> = entries.iter().filter_map(|entry| entry.message_id).collect();
        let Some(mut messages) = messages(store, ids.iter().copied()).await? else {
            return Ok(None);
        };
        let gone = ids.into_iter().filter(|id| !messages.contains_key(id));
        let survivors = survivors(store, gone.collect()).await?;
        let missing: HashSet<Uuid> =
            survivors.values().copied().filter(|id| !messages.contains_key(id)).collect();
        if !missing.is_empty() {
            match self::messages(store, missing.into_iter()).await? {
                Some(merged) => messages.extend(merged),
                None => return Ok(None),
            }
        }
        let contacts = entries.iter().filter_map(|entry| entry.contact.as_deref());
        let contacts: HashSet<&str> = contacts.collect();
        let correspondents = messages.values().map(|(_, contact)| contact.as_str());
        let named = contacts.iter().copied().chain(correspondents);
        let names = names::names_of(&store.reader, named).await?;
        let conversations = conversations(store, contacts).await?;
        Ok(Some(Self { messages, survivors, conversations, names }))
    }

    /// The event of an entry. `None` if its message was removed.
    fn event(&self, entry: &FeedEntry) -> Option<FeedEvent> {
        let mut event = FeedEvent {
            cursor: entry.cursor,
            kind: kind_of(entry.kind)?,
            at: Timestamp::from_micros(entry.at),
            conversation_id: None,
            contact_number: None,
            contact_name: None,
            message: None,
            status: None,
            replaces: entry.replaces,
            opted_out: None,
            recovered: entry.kind > kind::RECOVERED,
        };
        match event.kind {
            FeedKind::Message | FeedKind::Status => {
                let id = entry.message_id?;
                let id = self.survivors.get(&id).copied().unwrap_or(id);
                let (message, contact) = self.messages.get(&id)?.clone();
                event.conversation_id = Some(message.conversation_id);
                event.contact_number = Some(contact);
                event.status = entry.status_rank.and_then(|rank| message::status(rank).ok());
                event.message = Some(message);
            }
            FeedKind::OptOut => {
                let contact = entry.contact.as_ref()?;
                event.conversation_id = self.conversations.get(contact).copied();
                event.contact_number = Some(PhoneNumber::from_stored(contact.clone()));
                event.opted_out = Some(kind::bare(entry.kind) == kind::OPTED_OUT);
            }
            FeedKind::Removed => event.conversation_id = Some(entry.conversation_id?),
        }
        let contact = event.contact_number.as_ref();
        let name = contact.and_then(|contact| self.names.get(contact.as_str()));
        event.contact_name = name.cloned();
        Some(event)
    }
}

/// Messages with their contacts; `None` if there are several and they do not fit on one page.
pub(in crate::store) async fn messages(
    store: &Store,
    ids: impl ExactSizeIterator<Item = Uuid>,
) -> Result<Option<HashMap<Uuid, (Message, PhoneNumber)>>, DbErr> {
    use message::Column as C;
    let ids: Vec<Uuid> = ids.collect();
    if ids.is_empty() {
        return Ok(Some(HashMap::new()));
    }
    let query = message::Entity::find().filter(C::Id.is_in(ids.iter().copied()));
    let (rows, is_all) = weight::page(&store.reader, query, ids.len() as u64).await?;
    if !is_all {
        return Ok(None);
    }
    let owners: Vec<(Uuid, Uuid, String)> = message::Entity::find()
        .select_only()
        .column(C::Id)
        .column(conversation::Column::Id)
        .column(conversation::Column::ContactNumber)
        .join(JoinType::InnerJoin, message::Relation::Conversation.def())
        .filter(C::Id.is_in(ids))
        .into_tuple()
        .all(&store.reader)
        .await?;
    let mut owners: HashMap<_, _> =
        owners.into_iter().map(|(id, owner, contact)| (id, (owner, contact))).collect();
    let mut messages = HashMap::new();
    for row in rows {
        let Some((owner, contact)) = owners.remove(&row.id) else { continue };
        let contact = PhoneNumber::from_stored(contact);
        messages.insert(row.id, (row.into_domain(owner)?, contact));
    }
    store.add_media_states(messages.values_mut().map(|(message, _)| message)).await?;
    Ok(Some(messages))
}

/// The messages that missing ones were merged into. Two merges of one text into another do not happen,
/// so one step leads to the survivor.
async fn survivors(store: &Store, gone: Vec<Uuid>) -> Result<HashMap<Uuid, Uuid>, DbErr> {
    if gone.is_empty() {
        return Ok(HashMap::new());
    }
    let query = merged_message::Entity::find().filter(merged_message::Column::Id.is_in(gone));
    let rows = query.all(&store.reader).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.survivor_id)).collect())
}

/// The ids of contacts' conversations.
async fn conversations(
    store: &Store,
    contacts: HashSet<&str>,
) -> Result<HashMap<String, Uuid>, DbErr> {
    use conversation::Column as C;
    if contacts.is_empty() {
        return Ok(HashMap::new());
    }
    let found: Vec<(String, Uuid)> = conversation::Entity::find()
        .select_only()
        .columns([C::ContactNumber, C::Id])
        .filter(C::ContactNumber.is_in(contacts))
        .into_tuple()
        .all(&store.reader)
        .await?;
    Ok(found.into_iter().collect())
}
