//! The address of a convo server: which ones are allowed, and the URLs below it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::{Code, Error};
use crate::net::{RootUrl, UrlFault};

/// What is not encoded in a path segment. The dot is: `..` would leave the segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

/// Maximum length of a path segment, far more than any id or contact has.
const MAX_SEGMENT_LENGTH: usize = 1_000;

/// A valid address of a convo server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerAddress(RootUrl);

impl ServerAddress {
    /// Allows `https://` to any host, and `http://` only to this machine, because it would expose
    /// texts and the token.
    pub(super) fn parse(address: &str) -> Result<Self, Error> {
        let parsed = Self::parse_any(address)?;
        if !parsed.is_private() {
            return Err(invalid(format!(
                "'{}' would send texts and the token unencrypted over the network",
                parsed.as_str()
            ))
            .hint("use https://, or a tunnel with a local address"));
        }
        Ok(parsed)
    }

    /// Allows `http://` to any host, for requests that carry nothing secret.
    pub(super) fn parse_any(address: &str) -> Result<Self, Error> {
        RootUrl::parse(address).map(Self).map_err(|fault| match fault {
            UrlFault::NotHttp => invalid("the server's address is not an http:// or https:// URL")
                .hint("for example http://127.0.0.1:5000 or https://convo.example.com"),
            UrlFault::Credentials => {
                invalid("the server's address must not contain a user name or password")
                    .hint("set CONVO_API_TOKEN to the server's token instead")
            }
            UrlFault::QueryOrFragment => {
                invalid("the server's address must not contain '?' or '#'")
            }
        })
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it is this machine, to which no proxy is used.
    pub(super) fn is_loopback(&self) -> bool {
        self.0.is_loopback()
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.0.is_encrypted()
    }

    /// Whether nobody in between can read what is sent to it.
    pub(super) fn is_private(&self) -> bool {
        self.0.is_private()
    }

    /// The URL of a path below the address. Encodes each segment.
    pub(super) fn join(&self, segments: &[&str]) -> String {
        let mut url = self.as_str().to_owned();
        for segment in segments {
            url.push('/');
            url.extend(utf8_percent_encode(segment, SEGMENT));
        }
        url
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Code::NotConfigured, message)
}

/// Whether a text can be a path segment: an empty or a dot segment would change the path, and servers
/// limit the length of a URL.
pub(super) fn is_valid_segment(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && text.len() <= MAX_SEGMENT_LENGTH
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(address: &str) -> Result<String, Code> {
        let parsed = ServerAddress::parse(address);
        parsed.map(|address| address.as_str().to_owned()).map_err(|error| error.code())
    }

    #[test]
    fn https_is_allowed_anywhere_and_http_on_this_machine() {
        for (address, expected) in [
            ("http://localhost:5000", "http://localhost:5000"),
            ("http://127.0.0.1:5000/", "http://127.0.0.1:5000"),
            ("http://[::1]:5000", "http://[::1]:5000"),
            ("https://convo.example.com/threads/", "https://convo.example.com/threads"),
        ] {
            assert_eq!(base(address).as_deref(), Ok(expected), "{address}");
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for address in [
            "",
            "localhost:5000",
            "ftp://localhost",
            "http://192.0.2.7:5000",
            "http://localhost.evil.example",
            "http://127.0.0.1.evil.example",
            "https://user:secret@convo.example.com",
            "https://convo.example.com/?a=b",
        ] {
            assert_eq!(base(address), Err(Code::NotConfigured), "{address}");
        }
    }

    #[test]
    fn a_password_in_the_address_is_not_shown() {
        let error = ServerAddress::parse("https://me:hunter2@example.com").expect_err("refused");
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn a_segment_cannot_change_the_path() {
        let address = ServerAddress::parse("http://localhost:5000").expect("a good address");
        assert_eq!(
            address.join(&["conversations", "+1 2/3?4#..", "send"]),
            "http://localhost:5000/conversations/%2B1%202%2F3%3F4%23%2E%2E/send"
        );
        assert!(
            !is_valid_segment("") && !is_valid_segment("..") && is_valid_segment("+12125551234")
        );
        assert!(!is_valid_segment(&"7".repeat(MAX_SEGMENT_LENGTH + 1)));
    }
}
