//! Signed webhooks, made before the clock runs.

use std::sync::Arc;
use std::thread;

use convo::sandbox::SigningKey;
use serde_json::json;
use uuid::Uuid;

/// 70 characters, as in an ordinary text.
const TEXT: &str = "Is anyone there? I have been waiting for an answer since this morning.";

/// Requests, with the Telnyx ids of their messages.
pub struct Webhooks {
    requests: Vec<(Uuid, Vec<u8>)>,
}

impl Webhooks {
    /// Makes and signs so many webhooks of inbound messages, on all cores.
    pub fn sign(key: &SigningKey, count: usize, contacts: u32) -> Arc<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let requests = thread::scope(|scope| {
            let part = |core: usize| {
                scope.spawn(move || {
                    (core..count)
                        .step_by(cores)
                        .map(|place| webhook(key, place, contacts))
                        .collect::<Vec<_>>()
                })
            };
            let parts: Vec<_> = (0..cores).map(part).collect();
            parts.into_iter().flat_map(|part| part.join().expect("no panic")).collect()
        });
        Arc::new(Self { requests })
    }

    pub fn len(&self) -> usize {
        self.requests.len()
    }

    pub fn request(&self, place: usize) -> Option<&[u8]> {
        self.requests.get(place).map(|(_, request)| request.as_slice())
    }

    /// Telnyx's id of the message.
    pub fn id(&self, place: usize) -> Uuid {
        self.requests[place].0
    }
}

fn webhook(key: &SigningKey, place: usize, contacts: u32) -> (Uuid, Vec<u8>) {
    let now = chrono::Utc::now();
    let id = message_id(now.timestamp_millis());
    let time = now.format("%Y-%m-%dT%H:%M:%S%.3f+00:00").to_string();
    let body = json!({
        "data": {
            "event_type": "message.received",
            "id": Uuid::new_v4(),
            "occurred_at": time,
            "payload": {
                "autoresponse_type": null, "cc": [], "completed_at": null, "cost": null,
                "cost_breakdown": null, "direction": "inbound", "encoding": "GSM-7", "errors": [],
                "from": {
                    "carrier": "Cellco Partnership", "line_type": "Wireless",
                    "phone_number": format!("+1{}", 2_000_000_000 + place % contacts as usize),
                },
                "id": id, "is_spam": false, "media": [],
                "messaging_profile_id": "4001b6c5-1d0c-4d38-9d2a-0e21c0f5c7f3",
                "organization_id": "0e7d8a35-91cc-4d62-8d34-5b5f0a6f0d1e",
                "parts": 1, "received_at": time, "record_type": "message", "sent_at": null,
                "subject": "", "tags": [], "tcr_campaign_billable": false, "tcr_campaign_id": null,
                "tcr_campaign_registered": null, "text": TEXT,
                "to": [{
                    "carrier": "Telnyx", "line_type": "Wireless", "phone_number": "+15551234567",
                    "status": "webhook_delivered",
                }],
                "type": "SMS", "valid_until": null, "webhook_failover_url": null,
                "webhook_url": "https://convo.example.net/webhooks/sms",
            },
            "record_type": "event",
        },
        "meta": {"attempt": 1, "delivered_to": "https://convo.example.net/webhooks/sms"},
    })
    .to_string();
    let signature = key.sign(now.timestamp(), body.as_bytes());
    let request = format!(
        "POST /webhooks/sms HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         telnyx-timestamp: {}\r\ntelnyx-signature-ed25519: {signature}\r\n\
         content-length: {}\r\n\r\n{body}",
        now.timestamp(),
        body.len()
    );
    (id, request.into_bytes())
}

/// A message id as Telnyx makes them: `403`, the upper nine hexadecimal digits of the time in
/// milliseconds, and random digits.
fn message_id(millis: i64) -> Uuid {
    let clock = 0x403_u128 << 116 | u128::try_from(millis >> 8).unwrap_or(0) << 80;
    Uuid::from_u128(clock | Uuid::new_v4().as_u128() & ((1 << 80) - 1))
}
