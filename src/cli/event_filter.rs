//! Filters of the events of the feed.

use clap::Args;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};

use super::filter::{StatusWord, directions, own_number, statuses};
use super::moment::{Moment, moment};
use crate::domain::{Direction, FeedFilter, FeedKind, PhoneNumber, Selector};

/// Which events to show.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Filters")]
pub(crate) struct EventFilterArgs {
    /// Only events of this contact: a number, a name, or the full id of its conversation
    #[arg(long, value_name = "CONTACT", value_parser = NonEmptyStringValueParser::new())]
    pub contact: Option<String>,
    /// Only messages from or to this number of yours
    #[arg(long, value_name = "NUMBER", value_parser = own_number)]
    pub number: Option<PhoneNumber>,
    /// Only messages that are inbound or outbound
    #[arg(long, value_name = "DIRECTION", value_parser = directions())]
    #[arg(hide_possible_values = true)]
    pub direction: Option<Direction>,
    /// Only messages that have this status at the time; separate several with commas
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = statuses())]
    #[arg(hide_possible_values = true)]
    pub status: Vec<StatusWord>,
    /// Only this kind: message, status, opt_out or removed; separate several with commas
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kinds())]
    #[arg(hide_possible_values = true)]
    pub kind: Vec<FeedKind>,
    /// Begin in the past: 2h, 3d, today, yesterday, 09:00, a date or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Moment>,
    /// End before the first event at this time or later
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Moment>,
}

impl EventFilterArgs {
    /// The filters other than those of time.
    pub(crate) fn filter(&self) -> FeedFilter {
        FeedFilter {
            contact: self.contact.as_deref().map(Selector::new),
            number: self.number.clone(),
            direction: self.direction,
            statuses: self.status.iter().flat_map(StatusWord::statuses).collect(),
            kinds: self.kind.clone(),
        }
    }
}

fn kinds() -> impl TypedValueParser<Value = FeedKind> {
    let find = |word: String| FeedKind::parse(&word).ok_or("not a kind of event");
    PossibleValuesParser::new(FeedKind::ALL.map(FeedKind::as_str)).try_map(find)
}
