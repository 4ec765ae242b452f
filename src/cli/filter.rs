//! Which threads `list` prints, as it is typed.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use super::moment::{Moment, moment};
use crate::domain::{Direction, Listing, PhoneNumber, Status, Timestamp};
use crate::output::{Zone, status};

/// Which threads to list, and in which order.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Filters")]
pub struct FilterArgs {
    /// Active since: 2h, 3d, a date, or an RFC 3339 time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Moment>,
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

impl FilterArgs {
    /// What is asked for, at this moment and on this clock.
    #[must_use]
    pub fn listing(&self, now: Timestamp, zone: Zone) -> Listing {
        Listing {
            since: self.since.map(|since| since.on(now, zone)),
            statuses: self.status.clone(),
            direction: self.direction,
            number: self.number.clone(),
            opted_out: self.opted_out,
            reverse: self.reverse,
        }
    }
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
