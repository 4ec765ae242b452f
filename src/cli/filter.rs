//! Filters of conversations.

use clap::Args;
use clap::builder::{
    NonEmptyStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser,
};

use super::moment::{Moment, moment};
use crate::domain::{Direction, Listing, MessageSearch, PhoneNumber, Selector, Status, Timestamp};
use crate::output::{Zone, status};

/// Which conversations to list, and in which order.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Filters")]
pub(crate) struct FilterArgs {
    /// Only the conversation with this contact: a number, a name or a full id
    #[arg(long, value_name = "CONTACT", value_parser = NonEmptyStringValueParser::new())]
    pub contact: Option<String>,
    /// Active since: 2h, 3d, today, yesterday, 09:00, a date or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Moment>,
    /// Last active before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Moment>,
    /// Last message has this status; separate several with commas
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = statuses())]
    #[arg(hide_possible_values = true)]
    pub status: Vec<StatusWord>,
    /// Last message is inbound or outbound
    #[arg(long, value_name = "DIRECTION", value_parser = directions())]
    #[arg(hide_possible_values = true)]
    pub direction: Option<Direction>,
    /// Last message was sent from or to this number of yours
    #[arg(long, value_name = "NUMBER", value_parser = own_number)]
    pub number: Option<PhoneNumber>,
    /// Has unread messages
    #[arg(long)]
    pub unread: bool,
    /// Contact has opted out
    #[arg(long)]
    pub opted_out: bool,
    /// Least recently active first
    #[arg(long)]
    pub reverse: bool,
}

impl FilterArgs {
    /// The filters as of `now`; days begin in `zone`.
    pub(crate) fn listing(&self, now: Timestamp, zone: Zone) -> Listing {
        Listing {
            since: self.since.map(|since| since.past(now, zone)),
            until: self.until.map(|until| until.past(now, zone)),
            contact: self.contact.as_deref().map(Selector::new),
            statuses: self.status.iter().flat_map(StatusWord::statuses).collect(),
            direction: self.direction,
            number: self.number.clone(),
            unread: self.unread,
            opted_out: self.opted_out,
            reverse: self.reverse,
        }
    }
}

/// Which messages to look for, besides their words.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Filters")]
pub(crate) struct MessageFilterArgs {
    /// Only messages with this contact: a number, a name, or the full id of the conversation
    #[arg(long, value_name = "CONTACT", value_parser = NonEmptyStringValueParser::new())]
    pub contact: Option<String>,
    /// Only messages since: 2h, 3d, today, yesterday, 09:00, a date or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Moment>,
    /// Only messages before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Moment>,
    /// Only messages with this status; separate several with commas
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = statuses())]
    #[arg(hide_possible_values = true)]
    pub status: Vec<StatusWord>,
    /// Only messages that are inbound or outbound
    #[arg(long, value_name = "DIRECTION", value_parser = directions())]
    #[arg(hide_possible_values = true)]
    pub direction: Option<Direction>,
    /// Only messages from or to this number of yours
    #[arg(long, value_name = "NUMBER", value_parser = own_number)]
    pub number: Option<PhoneNumber>,
}

impl MessageFilterArgs {
    /// A search with these filters and without words, as of `now`; days begin in `zone`.
    pub(crate) fn search(&self, now: Timestamp, zone: Zone) -> MessageSearch {
        MessageSearch {
            since: self.since.map(|since| since.past(now, zone)),
            until: self.until.map(|until| until.past(now, zone)),
            contact: self.contact.as_deref().map(Selector::new),
            statuses: self.status.iter().flat_map(StatusWord::statuses).collect(),
            direction: self.direction,
            number: self.number.clone(),
            ..MessageSearch::default()
        }
    }
}

/// One word of `--status`: the statuses that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatusWord(Vec<Status>);

impl StatusWord {
    /// The statuses that it stands for.
    pub(crate) fn statuses(&self) -> Vec<Status> {
        self.0.clone()
    }
}

/// The API's words for statuses; those shown in tables are aliases.
pub(super) fn statuses() -> impl TypedValueParser<Value = StatusWord> {
    let value = |known: Status| {
        let (api, table) = (known.as_str(), status::word(known));
        let value = PossibleValue::new(api);
        if table == api { value } else { value.alias(table) }
    };
    let find = |word: String| {
        let named = |known: &Status| known.as_str() == word || status::word(*known) == word;
        let one = Status::ALL.into_iter().find(named).map(|status| vec![status]);
        one.or_else(|| Status::group(&word)).map(StatusWord).ok_or("not a status")
    };
    let words = Status::ALL.map(value).into_iter().chain(["failed", "open"].map(Into::into));
    PossibleValuesParser::new(words).try_map(find)
}

pub(super) fn directions() -> impl TypedValueParser<Value = Direction> {
    let words = [Direction::Inbound, Direction::Outbound].map(Direction::as_str);
    let find = |word: String| Direction::parse(&word).ok_or("not a direction");
    PossibleValuesParser::new(words).try_map(find)
}

pub(super) fn own_number(text: &str) -> Result<PhoneNumber, String> {
    PhoneNumber::parse_sender(text).map_err(|error| format!("{error}; {}", error.hint()))
}
