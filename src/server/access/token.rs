//! `CONVO_API_TOKEN`: the tokens of the REST API and their scopes.
//!
//! An entry is `TOKEN`, which has all scopes, or `NAME:SCOPES:TOKEN`. Entries are separated by commas
//! or line breaks; lines beginning with `#` are comments. A server accepts every entry; a client
//! sends the TOKEN of the first. An entry with a colon must be of the second form: a typo such as
//! `web:reed:TOKEN` must not silently become a token with all scopes.

use sha2::{Digest, Sha256};

use crate::error::{Code, Error};
use crate::secret::Secret;

/// Minimum length of a token that cannot be guessed: 16 random characters have at least 64 bits.
const MIN_LENGTH: usize = 16;
/// Maximum length of a token's name, which is in the log line of each request.
const MAX_NAME_LENGTH: usize = 32;
/// The hint for every invalid entry.
const FORMS: &str =
    "write TOKEN, or NAME:SCOPES:TOKEN with scopes joined by +: read, send, admin, metrics";

/// What a token permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Reading conversations and messages, and what [`Metrics`](Self::Metrics) permits.
    Read,
    /// Sending messages, dry runs and retries.
    Send,
    /// Maintaining the database: removing, exporting, forwarding.
    Admin,
    /// Metrics and the details of readiness, and nothing else.
    Metrics,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Read, Self::Send, Self::Admin, Self::Metrics];

    /// The word in `CONVO_API_TOKEN` and in errors.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Send => "send",
            Self::Admin => "admin",
            Self::Metrics => "metrics",
        }
    }
}

/// One token of the REST API.
#[derive(Clone, Debug)]
pub struct ApiToken {
    /// Its name in the log: the configured one, otherwise the beginning of its hash.
    pub name: String,
    /// What it permits.
    pub scopes: Vec<Scope>,
    /// The token itself.
    pub secret: Secret,
}

impl ApiToken {
    /// A token without a name, with all scopes.
    #[must_use]
    pub fn plain(secret: Secret) -> Self {
        Self { name: fingerprint(secret.expose()), scopes: Scope::ALL.to_vec(), secret }
    }

    /// Whether it is short enough to be guessed.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.secret.expose().len() < MIN_LENGTH
    }

    fn parse(entry: &str) -> Result<Self, &'static str> {
        let parts: Vec<_> = entry.splitn(3, ':').collect();
        let token = match parts[..] {
            [secret] => Self::plain(Secret::new(secret)),
            [name, scopes, secret] if is_name(name) && !secret.is_empty() => Self {
                name: name.to_owned(),
                scopes: parse_scopes(scopes).ok_or("has unknown scopes")?,
                secret: Secret::new(secret),
            },
            _ => return Err("has a colon, but is not of the form NAME:SCOPES:TOKEN"),
        };
        // A token must fit in a header.
        if !token.secret.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("has characters that a header cannot contain");
        }
        Ok(token)
    }
}

/// Parses the value of `CONVO_API_TOKEN`.
///
/// # Errors
/// `not_configured`, with the position of the entry and not its text, which may be a secret. Also if
/// there is no token at all, because whoever sets the variable expects to be protected.
pub(crate) fn parse_tokens(value: &str) -> Result<Vec<ApiToken>, Error> {
    let lines = value.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let entries = lines.flat_map(|line| line.split(',')).map(str::trim);
    let mut tokens: Vec<ApiToken> = Vec::new();
    for entry in entries.filter(|entry| !entry.is_empty()) {
        let invalid_entry = |why: &str| invalid(&format!("entry {} {why}", tokens.len() + 1));
        let token = ApiToken::parse(entry).map_err(invalid_entry)?;
        if tokens.iter().any(|known| known.secret == token.secret) {
            return Err(invalid_entry("repeats the token of another entry"));
        }
        tokens.push(token);
    }
    if tokens.is_empty() { Err(invalid("it contains no token")) } else { Ok(tokens) }
}

