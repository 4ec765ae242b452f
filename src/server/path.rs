//! Path parameters. warp passes them on undecoded.

use std::borrow::Cow;
use std::convert::Infallible;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use super::plus;
use crate::error::Error;

/// A segment of a path, still percent-encoded.
#[derive(Debug)]
pub(super) struct Segment(String);

impl FromStr for Segment {
    type Err = Infallible;

    fn from_str(raw: &str) -> Result<Self, Infallible> {
        Ok(Self(raw.to_owned()))
    }
}

impl Segment {
    /// The decoded text. A plus sign stays one: it stands for a space only in form data.
    ///
    /// # Errors
    /// `invalid_request` if it is not valid UTF-8.
    pub(super) fn decode(&self) -> Result<String, Error> {
        let text = percent_decode_str(&self.0).decode_utf8();
        text.map(Cow::into_owned).map_err(|_| Error::invalid("the path is not valid UTF-8"))
    }

    /// The decoded text of a segment that may be a number, whose plus sign may have become a space.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub(super) fn number(&self) -> Result<String, Error> {
        self.decode().map(|text| plus::in_number(&text).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(raw: &str) -> Result<String, String> {
        let segment: Segment = raw.parse().expect("infallible");
        segment.decode().map_err(|error| error.to_string())
    }

    #[test]
    fn a_plus_sign_is_kept_encoded_or_not() {
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
    fn invalid_utf8_is_refused() {
        for raw in ["%ff", "%C3"] {
            assert!(decode(raw).is_err(), "{raw}");
        }
    }
}
