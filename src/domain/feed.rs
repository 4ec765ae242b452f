//! The feed: one ordered list of what changed, and positions in it.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Direction, Message, PhoneNumber, Selector, Status, Timestamp};
use crate::error::{Code, Error};

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeedKind {
    /// A new message, inbound or outbound.
    Message,
    /// An outbound message has another status.
    Status,
    /// A contact has opted out, or in again.
    OptOut,
    /// A conversation was removed.
    Removed,
}

impl FeedKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Message, Self::Status, Self::OptOut, Self::Removed];

    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Status => "status",
            Self::OptOut => "opt_out",
            Self::Removed => "removed",
        }
    }

    /// Parses the word in the API.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for FeedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A position in the feed: that of an entry, with four bytes of it that are random for each transaction. In a
/// database that was restored or failed over, another entry may have the position, but not these bytes. Its
/// text form is opaque to callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FeedCursor {
    /// The number of the entry.
    pub position: i64,
    /// The entry's four bytes.
    pub nonce: u32,
}

impl fmt::Display for FeedCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}", self.position, self.nonce)
    }
}

/// The error for a text that is not a cursor of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of the feed; take it from an event or from `next`")]
pub struct BadFeedCursor;

impl FromStr for FeedCursor {
    type Err = BadFeedCursor;

    fn from_str(text: &str) -> Result<Self, BadFeedCursor> {
        let (position, nonce) = text.split_once('-').ok_or(BadFeedCursor)?;
        let is_canonical = position.bytes().all(|b| b.is_ascii_digit())
            && nonce.len() == 8
            && nonce.bytes().all(|b| b.is_ascii_hexdigit());
        let position = position.parse().map_err(|_| BadFeedCursor)?;
        let nonce = u32::from_str_radix(nonce, 16).map_err(|_| BadFeedCursor)?;
        if is_canonical { Ok(Self { position, nonce }) } else { Err(BadFeedCursor) }
    }
}

impl Serialize for FeedCursor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FeedCursor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// One change, as it is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FeedEvent {
    /// The position after which the next event is found.
    #[schemars(with = "String")]
    pub cursor: FeedCursor,
    /// What changed.
    pub kind: FeedKind,
    /// When it was stored; never before the event that precedes it.
    pub at: Timestamp,
    /// The conversation; null for an opt-out of a contact that has none.
    pub conversation_id: Option<Uuid>,
    /// The contact; null for a conversation that was removed.
    pub contact_number: Option<PhoneNumber>,
    /// The contact's name, as it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_name: Option<String>,
    /// The message as it is now; for `message` and `status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// The status that the message got; for `status`. It may have another by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The id of a message that turned out to be this one; for `status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Uuid>,
    /// Whether the contact has opted out, rather than in again; for `opt_out`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opted_out: Option<bool>,
    /// Whether a sync brought it, and not a webhook: it happened earlier. No program is to react to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recovered: bool,
}

/// Which events to read. An event must match every filter that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedFilter {
    /// Only events of this contact, named by number or full id of its conversation.
    pub contact: Option<Selector>,
    /// Only messages from or to this number of ours.
    pub number: Option<PhoneNumber>,
    /// Only messages of this direction.
    pub direction: Option<Direction>,
    /// Only messages whose status, at the time of the event, is one of these; empty for any.
    pub statuses: Vec<Status>,
    /// Only these kinds; empty for all.
    pub kinds: Vec<FeedKind>,
}

