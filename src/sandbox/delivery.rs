//! The record of the attempts to deliver a webhook.

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::message::TelnyxTime;
use super::webhook::WebhookEvent;

/// The user of everything in the sandbox.
const USER: &str = "5a5db0c5-0000-4000-8000-000000000003";

/// Every attempt to deliver one event.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DeliveryRecord {
    pub(super) id: Uuid,
    record_type: &'static str,
    user_id: &'static str,
    status: &'static str,
    pub(super) started_at: TelnyxTime,
    finished_at: TelnyxTime,
    webhook: WebhookEvent,
    /// Newest first.
    attempts: Vec<Value>,
}

impl DeliveryRecord {
    /// Nothing has been attempted yet.
    pub(super) fn new(event: &WebhookEvent) -> Self {
        let now = TelnyxTime::now();
        Self {
            id: Uuid::new_v4(),
            record_type: "webhook_delivery",
            user_id: USER,
            status: "failed",
            started_at: now,
            finished_at: now,
            webhook: event.clone(),
            attempts: Vec::new(),
        }
    }

    /// An attempt has ended, with an HTTP status or without an answer.
    pub(super) fn add(&mut self, url: &str, began: TelnyxTime, answer: Option<u16>) {
        self.finished_at = TelnyxTime::now();
        let is_delivered = answer == Some(200);
        if is_delivered {
            self.status = "delivered";
        }
        let response = answer.map(|status| json!({ "status": status, "headers": [], "body": "" }));
        let mut http = json!({ "request": { "url": url, "headers": [["Accept", "*/*"]] } });
        if let Some(response) = response {
            http["response"] = response;
        }
        let errors = match answer {
            Some(200) => json!([]),
            Some(status) if status < 300 => json!([75_299]),
            Some(status) if status < 400 => json!([75_300]),
            Some(status) if status < 500 => json!([75_499]),
            Some(_) => json!([75_599]),
            None => json!([75_002]),
        };
        let attempt = json!({
            "status": if is_delivered { "delivered" } else { "failed" },
            "started_at": began,
            "finished_at": self.finished_at,
            "errors": errors,
            "http": http,
        });
        self.attempts.insert(0, attempt);
    }

    pub(super) fn status(&self) -> &'static str {
        self.status
    }

    /// Whether anything was attempted.
    pub(super) fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    /// Makes it as old as if it had happened earlier.
    pub(super) fn age_by(&mut self, by: std::time::Duration) {
        self.started_at.age_by(by);
        self.finished_at.age_by(by);
        self.webhook.age_by(by);
    }

    /// Its approximate size in memory, in bytes.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.webhook.weight() + self.attempts.len() * 512
    }
}
