//! Keyset paging: a page begins where the last one ended, by value, not by count.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::Timestamp;

/// Most rows that one page of the API has; who wants more reads several.
pub const MAX_PAGE: u64 = 1_000;

/// The place of one row in an order by time and id. Its text form is opaque to callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The row's time.
    pub at: Timestamp,
    /// The row's id, which settles ties.
    pub id: Uuid,
    /// Where a listing from old to new ends: what becomes active while it is read moves beyond
    /// its end, and is not met a second time.
    pub until: Option<Timestamp>,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.at.as_micros(), self.id.simple())?;
        self.until.map_or(Ok(()), |until| write!(f, "_{}", until.as_micros()))
    }
}

/// A text that is no cursor.
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

/// A place among the messages of a thread. Its text form is the id, or the time in RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// That of a message.
    Message(Uuid),
    /// That of a time, whether there is a message or not.
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

/// A text that is no place among messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither the id of a message nor a time in RFC 3339, such as 2026-11-22T15:00:00Z")]
pub struct BadPlace;

impl FromStr for Place {
    type Err = BadPlace;

    fn from_str(text: &str) -> Result<Self, BadPlace> {
        let id = Uuid::try_parse(text).map(Self::Message);
        let time = || chrono::DateTime::parse_from_rfc3339(text).map(|time| time.to_utc().into());
        id.or_else(|_| time().map(Self::Time)).map_err(|_| BadPlace)
    }
}

/// Which messages of a thread to read. Whatever is chosen comes in chronological order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The newest messages, or the newest before a place: paging backwards.
    Newest {
        /// Only messages before this place.
        before: Option<Place>,
        /// At most so many.
        limit: u64,
    },
    /// The oldest messages, or the next after a given one: reading a whole thread page by page.
    Oldest {
        /// Only messages after this one.
        after: Option<Uuid>,
        /// At most so many.
        limit: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_cursor_is_refused() {
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
    fn a_place_is_a_message_or_a_time() {
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
        fn cursors_read_back(
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
