//! Query parameters, each taken by name; what nobody took is refused, so that a typo cannot
//! silently mean everything.

use std::fmt::Display;
use std::str::FromStr;

use uuid::Uuid;

use crate::domain::cursor::MAX_PAGE;
use crate::domain::{Cursor, Direction, Listing, PhoneNumber, Place, Status, Timestamp};
use crate::error::{Code, Error};

/// The query of one request.
#[derive(Debug)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
    taken: Vec<&'static str>,
}

impl Query {
    /// Splits and decodes a raw query.
    pub(super) fn parse(raw: &str) -> Self {
        let pairs = url::form_urlencoded::parse(raw.as_bytes()).into_owned().collect();
        Self { pairs, taken: Vec::new() }
    }

    /// `limit`: how many rows at most.
    pub(super) fn limit(&mut self) -> Result<Option<u64>, Error> {
        let wrong = || Error::invalid(format!("limit must be a number from 1 to {MAX_PAGE}"));
        match self.take("limit")? {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(limit @ 1..=MAX_PAGE) => Ok(Some(limit)),
                _ => Err(wrong()),
            },
        }
    }

    /// A place among the threads.
    pub(super) fn cursor(&mut self, name: &'static str) -> Result<Option<Cursor>, Error> {
        self.parsed(name)
    }

    /// A place among the messages of a thread.
    pub(super) fn place(&mut self, name: &'static str) -> Result<Option<Place>, Error> {
        self.parsed(name)
    }

    /// The id of a message.
    pub(super) fn id(&mut self, name: &'static str) -> Result<Option<Uuid>, Error> {
        let wrong = || Error::invalid(format!("{name} must be the id of a message"));
        self.take(name)?.map(|text| Uuid::try_parse(&text).map_err(|_| wrong())).transpose()
    }

    /// `true` or `false`. Nothing else: a slip must not turn a rehearsal into a send.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<bool, Error> {
        match self.take(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Error::invalid(format!("{name} must be true or false"))),
        }
    }

    /// Which threads to list, and in which order.
    pub(super) fn listing(&mut self) -> Result<Listing, Error> {
        Ok(Listing {
            since: self.instant("since")?,
            statuses: self.statuses()?,
            direction: self.direction()?,
            number: self.number("number")?,
            opted_out: self.flag("opted_out")?,
            reverse: self.flag("reverse")?,
        })
    }

    /// An instant that names its zone.
    fn instant(&mut self, name: &'static str) -> Result<Option<Timestamp>, Error> {
        let wrong = |_| {
            Error::invalid(format!("{name} must be an RFC 3339 time with its zone"))
                .hint("for example 2026-11-22T13:00:00Z; a plus is written %2B")
        };
        let read = |text: String| chrono::DateTime::parse_from_rfc3339(&text).map_err(wrong);
        Ok(self.take(name)?.map(read).transpose()?.map(|time| time.to_utc().into()))
    }

    /// Status words, separated by commas.
    fn statuses(&mut self) -> Result<Vec<Status>, Error> {
        let Some(text) = self.take("status")? else { return Ok(Vec::new()) };
        let read = |word: &str| Status::parse(word).ok_or_else(|| word.to_owned());
        text.split(',').map(read).collect::<Result<_, _>>().map_err(|word| {
            let shown: String = word.chars().take(40).collect();
            let words = Status::ALL.map(Status::as_str).join(", ");
            Error::invalid(format!("'{shown}' is no status"))
                .hint(format!("give one or more, separated by commas: {words}"))
        })
    }

    fn direction(&mut self) -> Result<Option<Direction>, Error> {
        let wrong = || Error::invalid("direction must be inbound or outbound");
        self.take("direction")?.map(|word| Direction::parse(&word).ok_or_else(wrong)).transpose()
    }

    /// A number of ours, in any usual writing.
    fn number(&mut self, name: &'static str) -> Result<Option<PhoneNumber>, Error> {
        let wrong = |error| Error::number(&error);
        self.take(name)?.map(|text| PhoneNumber::parse_sender(&text).map_err(wrong)).transpose()
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// `unknown_parameter` naming one that nobody asked for.
    pub(super) fn finish(self) -> Result<(), Error> {
        let Some((name, _)) = self.pairs.first() else { return Ok(()) };
        let shown: String = name.chars().take(40).collect();
        let hint = match self.taken.is_empty() {
            true => "it takes none".to_owned(),
            false => format!("it takes {}", self.taken.join(", ")),
        };
        let what = format!("this route has no parameter '{shown}'");
        Err(Error::new(Code::UnknownParameter, what).hint(hint))
    }

    fn parsed<T: FromStr<Err: Display>>(&mut self, name: &'static str) -> Result<Option<T>, Error> {
        let wrong = |error: T::Err| Error::invalid(format!("{name} is {error}"));
        self.take(name)?.map(|text| text.parse().map_err(wrong)).transpose()
    }

    fn take(&mut self, name: &'static str) -> Result<Option<String>, Error> {
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

    fn told<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
        let error = result.expect_err("must be refused");
        format!("{error}; {}", error.hint_text().unwrap_or_default())
    }

    fn query(raw: &str) -> Query {
        Query::parse(raw)
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
    fn a_typo_is_named_with_what_was_possible() {
        let mut query = query("limt=5");
        assert_eq!(query.limit().expect("left out"), None);
        assert_eq!(told(query.finish()), "this route has no parameter 'limt'; it takes limit");
    }

    #[test]
    fn nonsense_is_refused() {
        for raw in ["limit=0", "limit=1001", "limit=-1", "limit=ten", "limit=", "limit=1&limit=2"] {
            assert!(told(query(raw).limit()).starts_with("limit "), "{raw}");
        }
        assert!(told(query("after=x").cursor("after")).contains("not a cursor"));
        assert!(told(query("after=1").id("after")).contains("id of a message"));
        assert!(told(query("before=1").place("before")).contains("nor a time in RFC 3339"));
        for raw in ["dry_run", "dry_run=1", "dry_run=TRUE"] {
            assert!(told(query(raw).flag("dry_run")).contains("true or false"), "{raw}");
        }
    }
}
