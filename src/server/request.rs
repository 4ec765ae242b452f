//! What is known of a request while it is answered, each thing told by whoever knows it: its id
//! from the outermost service, its route from the leaf that took it, its token from the rule of
//! access.

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// The header that carries a request's id, both ways.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over from a caller.
const LONGEST_ID: usize = 128;
/// Digits alone that may be a phone number, which no log is to have.
const NUMBER_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// The route of a request that no route took.
pub(super) const NO_ROUTE: &str = "none";

/// One request. Its parts share it: it lies in the request's extensions.
#[derive(Debug)]
pub(super) struct Context {
    id: HeaderValue,
    route: OnceLock<&'static str>,
    token: OnceLock<Arc<str>>,
}

impl Context {
    /// A request with these headers.
    pub(super) fn new(headers: &HeaderMap) -> Arc<Self> {
        let id = given_id(headers).unwrap_or_else(new_id);
        Arc::new(Self { id, route: OnceLock::new(), token: OnceLock::new() })
    }

    /// The id that the caller gave it, or a new one.
    pub(super) fn id(&self) -> &HeaderValue {
        &self.id
    }

    /// The template of its route, never its path: that may hold a number.
    pub(super) fn route(&self) -> &'static str {
        self.route.get().copied().unwrap_or(NO_ROUTE)
    }

    /// Tells which route it took.
    pub(super) fn set_route(&self, template: &'static str) {
        // Templates exclude each other: whoever comes first is right.
        let _ = self.route.set(template);
    }

    /// What its token is known by, if it brought a good one.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.get().map(AsRef::as_ref)
    }

    /// Tells what its token is known by, never the token itself.
    pub(super) fn set_token(&self, name: Arc<str>) {
        let _ = self.token.set(name);
    }
}

/// The one id of the request that its caller gave it, if it is fit for a log.
fn given_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut all = headers.get_all(REQUEST_ID).iter();
    let (Some(only), None) = (all.next(), all.next()) else { return None };
    let bytes = only.as_bytes();
    let fits = (1..=LONGEST_ID).contains(&only.len()) && bytes.iter().all(is_of_an_id);
    let may_be_a_number =
        NUMBER_DIGITS.contains(&only.len()) && bytes.iter().all(u8::is_ascii_digit);
    (fits && !may_be_a_number).then(|| only.clone())
}

/// No plus: a number in international form is no id.
fn is_of_an_id(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.:/=@".contains(byte)
}

fn new_id() -> HeaderValue {
    let mut text = Uuid::encode_buffer();
    let text = Uuid::now_v7().hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(NO_ROUTE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(given: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for id in given {
            headers.append(REQUEST_ID, HeaderValue::from_str(id).expect("a header value"));
        }
        Context::new(&headers).id().to_str().expect("text").to_owned()
    }

    #[test]
    fn a_sane_id_is_taken_over() {
        let longest = "x".repeat(LONGEST_ID);
        for id in ["7", "01a2-ABC_d.e", "Root=1-67891233-abc", "a:b/c@d", &longest] {
            assert_eq!(id_for(&[id]), id);
        }
    }

    #[test]
    fn any_other_request_gets_an_id_of_its_own() {
        let too_long = "x".repeat(LONGEST_ID + 1);
        let bad = [
            &[][..],
            &[""],
            &["a b"],
            &["a\tb"],
            &["é"],
            &["+12125551234"],
            &["12125551234"],
            &["a", "b"],
            &[&too_long],
        ];
        for given in bad {
            let id = id_for(given);
            assert_eq!(Uuid::parse_str(&id).map(|id| id.get_version_num()), Ok(7), "{given:?}");
            assert_ne!(id, id_for(given));
        }
    }

    #[test]
    fn what_nobody_told_is_not_made_up() {
        let context = Context::new(&HeaderMap::new());
        assert_eq!((context.route(), context.token()), ("none", None));
        context.set_route("/health");
        context.set_token("ops".into());
        assert_eq!((context.route(), context.token()), ("/health", Some("ops")));
    }
}
