//! The client of Telnyx's API: sending a message and looking one up.

use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::redirect;

use super::answer::{Rejection, SendAnswer};
use super::base_url::BaseUrl;
use super::event::Payload;
use crate::error::{Code, Error};
use crate::metrics::{self, LookupOutcome};
use crate::net::{cause, refuse_socks_proxy};
use crate::secret::Secret;

/// The longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest response body that is read; a message has a few kilobytes.
const BODY_LIMIT: usize = 1 << 20;
/// The header by which Telnyx recognises a repeated request.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Sends messages through Telnyx's API and looks them up. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct TelnyxClient {
    pub(super) http: reqwest::Client,
    pub(super) api_key: Secret,
    base_url: BaseUrl,
    connect_timeout: Duration,
}

impl TelnyxClient {
    /// A client for calls that take at most `call_time`; it does not connect yet.
    ///
    /// # Errors
    /// `not_configured` when the key cannot be sent in a header, or TLS cannot be set up.
    pub fn new(base_url: BaseUrl, api_key: Secret, call_time: Duration) -> Result<Self, Error> {
        if !api_key.expose().bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::new(Code::NotConfigured, "TELNYX_API_KEY is not an API key")
                .hint("copy it again from the Telnyx portal; it has no spaces or line breaks"));
        }
        crate::tls::install();
        let connect_timeout = CONNECT_TIMEOUT.min(call_time / 6);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("convo/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(connect_timeout)
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never());
        if base_url.is_loopback() {
            // A proxy cannot reach this machine.
            builder = builder.no_proxy();
        } else {
            refuse_socks_proxy(base_url.as_str())?;
        }
        if !base_url.is_encrypted() {
            // Does not load the system's certificates, of which there may be none.
            builder = builder.tls_certs_only([]);
        }
        let http = builder
            .build()
            .map_err(|_| Error::new(Code::NotConfigured, "no CA certificates were found"))
            .map_err(|error| error.hint("install this system's CA certificates"))?;
        Ok(Self { http, api_key, base_url, connect_timeout })
    }

    /// The shortest timeout of an offer. It is longer than the connect timeout: otherwise a timeout
    /// would not tell whether a connection was made, and a message that was certainly not sent would
    /// count as unknown.
    #[must_use]
    pub fn shortest_offer(&self) -> Duration {
        self.connect_timeout + self.connect_timeout / 4
    }

    /// The URL of the API, which is stored with each send.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.base_url.as_str()
    }

    pub(super) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub(super) fn api_key(&self) -> &Secret {
        &self.api_key
    }

    /// Whether the API is on this machine: a simulated one.
    #[must_use]
    pub(crate) fn is_local(&self) -> bool {
        self.base_url.is_loopback()
    }

    /// Makes one send request: exactly these bytes, under an idempotency key.
    pub async fn offer(
        &self,
        base_url: &str,
        key: &str,
        body: &[u8],
        timeout: Duration,
    ) -> SendAnswer {
        let begun = Instant::now();
        let answer = self.post(base_url, key, body, timeout).await;
        metrics::telnyx_send(answer.outcome(), begun.elapsed());
        answer
    }

    async fn post(&self, base_url: &str, key: &str, body: &[u8], timeout: Duration) -> SendAnswer {
        let request = self
            .http
            .post(format!("{base_url}/messages"))
            .header(AUTHORIZATION, format!("Bearer {}", self.api_key.expose()))
            .header(CONTENT_TYPE, "application/json")
            .header(IDEMPOTENCY_KEY, key)
            .timeout(timeout)
            .body(body.to_vec());
        let mut response = match request.send().await {
            Ok(response) => response,
            // Nothing is written before the connection and its TLS handshake are complete.
            Err(error) if error.is_connect() => {
                return SendAnswer::Rejected(Rejection::Unreachable { why: cause(&error) });
            }
            Err(error) => return SendAnswer::Ambiguous { what: cause(&error) },
        };
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        SendAnswer::from_response(status, &headers, &read_body(response).await)
    }

    /// Looks up a message. `None` for any failure, which proves nothing about the message: Telnyx
    /// deletes messages after ten days.
    pub async fn get(&self, telnyx_message_id: &str, timeout: Duration) -> Option<Payload> {
        let begun = Instant::now();
        let found = self.look_up(telnyx_message_id, timeout).await;
        let outcome = if found.is_some() { LookupOutcome::Found } else { LookupOutcome::NotFound };
        metrics::telnyx_look_up(outcome, begun.elapsed());
        found
    }

    async fn look_up(&self, telnyx_message_id: &str, timeout: Duration) -> Option<Payload> {
        let request = self
            .http
            .get(self.message_url(telnyx_message_id)?)
            .header(AUTHORIZATION, format!("Bearer {}", self.api_key.expose()))
            .timeout(timeout);
        let response = request.send().await.ok()?;
        if !response.status().is_success() {
            return None;
        }
        let payload = Payload::from_answer(&read_body(response).await)?;
        (payload.id == telnyx_message_id).then_some(payload)
    }

    /// The URL of a message; the id is kept within its segment of the path.
    pub(super) fn message_url(&self, telnyx_message_id: &str) -> Option<url::Url> {
        let mut url = url::Url::parse(self.base_url.as_str()).ok()?;
        url.path_segments_mut().ok()?.pop_if_empty().extend(["messages", telnyx_message_id]);
        Some(url)
    }
}

/// Reads a body up to the limit; one that breaks off or is larger counts as empty.
pub(super) async fn read_body(mut response: reqwest::Response) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= BODY_LIMIT => {
                body.extend_from_slice(&chunk);
            }
            Ok(None) => return body,
            _ => return Vec::new(),
        }
    }
}
