//! What of a batch is new, and what is there already.

use std::collections::{BTreeMap, HashMap, HashSet};

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, JoinType, QueryFilter, QuerySelect,
    RelationTrait,
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::ImportBatch;
use crate::domain::export::{ExportedConversation, ExportedMessage};
use crate::domain::{Direction, Timestamp};
use crate::store::entity::message::direction;
use crate::store::entity::{TelnyxId, conversation, merged_message, message, micros};

/// The conversation that a batch needs for a contact.
#[derive(Debug)]
pub(super) struct WantedConversation<'a> {
    pub(super) id: Uuid,
    /// Its own line, if it is in the batch.
    pub(super) line: Option<&'a ExportedConversation>,
    /// The earliest time of its messages in the batch.
    pub(super) first: Timestamp,
}

impl WantedConversation<'_> {
    pub(super) fn of(message: &ExportedMessage) -> Self {
        Self { id: message.conversation_id, line: None, first: message.created_at }
    }

    pub(super) fn add(&mut self, message: &ExportedMessage) {
        self.first = self.first.min(message.created_at);
    }
}

/// What to do with a message of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Store it, under this id.
    Insert(Uuid),
    /// It is there, under this id; perhaps with a lower status.
    Known { id: Uuid, may_rise: bool },
}

impl Fate {
    fn known(id: Uuid, rank: i16, message: &ExportedMessage) -> Self {
        let may_rise = message.direction == Direction::Outbound && rank < message.status.rank();
        Self::Known { id, may_rise }
    }
}

/// What a batch changes.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// What becomes of each message.
    pub(super) fates: Vec<Fate>,
    /// The conversations that do not exist yet, with the ids that they get.
    pub(super) new_conversations: BTreeMap<&'a str, (Uuid, WantedConversation<'a>)>,
    /// The conversations that exist, with the times that their lines give them.
    pub(super) known_conversations: Vec<(&'a str, Option<Timestamp>)>,
    /// The ids of rows that were merged into others, and these.
    pub(super) merged: HashMap<Uuid, Uuid>,
    /// The ids of the file that other messages have.
    pub(super) taken: HashSet<Uuid>,
}

/// What tells whether two messages with one id are the same.
struct StoredMessage {
    telnyx_message_id: Option<TelnyxId>,
    direction: i16,
    created_at: i64,
    contact: String,
    status_rank: i16,
}

impl<'a> Plan<'a> {
    /// The ids of the messages that are stored.
    pub(super) fn new_messages(&self) -> impl Iterator<Item = Uuid> {
        self.fates.iter().filter_map(|fate| match fate {
            Fate::Insert(id) => Some(*id),
            Fate::Known { .. } => None,
        })
    }

    /// The ids of the messages that are stored, and of those whose status may rise.
    pub(super) fn changed_messages(&self) -> impl Iterator<Item = Uuid> {
        self.fates.iter().filter_map(|fate| match fate {
            Fate::Insert(id) | Fate::Known { id, may_rise: true } => Some(*id),
            Fate::Known { .. } => None,
        })
    }

    pub(super) async fn new(
        db: &impl ConnectionTrait,
        batch: &'a ImportBatch,
    ) -> Result<Self, DbErr> {
        let wanted = batch.conversations_by_contact();
        let (new_conversations, known_conversations) = sort_conversations(db, wanted).await?;
        let survivors = batch.merged.iter().map(|row| row.survivor_id);
        let merged = merged(db, batch.ids().chain(survivors)).await?;
        let (fates, taken) = fates(db, batch, &merged).await?;
        Ok(Self { fates, new_conversations, known_conversations, merged, taken })
    }
}

type SortedConversations<'a> =
    (BTreeMap<&'a str, (Uuid, WantedConversation<'a>)>, Vec<(&'a str, Option<Timestamp>)>);

async fn sort_conversations<'a>(
    db: &impl ConnectionTrait,
    wanted: BTreeMap<&'a str, WantedConversation<'a>>,
) -> Result<SortedConversations<'a>, DbErr> {
    use conversation::Column as C;
    if wanted.is_empty() {
        return Ok(SortedConversations::default());
    }
    let found = |column: C| conversation::Entity::find().select_only().column(column);
    let contacts = found(C::ContactNumber).filter(C::ContactNumber.is_in(wanted.keys().copied()));
    let contacts: HashSet<String> = contacts.into_tuple().all(db).await?.into_iter().collect();
    let ids = wanted.values().map(|wanted| wanted.id);
    let ids = found(C::Id).filter(C::Id.is_in(ids)).into_tuple().all(db).await?;
    let mut taken: HashSet<Uuid> = ids.into_iter().collect();
    let (mut new, mut known) = (BTreeMap::new(), Vec::new());
    for (contact, wanted) in wanted {
        if contacts.contains(contact) {
            known.push((contact, wanted.line.map(|line| line.created_at)));
            continue;
        }
        // Two contacts cannot have one conversation: the second gets an id of its own.
        let id = if taken.insert(wanted.id) { wanted.id } else { Uuid::now_v7() };
        new.insert(contact, (id, wanted));
    }
    Ok((new, known))
}

/// The survivors of those ids that were merged.
async fn merged(
    db: &impl ConnectionTrait,
    ids: impl Iterator<Item = Uuid>,
) -> Result<HashMap<Uuid, Uuid>, DbErr> {
    let ids: Vec<Uuid> = ids.collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let query = merged_message::Entity::find().filter(merged_message::Column::Id.is_in(ids));
    let rows = query.all(db).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.survivor_id)).collect())
}

