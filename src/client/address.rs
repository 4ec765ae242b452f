//! The address of another convo: which ones may be spoken to, and how requests are addressed.

use std::net::IpAddr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::{Host, Url};

use crate::error::{Code, Error};

/// What stays as it is in a path segment. The dot does not: `..` would leave the segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

/// The longest name that is asked for: far more than any id or contact has.
const LONGEST_SEGMENT: usize = 1_000;

/// The address of a convo server, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// Scheme, host, port and perhaps a path, without a final slash.
    base: String,
    loopback: bool,
}

impl Address {
    /// Checks an address: `https://` to anywhere, `http://` to this machine only, because texts
    /// and the token would travel readable.
    pub(super) fn parse(typed: &str) -> Result<Self, Error> {
        let url = Url::parse(typed.trim())
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                refuse("the server's address is no http:// or https:// URL")
                    .hint("write it like http://127.0.0.1:5000 or https://convo.example.com")
            })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("the server's address must not contain a user or a password")
                .hint("set CONVO_API_TOKEN to the server's token instead"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("the server's address must end before any '?' or '#'"));
        }
        let loopback = is_loopback(&url);
        if url.scheme() == "http" && !loopback {
            return Err(refuse(format!(
                "'{url}' would carry texts and the token readable over the network"
            ))
            .hint("use https://, or a tunnel to an address of this machine"));
        }
        Ok(Self { base: url.as_str().trim_end_matches('/').to_owned(), loopback })
    }

    /// The address as it is told to people.
    pub(super) fn as_str(&self) -> &str {
        &self.base
    }

    /// Whether it is on this machine, where no proxy has a place.
    pub(super) fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Whether the connection is encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        self.base.starts_with("https:")
    }

    /// The URL of a path below the address; each segment is encoded.
    pub(super) fn join(&self, segments: &[&str]) -> String {
        let mut url = self.base.clone();
        for segment in segments {
            url.push('/');
            url.extend(utf8_percent_encode(segment, SEGMENT));
        }
        url
    }
}

fn refuse(message: impl Into<String>) -> Error {
    Error::new(Code::NotConfigured, message)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).to_canonical().is_loopback(),
        None => false,
    }
}

/// Whether a text can be a path segment at all: an empty one or a dot segment would be another
/// address, and no server reads an address without end.
pub(super) fn fits_segment(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && text.len() <= LONGEST_SEGMENT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(typed: &str) -> Result<String, Code> {
        Address::parse(typed).map(|address| address.base).map_err(|error| error.code())
    }

    #[test]
    fn https_anywhere_and_http_on_this_machine() {
        for (typed, kept) in [
            ("http://localhost:5000", "http://localhost:5000"),
            ("http://127.0.0.1:5000/", "http://127.0.0.1:5000"),
            ("http://[::1]:5000", "http://[::1]:5000"),
            ("https://convo.example.com/threads/", "https://convo.example.com/threads"),
        ] {
            assert_eq!(base(typed).as_deref(), Ok(kept), "{typed}");
        }
    }

    #[test]
    fn other_addresses_are_refused_before_anything_is_sent() {
        for typed in [
            "",
            "localhost:5000",
            "ftp://localhost",
            "http://192.0.2.7:5000",
            "http://localhost.evil.example",
            "http://127.0.0.1.evil.example",
            "https://user:secret@convo.example.com",
            "https://convo.example.com/?a=b",
        ] {
            assert_eq!(base(typed), Err(Code::NotConfigured), "{typed}");
        }
    }

    #[test]
    fn a_password_in_the_address_is_not_repeated() {
        let error = Address::parse("https://me:hunter2@example.com").expect_err("refused");
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn segments_cannot_leave_their_place() {
        let address = Address::parse("http://localhost:5000").expect("a good address");
        assert_eq!(
            address.join(&["conversations", "+1 2/3?4#..", "send"]),
            "http://localhost:5000/conversations/%2B1%202%2F3%3F4%23%2E%2E/send"
        );
        assert!(!fits_segment("") && !fits_segment("..") && fits_segment("+12125551234"));
        assert!(!fits_segment(&"7".repeat(LONGEST_SEGMENT + 1)));
    }
}
