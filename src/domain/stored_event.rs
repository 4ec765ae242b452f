//! Webhook events as they are stored: a list of them, and a position in it.

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cursor::BadCursor;
use super::{Selector, Timestamp};
use crate::error::{Code, Error};

/// A stored webhook event without its body, of which it tells the most important.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoredEvent {
    /// Telnyx's id of the event.
    pub id: String,
    /// Telnyx's name of the type, such as `message.received`.
    pub event_type: String,
    /// When it happened, by Telnyx's clock; null if the event does not say.
    pub occurred_at: Option<Timestamp>,
    /// When it was received.
    pub received_at: Timestamp,
    /// The contact that it is about: the sender of an inbound message, the first recipient of an outbound
    /// one; null if it is about no message.
    pub contact_number: Option<String>,
    /// Telnyx's id of the message.
    pub telnyx_message_id: Option<String>,
}

/// Which events to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredEventFilter {
    /// Only events of this type.
    pub event_type: Option<String>,
    /// Only events that happened at this time or later; those without a time did not.
    pub since: Option<Timestamp>,
    /// Only events about messages from or to this contact.
    pub contact: Option<Selector>,
}

impl StoredEventFilter {
    /// The same as query parameters of the API.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let event_type = self.event_type.clone().map(|word| ("type", word));
        let since = self.since.map(|since| ("since", since.to_string()));
        let contact = self.contact.as_ref().map(|contact| ("contact", contact.as_str().to_owned()));
        [event_type, since, contact].into_iter().flatten().collect()
    }
}

/// A position in the list of events, which is ordered by time and id. Its text form is opaque to callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEventCursor {
    /// The event's time in microseconds; 0 if it has none.
    pub occurred_at: i64,
    /// The event's id.
    pub id: String,
}

impl fmt::Display for StoredEventCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_", self.occurred_at)?;
        self.id.bytes().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for StoredEventCursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let (at, digits) = text.split_once('_').ok_or(BadCursor)?;
        let occurred_at = at.parse().map_err(|_| BadCursor)?;
        if !digits.is_ascii() || digits.len() % 2 != 0 {
            return Err(BadCursor);
        }
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| BadCursor);
        let bytes = (0..digits.len()).step_by(2).map(byte).collect::<Result<Vec<u8>, _>>()?;
        // A text that is not ours is a position, too.
        Ok(Self { occurred_at, id: String::from_utf8_lossy(&bytes).into_owned() })
    }
}

/// The error when no stored event has the id.
pub(crate) fn event_not_found(id: &str) -> Error {
    let mut shown = String::new();
    for c in id.chars().take(80) {
        let c = if c.is_control() { '?' } else { c };
        // Writing to a string cannot fail.
        let _ = shown.write_char(c);
    }
    Error::new(Code::EventNotFound, format!("no stored event has the id '{shown}'"))
        .hint("`convo webhook list` shows the ids")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn other_text_is_not_a_position() {
        for text in ["", "_", "1", "x_61", "1_6", "1_6g", "1_é"] {
            assert_eq!(text.parse::<StoredEventCursor>(), Err(BadCursor), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_position_survives_its_text_form(occurred_at: i64, id: String) {
            let cursor = StoredEventCursor { occurred_at, id };
            prop_assert_eq!(cursor.to_string().parse::<StoredEventCursor>(), Ok(cursor));
        }
    }
}