fn invalid(why: &str) -> Error {
    Error::new(Code::NotConfigured, format!("CONVO_API_TOKEN: {why}")).hint(FORMS)
}

fn is_name(name: &str) -> bool {
    let of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_NAME_LENGTH).contains(&name.len()) && name.bytes().all(of_a_name)
}

/// Scopes joined by plus signs; `None` if one is unknown.
fn parse_scopes(words: &str) -> Option<Vec<Scope>> {
    let scope = |word| Scope::ALL.into_iter().find(|scope| scope.as_str() == word);
    words.split('+').map(scope).collect()
}

/// The first 8 hexadecimal digits of a token's SHA-256, which distinguish tokens in the log without
/// helping to guess one.
fn fingerprint(token: &str) -> String {
    Sha256::digest(token).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Vec<(String, String, String)> {
        let tokens = parse_tokens(value).unwrap_or_else(|error| panic!("{value}: {error}"));
        let words = |token: &ApiToken| token.scopes.iter().map(|s| s.as_str()).collect::<Vec<_>>();
        let parts = |token: ApiToken| {
            let words = words(&token).join("+");
            (token.name, words, token.secret.expose().to_owned())
        };
        tokens.into_iter().map(parts).collect()
    }

    fn entry(name: &str, scopes: &str, secret: &str) -> (String, String, String) {
        (name.to_owned(), scopes.to_owned(), secret.to_owned())
    }

    #[test]
    fn a_plain_token_has_all_scopes_and_is_named_by_its_hash() {
        // printf abc | sha256sum
        assert_eq!(read("abc"), [entry("ba7816bf", "read+send+admin+metrics", "abc")]);
    }

    #[test]
    fn a_named_token_has_its_scopes() {
        for (scopes, expected) in [("read", "read"), ("send", "send"), ("read+send", "read+send")] {
            assert_eq!(read(&format!("web-1:{scopes}:abc")), [entry("web-1", expected, "abc")]);
        }
        assert_eq!(read("a:send:b:c"), [entry("a", "send", "b:c")], "the rest is the token");
    }

    #[test]
    fn entries_are_separated_by_commas_or_lines_with_comments() {
        let lines =
            "# for the shop, old and new\nshop:send:one\nshop:send:two\n\n  # all\r\nabc\r\n";
        let shop = |secret| entry("shop", "send", secret);
        assert_eq!(
            read(lines),
            [shop("one"), shop("two"), entry("ba7816bf", "read+send+admin+metrics", "abc")]
        );
        assert_eq!(read(" shop:send:one , shop:send:two,"), [shop("one"), shop("two")]);
    }

    #[test]
    fn an_invalid_entry_is_named_by_its_position_and_never_shown() {
        for (value, expected) in [
            ("s3cret,web:reed:s3cret2", "entry 2 has unknown scopes"),
            ("web::s3cret", "entry 1 has unknown scopes"),
            ("web:read,send:s3cret", "entry 1 has a colon"),
            ("s3cret:word", "entry 1 has a colon"),
            ("web:read:", "entry 1 has a colon"),
            (":read:s3cret", "entry 1 has a colon"),
            ("my web:read:s3cret", "entry 1 has a colon"),
            ("s3cret s3cret", "entry 1 has characters"),
            ("s3cr\u{e9}t", "entry 1 has characters"),
            ("a:read:s3cret,b:send:s3cret", "entry 2 repeats"),
            (",", "contains no token"),
            ("# s3cret", "contains no token"),
        ] {
            let error = parse_tokens(value).expect_err(value);
            assert_eq!(error.code(), Code::NotConfigured);
            let shown = format!("{error} {error:?} {:?}", error.hint_text());
            assert!(shown.contains(expected) && !shown.contains("s3c"), "{value}: {shown}");
        }
    }

    #[test]
    fn a_short_token_is_weak() {
        let is_weak = |value: &str| parse_tokens(value).expect("a token")[0].is_weak();
        assert!(is_weak("secret") && is_weak("a-long-name:read:secret"));
        assert!(!is_weak("0123456789abcdef"));
    }
}
