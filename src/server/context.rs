//! What is known of a request while it is answered: its id, set by the request log, its route, set
//! by the matching filter, and the name of its token, set by access control.

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use crate::metrics::Route;

/// The header with the id of a request, in the request and in the response.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is accepted from a caller.
const MAX_ID_LENGTH: usize = 128;
/// This many digits and nothing else may be a phone number, which must not reach the log.
const PHONE_NUMBER_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// The context of one request, shared through the request's extensions.
#[derive(Debug)]
pub(super) struct RequestContext {
    id: HeaderValue,
    route: OnceLock<Route>,
    token: OnceLock<Arc<str>>,
    trusted: OnceLock<()>,
}

impl RequestContext {
    pub(super) fn new(headers: &HeaderMap) -> Arc<Self> {
        let id = given_id(headers).unwrap_or_else(new_id);
        Arc::new(Self {
            id,
            route: OnceLock::new(),
            token: OnceLock::new(),
            trusted: OnceLock::new(),
        })
    }

    /// The id that the caller gave, otherwise a new one.
    pub(super) fn id(&self) -> &HeaderValue {
        &self.id
    }

    pub(super) fn route(&self) -> Route {
        self.route.get().copied().unwrap_or(Route::None)
    }

    pub(super) fn set_route(&self, route: Route) {
        // At most one route matches, so the first is the only one.
        let _ = self.route.set(route);
    }

    /// Whether the caller has shown that it is no stranger: by a token, by a signature, or as a
    /// program on this machine.
    pub(super) fn is_trusted(&self) -> bool {
        self.trusted.get().is_some()
    }

    pub(super) fn set_trusted(&self) {
        let _ = self.trusted.set(());
    }

    /// The name of the valid token that came with the request.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.get().map(AsRef::as_ref)
    }

    /// The client that shares of budgets belong to: the holder of a token, or whoever needs none.
    pub(super) fn client(&self) -> Arc<str> {
        self.token.get().map_or_else(|| Arc::from(""), Arc::clone)
    }

    /// Sets the name of the token, which is never the token itself.
    pub(super) fn set_token(&self, name: Arc<str>) {
        let _ = self.token.set(name);
    }
}

/// The caller's request id, if there is exactly one and it is safe to log.
fn given_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut all = headers.get_all(REQUEST_ID).iter();
    let (Some(only), None) = (all.next(), all.next()) else { return None };
    let bytes = only.as_bytes();
    let is_valid = (1..=MAX_ID_LENGTH).contains(&only.len()) && bytes.iter().all(is_allowed);
    let may_be_phone_number =
        PHONE_NUMBER_DIGITS.contains(&only.len()) && bytes.iter().all(u8::is_ascii_digit);
    (is_valid && !may_be_phone_number).then(|| only.clone())
}

/// Plus is not allowed, which excludes phone numbers in international form.
fn is_allowed(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.:/=@".contains(byte)
}

fn new_id() -> HeaderValue {
    let mut text = Uuid::encode_buffer();
    let text = Uuid::now_v7().hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(given: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for id in given {
            headers.append(REQUEST_ID, HeaderValue::from_str(id).expect("a header value"));
        }
        RequestContext::new(&headers).id().to_str().expect("text").to_owned()
    }

    #[test]
    fn a_valid_id_is_kept() {
        let longest = "x".repeat(MAX_ID_LENGTH);
        for id in ["7", "01a2-ABC_d.e", "Root=1-67891233-abc", "a:b/c@d", &longest] {
            assert_eq!(id_for(&[id]), id);
        }
    }

    #[test]
    fn any_other_request_gets_a_new_id() {
        let too_long = "x".repeat(MAX_ID_LENGTH + 1);
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
    fn route_and_token_are_empty_until_they_are_set() {
        let context = RequestContext::new(&HeaderMap::new());
        assert_eq!((context.route(), context.token()), (Route::None, None));
        context.set_route(Route::Health);
        context.set_token("ops".into());
        assert_eq!((context.route(), context.token()), (Route::Health, Some("ops")));
    }
}
