//! What Telnyx's answer to a send request proves: that the message was accepted, that it was
//! certainly not sent, or nothing.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde_json_borrow::Value;

use super::event::Payload;
use super::lenient_json;
use crate::clock;
use crate::domain::text::repair_json;
use crate::domain::{MessageError, Timestamp};
use crate::metrics::OfferOutcome;

/// What the answer to one send request proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendAnswer {
    /// Telnyx has accepted the message.
    Accepted(Box<Payload>),
    /// The message was certainly not sent.
    Rejected(Rejection),
    /// The message may have been sent.
    Ambiguous {
        /// What happened, in a few words.
        what: String,
    },
}

/// Why a send request certainly had no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Telnyx refused the message, and would refuse it again.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Telnyx's first error.
        error: MessageError,
        /// When Telnyx answered, by its own clock, in whole seconds.
        at: Option<Timestamp>,
    },
    /// Telnyx's rate limit was exceeded.
    RateLimited {
        /// How long Telnyx asks to wait.
        wait: Option<Duration>,
    },
    /// No connection could be made, so no byte of the request was sent.
    Unreachable {
        /// Why, in a few words without an address.
        why: String,
    },
}

impl SendAnswer {
    /// Classifies an HTTP response by what it proves.
    pub(super) fn from_response(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        if status.is_success() {
            return match Payload::from_answer(body) {
                Some(mut payload) => {
                    // The header has whole seconds: the message was accepted by the end of that one.
                    let end = |at: Timestamp| at.plus(Duration::from_micros(999_999));
                    payload.received_at = payload.received_at.or(answered_at(headers).map(end));
                    Self::Accepted(Box::new(payload))
                }
                None => Self::Ambiguous { what: "the response could not be read".to_owned() },
            };
        }
        Rejection::from_response(status, headers, body).map_or_else(
            || Self::Ambiguous { what: format!("the response was {}", status.as_u16()) },
            Self::Rejected,
        )
    }

    /// The label of the metric.
    pub(super) fn outcome(&self) -> OfferOutcome {
        match self {
            Self::Accepted(_) => OfferOutcome::Accepted,
            Self::Rejected(Rejection::Refused { .. }) => OfferOutcome::Refused,
            Self::Rejected(Rejection::RateLimited { .. }) => OfferOutcome::RateLimited,
            Self::Rejected(Rejection::Unreachable { .. }) => OfferOutcome::Unreachable,
            Self::Ambiguous { .. } => OfferOutcome::Ambiguous,
        }
    }
}

impl Rejection {
    /// Only 429 and a client error in Telnyx's own envelope prove that nothing was sent. A proxy may
    /// have made any other answer.
    pub(super) fn from_response(
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Option<Self> {
        match status {
            StatusCode::TOO_MANY_REQUESTS => {
                Some(Self::RateLimited { wait: requested_wait(headers) })
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT => None,
            status if status.is_client_error() => {
                let error = first_error(body)?;
                Some(Self::Refused { status: status.as_u16(), error, at: answered_at(headers) })
            }
            _ => None,
        }
    }
}

/// The time of a response, by the server's clock.
pub(super) fn answered_at(headers: &HeaderMap) -> Option<Timestamp> {
    let date = headers.get(DATE)?.to_str().ok()?;
    let date = chrono::DateTime::parse_from_rfc2822(date).ok()?;
    Some(date.to_utc().into())
}

/// The first error of Telnyx's error envelope; `None` when the body is something else.
pub(super) fn first_error(body: &[u8]) -> Option<MessageError> {
    let text = repair_json(body);
    let body: Value = serde_json::from_str(&text).ok()?;
    lenient_json::errors(&body).into_iter().next()
}

/// How long an answer asks to wait. Telnyx's documentation contradicts itself on the unit of its own
/// header (seconds from now, or a Unix time), so both are accepted.
pub(super) fn requested_wait(headers: &HeaderMap) -> Option<Duration> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const ACCEPTED: &[u8] = br#"{"data":{"id":"m-1","to":[{"status":"queued"}]}}"#;
    const REFUSED: &[u8] = br#"{"errors":[{"code":"40310","title":"Invalid 'to' address"}]}"#;

    fn classified(status: u16, body: &[u8]) -> SendAnswer {
        SendAnswer::from_response(
            StatusCode::from_u16(status).expect("a status"),
            &HeaderMap::new(),
            body,
        )
    }

    #[test]
    fn only_a_readable_success_is_an_acceptance() {
        assert!(
            matches!(classified(200, ACCEPTED), SendAnswer::Accepted(payload) if payload.id == "m-1")
        );
        for body in [&b""[..], b"<html>", b"{}", b"{\"data\":{}}", b"{\"data\":null}"] {
            assert!(matches!(classified(200, body), SendAnswer::Ambiguous { .. }));
        }
    }

    #[test]
    fn only_telnyxs_own_refusal_is_certain() {
        for status in [400, 401, 402, 403, 404, 422] {
            assert!(
                matches!(
                    classified(status, REFUSED),
                    SendAnswer::Rejected(Rejection::Refused { .. })
                ),
                "{status}"
            );
            assert!(matches!(classified(status, b"<html>no</html>"), SendAnswer::Ambiguous { .. }));
        }
        assert!(matches!(
            classified(429, b""),
            SendAnswer::Rejected(Rejection::RateLimited { wait: None })
        ));
    }

    #[test]
    fn everything_else_proves_nothing() {
        for status in [301, 302, 408, 409, 500, 502, 503, 504] {
            assert!(
                matches!(classified(status, REFUSED), SendAnswer::Ambiguous { .. }),
                "{status}"
            );
        }
    }

    #[test]
    fn a_wait_is_read_in_every_unit() {
        let wait = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().expect("a header value"));
            requested_wait(&headers).map(|wait| wait.as_secs())
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
