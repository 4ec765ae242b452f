//! Webhook events and their signed delivery.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use serde::Serialize;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::delivery::DeliveryRecord;
use super::key::SigningKey;
use super::message::{SandboxMessage, TelnyxTime};
use crate::clock;
use crate::net::cause;

/// How often Telnyx tries each URL.
const ATTEMPTS_PER_URL: u32 = 3;
/// How long Telnyx waits for a response.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Concurrent deliveries.
const MAX_CONCURRENT: usize = 64;
/// Bytes of a response that are read, so that its connection can be reused.
const MAX_RESPONSE: usize = 64 << 10;

/// The body of a delivery.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Delivery<'a> {
    data: &'a WebhookEvent,
    meta: DeliveryMeta<'a>,
}

#[derive(Clone, Debug, Serialize)]
struct DeliveryMeta<'a> {
    attempt: u32,
    delivered_to: &'a str,
}

/// Something that happened to a message.
#[derive(Clone, Debug, Serialize)]
pub(super) struct WebhookEvent {
    event_type: &'static str,
    id: Uuid,
    occurred_at: TelnyxTime,
    payload: SandboxMessage,
    record_type: &'static str,
}

impl WebhookEvent {
    /// An event that happens now.
    pub(super) fn new(event_type: &'static str, payload: SandboxMessage) -> Self {
        let occurred_at = TelnyxTime::now();
        Self { event_type, id: Uuid::new_v4(), occurred_at, payload, record_type: "event" }
    }

    /// The body of its first delivery to a URL.
    pub(super) fn body(&self, url: &str) -> Vec<u8> {
        // Serialization cannot fail: all keys are strings.
        serde_json::to_vec(&self.delivery(1, url)).unwrap_or_default()
    }

    /// The share of all events below which this one is: a number from 0 to 1 that is part of it.
    fn chance(&self) -> f64 {
        self.id.as_u64_pair().0 as f64 / u64::MAX as f64
    }

    /// Makes it as old as if it had happened earlier.
    pub(super) fn age_by(&mut self, by: Duration) {
        self.occurred_at.age_by(by);
        self.payload.age_by(by);
    }

    /// Its approximate size in memory, in bytes.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.payload.weight()
    }

    fn delivery<'a>(&'a self, attempt: u32, url: &'a str) -> Delivery<'a> {
        Delivery { data: self, meta: DeliveryMeta { attempt, delivered_to: url } }
    }
}

pub(super) struct WebhookSender {
    key: SigningKey,
    client: reqwest::Client,
    /// The wait before the second attempt at a URL; doubled before each further one.
    retry: Duration,
    /// The share of events that are never delivered.
    lose: f64,
    slots: Semaphore,
}

impl WebhookSender {
    pub(super) fn new(key: SigningKey, retry: Duration, lose: f64) -> io::Result<Self> {
        let client = client().map_err(io::Error::other)?;
        Ok(Self { key, client, retry, lose, slots: Semaphore::new(MAX_CONCURRENT) })
    }

    /// Posts an event to each URL in turn, up to three times each, until one answers 200. Returns the
    /// record of it; `None` for one that is lost.
    pub(super) async fn deliver(
        &self,
        event: &WebhookEvent,
        urls: &[String],
    ) -> Option<DeliveryRecord> {
        if event.chance() < self.lose {
            tracing::warn!(event = event.event_type, id = %event.id, "sandbox: a webhook is lost");
            return None;
        }
        let mut record = DeliveryRecord::new(event);
        let mut attempt = 0;
        for url in urls {
            for attempt_at_url in 0..ATTEMPTS_PER_URL {
                if attempt > 0 {
                    let factor = 2_u32.pow(attempt_at_url.saturating_sub(1));
                    tokio::time::sleep(self.retry * factor).await;
                }
                attempt += 1;
                let began = TelnyxTime::now();
                let answer = self.attempt(event, attempt, url).await;
                record.add(url, began, answer);
                if answer == Some(StatusCode::OK.as_u16()) {
                    return Some(record);
                }
            }
        }
        if attempt > 0 {
            tracing::warn!(event = event.event_type, id = %event.id,
                "sandbox: giving up on a webhook");
        }
        Some(record).filter(|record| !record.is_empty())
    }

    /// Posts an event once. Returns the status of the answer.
    async fn attempt(&self, event: &WebhookEvent, attempt: u32, url: &str) -> Option<u16> {
        let answer = self.post(event, attempt, url).await;
        match &answer {
            Err(error) => {
                tracing::warn!(event = event.event_type, id = %event.id, attempt, url,
                    "sandbox: webhook not delivered: {}", cause(error));
            }
            Ok(StatusCode::OK) => {
                tracing::debug!(event = event.event_type, id = %event.id, attempt,
                    "sandbox: webhook delivered");
            }
            Ok(status) => {
                tracing::warn!(event = event.event_type, id = %event.id, attempt, url,
                    "sandbox: webhook answered with {status}, not 200");
            }
        }
        answer.ok().map(|status| status.as_u16())
    }

    async fn post(
        &self,
        event: &WebhookEvent,
        attempt: u32,
        url: &str,
    ) -> Result<StatusCode, reqwest::Error> {
        // The semaphore is never closed.
        let _slot = self.slots.acquire().await;
        // Serialization cannot fail: all keys are strings.
        let body =
            Bytes::from(serde_json::to_vec(&event.delivery(attempt, url)).unwrap_or_default());
        let timestamp = clock::now().to_utc().timestamp();
        let mut response = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("telnyx-timestamp", timestamp.to_string())
            .header("telnyx-signature-ed25519", self.key.sign(timestamp, &body))
            .body(body)
            .send()
            .await?;
        let status = response.status();
        let mut read = 0;
        while let Some(chunk) = response.chunk().await? {
            read += chunk.len();
            if read > MAX_RESPONSE {
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
            .timeout(TIMEOUT)
            // A redirect counts as a failed delivery.
            .redirect(Policy::none())
            .no_proxy()
    };
    // Without CA certificates on this machine, http still works.
    builder().build().or_else(|_| builder().tls_certs_only([]).build())
}
