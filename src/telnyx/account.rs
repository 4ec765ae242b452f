//! The account at Telnyx: its numbers, and the messaging profiles that they are on.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Map, Value, json};

use super::answer::{answered_at, first_error};
use super::client::{TelnyxClient, read_body};
use crate::clock;
use crate::domain::Timestamp;
use crate::error::{Code, Error};
use crate::net::cause;

/// The time for one call.
const CALL_TIME: Duration = Duration::from_secs(10);
/// The largest page that Telnyx has.
const PAGE: usize = 250;
/// How many pages of numbers are read.
const MAX_PAGES: usize = 40;
/// The version of the webhooks that convo understands.
const WEBHOOK_VERSION: &str = "2";

/// A number of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountNumber {
    /// As Telnyx writes it.
    pub number: String,
    /// The messaging profile that it is on.
    pub profile_id: Option<String>,
    /// Whether it can send and receive texts; `None` if Telnyx does not say.
    pub is_enabled: Option<bool>,
}

/// The numbers of the account, and Telnyx's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountNumbers {
    /// The first of them, up to 10,000.
    pub numbers: Vec<AccountNumber>,
    /// Whether these are all.
    pub is_complete: bool,
    /// How far this machine's clock is ahead of Telnyx's, in whole seconds.
    pub skew_seconds: Option<i64>,
}

/// A messaging profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessagingProfile {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it can be used.
    pub is_enabled: bool,
    /// Where Telnyx posts webhooks to.
    pub webhook_url: Option<String>,
    /// The form of the webhooks, as Telnyx names it; `None` if it does not say.
    pub webhook_version: Option<String>,
}

impl MessagingProfile {
    /// Whether its webhooks have the form that convo understands.
    #[must_use]
    pub fn has_our_version(&self) -> bool {
        self.webhook_version.as_deref() == Some(WEBHOOK_VERSION)
    }
}

impl TelnyxClient {
    /// The numbers of the account with their messaging settings.
    ///
    /// # Errors
    /// `invalid_api_key`, `telnyx_unreachable`, `rate_limited` or `telnyx_refused`.
    pub async fn numbers(&self) -> Result<AccountNumbers, Error> {
        let (mut numbers, mut skew_seconds) = (Vec::new(), None);
        for page in 1..=MAX_PAGES {
            let request = self
                .call(Method::GET, &["phone_numbers", "messaging"])?
                .query(&[("page[number]", page), ("page[size]", PAGE)]);
            let asked = clock::now();
            let (headers, body) = run(request).await?;
            skew_seconds = skew_seconds.or_else(|| skew(asked, clock::now(), &headers));
            let found = body.get("data").and_then(Value::as_array).ok_or_else(unreadable)?;
            numbers.extend(found.iter().filter_map(number));
            let pages = body.pointer("/meta/total_pages").and_then(Value::as_u64);
            let is_last = match pages {
                Some(pages) => page as u64 >= pages,
                None => found.len() < PAGE,
            };
            if is_last || found.is_empty() {
                return Ok(AccountNumbers { numbers, is_complete: true, skew_seconds });
            }
        }
        Ok(AccountNumbers { numbers, is_complete: false, skew_seconds })
    }

    /// A messaging profile.
    ///
    /// # Errors
    /// As [`numbers`](Self::numbers).
    pub async fn profile(&self, id: &str) -> Result<MessagingProfile, Error> {
        let request = self.call(Method::GET, &["messaging_profiles", id])?;
        profile(&run(request).await?.1)
    }

    /// Makes a messaging profile post webhooks in the form that convo understands, to this URL if there
    /// is one. Returns the profile as it is then.
    ///
    /// # Errors
    /// As [`numbers`](Self::numbers).
    pub async fn set_webhook(
        &self,
        id: &str,
        url: Option<&str>,
    ) -> Result<MessagingProfile, Error> {
        let mut change = Map::new();
        change.insert("webhook_api_version".to_owned(), json!(WEBHOOK_VERSION));
        if let Some(url) = url {
            change.insert("webhook_url".to_owned(), json!(url));
        }
        let request = self.call(Method::PATCH, &["messaging_profiles", id])?.json(&change);
        profile(&run(request).await?.1)
    }

