//! Signed webhooks: events and their delivery.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::key::SigningKey;
use super::message::{Message, Time};
use crate::clock;

/// Telnyx tries each URL this often.
const ATTEMPTS_PER_URL: u32 = 3;
/// Telnyx wants an answer within this time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Deliveries under way at the same time.
const MAX_CONCURRENT: usize = 64;
/// Bytes of an answer that are read, so that its connection can be used again.
const LONGEST_ANSWER: usize = 64 << 10;

/// The body of one webhook delivery.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Delivery<'a> {
    data: &'a Event,
    meta: DeliveryMeta<'a>,
}

#[derive(Clone, Debug, Serialize)]
struct DeliveryMeta<'a> {
    attempt: u32,
    delivered_to: &'a str,
}

/// Something that happened to a message, told by webhook.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Event {
    pub(super) event_type: &'static str,
    pub(super) id: Uuid,
    occurred_at: Time,
    payload: Message,
    record_type: &'static str,
}

impl Event {
    /// An event of now.
    pub(super) fn new(event_type: &'static str, payload: Message) -> Self {
        let occurred_at = Time::now();
        Self { event_type, id: Uuid::new_v4(), occurred_at, payload, record_type: "event" }
    }

    /// The body of the `attempt`th delivery, to `url`.
    pub(super) fn delivery<'a>(&'a self, attempt: u32, url: &'a str) -> Delivery<'a> {
        Delivery { data: self, meta: DeliveryMeta { attempt, delivered_to: url } }
    }
}

/// Posts events to where they belong.
pub(super) struct Courier {
    key: SigningKey,
    client: reqwest::Client,
    /// The wait before the second attempt; doubled before each further one.
    retry: Duration,
    slots: Semaphore,
}

impl Courier {
    pub(super) fn new(key: SigningKey, retry: Duration) -> io::Result<Self> {
        let client = client().map_err(io::Error::other)?;
        Ok(Self { key, client, retry, slots: Semaphore::new(MAX_CONCURRENT) })
    }

    /// Delivers an event: each URL in turn gets up to three attempts, until one of them answers
    /// 200.
    pub(super) async fn deliver(&self, event: &Event, urls: &[String]) {
        let mut attempt = 0;
        for url in urls {
            for of_this_url in 0..ATTEMPTS_PER_URL {
                if attempt > 0 {
                    tokio::time::sleep(self.retry * 2_u32.pow(of_this_url.saturating_sub(1))).await;
                }
                attempt += 1;
                match self.post(event, attempt, url).await {
                    Ok(StatusCode::OK) => {
                        tracing::debug!(event = event.event_type, id = %event.id, attempt,
                            "sandbox: webhook delivered");
                        return;
                    }
                    Ok(status) => {
                        tracing::warn!(event = event.event_type, id = %event.id, attempt, url,
                            "sandbox: webhook answered {status}, not 200");
                    }
                    Err(error) => {
                        tracing::warn!(event = event.event_type, id = %event.id, attempt, url,
                            "sandbox: webhook not delivered: {}", cause(&error));
                    }
                }
            }
        }
        if attempt > 0 {
            tracing::warn!(event = event.event_type, id = %event.id, "sandbox: webhook given up");
        }
    }

    /// One attempt, with a timestamp and signature of its own.
    async fn post(
        &self,
        event: &Event,
        attempt: u32,
        url: &str,
    ) -> Result<StatusCode, reqwest::Error> {
        // The semaphore is never closed.
        let _slot = self.slots.acquire().await;
        // Our own types have string keys only, so they always serialise.
        let body =
            Bytes::from(serde_json::to_vec(&event.delivery(attempt, url)).unwrap_or_default());
        let timestamp = clock::now().to_utc().timestamp();
        let mut answer = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("telnyx-timestamp", timestamp.to_string())
            .header("telnyx-signature-ed25519", self.key.sign(timestamp, &body))
            .body(body)
            .send()
            .await?;
        let status = answer.status();
        let mut read = 0;
        while let Some(chunk) = answer.chunk().await? {
            read += chunk.len();
            if read > LONGEST_ANSWER {
                break;
            }
        }
        Ok(status)
    }
}

fn client() -> Result<reqwest::Client, reqwest::Error> {
    crate::tls::install();
    let builder = || {
        reqwest::Client::builder()
            .user_agent("telnyx-webhooks")
            .timeout(ANSWER_TIMEOUT)
            // A redirect counts as a failed delivery.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
    };
    // A machine without CA certificates can still play: over http.
    builder().build().or_else(|_| builder().tls_certs_only([]).build())
}

/// The innermost cause, which is what a reader wants to know ("connection refused").
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
