//! The notation of times and durations: one grammar for every command.
//!
//! A time is a span (`2h`, `3d`), `today`, `yesterday`, a time of day, a date, a date and time, or
//! RFC 3339. A duration is a number with its unit: `90s`, `15m`, `2h`, `3d`.

use std::time::Duration;

use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime};
use uuid::Uuid;

use crate::domain::{Place, Timestamp};
use crate::output::Zone;

/// A time as a user writes it. The instant depends on the present and on the user's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// RFC 3339, which names its time zone.
    At(Timestamp),
    /// A date, or a date and time, in the user's time zone. A date is the beginning of its day.
    Local(NaiveDateTime),
    /// A time of day.
    Clock(NaiveTime),
    /// The beginning of a day, so many days before today.
    DaysAgo(u64),
    /// A distance from now.
    Span(Duration),
}

impl Moment {
    /// The instant of a time that is probably past: a span is counted back from now, and a time of
    /// day is today's.
    pub(crate) fn past(self, now: Timestamp, zone: Zone) -> Timestamp {
        match self {
            Self::Clock(time) => zone.instant(zone.day(now).and_time(time)),
            // Nothing is older than the epoch, and times far before it cannot be formatted.
            Self::Span(span) => now.minus(span).max(Timestamp::from_micros(0)),
            fixed => fixed.fixed(now, zone),
        }
    }

    /// The instant of a time to come: a span is counted forward from now, and a time of day is the
    /// next such time.
    pub(crate) fn future(self, now: Timestamp, zone: Zone) -> Timestamp {
        match self {
            Self::Clock(time) => {
                let today = zone.day(now);
                let tomorrow = today.checked_add_days(Days::new(1)).unwrap_or(today);
                let days = [today, tomorrow].map(|day| zone.instant(day.and_time(time)));
                days.into_iter().find(|at| *at > now).unwrap_or(days[1])
            }
            Self::Span(span) => now.plus(span),
            fixed => fixed.fixed(now, zone),
        }
    }

    /// Whether it is another time whenever it is written.
    pub(crate) fn is_span(self) -> bool {
        matches!(self, Self::Span(_))
    }

    fn fixed(self, now: Timestamp, zone: Zone) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Local(time) => zone.instant(time),
            Self::DaysAgo(days) => {
                let today = zone.day(now);
                let day = today.checked_sub_days(Days::new(days)).unwrap_or(today);
                zone.instant(day.and_time(NaiveTime::MIN))
            }
            Self::Clock(_) | Self::Span(_) => now,
        }
    }
}

/// The value of `--before`: only messages before it are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    Message(Uuid),
    Moment(Moment),
}

impl Before {
    /// The place in a conversation, given the current time and the user's time zone.
    pub(crate) fn resolve(self, now: Timestamp, zone: Zone) -> Place {
        match self {
            Self::Message(id) => Place::Message(id),
            Self::Moment(moment) => Place::Time(moment.past(now, zone)),
        }
    }
}

/// The ways to write a time.
const FORMATS: &str = "2h, 3d, today, yesterday, 09:00, 2026-11-22, '2026-11-22 15:00' or RFC 3339 \
                       (2026-11-22T15:00:00+02:00)";

/// The notations of a date and time without a time zone.
const LOCAL_FORMATS: [&str; 4] =
    ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f"];

/// Parses a number with its unit, from seconds to weeks.
fn span(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let digits = text.strip_suffix(unit)?;
    let count: u64 = digits.parse().ok().filter(|_| !digits.starts_with('+'))?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 24 * 3_600,
        'w' => 7 * 24 * 3_600,
        _ => return None,
    };
    Some(Duration::from_secs(count.saturating_mul(seconds)))
}

/// Parses how long to wait: a duration, or a number of seconds, as for `sleep`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let seconds = || text.parse().ok().map(Duration::from_secs);
    let expected = "write it with its unit, for example 30s, 2m or 1h";
    span(text).or_else(seconds).ok_or_else(|| expected.to_owned())
}

pub(crate) fn moment(text: &str) -> Result<Moment, String> {
    let text = text.trim();
    let word = || match text.to_ascii_lowercase().as_str() {
        "today" => Some(Moment::DaysAgo(0)),
        "yesterday" => Some(Moment::DaysAgo(1)),
        _ => None,
    };
    span(text)
        .map(Moment::Span)
        .or_else(word)
        .or_else(|| clock(text).map(Moment::Clock))
        .or_else(|| local(text).map(Moment::Local))
        .or_else(|| Timestamp::parse_with_zone(text).map(Moment::At))
        .ok_or_else(|| format!("write it as {FORMATS}"))
}

