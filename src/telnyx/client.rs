//! Asking Telnyx to send, and sorting its answers by what is sure.
//!
//! An answer either proves that the message was taken, or proves that it was not, or proves
//! nothing. Telling these apart is the whole of this module; what to do then is `threading`'s.

use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{StatusCode, redirect};
use serde_json_borrow::Value;

use super::event::Payload;
use super::read;
use crate::clock;
use crate::config::Secret;
use crate::domain::MessageError;
use crate::domain::text::repair_json;
use crate::error::{Code, Error};
use crate::metrics;

/// The longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer that is read; a message is a few kilobytes.
const ANSWER_LIMIT: usize = 1 << 20;
/// The header under which Telnyx recognises a repeated request.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// What is sure after one offer of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Telnyx has taken it.
    Accepted(Box<Payload>),
    /// Telnyx refuses it: surely not sent, and no repeat would change that.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Telnyx's first error.
        error: MessageError,
    },
    /// Telnyx asks to slow down: surely not sent.
    RateLimited {
        /// How long it asks to wait.
        wait: Option<Duration>,
    },
    /// No byte of it has left: surely not sent.
    Unreachable {
        /// Why, in a few words without any address.
        why: String,
    },
    /// It may have been sent.
    Ambiguous {
        /// What happened, in a few words.
        what: String,
    },
}

impl Answer {
    /// What is sure, as a word.
    fn word(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Refused { .. } => "refused",
            Self::RateLimited { .. } => "rate_limited",
            Self::Unreachable { .. } => "unreachable",
            Self::Ambiguous { .. } => "ambiguous",
        }
    }
}

/// The way to Telnyx's API.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    api_key: Secret,
    base_url: String,
    connect_timeout: Duration,
}

impl Client {
    /// Prepares the way for sends that take `patience` at most; nothing is connected yet. The base
    /// URL has no final slash.
    ///
    /// # Errors
    /// `not_configured` when the key cannot stand in a header, or no TLS is to be had.
    pub fn new(base_url: &str, api_key: Secret, patience: Duration) -> Result<Self, Error> {
        if !api_key.expose().bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::new(Code::NotConfigured, "TELNYX_API_KEY is not an API key")
                .hint("copy it again from the Telnyx portal; it has no spaces or line breaks"));
        }
        crate::tls::install();
        let connect_timeout = CONNECT_TIMEOUT.min(patience / 6);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("convo/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(connect_timeout)
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never());
        if base_url.starts_with("http://") {
            // It is on this machine, where no proxy has a place.
            builder = builder.no_proxy();
        }
        let http = builder
            .build()
            .map_err(|_| Error::new(Code::NotConfigured, "no TLS certificates were found"))?;
        Ok(Self { http, api_key, base_url: base_url.to_owned(), connect_timeout })
    }

    /// The least time an offer needs. With less, its end could not be told from that of a
    /// connection that never stood, and what was surely not sent would count as unknown.
    #[must_use]
    pub fn shortest_offer(&self) -> Duration {
        self.connect_timeout + self.connect_timeout / 4
    }

    /// The API's address, as it is stored with each send.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Offers a message once: the exact bytes, under a key, to the given API.
    pub async fn offer(&self, base_url: &str, key: &str, body: &[u8], timeout: Duration) -> Answer {
        let begun = Instant::now();
        let answer = self.post(base_url, key, body, timeout).await;
        metrics::telnyx("send", answer.word(), begun.elapsed());
        answer
    }

    async fn post(&self, base_url: &str, key: &str, body: &[u8], timeout: Duration) -> Answer {
        let request = self
            .http
            .post(format!("{base_url}/messages"))
            .header(AUTHORIZATION, format!("Bearer {}", self.api_key.expose()))
            .header(CONTENT_TYPE, "application/json")
            .header(IDEMPOTENCY_KEY, key)
            .timeout(timeout)
            .body(body.to_vec());
        let response = match request.send().await {
            Ok(response) => response,
            // Nothing is written before the connection and its TLS stand.
            Err(error) if error.is_connect() => {
                return Answer::Unreachable { why: cause(&error) };
            }
            Err(error) => return Answer::Ambiguous { what: cause(&error) },
        };
        let (status, headers) = (response.status(), response.headers().clone());
        judge(status, &headers, &read_body(response).await)
    }

    /// Asks how a message stands. `None` when nothing is learnt: Telnyx forgets messages after ten
    /// days, and an error says nothing about one.
    pub async fn get(&self, telnyx_message_id: &str, timeout: Duration) -> Option<Payload> {
        let begun = Instant::now();
        let told = self.look_up(telnyx_message_id, timeout).await;
        let outcome = if told.is_some() { "told" } else { "nothing" };
        metrics::telnyx("look_up", outcome, begun.elapsed());
        told
    }

    async fn look_up(&self, telnyx_message_id: &str, timeout: Duration) -> Option<Payload> {
        let mut url = url::Url::parse(&self.base_url).ok()?;
        url.path_segments_mut().ok()?.pop_if_empty().extend(["messages", telnyx_message_id]);
        let request = self
            .http
            .get(url)
            .header(AUTHORIZATION, format!("Bearer {}", self.api_key.expose()))
            .timeout(timeout);
        let response = request.send().await.ok()?;
        if !response.status().is_success() {
            return None;
        }
        let payload = Payload::from_answer(&read_body(response).await)?;
        (payload.id == telnyx_message_id).then_some(payload)
    }
}