    fn call(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, Error> {
        let mut url = url::Url::parse(self.base_url()).map_err(|_| Error::internal())?;
        url.path_segments_mut().map_err(|()| Error::internal())?.pop_if_empty().extend(path);
        let authorization = format!("Bearer {}", self.api_key.expose());
        let request = self.http.request(method, url);
        Ok(request.header(AUTHORIZATION, authorization).timeout(CALL_TIME))
    }
}

/// Sends a request and reads a successful answer.
async fn run(request: RequestBuilder) -> Result<(HeaderMap, Value), Error> {
    let mut response = request.send().await.map_err(|error| {
        let what = format!("Telnyx cannot be reached: {}", cause(&error));
        Error::new(Code::TelnyxUnreachable, what)
            .hint("check the network, the proxy and TELNYX_BASE_URL, and try again")
    })?;
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    let body = read_body(response).await;
    if !status.is_success() {
        return Err(refused(status, &body));
    }
    Ok((headers, serde_json::from_slice(&body).map_err(|_| unreadable())?))
}

/// What an answer other than a success means.
fn refused(status: StatusCode, body: &[u8]) -> Error {
    let error = first_error(body);
    let words =
        error.as_ref().map(|error| error.detail.clone().unwrap_or_else(|| error.title.clone()));
    let words = words.map(|words| format!(": {words}")).unwrap_or_default();
    let number = status.as_u16();
    match status {
        StatusCode::UNAUTHORIZED => {
            Error::new(Code::InvalidApiKey, "Telnyx does not accept the API key").hint(
                "create a key in the Telnyx portal (Keys & Credentials), and set TELNYX_API_KEY",
            )
        }
        StatusCode::TOO_MANY_REQUESTS => {
            Error::new(Code::RateLimited, "Telnyx's rate limit is exceeded")
                .hint("try again in a minute")
        }
        status if status.is_server_error() => {
            let what = format!("Telnyx answered {number}{words}");
            Error::new(Code::TelnyxUnreachable, what).hint("try again later")
        }
        _ => Error::new(Code::TelnyxRefused, format!("Telnyx answered {number}{words}"))
            .hint("check the key's permissions and the account in the Telnyx portal"),
    }
}

fn unreadable() -> Error {
    Error::new(Code::TelnyxRefused, "Telnyx's answer is not understood")
        .hint("check that TELNYX_BASE_URL is the URL of Telnyx's v2 API, and the proxy in between")
}

/// How far our clock is ahead of the one that dated an answer. Its date has whole seconds, and it was
/// made some time between the request and the answer.
fn skew(asked: Timestamp, answered: Timestamp, headers: &HeaderMap) -> Option<i64> {
    let date = answered_at(headers)?;
    let (earliest, latest) = (date, date.plus(Duration::from_secs(1)));
    if answered < earliest {
        Some(-earliest.seconds_since(answered))
    } else if asked > latest {
        Some(asked.seconds_since(latest))
    } else {
        Some(0)
    }
}

/// A text that is neither missing nor empty.
fn text(value: &Value, field: &str) -> Option<String> {
    value.get(field)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// `None` if it has no number.
fn number(value: &Value) -> Option<AccountNumber> {
    let is_enabled = value.get("features").and_then(Value::as_object).map(|features| {
        let is_there = |kind: &str| features.get(kind).is_some_and(|feature| !feature.is_null());
        is_there("sms") || is_there("mms")
    });
    Some(AccountNumber {
        number: text(value, "phone_number")?,
        profile_id: text(value, "messaging_profile_id"),
        is_enabled,
    })
}

fn profile(body: &Value) -> Result<MessagingProfile, Error> {
    let data = body.get("data").ok_or_else(unreadable)?;
    let id = text(data, "id").ok_or_else(unreadable)?;
    let version = data.get("webhook_api_version");
    Ok(MessagingProfile {
        name: text(data, "name").unwrap_or_else(|| id.clone()),
        id,
        is_enabled: data.get("enabled").and_then(Value::as_bool).unwrap_or(true),
        webhook_url: text(data, "webhook_url"),
        webhook_version: version.and_then(|version| match version {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_profiles_are_read_leniently() {
        let read = |value: Value| number(&value);
        let full = json!({"phone_number": "+15551234567", "messaging_profile_id": "p",
            "features": {"sms": {"domestic_two_way": true}, "mms": null}});
        let expected = AccountNumber {
            number: "+15551234567".to_owned(),
            profile_id: Some("p".to_owned()),
            is_enabled: Some(true),
        };
        assert_eq!(read(full), Some(expected.clone()));
        let off = json!({"phone_number": "+15551234567", "features": {"sms": null, "mms": null},
            "messaging_profile_id": ""});
        let nothing = AccountNumber { profile_id: None, is_enabled: Some(false), ..expected };
        assert_eq!(read(off), Some(nothing.clone()));
        let bare = json!({"phone_number": "+15551234567", "features": null});
        assert_eq!(read(bare), Some(AccountNumber { is_enabled: None, ..nothing }));
        assert_eq!(read(json!({"phone_number": null})), None);
        let numeric = profile(&json!({"data": {"id": "p", "webhook_api_version": 2}}));
        let numeric = numeric.expect("a profile");
        assert!(numeric.has_our_version() && numeric.is_enabled && numeric.webhook_url.is_none());
        for body in [json!({}), json!({"data": null}), json!({"data": {"id": 7}})] {
            assert!(profile(&body).is_err(), "{body}");
        }
    }

    #[test]
    fn clocks_are_compared_within_what_is_known() {
        let at = |text: &str| Timestamp::parse(text).expect("a time");
        let mut headers = HeaderMap::new();
        headers.insert("date", "Mon, 30 Nov 2026 10:00:00 GMT".parse().expect("a value"));
        let skew = |asked: &str, answered: &str| skew(at(asked), at(answered), &headers);
        assert_eq!(skew("2026-11-30T10:00:00.9Z", "2026-11-30T10:00:01.2Z"), Some(0));
        assert_eq!(skew("2026-11-30T09:59:50Z", "2026-11-30T10:00:05Z"), Some(0));
        assert_eq!(skew("2026-11-30T10:05:01Z", "2026-11-30T10:05:02Z"), Some(300));
        assert_eq!(skew("2026-11-30T09:54:00Z", "2026-11-30T09:55:00Z"), Some(-300));
        headers.remove("date");
        assert_eq!(
            super::skew(at("2026-11-30T10:00:00Z"), at("2026-11-30T10:00:01Z"), &headers),
            None
        );
    }
}
