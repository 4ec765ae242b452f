//! Webhooks as Telnyx posts them.

use std::net::SocketAddr;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};

use super::{DEADLINE, Server};

/// Signs webhooks and posts them, over as many connections as are needed.
#[derive(Clone)]
pub struct Signer {
    key: SigningKey,
    client: reqwest::Client,
}

impl Signer {
    /// A key of its own for each seed.
    pub fn new(seed: u8) -> Self {
        convo::tls::install();
        let client = reqwest::Client::builder().no_proxy().timeout(DEADLINE);
        let client = client.tls_certs_only([]).build().expect("a client");
        Self { key: SigningKey::from_bytes(&[seed; 32]), client }
    }

    /// The value for `TELNYX_PUBLIC_KEY`.
    pub fn public_key(&self) -> String {
        STANDARD.encode(self.key.verifying_key().to_bytes())
    }

    /// The two headers for a body, signed at a time.
    pub fn sign(&self, seconds: i64, body: &[u8]) -> (String, String) {
        let signed = [seconds.to_string().as_bytes(), b"|", body].concat();
        (seconds.to_string(), STANDARD.encode(self.key.sign(&signed).to_bytes()))
    }

    /// Posts a body, signed now. `None` when no answer came.
    pub async fn try_post(&self, to: SocketAddr, body: Vec<u8>) -> Option<(u16, Value)> {
        let (time, signature) = self.sign(super::seconds(), &body);
        let answer = self
            .client
            .post(format!("http://{to}/webhooks/sms"))
            .header("content-type", "application/json")
            .header("telnyx-timestamp", time)
            .header("telnyx-signature-ed25519", signature)
            .body(body)
            .send()
            .await
            .ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.json().await.ok()?))
    }

    /// Posts a body until it is taken in, as Telnyx does when it is told to come again; the word
    /// that it is answered with.
    pub async fn post(&self, server: &Server, body: impl AsRef<[u8]>) -> String {
        self.post_to(server.address, body.as_ref()).await
    }

    pub async fn post_to(&self, server: SocketAddr, body: &[u8]) -> String {
        let since = Instant::now();
        loop {
            let answer = self.try_post(server, body.to_vec()).await;
            let (status, told) = answer.expect("an answer");
            if status != 503 || since.elapsed() > DEADLINE {
                assert_eq!(status, 200, "{told}");
                return told["status"].as_str().expect("a word").to_owned();
            }
        }
    }
}

/// A contact's text as Telnyx tells it.
pub fn inbound(event: &str, message: &str, from: &str, text: &str) -> String {
    let now = convo::clock::now().to_string();
    json!({"data": {"event_type": "message.received", "id": event, "occurred_at": now,
        "record_type": "event",
        "payload": {"id": message, "direction": "inbound", "record_type": "message",
            "from": {"phone_number": from}, "to": [{"phone_number": super::OWN}],
            "text": text, "received_at": now, "type": "SMS"}}})
    .to_string()
}
