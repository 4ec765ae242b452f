//! Query parameters, taken by name. Unknown ones are refused: if a misspelled filter were ignored,
//! the response would list everything.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use uuid::Uuid;

use super::plus;
use crate::domain::cursor::{BadPlace, MAX_PAGE};
use crate::domain::search::parse_terms;
use crate::domain::{
    Cursor, Direction, FeedFilter, FeedKind, FeedStart, Listing, MessageSearch, PhoneNumber, Place,
    Selector, StatsQuery, Status, StoredEventFilter, Timestamp,
};
use crate::error::{Code, Error};

/// The longest that a request for events may wait, in seconds.
pub(super) const MAX_WAIT: u64 = 60;

/// The query string of a request.
#[derive(Debug)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
    taken: Vec<&'static str>,
}

impl Query {
    /// Splits and decodes a query string.
    pub(super) fn new(raw: &str) -> Self {
        let pairs = url::form_urlencoded::parse(raw.as_bytes()).into_owned().collect();
        Self { pairs, taken: Vec::new() }
    }

    pub(super) fn limit(&mut self) -> Result<Option<u64>, Error> {
        let invalid = || Error::invalid(format!("limit must be a number from 1 to {MAX_PAGE}"));
        match self.take("limit")? {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(limit @ 1..=MAX_PAGE) => Ok(Some(limit)),
                _ => Err(invalid()),
            },
        }
    }

    /// A number of things.
    pub(super) fn count(&mut self, name: &'static str) -> Result<Option<u64>, Error> {
        let invalid = |_| Error::invalid(format!("{name} must be a whole number"));
        self.take(name)?.map(|text| text.parse().map_err(invalid)).transpose()
    }

    /// A position in the list of conversations.
    pub(super) fn cursor(&mut self, name: &'static str) -> Result<Option<Cursor>, Error> {
        self.parsed(name)
    }

    /// A position among the messages of a conversation.
    pub(super) fn place(&mut self, name: &'static str) -> Result<Option<Place>, Error> {
        let Some(text) = self.take(name)? else { return Ok(None) };
        let place = plus::in_time(&text).parse();
        place.map(Some).map_err(|error: BadPlace| Error::invalid(format!("{name} is {error}")))
    }

    pub(super) fn message_id(&mut self, name: &'static str) -> Result<Option<Uuid>, Error> {
        let invalid = |_| Error::invalid(format!("{name} must be the id of a message"));
        self.take(name)?.map(|text| Uuid::try_parse(&text).map_err(invalid)).transpose()
    }

    /// `true` or `false` and nothing else, because a typo must not turn a dry run into a send.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<bool, Error> {
        match self.take(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Error::invalid(format!("{name} must be true or false"))),
        }
    }

    /// The filters and the order of a list of conversations.
    pub(super) fn listing(&mut self) -> Result<Listing, Error> {
        Ok(Listing {
            since: self.time("since")?,
            until: self.time("until")?,
            contact: self.contact()?,
            statuses: self.statuses()?,
            direction: self.direction()?,
            number: self.number("number")?,
            unread: self.flag("unread")?,
            opted_out: self.flag("opted_out")?,
            reverse: self.flag("reverse")?,
        })
    }

    /// Which raw events to list.
    pub(super) fn stored_event_filter(&mut self) -> Result<StoredEventFilter, Error> {
        let event_type = self.take("type")?;
        Ok(StoredEventFilter { event_type, since: self.time("since")?, contact: self.contact()? })
    }

    /// Which messages to look for.
    pub(super) fn search(&mut self) -> Result<MessageSearch, Error> {
        let terms = |query: Option<String>| parse_terms(query.as_deref().unwrap_or_default());
        Ok(MessageSearch {
            terms: terms(self.take("q")?)?,
            exclusions: terms(self.take("not")?)?,
            since: self.time("since")?,
            until: self.time("until")?,
            contact: self.contact()?,
            statuses: self.statuses()?,
            direction: self.direction()?,
            number: self.number("number")?,
        })
    }

    /// What statistics are asked for.
    pub(super) fn stats(&mut self) -> Result<StatsQuery, Error> {
        let filter = MessageSearch {
            since: self.time("since")?,
            until: self.time("until")?,
            contact: self.contact()?,
            statuses: self.statuses()?,
            direction: self.direction()?,
            number: self.number("number")?,
            ..MessageSearch::default()
        };
        Ok(StatsQuery {
            filter,
            by: self.parsed("by")?.unwrap_or_default(),
            offsets: self.parsed("utc_offset")?.unwrap_or_default(),
            limit: self.limit()?,
        })
    }

    /// Which events of the feed to read.
    pub(super) fn feed_filter(&mut self) -> Result<FeedFilter, Error> {
        Ok(FeedFilter {
            contact: self.contact()?,
            number: self.number("number")?,
            direction: self.direction()?,
            statuses: self.statuses()?,
            kinds: self.kinds()?,
        })
    }

    /// Where to begin reading the feed.
    pub(super) fn feed_start(&mut self) -> Result<FeedStart, Error> {
        match (self.parsed("after")?, self.time("since")?) {
            (Some(_), Some(_)) => {
                Err(Error::invalid("after and since cannot be combined").hint("use one of them"))
            }
            (Some(cursor), None) => Ok(FeedStart::After(cursor)),
            (None, Some(time)) => Ok(FeedStart::Since(time)),
            (None, None) => Ok(FeedStart::Now),
        }
    }

    /// How long to wait for an event.
    pub(super) fn wait(&mut self) -> Result<Option<Duration>, Error> {
        let invalid = || Error::invalid(format!("wait must be a number from 0 to {MAX_WAIT}"));
        let parse = |text: String| {
            let seconds = text.parse().ok().filter(|seconds| *seconds <= MAX_WAIT);
            seconds.map(Duration::from_secs).ok_or_else(invalid)
        };
        self.take("wait")?.map(parse).transpose()
    }

    /// Kinds of events, separated by commas.
    fn kinds(&mut self) -> Result<Vec<FeedKind>, Error> {
        let Some(text) = self.take("kind")? else { return Ok(Vec::new()) };
        let parse = |word: &str| FeedKind::parse(word).ok_or_else(|| word.to_owned());
        text.split(',').map(parse).collect::<Result<_, _>>().map_err(|word| {
            let shown: String = word.chars().take(40).collect();
            let words = FeedKind::ALL.map(FeedKind::as_str).join(", ");
            Error::invalid(format!("'{shown}' is not a kind of event"))
                .hint(format!("use one or more, separated by commas: {words}"))
        })
    }

    /// A time with its time zone.
    pub(super) fn time(&mut self, name: &'static str) -> Result<Option<Timestamp>, Error> {
        let invalid = || {
            Error::invalid(format!("{name} must be an RFC 3339 time with a time zone"))
                .hint("for example 2026-11-22T13:00:00Z")
        };
        let parse =
            |text: String| Timestamp::parse_with_zone(&plus::in_time(&text)).ok_or_else(invalid);
        self.take(name)?.map(parse).transpose()
    }

    /// Statuses, separated by commas.
    fn statuses(&mut self) -> Result<Vec<Status>, Error> {
        let Some(text) = self.take("status")? else { return Ok(Vec::new()) };
        let one = |word: &str| Status::parse(word).map(|status| vec![status]);
        let parse =
            |word: &str| one(word).or_else(|| Status::group(word)).ok_or_else(|| word.to_owned());
        let parsed: Result<Vec<_>, _> = text.split(',').map(parse).collect();
        parsed.map(|groups| groups.concat()).map_err(|word| {
            let shown: String = word.chars().take(40).collect();
            let words = Status::ALL.map(Status::as_str).join(", ");
            Error::invalid(format!("'{shown}' is not a status"))
                .hint(format!("use one or more, separated by commas: {words}, failed, open"))
        })
    }

    /// A contact, as in the path of a conversation; not a part of an id.
    pub(super) fn contact(&mut self) -> Result<Option<Selector>, Error> {
        let empty = || Error::invalid("contact must be a number or the id of a conversation");
        let parse = |text: String| {
            let contact = Selector::new(&plus::in_number(&text));
            if contact.as_str().is_empty() { Err(empty()) } else { Ok(contact) }
        };
        self.take("contact")?.map(parse).transpose()
    }

    fn direction(&mut self) -> Result<Option<Direction>, Error> {
        let invalid = || Error::invalid("direction must be inbound or outbound");
        self.take("direction")?.map(|word| Direction::parse(&word).ok_or_else(invalid)).transpose()
    }

    /// One of our own numbers, in any common notation.
    fn number(&mut self, name: &'static str) -> Result<Option<PhoneNumber>, Error> {
        let parse = |text: String| PhoneNumber::parse_sender(&plus::in_number(&text));
        self.take(name)?.map(parse).transpose().map_err(Error::from)
    }

    /// Checks that every parameter has been taken.
    ///
    /// # Errors
    /// `unknown_parameter`.
    pub(super) fn finish(self) -> Result<(), Error> {
        let Some((name, _)) = self.pairs.first() else { return Ok(()) };
        let shown: String = name.chars().take(40).collect();
        let hint = if self.taken.is_empty() {
            "it has no parameters".to_owned()
        } else {
            format!("its parameters are: {}", self.taken.join(", "))
        };
        let message = format!("this route has no parameter '{shown}'");
        Err(Error::new(Code::UnknownParameter, message).hint(hint))
    }

    pub(super) fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, Error> {
        let invalid = |error: T::Err| Error::invalid(format!("{name} is {error}"));
        self.take(name)?.map(|text| text.parse().map_err(invalid)).transpose()
    }

    pub(super) fn take(&mut self, name: &'static str) -> Result<Option<String>, Error> {
        self.taken.push(name);
        let mut found = self.pairs.extract_if(.., |pair| pair.0 == name).map(|pair| pair.1);
        let value = found.next();
        match found.next() {
            None => Ok(value),
            Some(_) => Err(Error::invalid(format!("{name} is given more than once"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
        let error = result.expect_err("must be refused");
        format!("{error}; {}", error.hint_text().unwrap_or_default())
    }

    fn query(raw: &str) -> Query {
        Query::new(raw)
    }

    #[test]
    fn parameters_are_read_by_name() {
        let mut query = query("after=1_00000000000000000000000000000007&limit=50&dry_run=true");
        assert_eq!(query.limit().expect("a limit"), Some(50));
        let cursor = query.cursor("after").expect("a cursor").expect("given");
        assert_eq!((cursor.at.as_micros(), cursor.id), (1, Uuid::from_u128(7)));
        assert!(query.flag("dry_run").expect("a flag"));
        assert_eq!(query.place("before").expect("left out"), None);
        query.finish().expect("nothing is left");
    }

    #[test]
    fn a_typo_is_named_with_the_possible_parameters() {
        let mut query = query("limt=5");
        assert_eq!(query.limit().expect("left out"), None);
        assert_eq!(
            refusal(query.finish()),
            "this route has no parameter 'limt'; its parameters are: limit"
        );
    }

    #[test]
    fn invalid_values_are_refused() {
        for raw in ["limit=0", "limit=1001", "limit=-1", "limit=ten", "limit=", "limit=1&limit=2"] {
            assert!(refusal(query(raw).limit()).starts_with("limit "), "{raw}");
        }
        assert!(refusal(query("after=x").cursor("after")).contains("not a cursor"));
        assert!(refusal(query("after=1").message_id("after")).contains("id of a message"));
        assert!(refusal(query("before=1").place("before")).contains("nor a time in RFC 3339"));
        for raw in ["dry_run", "dry_run=1", "dry_run=TRUE"] {
            assert!(refusal(query(raw).flag("dry_run")).contains("true or false"), "{raw}");
        }
    }
}