impl FeedFilter {
    /// Whether an event matches.
    #[must_use]
    pub fn matches(&self, event: &FeedEvent) -> bool {
        let message = event.message.as_ref();
        (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && self.contact.as_ref().is_none_or(|contact| is_of(event, contact))
            && self.direction.is_none_or(|direction| {
                message.is_some_and(|message| message.direction == direction)
            })
            && self
                .number
                .as_ref()
                .is_none_or(|number| message.is_some_and(|message| message.own() == number))
            && (self.statuses.is_empty()
                || event.reached().is_some_and(|status| self.statuses.contains(&status)))
    }

    /// The filters as query parameters of the API.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let list = |words: Vec<&str>| Some(words.join(",")).filter(|words| !words.is_empty());
        [
            ("contact", self.contact.as_ref().map(|contact| contact.as_str().to_owned())),
            ("number", self.number.as_ref().map(ToString::to_string)),
            ("direction", self.direction.map(|direction| direction.to_string())),
            ("status", list(self.statuses.iter().map(|status| status.as_str()).collect())),
            ("kind", list(self.kinds.iter().map(|kind| kind.as_str()).collect())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

fn is_of(event: &FeedEvent, contact: &Selector) -> bool {
    let has_id = contact.id().is_some_and(|id| event.conversation_id == Some(id));
    let is_number =
        |number: &PhoneNumber| contact.numbers().iter().any(|named| named == number.as_str());
    has_id || event.contact_number.as_ref().is_some_and(is_number)
}

impl FeedEvent {
    /// The status of its message at the time of the event.
    #[must_use]
    pub fn reached(&self) -> Option<Status> {
        self.status.or_else(|| self.message.as_ref().map(|message| message.status))
    }
}

/// One page of the feed. It may have fewer events than asked for, even none, although more follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FeedPage {
    /// The events, oldest first.
    pub events: Vec<FeedEvent>,
    /// Where the next page begins.
    #[schemars(with = "String")]
    pub next: FeedCursor,
}

/// Where to begin reading the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedStart {
    /// With what happens from now on.
    Now,
    /// With the first event at this time or later that is still kept.
    Since(Timestamp),
    /// After this position.
    After(FeedCursor),
}

impl FeedStart {
    /// The same as a query parameter of the API.
    #[must_use]
    pub fn parameter(self) -> Option<(&'static str, String)> {
        match self {
            Self::Now => None,
            Self::Since(time) => Some(("since", time.to_string())),
            Self::After(cursor) => Some(("after", cursor.to_string())),
        }
    }
}

/// The error for a cursor whose entry is no longer kept, or was never in this database; `oldest` is the
/// position from which everything that is left follows.
pub(crate) fn cursor_expired(oldest: FeedCursor) -> Error {
    Error::new(Code::CursorExpired, "the cursor has expired")
        .hint("what followed it may be lost; go on from `oldest`, or from now on without a cursor")
        .with(|extra| extra.oldest = Some(oldest.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(direction: Direction, status: Status) -> Message {
        let number = |number: &str| PhoneNumber::from_stored(number.to_owned());
        let (contact, own) = (number("+12125551234"), number("+15551234567"));
        let (from, to) = match direction {
            Direction::Inbound => (contact, own),
            Direction::Outbound => (own, contact),
        };
        Message {
            id: Uuid::from_u128(1),
            conversation_id: Uuid::from_u128(2),
            direction,
            from,
            to,
            body: "Hi".to_owned(),
            status,
            created_at: Timestamp::from_micros(1),
            telnyx_message_id: None,
            cc: Vec::new(),
            subject: None,
            media: Vec::new(),
            encoding: None,
            segments: None,
            cost: None,
            error: None,
            send_at: None,
            sent_at: None,
            completed_at: None,
            in_reply_to: None,
            autoresponse_type: None,
            recovered: false,
            history: None,
        }
    }

    fn event(kind: FeedKind, message: Option<Message>) -> FeedEvent {
        FeedEvent {
            cursor: FeedCursor { position: 7, nonce: 0xdead_beef },
            kind,
            at: Timestamp::from_micros(1),
            conversation_id: message.as_ref().map(|message| message.conversation_id),
            contact_number: message.as_ref().map(|message| message.contact().clone()),
            contact_name: None,
            message,
            status: None,
            replaces: None,
            opted_out: None,
            recovered: false,
        }
    }

    #[test]
    fn an_event_must_match_every_filter() {
        let came = event(FeedKind::Message, Some(message(Direction::Inbound, Status::Received)));
        let sent = event(FeedKind::Status, Some(message(Direction::Outbound, Status::Delivered)));
        let gone = event(FeedKind::Removed, None);
        let shown = |filter: &FeedFilter| {
            [&came, &sent, &gone].map(|event| u8::from(filter.matches(event)))
        };
        let message = message(Direction::Inbound, Status::Received);
        let all = FeedFilter::default();
        assert_eq!(shown(&all), [1, 1, 1]);
        assert_eq!(shown(&FeedFilter { kinds: vec![FeedKind::Status], ..all.clone() }), [0, 1, 0]);
        let direction = Some(Direction::Inbound);
        assert_eq!(shown(&FeedFilter { direction, ..all.clone() }), [1, 0, 0]);
        let contact = |name: &str| FeedFilter { contact: Some(Selector::new(name)), ..all.clone() };
        assert_eq!(shown(&contact(message.contact().as_str())), [1, 1, 0]);
        assert_eq!(shown(&contact(&message.conversation_id.to_string())), [1, 1, 0]);
        assert_eq!(shown(&contact("+15550001111")), [0, 0, 0]);
        let number = Some(message.own().clone());
        assert_eq!(shown(&FeedFilter { number, ..all.clone() }), [1, 1, 0]);
        let statuses = vec![Status::Delivered];
        assert_eq!(shown(&FeedFilter { statuses, ..all.clone() }), [0, 1, 0]);
    }

    #[test]
    fn a_status_is_that_of_the_event() {
        let mut sent =
            event(FeedKind::Status, Some(message(Direction::Outbound, Status::Delivered)));
        sent.status = Some(Status::Sent);
        let filter = |status| FeedFilter { statuses: vec![status], ..FeedFilter::default() };
        assert!(filter(Status::Sent).matches(&sent));
        assert!(!filter(Status::Delivered).matches(&sent));
    }

    #[test]
    fn other_texts_are_not_cursors() {
        for text in ["", "7", "7-", "-1-00000000", "+7-00000000", "7-0000000", "7-+0000000", "x"] {
            assert_eq!(text.parse::<FeedCursor>(), Err(BadFeedCursor), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_cursor_survives_its_text_form(position in 0..i64::MAX, nonce: u32) {
            let cursor = FeedCursor { position, nonce };
            prop_assert_eq!(cursor.to_string().parse::<FeedCursor>(), Ok(cursor));
        }
    }
}
