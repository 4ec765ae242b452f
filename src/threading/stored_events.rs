//! Listing the raw events, and reading one.

use super::Conversations;
use crate::domain::message;
use crate::domain::stored_event::event_not_found;
use crate::domain::{
    Message, Page, Selector, StoredEvent, StoredEventCursor, StoredEventFilter, Timestamp,
};
use crate::error::{Code, Error};
use crate::store::stored_events::StoredEventKey;
use crate::telnyx::event::{Content, Event};

/// The most events that one page looks at.
const MOST_EXAMINED: u64 = 2_000;
/// How many keys are read at once where a filter may leave out many.
const KEYS: u64 = 500;
/// How many keys are read at once to find an id.
const IDS: u64 = 5_000;

/// What an event says about the message in it.
#[derive(Default)]
struct Mention {
    contact: Option<String>,
    /// All contacts.
    contacts: Vec<String>,
    message: Option<String>,
}

impl Conversations {
    /// A page of the stored events, newest first by Telnyx's clock. With a filter it may have fewer than
    /// `limit`, even none, without being the last: an event names its contact only in its body, so each is
    /// read.
    ///
    /// # Errors
    /// `database_unavailable`; `conversation_not_found` or `ambiguous_id` for a contact that is not a number.
    pub async fn stored_events(
        &self,
        filter: &StoredEventFilter,
        after: Option<StoredEventCursor>,
        limit: u64,
    ) -> Result<Page<StoredEvent, StoredEventCursor>, Error> {
        let contacts = match &filter.contact {
            Some(contact) => Some(self.numbers_of(contact).await?),
            None => None,
        };
        let is_whole = contacts.is_none() && filter.event_type.is_none();
        let (mut rows, mut next, mut examined) = (Vec::new(), after, 0);
        while (rows.len() as u64) < limit && examined < MOST_EXAMINED {
            let count = if is_whole { (limit - rows.len() as u64).min(KEYS) } else { KEYS };
            let mut keys = self.store.event_keys(next.as_ref(), filter.since, count).await?;
            let is_end = (keys.len() as u64) < count;
            examined += keys.len() as u64;
            let last = keys.last().map(|key| key.cursor.clone());
            keys.retain(|key| {
                filter.event_type.as_ref().is_none_or(|name| *name == key.event_type)
            });
            let missing = usize::try_from(limit).unwrap_or(usize::MAX) - rows.len();
            match self.describe(keys, contacts.as_deref(), missing, &mut rows).await? {
                Some(reached) => return Ok(Page { rows, next: Some(reached) }),
                None if is_end => return Ok(Page { rows, next: None }),
                None => next = last,
            }
        }
        Ok(Page { rows, next })
    }

    /// Adds up to `missing` of some events to a page. Returns the position of the last one if it was enough.
    async fn describe(
        &self,
        keys: Vec<StoredEventKey>,
        contacts: Option<&[String]>,
        missing: usize,
        rows: &mut Vec<StoredEvent>,
    ) -> Result<Option<StoredEventCursor>, Error> {
        let full = rows.len() + missing;
        let mut rest = &keys[..];
        while !rest.is_empty() {
            let bodies = self.store.event_bodies(rest).await?;
            let (now, later) = rest.split_at(bodies.len());
            for (key, body) in now.iter().zip(bodies) {
                let mention = body.as_deref().map(mention).unwrap_or_default();
                let is_about = |wanted: &[String]| {
                    mention.contacts.iter().any(|contact| wanted.contains(contact))
                };
                if contacts.is_none_or(is_about) {
                    rows.push(described(key, mention));
                }
                if rows.len() == full {
                    return Ok(Some(key.cursor.clone()));
                }
            }
            rest = later;
            // Others get their turn between the bodies, which take a while to read.
            tokio::task::yield_now().await;
        }
        Ok(None)
    }

    async fn numbers_of(&self, contact: &Selector) -> Result<Vec<String>, Error> {
        match self.find(contact).await {
            Ok(conversation) => Ok(vec![conversation.contact_number.to_string()]),
            // An event may be about a contact of whom there is no message.
            Err(error)
                if error.code() == Code::ConversationNotFound
                    && contact.as_str().starts_with('+') =>
            {
                Ok(contact.numbers())
            }
            Err(error) => Err(error),
        }
    }

    /// The message whose id ends with some digits. It reads the ids of all messages: for sandboxes.
    ///
    /// # Errors
    /// `message_not_found`; `ambiguous_id`; `invalid_request` for a text that is not the end of an id.
    pub async fn message_ending(&self, digits: &str) -> Result<Message, Error> {
        let is_end = (8..=32).contains(&digits.len())
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !is_end {
            return Err(Error::invalid("that is neither the id of a message nor the end of one")
                .hint("`convo show --format ids` prints the ids; at least their last 8 digits"));
        }
        match self.store.messages_ending(&digits.to_ascii_lowercase()).await?[..] {
            [] => Err(message::not_found()),
            [id] => self.message(id).await,
            _ => Err(Error::new(Code::AmbiguousId, "several messages have an id that ends so")
                .hint("give more digits of the id")),
        }
    }

    /// The body of a stored event, as it came. An event is stored by its time and its id, so this walks back
    /// from the newest: a recent one is found at once.
    ///
    /// # Errors
    /// `event_not_found`; `database_unavailable`.
    pub async fn stored_event(&self, id: &str) -> Result<Vec<u8>, Error> {
        let mut before = None;
        loop {
            let page = self.store.event_positions(before.as_ref(), IDS).await?;
            if let Some(found) = page.iter().find(|cursor| cursor.id == id) {
                let body = self.store.event_body(found).await?;
                return body.ok_or_else(|| event_not_found(id));
            }
            if (page.len() as u64) < IDS {
                return Err(event_not_found(id));
            }
            before = page.into_iter().next_back();
        }
    }
}

fn described(key: &StoredEventKey, mention: Mention) -> StoredEvent {
    let at = Some(key.cursor.occurred_at).filter(|at| *at != 0);
    StoredEvent {
        id: key.cursor.id.clone(),
        event_type: key.event_type.clone(),
        occurred_at: at.map(Timestamp::from_micros),
        received_at: key.received_at,
        contact_number: mention.contact,
        telnyx_message_id: mention.message,
    }
}

fn mention(body: &[u8]) -> Mention {
    let Ok(event) = Event::parse(body) else { return Mention::default() };
    let (contacts, payload) = match event.content {
        Content::Inbound(payload) => {
            (payload.from.iter().map(ToString::to_string).collect(), payload)
        }
        Content::Report(payload) => {
            let all = payload.to.iter().chain(&payload.cc);
            (all.map(|address| address.number.to_string()).collect::<Vec<_>>(), payload)
        }
        Content::Other => return Mention::default(),
    };
    Mention { contact: contacts.first().cloned(), contacts, message: Some(payload.id) }
}
