//! Keyset pagination: a page begins after the last row of the previous one, by value, not by count.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::Timestamp;

/// The most rows in one page of the API.
pub const MAX_PAGE: u64 = 1_000;

/// The position of one row in an order by time and id. Its text form is opaque to callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The row's time.
    pub at: Timestamp,
    /// The row's id, which breaks ties.
    pub id: Uuid,
    /// Where a list from old to new ends: a thread that becomes active while the list is read
    /// moves beyond this time, so it is not listed twice.
    pub until: Option<Timestamp>,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.at.as_micros(), self.id.simple())?;
        self.until.map_or(Ok(()), |until| write!(f, "_{}", until.as_micros()))
    }
}

/// The error for a text that is not a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this API; take it from the Link header of the previous page")]
pub struct BadCursor;

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let instant = |micros: &str| micros.parse().map(Timestamp::from_micros);
        let (at, rest) = text.split_once('_').ok_or(BadCursor)?;
        let (id, until) = match rest.split_once('_') {
            Some((id, until)) => (id, Some(until)),
            None => (rest, None),
        };
        Ok(Self {
            at: instant(at).map_err(|_| BadCursor)?,
            id: Uuid::try_parse(id).map_err(|_| BadCursor)?,
            until: until.map(instant).transpose().map_err(|_| BadCursor)?,
        })
    }
}

/// A position among the messages of a thread. Its text form is the id, or the time in RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The position of a message.
    Message(Uuid),
    /// A time, whether or not a message has it.
    Time(Timestamp),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(id) => id.fmt(f),
            Self::Time(time) => time.fmt(f),
        }
    }
}

/// The error for a text that is not a position among messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither the id of a message nor a time in RFC 3339, such as 2026-11-22T15:00:00Z")]
pub struct BadPlace;

impl FromStr for Place {
    type Err = BadPlace;

    fn from_str(text: &str) -> Result<Self, BadPlace> {
        let id = Uuid::try_parse(text).map(Self::Message);
        let time = || Timestamp::parse_with_zone(text).map(Self::Time);
        id.ok().or_else(time).ok_or(BadPlace)
    }
}

/// Which messages of a thread to read. They are returned in chronological order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The newest messages, or the newest before a position: paging backwards.
    Newest {
        /// Only messages before this position.
        before: Option<Place>,
        /// The most messages to return.
        limit: u64,
    },
    /// The oldest messages, or the next after a given one: reading a whole thread page by page.
    Oldest {
        /// Only messages after this one.
        after: Option<Uuid>,
        /// The most messages to return.
        limit: u64,
    },
}

impl Window {
    /// The same as query parameters of the API, with a limit that it allows. The nil id stands for the
    /// position before the first message.
    #[must_use]
    pub fn parameters(self) -> Vec<(&'static str, String)> {
        let name = self.next_parameter();
        let (limit, place) = match self {
            Self::Newest { before, limit } => (limit, before.map(|place| place.to_string())),
            Self::Oldest { after, limit } => (limit, Some(after.unwrap_or_default().to_string())),
        };
        let mut pairs = vec![("limit", limit.min(MAX_PAGE).to_string())];
        pairs.extend(place.map(|place| (name, place)));
        pairs
    }

    /// The query parameter with the position of the next page.
    #[must_use]
    pub fn next_parameter(self) -> &'static str {
        match self {
            Self::Newest { .. } => "before",
            Self::Oldest { .. } => "after",
        }
    }

    /// The window of the page that follows the one that ends at a message.
    #[must_use]
    pub fn beyond(self, message: Uuid) -> Self {
        match self {
            Self::Newest { limit, .. } => {
                Self::Newest { before: Some(Place::Message(message)), limit }
            }
            Self::Oldest { limit, .. } => Self::Oldest { after: Some(message), limit },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn other_text_is_not_a_cursor() {
        for text in [
            "",
            "_",
            "12",
            "12_",
            "x_00000000000000000000000000000000",
            "1_2_3",
            "1_00000000000000000000000000000000_",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(BadCursor), "{text}");
        }
    }

    #[test]
    fn windows_become_query_parameters() {
        let id = Uuid::from_u128(7);
        let query = |window: Window| {
            let pairs = window.parameters().into_iter();
            pairs.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
        };
        let newest = Window::Newest { before: None, limit: 10 };
        assert_eq!(query(newest), "limit=10");
        let before = "limit=10&before=00000000-0000-0000-0000-000000000007";
        assert_eq!(query(newest.beyond(id)), before);
        let time = Some(Place::Time(Timestamp::from_micros(0)));
        let before = "limit=10&before=1970-01-01T00:00:00.000000Z";
        assert_eq!(query(Window::Newest { before: time, limit: 10 }), before);
        let oldest = Window::Oldest { after: None, limit: MAX_PAGE + 1 };
        assert_eq!(query(oldest), "limit=1000&after=00000000-0000-0000-0000-000000000000");
        let after = "limit=1000&after=00000000-0000-0000-0000-000000000007";
        assert_eq!(query(oldest.beyond(id)), after);
    }

    #[test]
    fn a_position_is_a_message_or_a_time() {
        let id = Uuid::from_u128(7);
        let time = Timestamp::from_micros(1_795_352_400_000_001);
        for place in [Place::Message(id), Place::Time(time)] {
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        assert!("2026-11-22T15:00:00+02:00".parse::<Place>().is_ok());
        for text in ["", "e6f70819", "2026-11-22", "2026-11-22T15:00:00", "now"] {
            assert_eq!(text.parse::<Place>(), Err(BadPlace), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_cursor_survives_its_text_form(
            micros in 0_i64..4_000_000_000_000_000,
            id: u128,
            until in proptest::option::of(0_i64..4_000_000_000_000_000),
        ) {
            let at = Timestamp::from_micros(micros);
            let until = until.map(Timestamp::from_micros);
            let cursor = Cursor { at, id: Uuid::from_u128(id), until };
            prop_assert_eq!(cursor.to_string().parse::<Cursor>(), Ok(cursor));
        }
    }
}
