//! Which threads `list` prints, as it is typed.

use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use super::parse::time_span;
use crate::domain::{Direction, Listing, PhoneNumber, Status, Timestamp};
use crate::output::{Zone, status};

/// Which threads to list, and in which order.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Filters")]
pub struct FilterArgs {
    /// Active since: 2h, 3d, a date, or an RFC 3339 time
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<Since>,
    /// Last message with this status; several separated by commas
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = statuses())]
    #[arg(hide_possible_values = true)]
    pub status: Vec<Status>,
    /// Last message inbound or outbound
    #[arg(long, value_name = "WAY", value_parser = directions(), hide_possible_values = true)]
    pub direction: Option<Direction>,
    /// Last message through this number of ours
    #[arg(long, value_name = "NUMBER", value_parser = own_number)]
    pub number: Option<PhoneNumber>,
    /// Contact has opted out
    #[arg(long)]
    pub opted_out: bool,
    /// Least recently active first
    #[arg(long)]
    pub reverse: bool,
}

/// The beginning of a listing, as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// An instant.
    At(Timestamp),
    /// The beginning of a day, wherever the user is.
    Day(NaiveDate),
    /// So long ago.
    Ago(Duration),
}

impl FilterArgs {
    /// What is asked for, at this moment and on this clock.
    #[must_use]
    pub fn listing(&self, now: Timestamp, zone: Zone) -> Listing {
        Listing {
            since: self.since.map(|since| since.resolve(now, zone)),
            statuses: self.status.clone(),
            direction: self.direction,
            number: self.number.clone(),
            opted_out: self.opted_out,
            reverse: self.reverse,
        }
    }
}

impl Since {
    fn resolve(self, now: Timestamp, zone: Zone) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Day(day) => zone.midnight(day),
            Self::Ago(span) => now.minus(span),
        }
    }
}

fn since(text: &str) -> Result<Since, String> {
    let text = text.trim();
    if let Some(span) = time_span(text) {
        return Ok(Since::Ago(span));
    }
    // The last days of the calendar have no room for a zone.
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    if let Some(day) = day.filter(|day| day.checked_add_days(Days::new(2)).is_some()) {
        return Ok(Since::Day(day));
    }
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| {
        "write it as 90m, 2h or 3d, as a date like 2026-11-22, or as an RFC 3339 time with its \
         zone, like 2026-11-22T15:00:00+02:00"
            .to_owned()
    })?;
    Ok(Since::At(time.to_utc().into()))
}

/// The words of the API; those that tables show are understood, too.
fn statuses() -> impl TypedValueParser<Value = Status> {
    let value = |known: Status| {
        let (api, table) = (known.as_str(), status::word(known));
        let value = PossibleValue::new(api);
        if table == api { value } else { value.alias(table) }
    };
    let find = |word: String| {
        let named = |known: &Status| known.as_str() == word || status::word(*known) == word;
        Status::ALL.into_iter().find(named).ok_or("not a status")
    };
    PossibleValuesParser::new(Status::ALL.map(value)).try_map(find)
}

fn directions() -> impl TypedValueParser<Value = Direction> {
    let words = [Direction::Inbound, Direction::Outbound].map(Direction::as_str);
    let find = |word: String| Direction::parse(&word).ok_or("not a direction");
    PossibleValuesParser::new(words).try_map(find)
}

fn own_number(text: &str) -> Result<PhoneNumber, String> {
    PhoneNumber::parse_sender(text).map_err(|error| format!("{error}; {}", error.hint()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::FixedOffset;

    fn resolved(text: &str) -> Option<String> {
        let now = Timestamp::parse("2026-11-22T13:00:00Z").expect("a time");
        let zone = Zone::Fixed(FixedOffset::east_opt(2 * 3_600).expect("an offset"));
        since(text).ok().map(|since| since.resolve(now, zone).to_string())
    }

    #[test]
    fn a_beginning_is_a_span_a_day_or_an_instant() {
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
}
