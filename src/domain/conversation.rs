//! A conversation: the thread of all messages exchanged with one contact.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::contact::{LONGEST_NAME, fold};
use super::text::is_format;
use super::{Cursor, Direction, Message, PhoneNumber, Recipient, Status, Timestamp};
use crate::error::{Code, Error};

/// The shortest part of an id that identifies it.
pub const SHORTEST_FRAGMENT: usize = 4;
/// How many characters, from the end of an id, tables show.
pub const SHOWN_SUFFIX: usize = 8;

/// One conversation, without its messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Conversation {
    /// convo's id of the conversation, a UUIDv7.
    pub id: Uuid,
    /// The other party's number; each contact has one conversation.
    pub contact_number: PhoneNumber,
    /// The name that the contact was given; null if it has none.
    #[serde(default)]
    pub contact_name: Option<String>,
    /// How many messages it has.
    pub message_count: u64,
    /// The latest `created_at` of its messages.
    pub last_message_at: Timestamp,
    /// When the conversation was created.
    pub created_at: Timestamp,
    /// When the contact opted out; null when it has not, or has opted in again.
    pub opted_out_at: Option<Timestamp>,
    /// Your number to which the contact sent the opt-out, if known.
    pub opted_out_number: Option<PhoneNumber>,
    /// How many inbound messages are unread.
    #[serde(default)]
    pub unread_count: u64,
    /// How many inbound messages have arrived in it so far: given back when the conversation is marked
    /// read, it leaves unread what has arrived since.
    #[serde(default)]
    pub arrived: u64,
    /// A summary of the newest message.
    pub last_message: Option<LastMessage>,
}

impl Conversation {
    /// The thread's position in a list: where the next page begins if it is the last of one.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { at: self.last_message_at, id: self.id, until: None }
    }
}

/// Up to where a conversation is marked read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadUpTo {
    /// Everything that has arrived by now.
    Now,
    /// This message, and everything that arrived before it.
    Message(Uuid),
    /// What had arrived when [`Conversation::arrived`] had this value.
    Arrived(u64),
}

impl ReadUpTo {
    /// The query parameter of the API, if it needs one.
    #[must_use]
    pub fn parameter(self) -> Option<(&'static str, String)> {
        match self {
            Self::Now => None,
            Self::Message(id) => Some(("up_to", id.to_string())),
            Self::Arrived(arrived) => Some(("arrived", arrived.to_string())),
        }
    }
}

/// A summary of the newest message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastMessage {
    /// Its id.
    pub id: Uuid,
    /// Its direction.
    pub direction: Direction,
    /// Its text.
    pub body: String,
    /// The subject of an MMS.
    #[serde(default)]
    pub subject: Option<String>,
    /// The other recipients and participants of a group message.
    #[serde(default)]
    pub cc: Vec<String>,
    /// How many media files it has.
    pub media_count: u32,
    /// Its delivery status.
    pub status: Status,
    /// Inbound: when Telnyx received it. Outbound: when it was stored.
    pub created_at: Timestamp,
    /// The time it is scheduled for, if any.
    #[serde(default)]
    pub send_at: Option<Timestamp>,
}

/// A conversation with messages in chronological order: all of them, or one page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Thread {
    /// The thread itself.
    #[serde(flatten)]
    pub conversation: Conversation,
    /// Its messages, oldest first.
    pub messages: Vec<Message>,
}

/// What a user types to name a thread: a number in any usual notation, the contact's name or a part of
/// it, an id, or the beginning or end of an id. It is kept as typed, since only a look at what is stored
/// tells them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    typed: String,
}

impl Selector {
    /// Takes what was typed.
    #[must_use]
    pub fn new(typed: &str) -> Self {
        let is_invisible = |c: char| c.is_whitespace() || is_format(c);
        Self { typed: typed.trim_matches(is_invisible).to_owned() }
    }

    /// What was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.typed
    }

    /// The id, if it is a full one, with or without hyphens.
    #[must_use]
    pub fn id(&self) -> Option<Uuid> {
        matches!(self.typed.len(), 32 | 36).then(|| Uuid::try_parse(&self.typed).ok()).flatten()
    }

    /// The name that it may be, as names are compared; `None` if it is a number or a full id, or longer
    /// than any name.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let is_short = self.typed.chars().nth(LONGEST_NAME).is_none();
        let may_be_name = is_short
            && self.id().is_none()
            && matches!(Recipient::parse(&self.typed), Ok(Recipient::Named(_)));
        may_be_name.then(|| fold(&self.typed)).filter(|name| !name.is_empty())
    }

    /// The contacts it may mean: the text as typed, since contacts other than E.164 numbers are
    /// stored as they arrived, and the number that it parses to.
    #[must_use]
    pub fn numbers(&self) -> Vec<String> {
        let mut numbers = vec![self.typed.clone()];
        if let Ok(number) = PhoneNumber::parse(&self.typed) {
            numbers.push(number.as_str().to_owned());
        }
        numbers.dedup();
        numbers
    }

    /// The hexadecimal digits in lower case, without hyphens, if they may be a part of an id.
    #[must_use]
    pub fn fragment(&self) -> Option<String> {
        self.digits().filter(|digits| (SHORTEST_FRAGMENT..=32).contains(&digits.len()))
    }

    /// Whether it may be a part of an id, but is too short to search for.
    #[must_use]
    pub fn is_too_short(&self) -> bool {
        self.digits().is_some_and(|digits| (1..SHORTEST_FRAGMENT).contains(&digits.len()))
    }

    fn digits(&self) -> Option<String> {
        let is_part = self.typed.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        is_part.then(|| self.typed.to_ascii_lowercase().replace('-', ""))
    }
}

/// The error for a part of an id that several conversations have.
pub(crate) fn ambiguous_id(typed: &str, found: &[Conversation]) -> Error {
    let shown = |found: &Conversation| format!("{} ({})", found.id, found.contact_number);
    let list: Vec<_> = found.iter().map(shown).collect();
    Error::new(Code::AmbiguousId, format!("'{typed}' matches several conversations"))
        .hint(format!("use more digits of the id: {}", list.join(", ")))
}

/// The error when no stored conversation matches.
pub(crate) fn not_found() -> Error {
    Error::new(Code::ConversationNotFound, "Conversation not found")
        .hint("`convo list` shows every contact and id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_a_number_an_id_or_a_fragment() {
        let id = "b2c3d4e5-6f70-4819-a2b3-c4d5e6f70819";
        for typed in [id.to_owned(), id.replace('-', ""), id.to_uppercase()] {
            let found = Selector::new(&typed).id();
            assert_eq!(found.map(|id| id.to_string()).as_deref(), Some(id), "{typed}");
        }
        assert_eq!(Selector::new("E6F70819").fragment().as_deref(), Some("e6f70819"));
        assert_eq!(Selector::new("+1 (212) 555-1234").numbers()[1], "+12125551234");
        assert_eq!(Selector::new("+12125551234").numbers(), ["+12125551234"]);
        assert_eq!(Selector::new("819").fragment(), None);
        assert!(Selector::new("819").is_too_short());
        assert!(!Selector::new("0819").is_too_short() && !Selector::new("xyz").is_too_short());
        assert_eq!(Selector::new("ACME").numbers(), ["ACME"]);
        assert_eq!(Selector::new("acme").fragment(), None);
    }
}
