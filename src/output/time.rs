//! Times for people: relative times, days and clock times.

use std::fmt::Display;

use chrono::{
    DateTime, Datelike, FixedOffset, Local, MappedLocalTime, NaiveDate, NaiveDateTime, Offset,
    TimeDelta, TimeZone, Timelike, Utc,
};

use crate::domain::Timestamp;

/// The longest gap that clocks are put forward by, in quarters of an hour: a whole day, where a
/// country moved to the other side of the date line.
const MAX_GAP: i64 = 97;

/// The time zone in which people see times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// The machine's own, as `TZ` or the system has it.
    Local,
    /// A fixed offset from UTC.
    Fixed(FixedOffset),
}

impl Zone {
    /// UTC. Dates then say so, because the reader may be in another zone.
    pub const UTC: Self = match FixedOffset::east_opt(0) {
        Some(offset) => Self::Fixed(offset),
        None => Self::Local,
    };

    /// The suffix that keeps a date from being taken for local time.
    fn label(self) -> &'static str {
        if self == Self::UTC { " UTC" } else { "" }
    }

    /// Date and time in this zone.
    #[must_use]
    pub fn at(self, time: Timestamp) -> NaiveDateTime {
        let utc = time.to_utc().naive_utc();
        let offset = match self {
            Self::Local => Local.offset_from_utc_datetime(&utc).fix(),
            Self::Fixed(offset) => offset,
        };
        // At the end of the calendar the offset may not fit.
        utc.checked_add_offset(offset).unwrap_or(utc)
    }

    /// How far its clocks are ahead of UTC, in seconds.
    #[must_use]
    pub fn offset(self, time: Timestamp) -> i32 {
        let ahead = self.at(time) - time.to_utc().naive_utc();
        i32::try_from(ahead.num_seconds()).unwrap_or_default()
    }

    /// The instant of a date and time in this zone. Where the clocks are put back, it is the first
    /// of the two; where they are put forward, a time that is skipped is the end of the gap.
    #[must_use]
    pub fn instant(self, time: NaiveDateTime) -> Timestamp {
        let instant = match self {
            Self::Local => (0..=MAX_GAP).find_map(|quarters| {
                let later = TimeDelta::minutes(15 * quarters);
                let start = if quarters == 0 { time } else { quarter_of(time) };
                first(Local.from_local_datetime(&start.checked_add_signed(later)?))
            }),
            Self::Fixed(offset) => first(offset.from_local_datetime(&time)),
        };
        instant.unwrap_or_else(|| time.and_utc()).into()
    }

    /// The calendar day in this zone.
    #[must_use]
    pub fn day(self, time: Timestamp) -> NaiveDate {
        self.at(time).date()
    }

    /// Hours and minutes: `14:30`.
    #[must_use]
    pub fn clock(self, time: Timestamp) -> String {
        show(self.at(time).format("%H:%M"))
    }

    /// Date and time, short: `18 Jun 2026, 14:30`.
    #[must_use]
    pub fn day_and_clock(self, time: Timestamp) -> String {
        show(self.at(time).format("%-d %b %Y, %H:%M")) + self.label()
    }

    /// A day as a heading: `Thursday, 18 June 2026`.
    #[must_use]
    pub fn heading(self, day: NaiveDate) -> String {
        show(day.format("%A, %-d %B %Y")) + self.label()
    }

    /// How long ago, in at most 11 columns: `3 min ago`, `yesterday`, `12 Jun`.
    #[must_use]
    pub fn ago(self, time: Timestamp, now: Timestamp) -> String {
        let (today, day) = (self.day(now), self.day(time));
        match (now.seconds_since(time), (today - day).num_days()) {
            // The clocks of two machines differ slightly.
            (-60..60, _) => "just now".to_owned(),
            (60..3_600, _) => format!("{} min ago", now.seconds_since(time) / 60),
            (3_600.., 0) => format!("{} h ago", now.seconds_since(time) / 3_600),
            (_, 1) => "yesterday".to_owned(),
            (_, days @ 2..=6) => format!("{days} days ago"),
            _ if day.year() == today.year() => show(day.format("%-d %b")),
            _ => show(day.format("%-d %b %Y")),
        }
    }
}

/// The first of the instants that a local time stands for. chrono does not put them in order.
fn first<Z: TimeZone>(found: MappedLocalTime<DateTime<Z>>) -> Option<DateTime<Utc>> {
    let (one, other) = (found.clone().earliest()?, found.latest()?);
    Some(one.to_utc().min(other.to_utc()))
}

/// The beginning of the quarter of an hour. Clocks are put forward at full quarters.
fn quarter_of(time: NaiveDateTime) -> NaiveDateTime {
    let within = i64::from(time.minute() % 15 * 60 + time.second());
    let time = time.with_nanosecond(0).unwrap_or(time);
    time.checked_sub_signed(TimeDelta::seconds(within)).unwrap_or(time)
}

fn show(format: impl Display) -> String {
    format.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn time(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time")
    }

    fn zone(hours: i32) -> Zone {
        Zone::Fixed(FixedOffset::east_opt(hours * 3_600).expect("an offset"))
    }

    #[test]
    fn ago_is_what_a_person_would_say() {
        let now = time("2026-06-18T14:30:00Z");
        for (then, said) in [
            ("2026-06-18T14:30:20Z", "just now"),
            ("2026-06-18T14:29:01Z", "just now"),
            ("2026-06-18T14:27:00Z", "3 min ago"),
            ("2026-06-18T12:00:00Z", "2 h ago"),
            ("2026-06-17T23:59:00Z", "yesterday"),
            ("2026-06-17T00:00:00Z", "yesterday"),
            ("2026-06-15T12:00:00Z", "3 days ago"),
            ("2026-06-11T12:00:00Z", "11 Jun"),
            ("2025-12-31T12:00:00Z", "31 Dec 2025"),
            ("2026-06-19T12:00:00Z", "19 Jun"),
            ("2027-06-19T12:00:00Z", "19 Jun 2027"),
        ] {
            assert_eq!(zone(0).ago(time(then), now), said, "{then}");
        }
    }

    #[test]
    fn days_turn_at_the_midnight_of_the_zone() {
        let late = time("2026-06-18T23:30:00Z");
        assert_eq!(Zone::UTC.heading(Zone::UTC.day(late)), "Thursday, 18 June 2026 UTC");
        assert_eq!(zone(2).heading(zone(2).day(late)), "Friday, 19 June 2026");
        assert_eq!(zone(0).day_and_clock(late), "18 Jun 2026, 23:30 UTC");
        assert_eq!(zone(2).day_and_clock(late), "19 Jun 2026, 01:30");
        assert_eq!(zone(-5).clock(late), "18:30");
    }

    #[test]
    fn a_day_begins_at_its_midnight() {
        let day = NaiveDate::from_ymd_opt(2026, 6, 19).expect("a day");
        let midnight = day.and_time(chrono::NaiveTime::MIN);
        assert_eq!(zone(2).instant(midnight), time("2026-06-18T22:00:00Z"));
        let here = Zone::Local.instant(midnight);
        assert_eq!(Zone::Local.day(here), day);
        assert!(Zone::Local.day(here.plus_seconds(-1)) < day);
    }

    proptest! {
        #[test]
        fn no_time_panics(micros: i64, now: i64) {
            let (then, now) = (Timestamp::from_micros(micros), Timestamp::from_micros(now));
            for zone in [Zone::Local, zone(14), zone(-12)] {
                let _ = (zone.ago(then, now), zone.day_and_clock(then));
            }
        }
    }
}