/// Reads an answer up to a limit; what broke off or is too large reads as empty.
async fn read_body(mut response: reqwest::Response) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_LIMIT => {
                body.extend_from_slice(&chunk);
            }
            Ok(None) => return body,
            _ => return Vec::new(),
        }
    }
}

/// What an answer proves.
fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Answer {
    let ambiguous = || Answer::Ambiguous { what: format!("the answer was {}", status.as_u16()) };
    if status.is_success() {
        return match Payload::from_answer(body) {
            Some(payload) => Answer::Accepted(Box::new(payload)),
            None => Answer::Ambiguous { what: "the answer could not be read".to_owned() },
        };
    }
    match status {
        StatusCode::TOO_MANY_REQUESTS => Answer::RateLimited { wait: asked_wait(headers) },
        StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT => ambiguous(),
        status if status.is_client_error() => match first_error(body) {
            Some(error) => Answer::Refused { status: status.as_u16(), error },
            None => ambiguous(),
        },
        _ => ambiguous(),
    }
}

/// The first error of Telnyx's envelope; `None` when the body is none of Telnyx's.
fn first_error(body: &[u8]) -> Option<MessageError> {
    let text = repair_json(body);
    let body: Value = serde_json::from_str(&text).ok()?;
    read::errors(&body).into_iter().next()
}

/// How long an answer asks to wait. Telnyx's documents disagree on the unit of its own header
/// (seconds from now, or a Unix time), so both are understood.
fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let now = clock::now().as_micros() / 1_000_000;
    let from_now = |value: i64| if value > 1_000_000_000 { value - now } else { value };
    let seconds = match text(RETRY_AFTER.as_str()) {
        Some(value) => value.parse().map(from_now).ok().or_else(|| {
            let date = chrono::DateTime::parse_from_rfc2822(value).ok()?;
            Some(date.timestamp() - now)
        }),
        None => text("x-ratelimit-reset").and_then(|value| value.parse().map(from_now).ok()),
    };
    seconds.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// A few words on why a request failed. The library's own words name the address, which holds
/// nothing secret but says nothing to the user either.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut deepest: &dyn std::error::Error = error;
    while let Some(next) = deepest.source() {
        deepest = next;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCEPTED: &[u8] = br#"{"data":{"id":"m-1","to":[{"status":"queued"}]}}"#;
    const REFUSED: &[u8] = br#"{"errors":[{"code":"40310","title":"Invalid 'to' address"}]}"#;

    fn judged(status: u16, body: &[u8]) -> Answer {
        judge(StatusCode::from_u16(status).expect("a status"), &HeaderMap::new(), body)
    }

    #[test]
    fn only_a_readable_success_is_an_acceptance() {
        assert!(matches!(judged(200, ACCEPTED), Answer::Accepted(payload) if payload.id == "m-1"));
        for body in [&b""[..], b"<html>", b"{}", b"{\"data\":{}}", b"{\"data\":null}"] {
            assert!(matches!(judged(200, body), Answer::Ambiguous { .. }));
        }
    }

    #[test]
    fn only_telnyxs_own_refusal_is_sure() {
        for status in [400, 401, 402, 403, 404, 422] {
            assert!(matches!(judged(status, REFUSED), Answer::Refused { .. }), "{status}");
            assert!(matches!(judged(status, b"<html>no</html>"), Answer::Ambiguous { .. }));
        }
        assert!(matches!(judged(429, b""), Answer::RateLimited { wait: None }));
    }

    #[test]
    fn everything_else_proves_nothing() {
        for status in [301, 302, 408, 409, 500, 502, 503, 504] {
            assert!(matches!(judged(status, REFUSED), Answer::Ambiguous { .. }), "{status}");
        }
    }

    #[test]
    fn a_wait_is_understood_in_every_unit() {
        let wait = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().expect("a header value"));
            asked_wait(&headers).map(|wait| wait.as_secs())
        };
        let now = clock::now().to_utc();
        let later = now + chrono::TimeDelta::seconds(60);
        let close = |seconds: Option<u64>| seconds.is_some_and(|s| (58..=60).contains(&s));
        assert_eq!(wait("retry-after", "7"), Some(7));
        assert!(close(wait("retry-after", &later.format("%a, %d %b %Y %H:%M:%S GMT").to_string())));
        assert_eq!(wait("x-ratelimit-reset", "12"), Some(12));
        assert!(close(wait("x-ratelimit-reset", &later.timestamp().to_string())));
        assert_eq!(wait("retry-after", "soon"), None);
        assert_eq!(wait("retry-after", "-5"), Some(0));
    }
}
