//! A path parameter. The router hands it over as it was sent; it is decoded here, once.

use std::borrow::Cow;
use std::convert::Infallible;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::error::Error;

/// One segment of a path, still percent-encoded.
#[derive(Debug)]
pub(super) struct Segment(String);

impl FromStr for Segment {
    type Err = Infallible;

    fn from_str(raw: &str) -> Result<Self, Infallible> {
        Ok(Self(raw.to_owned()))
    }
}

impl Segment {
    /// The text it stands for. A plus is a plus: only forms write spaces like that.
    ///
    /// # Errors
    /// `invalid_request` when it is no text.
    pub(super) fn decode(&self) -> Result<String, Error> {
        let text = percent_decode_str(&self.0).decode_utf8();
        text.map(Cow::into_owned).map_err(|_| Error::invalid("the path is not valid UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(raw: &str) -> Result<String, String> {
        let segment: Segment = raw.parse().expect("any segment is taken");
        segment.decode().map_err(|error| error.to_string())
    }

    #[test]
    fn a_plus_is_a_plus_however_it_is_written() {
        for (raw, text) in [
            ("+12125551234", "+12125551234"),
            ("%2B12125551234", "+12125551234"),
            ("%2b1%20(212)%20555-1234", "+1 (212) 555-1234"),
            ("caf%C3%A9", "café"),
            ("100%", "100%"),
            ("a%2Fb", "a/b"),
        ] {
            assert_eq!(decode(raw).as_deref(), Ok(text), "{raw}");
        }
    }

    #[test]
    fn what_is_no_text_is_refused() {
        for raw in ["%ff", "%C3"] {
            assert!(decode(raw).is_err(), "{raw}");
        }
    }
}