/// Parses a time of day.
fn clock(text: &str) -> Option<NaiveTime> {
    let formats = ["%H:%M", "%H:%M:%S"].into_iter();
    formats.filter_map(|format| NaiveTime::parse_from_str(text, format).ok()).next()
}

/// Parses a date, with or without a time.
fn local(text: &str) -> Option<NaiveDateTime> {
    let date = || NaiveDate::parse_from_str(text, "%Y-%m-%d").map(NaiveDateTime::from).ok();
    let mut formats = LOCAL_FORMATS.into_iter();
    let time = formats.find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    // The last days of the calendar would overflow in some time zones.
    let fits = |time: &NaiveDateTime| time.checked_add_days(Days::new(2)).is_some();
    time.or_else(date).filter(fits)
}

/// Parses a position before which messages are shown.
pub(crate) fn before(text: &str) -> Result<Before, String> {
    if let Ok(id) = Uuid::try_parse(text.trim()) {
        return Ok(Before::Message(id));
    }
    let expected = |_| format!("expected the id of a message or a time: {FORMATS}");
    moment(text).map(Before::Moment).map_err(expected)
}

/// Parses the full id of a message.
pub(crate) fn message_id(text: &str) -> Result<Uuid, String> {
    Uuid::try_parse(text.trim()).map_err(|_| "give the full id of a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::FixedOffset;
    use proptest::prelude::*;

    fn time(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time")
    }

    fn zone(hours: i32) -> Zone {
        Zone::Fixed(FixedOffset::east_opt(hours * 3_600).expect("an offset"))
    }

    /// The instant on a Sunday at 15:00, two hours east of Greenwich: in the past, and to come.
    fn resolved(text: &str) -> Option<(String, String)> {
        let (now, zone) = (time("2026-11-22T13:00:00Z"), zone(2));
        let place = before(text).ok().map(|before| before.resolve(now, zone).to_string());
        let moment = moment(text).ok()?;
        let past = moment.past(now, zone).to_string();
        assert_eq!(Some(&past), place.as_ref(), "{text}");
        Some((past, moment.future(now, zone).to_string()))
    }

    #[test]
    fn a_duration_has_a_unit_or_is_a_number_of_seconds() {
        for (text, seconds) in
            [("90s", 90), ("15m", 900), ("2h", 7_200), ("3d", 259_200), ("45", 45), ("0", 0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "-1", "1.5", "m", "2x", "1h30m", "+2h", "2 h", "２h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_is_a_span_a_word_a_time_of_day_a_date_or_an_instant() {
        for (text, past, future) in [
            ("2h", "2026-11-22T11:00:00", "2026-11-22T15:00:00"),
            ("90m", "2026-11-22T11:30:00", "2026-11-22T14:30:00"),
            ("3d", "2026-11-19T13:00:00", "2026-11-25T13:00:00"),
            ("1w", "2026-11-15T13:00:00", "2026-11-29T13:00:00"),
            // A time of day is today's, or the next one.
            ("09:00", "2026-11-22T07:00:00", "2026-11-23T07:00:00"),
            ("9:00", "2026-11-22T07:00:00", "2026-11-23T07:00:00"),
            ("17:30:15", "2026-11-22T15:30:15", "2026-11-22T15:30:15"),
            ("15:00", "2026-11-22T13:00:00", "2026-11-23T13:00:00"),
        ] {
            let expected = (format!("{past}.000000Z"), format!("{future}.000000Z"));
            assert_eq!(resolved(text), Some(expected), "{text}");
        }
        for (text, instant) in [
            ("today", "2026-11-21T22:00:00.000000Z"),
            ("Yesterday", "2026-11-20T22:00:00.000000Z"),
            ("2026-11-22", "2026-11-21T22:00:00.000000Z"),
            ("2026-11-22 15:00", "2026-11-22T13:00:00.000000Z"),
            ("2026-11-22T15:00", "2026-11-22T13:00:00.000000Z"),
            (" 2026-11-22 15:00:30.5 ", "2026-11-22T13:00:30.500000Z"),
            ("2026-11-22T15:00:30", "2026-11-22T13:00:30.000000Z"),
            ("2026-11-22T15:00:00+02:00", "2026-11-22T13:00:00.000000Z"),
            ("2026-11-22T13:00:00.5Z", "2026-11-22T13:00:00.500000Z"),
        ] {
            let expected = (instant.to_owned(), instant.to_owned());
            assert_eq!(resolved(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "now",
            "7",
            "h",
            "-2h",
            "2x",
            "2026-13-01",
            "24:00",
            "09",
            "09:60",
            "9am",
            "2026-11-22 25:00",
            "22.11.2026",
            "1h30m",
        ] {
            assert_eq!(resolved(text), None, "{text}");
        }
        assert!(resolved("99999999w").is_some() && resolved("0001-01-01").is_some());
    }

    #[test]
    fn a_day_begins_in_the_users_zone() {
        let now = time("2026-11-22T23:30:00Z");
        let past = |text: &str, hours| moment(text).expect("a time").past(now, zone(hours));
        assert_eq!(past("today", 2), time("2026-11-22T22:00:00Z"));
        assert_eq!(past("today", -8), time("2026-11-22T08:00:00Z"));
        assert_eq!(past("00:15", 2), time("2026-11-22T22:15:00Z"));
        let next = moment("00:15").expect("a time").future(now, zone(0));
        assert_eq!(next, time("2026-11-23T00:15:00Z"));
    }

    #[test]
    fn a_message_is_given_by_its_id() {
        let id = Uuid::from_u128(0x0190_a1b2_c3d4_7000_8000_5e6f_7081_9203);
        assert_eq!(before(&id.to_string()), Ok(Before::Message(id)));
        assert_eq!(message_id(&id.to_string()), Ok(id));
        assert!(before("5e6f70819203").is_err() && message_id("5e6f70819203").is_err());
    }

    /// Times that a clock can show, from 1970 to 2099.
    fn times() -> impl Strategy<Value = Timestamp> {
        (0_i64..4_102_444_800_000_000).prop_map(Timestamp::from_micros)
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*", near in "[0-9:+TZ.-]{0,30}", micros: i64) {
            let now = Timestamp::from_micros(micros);
            for text in [text, near] {
                let Ok(moment) = moment(&text) else { continue };
                for zone in [Zone::Local, zone(14), zone(-12)] {
                    let _ = (moment.past(now, zone), moment.future(now, zone));
                }
            }
        }

        #[test]
        fn a_span_is_as_far_back_as_ahead(count in 0_u64..10_000, unit in "[smhdw]", now in times()) {
            let text = format!("{count}{unit}");
            let (moment, span) = (moment(&text).expect("a span"), span(&text).expect("a span"));
            prop_assert_eq!(moment.future(now, zone(0)), now.plus(span));
            let expected = now.minus(span).max(Timestamp::from_micros(0));
            prop_assert_eq!(moment.past(now, zone(0)), expected);
            prop_assert_eq!(duration(&text), Ok(span));
        }

        #[test]
        fn every_notation_of_an_instant_means_it(at in times(), now in times(), hours in -12_i32..=14) {
            let (zone, offset) = (zone(hours), FixedOffset::east_opt(hours * 3_600));
            let there = at.to_utc().with_timezone(&offset.expect("an offset"));
            for text in [
                at.to_string(),
                there.to_rfc3339(),
                there.format("%Y-%m-%d %H:%M:%S%.6f").to_string(),
                there.format("%Y-%m-%dT%H:%M:%S%.6f").to_string(),
            ] {
                let moment = moment(&text).expect("a time");
                prop_assert_eq!(moment.past(now, zone), at, "{}", text);
                prop_assert_eq!(moment.future(now, zone), at, "{}", text);
            }
        }

        #[test]
        fn a_time_of_day_is_todays_or_the_next(now in times(), minute in 0_u32..1_440, hours in -12_i32..=14) {
            let (zone, day) = (zone(hours), Duration::from_secs(86_400));
            let moment = moment(&format!("{:02}:{:02}", minute / 60, minute % 60)).expect("a time");
            let (past, future) = (moment.past(now, zone), moment.future(now, zone));
            prop_assert_eq!(zone.day(past), zone.day(now));
            prop_assert!(future > now && future <= now.plus(day));
            prop_assert!(past == future || past.plus(day) == future);
        }
    }
}
