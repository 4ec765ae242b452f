//! Webhooks, signed and posted as Telnyx does.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use convo::sandbox::SigningKey;
use serde_json::Value;

use super::{DEADLINE, Server};

/// The time in Unix seconds, as Telnyx puts it on its webhooks.
pub fn unix_seconds() -> i64 {
    convo::clock::now().as_micros() / 1_000_000
}

/// Signs webhooks and posts them, over as many connections as are needed.
#[derive(Clone)]
pub struct Signer {
    key: SigningKey,
    timeout: Duration,
    client: reqwest::Client,
}

impl Signer {
    /// Each seed gives another key.
    pub fn new(seed: u8) -> Self {
        Self::waiting(seed, DEADLINE)
    }

    /// A signer that waits for an answer no longer than this.
    pub fn waiting(seed: u8, timeout: Duration) -> Self {
        let key = SigningKey::from_seed(&[seed; 32]);
        Self { key, timeout, client: local_client(timeout) }
    }

    /// The same key, with a new connection for each webhook.
    pub fn without_keep_alive(self) -> Self {
        let client = local_client_builder(self.timeout).pool_max_idle_per_host(0);
        Self { client: client.build().expect("a client"), ..self }
    }

    /// As `TELNYX_PUBLIC_KEY` takes it.
    pub fn public_key(&self) -> String {
        self.key.public_key()
    }

    /// The base64 of a body's signature.
    pub fn signature(&self, seconds: i64, body: &[u8]) -> String {
        self.key.sign(seconds, body)
    }

    /// The header lines for a body, signed at a time.
    pub fn lines_at(&self, seconds: i64, body: impl AsRef<[u8]>) -> String {
        let signature = self.signature(seconds, body.as_ref());
        format!("telnyx-timestamp: {seconds}\r\ntelnyx-signature-ed25519: {signature}\r\n")
    }

    /// The header lines for a body, signed now.
    pub fn lines(&self, body: impl AsRef<[u8]>) -> String {
        self.lines_at(unix_seconds(), body)
    }

    /// Posts a body, signed now; the status and the body of the answer, or `None` without one.
    pub async fn try_post(&self, to: SocketAddr, body: impl AsRef<[u8]>) -> Option<(u16, Value)> {
        let (seconds, body) = (unix_seconds(), body.as_ref().to_vec());
        let request = self
            .client
            .post(format!("http://{to}/webhooks/sms"))
            .header("content-type", "application/json")
            .header("telnyx-timestamp", seconds.to_string())
            .header("telnyx-signature-ed25519", self.signature(seconds, &body));
        let answer = request.body(body).send().await.ok()?;
        Some((answer.status().as_u16(), answer.json().await.ok()?))
    }

    /// Posts a body until it is accepted, as Telnyx does after a 503; the status in the answer.
    pub async fn post(&self, server: &Server, body: impl AsRef<[u8]>) -> String {
        self.post_to(server.address, body).await
    }

    pub async fn post_to(&self, server: SocketAddr, body: impl AsRef<[u8]>) -> String {
        let start = Instant::now();
        loop {
            let answer = self.try_post(server, body.as_ref()).await;
            let (status, answer) = answer.expect("an answer");
            if status != 503 || start.elapsed() > DEADLINE {
                assert_eq!(status, 200, "{answer}");
                return answer["status"].as_str().expect("a status").to_owned();
            }
        }
    }
}

fn local_client_builder(timeout: Duration) -> reqwest::ClientBuilder {
    convo::tls::install();
    // Without the system's certificates, which take a while to load.
    reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(timeout)
}

/// A client for servers on this machine.
pub fn local_client(timeout: Duration) -> reqwest::Client {
    local_client_builder(timeout).build().expect("a client")
}
