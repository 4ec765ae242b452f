//! One attempt to deliver an event.

use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::Response;
use reqwest::redirect::Policy;
use tokio::time::timeout;

use super::signature::sign;
use super::target::ForwardTarget;
use crate::clock;
use crate::error::{Code, Error};
use crate::metrics::{self, DeliveryOutcome};
use crate::net;
use crate::tls;

/// The time for the answer to begin.
const ANSWER_TIME: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of an answer's body is read, and for how long, so that its connection can be used again.
const IGNORED_BODY: usize = 16 << 10;
const IGNORED_TIME: Duration = Duration::from_millis(500);

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeliveryEnd {
    pub(super) outcome: DeliveryOutcome,
    /// Of the answer.
    pub(super) status: Option<StatusCode>,
    /// Why it failed, without anything that the receiver said.
    pub(super) error: Option<String>,
    /// The pause that the receiver asks for.
    pub(super) retry_after: Option<Duration>,
}

/// Posts events to one receiver.
#[derive(Clone, Debug)]
pub(super) struct Courier {
    http: reqwest::Client,
    target: ForwardTarget,
}

impl Courier {
    /// Does not connect yet.
    ///
    /// # Errors
    /// `not_configured` if TLS cannot be set up.
    pub(super) fn new(target: ForwardTarget) -> Result<Self, Error> {
        tls::install();
        let mut builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("convo/", env!("CARGO_PKG_VERSION")));
        if target.url.is_loopback {
            builder = builder.no_proxy();
        } else {
            net::refuse_socks_proxy(target.url.shown())?;
        }
        if !target.url.is_encrypted {
            // Does not load the system's certificates, of which there may be none.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| {
            Error::new(Code::NotConfigured, format!("TLS cannot be set up: {}", net::cause(&error)))
                .hint("install the system's CA certificates")
        })?;
        Ok(Self { http, target })
    }

    /// Posts a body once, under an id that stays the same when it is posted again.
    pub(super) async fn post(&self, id: &str, body: Vec<u8>) -> DeliveryEnd {
        let delivery = self.attempt(id, body).await;
        metrics::forwarded(&self.target.name, delivery.outcome);
        delivery
    }

    async fn attempt(&self, id: &str, body: Vec<u8>) -> DeliveryEnd {
        let seconds = clock::now().as_micros().div_euclid(1_000_000);
        let request = self
            .http
            .post(self.target.url.full().clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", sign(&self.target.secrets, id, seconds, &body))
            .body(body);
        match timeout(ANSWER_TIME, request.send()).await {
            Ok(Ok(response)) => {
                let delivery = DeliveryEnd::answered(&response);
                let _ = timeout(IGNORED_TIME, ignore_body(response)).await;
                delivery
            }
            Ok(Err(error)) if error.is_timeout() => DeliveryEnd::timed_out("no connection in time"),
            Ok(Err(error)) if error.is_connect() => {
                DeliveryEnd::failed(DeliveryOutcome::Unreachable, "could not connect")
            }
            Ok(Err(_)) => {
                DeliveryEnd::failed(DeliveryOutcome::Unreachable, "the connection broke off")
            }
            Err(_) => DeliveryEnd::timed_out("no answer within 15 seconds"),
        }
    }
}

impl DeliveryEnd {
    fn failed(outcome: DeliveryOutcome, error: &str) -> Self {
        Self { outcome, status: None, error: Some(error.to_owned()), retry_after: None }
    }

    fn timed_out(error: &str) -> Self {
        Self::failed(DeliveryOutcome::Timeout, error)
    }

    fn answered(response: &Response) -> Self {
        let status = response.status();
        let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let (outcome, error) = match status.as_u16() {
            200..=299 => (DeliveryOutcome::Delivered, None),
            410 => {
                (DeliveryOutcome::Gone, Some("answered 410: it wants no more events".to_owned()))
            }
            code @ 300..=399 => (
                DeliveryOutcome::Refused,
                Some(format!("answered {code}: redirects are not followed")),
            ),
            code => (DeliveryOutcome::Refused, Some(format!("answered {code}"))),
        };
        Self { outcome, status: Some(status), error, retry_after }
    }
}

async fn ignore_body(mut response: Response) {
    let mut left = IGNORED_BODY;
    while let Ok(Some(chunk)) = response.chunk().await {
        let Some(rest) = left.checked_sub(chunk.len()) else { return };
        left = rest;
    }
}
