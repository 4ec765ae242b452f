//! `CONVO_API_TOKEN`: who may call the REST API, and what each of them may do.
//!
//! One entry is `TOKEN`, which may do everything, or `NAME:SCOPES:TOKEN`. Entries are separated by
//! commas or line breaks, and a line that begins with `#` is a comment. A server accepts each
//! entry; a client sends the TOKEN of the first. An entry with a colon must be of the second form:
//! a slip such as `web:reed:TOKEN` must not quietly become a token that may do everything.

use sha2::{Digest, Sha256};

use super::Secret;
use crate::error::{Code, Error};

/// Fewest characters of a token that nobody guesses: 16 random ones have at least 64 bits.
const FEWEST_CHARACTERS: usize = 16;
/// Most characters of a token's name, which stands in every line of the log.
const LONGEST_NAME: usize = 32;
/// The forms of an entry.
const FORMS: &str = "write TOKEN, or NAME:SCOPES:TOKEN with the scopes read, send or read+send";

/// What a caller of the REST API may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// See threads and messages, and how the server fares.
    Read,
    /// Send messages, rehearsed or real, and offer them again.
    Send,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 2] = [Self::Read, Self::Send];

    /// The word in the setting and in errors.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Send => "send",
        }
    }
}

/// One token of the REST API.
#[derive(Clone, Debug)]
pub struct ApiToken {
    /// What the log calls it: its name, or else the beginning of its hash.
    pub name: String,
    /// What it is good for.
    pub scopes: Vec<Scope>,
    /// What a caller sends.
    pub secret: Secret,
}

impl ApiToken {
    /// A token without a name, good for everything.
    #[must_use]
    pub fn plain(secret: Secret) -> Self {
        Self { name: fingerprint(secret.expose()), scopes: Scope::ALL.to_vec(), secret }
    }

    /// Whether it is so short that it could be guessed.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.secret.expose().len() < FEWEST_CHARACTERS
    }

    fn parse(entry: &str) -> Result<Self, &'static str> {
        let parts: Vec<_> = entry.splitn(3, ':').collect();
        let token = match parts[..] {
            [secret] => Self::plain(Secret::new(secret)),
            [name, scopes, secret] if is_name(name) && !secret.is_empty() => Self {
                name: name.to_owned(),
                scopes: parse_scopes(scopes).ok_or("has no scopes that convo knows")?,
                secret: Secret::new(secret),
            },
            _ => return Err("has a colon, but is not of the form NAME:SCOPES:TOKEN"),
        };
        // What a header cannot carry can never be sent.
        if !token.secret.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("has characters no header takes");
        }
        Ok(token)
    }
}

/// Reads the value of `CONVO_API_TOKEN`, or of the file that holds it.
///
/// # Errors
/// `not_configured`, telling an entry by its place: what stands there may be a secret. Also when
/// there is no token in it, for whoever sets the variable believes to be guarded.
pub(super) fn parse_tokens(value: &str) -> Result<Vec<ApiToken>, Error> {
    let lines = value.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let entries = lines.flat_map(|line| line.split(',')).map(str::trim);
    let mut tokens: Vec<ApiToken> = Vec::new();
    for entry in entries.filter(|entry| !entry.is_empty()) {
        let refuse = |why: &str| refused(&format!("entry {} {why}", tokens.len() + 1));
        let token = ApiToken::parse(entry).map_err(refuse)?;
        if tokens.iter().any(|known| known.secret == token.secret) {
            return Err(refuse("repeats the token of another entry"));
        }
        tokens.push(token);
    }
    if tokens.is_empty() { Err(refused("there is no token in it")) } else { Ok(tokens) }
}

fn refused(why: &str) -> Error {
    Error::new(Code::NotConfigured, format!("CONVO_API_TOKEN: {why}")).hint(FORMS)
}

fn is_name(name: &str) -> bool {
    let of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(of_a_name)
}

/// Scopes joined by a plus; `None` for a word that is none.
fn parse_scopes(words: &str) -> Option<Vec<Scope>> {
    let scope = |word| Scope::ALL.into_iter().find(|scope| scope.as_str() == word);
    words.split('+').map(scope).collect()
}

/// The first 8 hexadecimal digits of the token's SHA-256: they tell tokens apart in a log and
/// give nothing away that would help to guess a good one.
fn fingerprint(token: &str) -> String {
    Sha256::digest(token).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Vec<(String, String, String)> {
        let tokens = parse_tokens(value).unwrap_or_else(|error| panic!("{value}: {error}"));
        let words = |token: &ApiToken| token.scopes.iter().map(|s| s.as_str()).collect::<Vec<_>>();
        let told = |token: ApiToken| {
            let words = words(&token).join("+");
            (token.name, words, token.secret.expose().to_owned())
        };
        tokens.into_iter().map(told).collect()
    }

    fn entry(name: &str, scopes: &str, secret: &str) -> (String, String, String) {
        (name.to_owned(), scopes.to_owned(), secret.to_owned())
    }

    #[test]
    fn a_plain_token_may_do_everything_and_is_known_by_its_hash() {
        // printf abc | sha256sum
        assert_eq!(read("abc"), [entry("ba7816bf", "read+send", "abc")]);
    }

    #[test]
    fn a_named_token_may_do_what_it_says() {
        for (scopes, may) in [("read", "read"), ("send", "send"), ("read+send", "read+send")] {
            assert_eq!(read(&format!("web-1:{scopes}:abc")), [entry("web-1", may, "abc")]);
        }
        assert_eq!(read("a:send:b:c"), [entry("a", "send", "b:c")], "the rest is the token");
    }

    #[test]
    fn entries_stand_in_a_row_or_one_a_line_with_comments() {
        let lines =
            "# for the shop, old and new\nshop:send:one\nshop:send:two\n\n  # all\r\nabc\r\n";
        let shop = |secret| entry("shop", "send", secret);
        assert_eq!(read(lines), [shop("one"), shop("two"), entry("ba7816bf", "read+send", "abc")]);
        assert_eq!(read(" shop:send:one , shop:send:two,"), [shop("one"), shop("two")]);
    }

    #[test]
    fn slips_are_refused_by_place_and_never_shown() {
        for (value, told) in [
            ("s3cret,web:reed:s3cret2", "entry 2 has no scopes"),
            ("web::s3cret", "entry 1 has no scopes"),
            ("web:read,send:s3cret", "entry 1 has a colon"),
            ("s3cret:word", "entry 1 has a colon"),
            ("web:read:", "entry 1 has a colon"),
            (":read:s3cret", "entry 1 has a colon"),
            ("my web:read:s3cret", "entry 1 has a colon"),
            ("s3cret s3cret", "entry 1 has characters"),
            ("s3cr\u{e9}t", "entry 1 has characters"),
            ("a:read:s3cret,b:send:s3cret", "entry 2 repeats"),
            (",", "no token in it"),
            ("# s3cret", "no token in it"),
        ] {
            let error = parse_tokens(value).expect_err(value);
            assert_eq!(error.code(), Code::NotConfigured);
            let shown = format!("{error} {error:?} {:?}", error.hint_text());
            assert!(shown.contains(told) && !shown.contains("s3c"), "{value}: {shown}");
        }
    }

    #[test]
    fn a_short_token_is_weak() {
        let is_weak = |value: &str| parse_tokens(value).expect("a token")[0].is_weak();
        assert!(is_weak("secret") && is_weak("a-long-name:read:secret"));
        assert!(!is_weak("0123456789abcdef"));
    }
}
