//! A time in the past, as it is typed.

use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate};
use uuid::Uuid;

use super::parse::time_span;
use crate::domain::{Place, Timestamp};
use crate::output::Zone;

/// A time in the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// An instant.
    At(Timestamp),
    /// The beginning of a day, wherever the user is.
    Day(NaiveDate),
    /// So long ago.
    Ago(Duration),
}

impl Moment {
    /// The instant that is meant now and on this clock.
    #[must_use]
    pub fn on(self, now: Timestamp, zone: Zone) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Day(day) => zone.midnight(day),
            // There is nothing before the epoch, and far before it no way to write a time.
            Self::Ago(span) => now.minus(span).max(Timestamp::from_micros(0)),
        }
    }
}

/// Where in a thread the messages that are shown end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Before a message.
    Message(Uuid),
    /// Before a time.
    Moment(Moment),
}

impl Before {
    /// The place that is meant now and on this clock.
    #[must_use]
    pub fn on(self, now: Timestamp, zone: Zone) -> Place {
        match self {
            Self::Message(id) => Place::Message(id),
            Self::Moment(moment) => Place::Time(moment.on(now, zone)),
        }
    }
}

/// How a time is written.
const FORMS: &str = "90m, 2h or 3d, as a date like 2026-11-22, or as an RFC 3339 time with its zone, \
                     like 2026-11-22T15:00:00+02:00";

pub(super) fn moment(text: &str) -> Result<Moment, String> {
    let text = text.trim();
    if let Some(span) = time_span(text) {
        return Ok(Moment::Ago(span));
    }
    // The last days of the calendar have no room for a zone.
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    if let Some(day) = day.filter(|day| day.checked_add_days(Days::new(2)).is_some()) {
        return Ok(Moment::Day(day));
    }
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| format!("write it as {FORMS}"))?;
    Ok(Moment::At(time.to_utc().into()))
}

pub(super) fn before(text: &str) -> Result<Before, String> {
    if let Ok(id) = Uuid::try_parse(text.trim()) {
        return Ok(Before::Message(id));
    }
    let wish = |_| format!("give the id of a message, or a time as {FORMS}");
    moment(text).map(Before::Moment).map_err(wish)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::FixedOffset;

    fn resolved(text: &str) -> Option<String> {
        let now = Timestamp::parse("2026-11-22T13:00:00Z").expect("a time");
        let zone = Zone::Fixed(FixedOffset::east_opt(2 * 3_600).expect("an offset"));
        let place = before(text).ok().map(|before| before.on(now, zone).to_string());
        let time = moment(text).ok().map(|moment| moment.on(now, zone).to_string());
        assert!(time.is_none() || time == place, "{text}");
        place
    }

    #[test]
    fn a_moment_is_a_span_a_day_or_an_instant() {
        for (text, instant) in [
            ("2h", "2026-11-22T11:00:00.000000Z"),
            ("90m", "2026-11-22T11:30:00.000000Z"),
            ("3d", "2026-11-19T13:00:00.000000Z"),
            ("1w", "2026-11-15T13:00:00.000000Z"),
            ("2026-11-22", "2026-11-21T22:00:00.000000Z"),
            ("2026-11-22T15:00:00+02:00", "2026-11-22T13:00:00.000000Z"),
            ("2026-11-22T13:00:00.5Z", "2026-11-22T13:00:00.500000Z"),
        ] {
            assert_eq!(resolved(text).as_deref(), Some(instant), "{text}");
        }
        for text in ["", "yesterday", "2026-11-22T13:00:00", "h", "-2h", "2x", "2026-13-01"] {
            assert_eq!(resolved(text), None, "{text}");
        }
        assert!(resolved("99999999w").is_some() && resolved("0001-01-01").is_some());
    }

    #[test]
    fn a_message_is_named_by_its_id() {
        let id = "0190a1b2-c3d4-7000-8000-5e6f70819203";
        assert_eq!(resolved(id).as_deref(), Some(id));
        assert_eq!(resolved("5e6f70819203"), None);
    }
}
