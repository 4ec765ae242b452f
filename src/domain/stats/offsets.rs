//! How far the clocks of a place are ahead of UTC, and when that changes: what it takes to tell the days of
//! that place, without its rules.

use std::fmt;
use std::str::FromStr;

use crate::domain::Timestamp;

/// The most changes of the clocks that are taken.
const MAX_CHANGES: usize = 100;
/// No place is further from UTC, in seconds.
const MAX_OFFSET: i32 = 18 * 3_600;

/// The offsets from UTC of a place over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UtcOffsets {
    /// Before the first change, in seconds.
    first: i32,
    /// When the clocks were changed, and the offsets from then on; in order.
    changes: Vec<(Timestamp, i32)>,
}

impl UtcOffsets {
    /// The offsets that `offset` tells between two times, of clocks that are changed at most once a week.
    pub fn between(from: Timestamp, until: Timestamp, offset: impl Fn(Timestamp) -> i32) -> Self {
        const WEEK: i64 = 7 * 24 * 3_600;
        let mut found = Self { first: offset(from), changes: Vec::new() };
        let mut time = from;
        while time < until {
            let next = time.plus_seconds(WEEK).min(until);
            if offset(next) != offset(time) {
                let change = first_with(time, next, &offset);
                found.changes.push((change, offset(next)));
            }
            time = next;
        }
        let oldest = found.changes.len().saturating_sub(MAX_CHANGES);
        found.changes.drain(..oldest);
        found
    }

    /// Whether days begin as they do in UTC.
    #[must_use]
    pub fn is_utc(&self) -> bool {
        self.first == 0 && self.changes.is_empty()
    }

    /// The offset at a time, in seconds.
    pub(crate) fn at(&self, time: Timestamp) -> i32 {
        let later = self.changes.partition_point(|(change, _)| *change <= time);
        later.checked_sub(1).map_or(self.first, |last| self.changes[last].1)
    }

    /// When the clocks were changed.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Timestamp> {
        self.changes.iter().map(|(time, _)| *time)
    }
}

/// The first second after `from` with the offset of `until`.
fn first_with(from: Timestamp, until: Timestamp, offset: &impl Fn(Timestamp) -> i32) -> Timestamp {
    let (mut low, mut high) = (from.as_micros() / 1_000_000, until.as_micros() / 1_000_000);
    let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
    let new = offset(until);
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if offset(at(middle)) == new {
            high = middle;
        } else {
            low = middle;
        }
    }
    at(high)
}

/// `+01:00`, and `2026-03-29T01:00:00.000000Z=+02:00` for each change, separated by commas.
impl fmt::Display for UtcOffsets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let write = |f: &mut fmt::Formatter<'_>, offset: i32| {
            let (sign, offset) = (if offset < 0 { '-' } else { '+' }, offset.abs());
            write!(f, "{sign}{:02}:{:02}", offset / 3_600, offset / 60 % 60)?;
            if offset % 60 == 0 { Ok(()) } else { write!(f, ":{:02}", offset % 60) }
        };
        write(f, self.first)?;
        for (time, offset) in &self.changes {
            write!(f, ",{time}=")?;
            write(f, *offset)?;
        }
        Ok(())
    }
}

impl FromStr for UtcOffsets {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "not an offset from UTC such as +02:00, perhaps with changes of it such as \
                             ,2026-10-25T01:00:00Z=+01:00, in order";
        let mut parts = text.split(',');
        // A plus sign that was not encoded has become a space.
        let first = parts.next().unwrap_or_default();
        let first = first.strip_prefix(' ').map_or(first.to_owned(), |rest| format!("+{rest}"));
        let mut offsets = Self { first: seconds(&first).ok_or(WRONG)?, changes: Vec::new() };
        for part in parts {
            let (time, offset) = part.split_once('=').ok_or(WRONG)?;
            let time = Timestamp::parse_with_zone(time).ok_or(WRONG)?;
            let is_later = offsets.changes.last().is_none_or(|(last, _)| *last < time);
            if !is_later || offsets.changes.len() == MAX_CHANGES {
                return Err(WRONG);
            }
            let offset =
                offset.strip_prefix(' ').map_or(offset.to_owned(), |rest| format!("+{rest}"));
            offsets.changes.push((time, seconds(&offset).ok_or(WRONG)?));
        }
        Ok(offsets)
    }
}

/// `+01:00` or `-00:25:21` in seconds.
fn seconds(text: &str) -> Option<i32> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let mut total = 0;
    let parts: Vec<&str> = text.get(1..)?.split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return None;
    }
    for (part, unit) in parts.into_iter().zip([3_600, 60, 1]) {
        let is_number = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        let number: i32 = part.parse().ok().filter(|number| is_number && *number < 60)?;
        total += number * unit;
    }
    (total <= MAX_OFFSET).then_some(sign * total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn time(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time")
    }

    /// Berlin's clocks in 2026.
    fn berlin(at: Timestamp) -> i32 {
        let summer = time("2026-03-29T01:00:00Z")..time("2026-10-25T01:00:00Z");
        if summer.contains(&at) { 7_200 } else { 3_600 }
    }

    #[test]
    fn the_changes_of_a_year_are_found_and_read_back() {
        let offsets = UtcOffsets::between(
            time("2026-01-01T12:34:56.7Z"),
            time("2026-12-31T00:00:00Z"),
            berlin,
        );
        let text = "+01:00,2026-03-29T01:00:00.000000Z=+02:00,2026-10-25T01:00:00.000000Z=+01:00";
        assert_eq!(offsets.to_string(), text);
        assert_eq!(text.parse(), Ok(offsets.clone()));
        for at in ["2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z", "2026-07-01T00:00:00Z"] {
            assert_eq!(offsets.at(time(at)), berlin(time(at)), "{at}");
        }
        assert_eq!(text.replace('+', " ").parse(), Ok(offsets));
    }

    #[test]
    fn what_is_not_an_offset_is_refused() {
        for text in [
            "",
            "1",
            "+1:00",
            "+25:00",
            "+01:60",
            "01:00",
            "+01",
            "+01:00,",
            "+01:00,x=+02:00",
            "+00:00,2026-10-25T01:00:00Z=+01:00,2026-10-25T01:00:00Z=+02:00",
        ] {
            assert!(text.parse::<UtcOffsets>().is_err(), "{text}");
        }
        let many: Vec<_> = (0..101)
            .map(|day| format!("{}=+01:00", Timestamp::from_micros(day * 86_400_000_000)))
            .collect();
        assert!(format!("+00:00,{}", many.join(",")).parse::<UtcOffsets>().is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<UtcOffsets>();
        }
    }
}
