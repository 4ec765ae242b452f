//! A thread: everything said with one contact.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Cursor, Direction, Message, PhoneNumber, Status, Timestamp};

/// Fewest characters of an id that may stand for the whole.
pub const SHORTEST_FRAGMENT: usize = 4;
/// Characters at the end of an id that tables show.
pub const SHOWN_SUFFIX: usize = 8;

/// One thread, without its messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Conversation {
    /// convo's id of the thread, a UUIDv7.
    pub id: Uuid,
    /// The other party. There is one thread per contact.
    pub contact_number: PhoneNumber,
    /// How many messages it has.
    pub message_count: u64,
    /// The latest `created_at` of its messages.
    pub last_message_at: Timestamp,
    /// When the thread was begun.
    pub created_at: Timestamp,
    /// When the contact opted out, if it has and has not come back.
    pub opted_out_at: Option<Timestamp>,
    /// The own number that the opt-out was said to.
    pub opted_out_number: Option<PhoneNumber>,
    /// The newest message, in short.
    pub last_message: Option<LastMessage>,
}

impl Conversation {
    /// Its place among the threads, where the page after it begins.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { at: self.last_message_at, id: self.id, until: None }
    }
}

/// The newest message of a thread, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastMessage {
    /// Its id.
    pub id: Uuid,
    /// Which way it went.
    pub direction: Direction,
    /// Its text.
    pub body: String,
    /// How many files came with it.
    pub media_count: u32,
    /// What is known of its delivery.
    pub status: Status,
    /// When.
    pub created_at: Timestamp,
}

/// A thread with messages in chronological order: all of them, or one page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Thread {
    /// The thread itself.
    #[serde(flatten)]
    pub conversation: Conversation,
    /// Its messages, oldest first.
    pub messages: Vec<Message>,
}

/// How a person names a thread: a number in any usual writing, an id, or the beginning or end of
/// an id. It is kept as typed, because only the stored threads can tell a number from a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    typed: String,
}

impl Selector {
    /// Takes what was typed.
    #[must_use]
    pub fn new(typed: &str) -> Self {
        Self { typed: typed.trim().to_owned() }
    }

    /// What was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.typed
    }

    /// The whole id, when it is one, with or without its hyphens.
    #[must_use]
    pub fn id(&self) -> Option<Uuid> {
        matches!(self.typed.len(), 32 | 36).then(|| Uuid::try_parse(&self.typed).ok()).flatten()
    }

    /// The contact numbers it may mean: the number understood, and the very text, since contacts
    /// that are no E.164 numbers are kept as they came.
    #[must_use]
    pub fn numbers(&self) -> Vec<String> {
        let mut numbers = vec![self.typed.clone()];
        if let Ok(number) = PhoneNumber::parse(&self.typed) {
            numbers.push(number.as_str().to_owned());
        }
        numbers.dedup();
        numbers
    }

    /// The text as a part of an id, in lower case, when it can be one.
    #[must_use]
    pub fn fragment(&self) -> Option<String> {
        let possible = (SHORTEST_FRAGMENT..36).contains(&self.typed.len()) && self.is_of_an_id();
        possible.then(|| self.typed.to_ascii_lowercase())
    }

    /// Whether it looks like a part of an id that is too short to be looked for.
    #[must_use]
    pub fn is_too_short(&self) -> bool {
        (1..SHORTEST_FRAGMENT).contains(&self.typed.len()) && self.is_of_an_id()
    }

    fn is_of_an_id(&self) -> bool {
        self.typed.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
    }
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