async fn fates(
    db: &impl ConnectionTrait,
    batch: &ImportBatch,
    merged: &HashMap<Uuid, Uuid>,
) -> Result<(Vec<Fate>, HashSet<Uuid>), DbErr> {
    if batch.messages.is_empty() {
        return Ok(Default::default());
    }
    let mut by_id = stored(db, batch.ids()).await?;
    let mut by_telnyx_id = known_to_telnyx(db, batch).await?;
    let others = batch.messages.iter().filter(|message| is_taken(message, &by_id));
    by_id.extend(stored(db, others.map(other_id)).await?);
    let mut fates = Vec::with_capacity(batch.messages.len());
    for message in &batch.messages {
        let telnyx_key = telnyx_key(message);
        let known = telnyx_key.as_ref().and_then(|key| by_telnyx_id.get(key).copied());
        let id = if is_taken(message, &by_id) { other_id(message) } else { message.id };
        let fate = match (known, merged.get(&message.id)) {
            (Some((known, rank)), _) => Fate::known(known, rank, message),
            (None, Some(survivor)) => Fate::Known { id: *survivor, may_rise: true },
            (None, None) => match by_id.get(&id) {
                Some(stored) => Fate::known(id, stored.status_rank, message),
                None => Fate::Insert(id),
            },
        };
        if let Fate::Insert(id) = fate {
            // The batch may have it twice.
            by_id.insert(id, StoredMessage::of(message));
            by_telnyx_id.extend(telnyx_key.map(|key| (key, (id, message.status.rank()))));
        }
        fates.push(fate);
    }
    let taken = batch.ids().filter(|id| by_id.contains_key(id)).collect();
    Ok((fates, taken))
}

/// Telnyx's id of a message, and its direction.
type TelnyxKey = (TelnyxId, i16);

fn telnyx_key(message: &ExportedMessage) -> Option<TelnyxKey> {
    let id = message.telnyx_message_id.as_deref()?;
    Some((TelnyxId::new(id), direction(message.direction)))
}

/// Whether another message has the id of this one.
fn is_taken(message: &ExportedMessage, by_id: &HashMap<Uuid, StoredMessage>) -> bool {
    by_id.get(&message.id).is_some_and(|stored| !stored.is(message))
}

/// The id of a message whose own is taken: the same whenever it is imported. A UUID of version 8.
fn other_id(message: &ExportedMessage) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(message.id.as_bytes());
    for part in [
        message.telnyx_message_id.as_deref().unwrap_or_default(),
        message.direction.as_str(),
        &message.contact_number,
        &message.created_at.to_string(),
        &message.body,
    ] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

async fn known_to_telnyx(
    db: &impl ConnectionTrait,
    batch: &ImportBatch,
) -> Result<HashMap<TelnyxKey, (Uuid, i16)>, DbErr> {
    use message::Column as C;
    let ids: Vec<_> =
        batch.messages.iter().filter_map(|message| Some(telnyx_key(message)?.0)).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let query = message::Entity::find().select_only();
    let query = query.columns([C::Id, C::TelnyxMessageId, C::Direction, C::StatusRank]);
    let rows: Vec<(Uuid, TelnyxId, i16, i16)> =
        query.filter(C::TelnyxMessageId.is_in(ids)).into_tuple().all(db).await?;
    let row = |(id, telnyx_id, direction, rank)| ((telnyx_id, direction), (id, rank));
    Ok(rows.into_iter().map(row).collect())
}

async fn stored(
    db: &impl ConnectionTrait,
    ids: impl Iterator<Item = Uuid>,
) -> Result<HashMap<Uuid, StoredMessage>, DbErr> {
    use message::Column as C;
    let ids: Vec<Uuid> = ids.collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(Uuid, Option<TelnyxId>, i16, i64, i16, String)> = message::Entity::find()
        .select_only()
        .columns([C::Id, C::TelnyxMessageId, C::Direction, C::CreatedAt, C::StatusRank])
        .column(conversation::Column::ContactNumber)
        .join(JoinType::InnerJoin, message::Relation::Conversation.def())
        .filter(C::Id.is_in(ids))
        .into_tuple()
        .all(db)
        .await?;
    let row = |(id, telnyx_message_id, direction, created_at, status_rank, contact)| {
        (id, StoredMessage { telnyx_message_id, direction, created_at, contact, status_rank })
    };
    Ok(rows.into_iter().map(row).collect())
}

impl StoredMessage {
    fn of(message: &ExportedMessage) -> Self {
        Self {
            telnyx_message_id: message.telnyx_message_id.as_deref().map(TelnyxId::new),
            direction: direction(message.direction),
            created_at: micros(message.created_at),
            contact: message.contact_number.clone(),
            status_rank: message.status.rank(),
        }
    }

    /// Whether it is this message. Telnyx's id decides where both have one; a message of ours may have
    /// got its own since.
    fn is(&self, message: &ExportedMessage) -> bool {
        let other = Self::of(message);
        let is_same_by_telnyx = match (&self.telnyx_message_id, &other.telnyx_message_id) {
            (Some(one), Some(other)) => one == other,
            _ => self.created_at == other.created_at && self.contact == other.contact,
        };
        self.direction == other.direction && is_same_by_telnyx
    }
}
