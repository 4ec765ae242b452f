//! The URL of Telnyx's API, or of another one that speaks like it.

use crate::net::{RootUrl, UrlFault};

/// A checked base URL: https, or http to this machine, because the API key must not be sent in the
/// clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(RootUrl);

impl BaseUrl {
    /// Telnyx's v2 API.
    pub const TELNYX: &'static str = "https://api.telnyx.com/v2";

    /// Parses a URL. What is used from then on is what was understood, not what was written.
    ///
    /// # Errors
    /// What is wrong with it: a clause that follows a name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let plain = "must use https, or http on a loopback address";
        let url = RootUrl::parse(text).map_err(|fault| match fault {
            UrlFault::NotHttp => plain,
            UrlFault::Credentials => "contains a user name or password",
            UrlFault::QueryOrFragment => "contains '?' or '#'",
        })?;
        if url.is_private() { Ok(Self(url)) } else { Err(plain) }
    }

    /// The URL without a final slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it is on this machine, to which no proxy leads.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.0.is_loopback()
    }

    /// Whether requests are encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.0.is_encrypted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_is_allowed_anywhere_and_http_on_this_machine() {
        for text in [BaseUrl::TELNYX, "https://example.com/v2", "http://127.0.0.1:12111/v2"] {
            assert_eq!(BaseUrl::parse(text).as_ref().map(BaseUrl::as_str), Ok(text));
        }
    }

    #[test]
    fn what_would_show_the_key_is_refused() {
        for text in [
            "",
            "api.telnyx.com/v2",
            "ftp://localhost",
            "http://example.com/v2",
            "http://127.0.0.1.example.com/v2",
            "http://127.0.0.1@example.com/v2",
            "http://user@127.0.0.1/v2",
            "https://user:secret@api.telnyx.com/v2",
            "https://api.telnyx.com/v2?x=y",
            "https://api.telnyx.com/v2#x",
        ] {
            assert!(BaseUrl::parse(text).is_err(), "{text}");
        }
    }
}
