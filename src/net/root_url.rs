//! The URL of a server's API: what convo accepts as one, for its own server as for Telnyx's.

use url::Url;

use super::is_loopback_host;

/// A URL of http or https with a host and at most a path, below which the paths of an API are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RootUrl {
    /// Without a trailing slash.
    text: String,
    is_loopback: bool,
}

/// Why a text is not such a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UrlFault {
    /// It is no URL of http or https.
    NotHttp,
    /// It contains a user name or a password, which would end up in errors and logs.
    Credentials,
    /// It contains a query or a fragment, to which no path can be appended.
    QueryOrFragment,
}

impl RootUrl {
    /// Parses a URL. What is used from then on is what was understood, not what was written.
    pub(crate) fn parse(text: &str) -> Result<Self, UrlFault> {
        let url = Url::parse(text.trim()).map_err(|_| UrlFault::NotHttp)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(UrlFault::NotHttp);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlFault::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(UrlFault::QueryOrFragment);
        }
        let is_loopback = url.host().is_some_and(|host| is_loopback_host(&host));
        Ok(Self { text: url.as_str().trim_end_matches('/').to_owned(), is_loopback })
    }

    /// The URL without a trailing slash.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is on this machine, to which no proxy leads.
    pub(crate) fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    /// Whether requests are encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.text.starts_with("https:")
    }

    /// Whether nobody in between can read what is sent: it is encrypted, or stays on this machine.
    pub(crate) fn is_private(&self) -> bool {
        self.is_encrypted() || self.is_loopback
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_understood_is_what_is_used() {
        for (text, expected, is_loopback) in [
            ("https://api.telnyx.com/v2/", "https://api.telnyx.com/v2", false),
            ("http://example.com", "http://example.com", false),
            ("http://127.0.0.1:12111/v2/", "http://127.0.0.1:12111/v2", true),
            ("http://[::1]:12111/v2", "http://[::1]:12111/v2", true),
            ("HTTP://127.0.0.1:1/v2", "http://127.0.0.1:1/v2", true),
            ("http:/127.0.0.1:1/v2", "http://127.0.0.1:1/v2", true),
            (" http:127.0.0.1:1/v2\n", "http://127.0.0.1:1/v2", true),
            ("http:\\\\LOCALHOST:1\\v2", "http://localhost:1/v2", true),
            ("http://2130706433:1/v2", "http://127.0.0.1:1/v2", true),
            ("HTTPS://LocalHost/v2", "https://localhost/v2", true),
            ("http://127.0.0.1.example.com/v2", "http://127.0.0.1.example.com/v2", false),
        ] {
            let parsed = RootUrl::parse(text).expect(text);
            assert_eq!((parsed.as_str(), parsed.is_loopback()), (expected, is_loopback), "{text}");
            let is_private = is_loopback || expected.starts_with("https:");
            assert_eq!(parsed.is_private(), is_private, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_others_is_told() {
        for (text, fault) in [
            ("", UrlFault::NotHttp),
            ("localhost:5000", UrlFault::NotHttp),
            ("api.telnyx.com/v2", UrlFault::NotHttp),
            ("ftp://localhost", UrlFault::NotHttp),
            ("http://", UrlFault::NotHttp),
            ("http://127.0.0.1@example.com/v2", UrlFault::Credentials),
            ("https://:secret@example.com", UrlFault::Credentials),
            ("https://example.com/?a=b", UrlFault::QueryOrFragment),
            ("https://example.com/#a", UrlFault::QueryOrFragment),
        ] {
            assert_eq!(RootUrl::parse(text), Err(fault), "{text}");
        }
    }
}
