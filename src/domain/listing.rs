//! Which threads to list, in which order, and the pages of the result.

use uuid::Uuid;

use super::{Cursor, Direction, Message, PhoneNumber, Selector, Status, Timestamp};

/// Which threads to list, and in which order. A thread must match every filter that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Only threads active at this instant or later.
    pub since: Option<Timestamp>,
    /// Only threads last active before this instant.
    pub until: Option<Timestamp>,
    /// Only the thread with this contact, named by number or whole id.
    pub contact: Option<Selector>,
    /// Only threads whose last message has one of these statuses; empty for any status.
    pub statuses: Vec<Status>,
    /// Only threads whose last message went this way.
    pub direction: Option<Direction>,
    /// Only threads whose last message was sent from, or received on, this number of ours.
    pub number: Option<PhoneNumber>,
    /// Only threads with unread messages.
    pub unread: bool,
    /// Only threads whose contact has opted out.
    pub opted_out: bool,
    /// The least recently active thread first.
    pub reverse: bool,
}

impl Listing {
    /// Whether no filter is set, whatever the order.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        *self == Self { reverse: self.reverse, ..Self::default() }
    }

    /// Whether a filter is about a thread's last message.
    #[must_use]
    pub fn looks_at_messages(&self) -> bool {
        !self.statuses.is_empty() || self.direction.is_some() || self.number.is_some()
    }

    /// The filters and the order as query parameters of the API.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let statuses: Vec<_> = self.statuses.iter().map(|status| status.as_str()).collect();
        let flag = |set: bool| set.then(|| true.to_string());
        [
            ("since", self.since.map(|since| since.to_string())),
            ("until", self.until.map(|until| until.to_string())),
            ("contact", self.contact.as_ref().map(|contact| contact.as_str().to_owned())),
            ("status", Some(statuses.join(",")).filter(|words| !words.is_empty())),
            ("direction", self.direction.map(|direction| direction.to_string())),
            ("number", self.number.as_ref().map(ToString::to_string)),
            ("unread", flag(self.unread)),
            ("opted_out", flag(self.opted_out)),
            ("reverse", flag(self.reverse)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, P = Cursor> {
    /// The rows found; there may be fewer than asked for, even none, although more pages follow.
    pub rows: Vec<T>,
    /// The position after which the next page begins; `None` after the last page.
    pub next: Option<P>,
}

/// One page of a conversation's messages, in chronological order. The next page is before or after
/// the message with the id, depending on the direction of reading.
pub type MessagePage = Page<Message, Uuid>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_is_a_parameter() {
        let listing = Listing {
            since: Timestamp::parse("2026-11-22T15:00:00+02:00"),
            until: Timestamp::parse("2026-11-23T13:00:00Z"),
            contact: Some(Selector::new("+12125551234")),
            statuses: vec![Status::SendingFailed, Status::Unknown],
            direction: Some(Direction::Outbound),
            number: Some(PhoneNumber::from_stored("+15551234567".into())),
            unread: true,
            opted_out: true,
            reverse: true,
        };
        let pairs = listing.parameters().into_iter();
        let query: Vec<_> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            query.join("&"),
            "since=2026-11-22T13:00:00.000000Z&until=2026-11-23T13:00:00.000000Z\
             &contact=+12125551234&status=sending_failed,unknown&direction=outbound\
             &number=+15551234567&unread=true&opted_out=true&reverse=true"
        );
        assert!(Listing::default().parameters().is_empty());
        assert!(Listing { reverse: true, ..Listing::default() }.is_whole() && !listing.is_whole());
    }
}
