//! Which threads to list, in which order, and the pages they come in.

use super::{Cursor, Direction, PhoneNumber, Status, Timestamp};

/// Which threads to list, and in which order. Every wish must hold; none means all threads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Only threads active at this instant or later.
    pub since: Option<Timestamp>,
    /// Only threads whose last message has one of these statuses; none for any.
    pub statuses: Vec<Status>,
    /// Only threads whose last message went this way.
    pub direction: Option<Direction>,
    /// Only threads whose last message went out from, or came in to, this number of ours.
    pub number: Option<PhoneNumber>,
    /// Only threads whose contact has opted out.
    pub opted_out: bool,
    /// The least recently active first.
    pub reverse: bool,
}

impl Listing {
    /// Whether every thread matches, whatever the order.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        *self == Self { reverse: self.reverse, ..Self::default() }
    }

    /// Whether a thread's last message must be looked at to know if the thread matches.
    #[must_use]
    pub fn looks_at_messages(&self) -> bool {
        !self.statuses.is_empty() || self.direction.is_some() || self.number.is_some()
    }

    /// The same as query parameters of the API.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let statuses: Vec<_> = self.statuses.iter().map(|status| status.as_str()).collect();
        let flag = |set: bool| set.then(|| true.to_string());
        [
            ("since", self.since.map(|since| since.to_string())),
            ("status", Some(statuses.join(",")).filter(|words| !words.is_empty())),
            ("direction", self.direction.map(|direction| direction.to_string())),
            ("number", self.number.as_ref().map(ToString::to_string)),
            ("opted_out", flag(self.opted_out)),
            ("reverse", flag(self.reverse)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What was found; perhaps less than was asked for, or nothing, though more may follow.
    pub rows: Vec<T>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<Cursor>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wish_is_a_parameter() {
        let listing = Listing {
            since: Timestamp::parse("2026-11-22T15:00:00+02:00"),
            statuses: vec![Status::SendingFailed, Status::Unknown],
            direction: Some(Direction::Outbound),
            number: Some(PhoneNumber::from_stored("+15551234567".into())),
            opted_out: true,
            reverse: true,
        };
        let pairs = listing.parameters().into_iter();
        let query: Vec<_> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            query.join("&"),
            "since=2026-11-22T13:00:00.000000Z&status=sending_failed,unknown&direction=outbound\
             &number=+15551234567&opted_out=true&reverse=true"
        );
        assert!(Listing::default().parameters().is_empty());
        assert!(Listing { reverse: true, ..Listing::default() }.is_whole() && !listing.is_whole());
    }
}
