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

/// Which messages of a thread to read. Whatever is chosen comes in chronological order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The newest messages, or the newest before a given one: paging backwards.
    Newest {
        /// Only messages before this one.
        before: Option<Uuid>,
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
