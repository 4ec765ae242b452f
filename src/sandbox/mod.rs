//! A simulated Telnyx: an HTTP server that accepts messages, posts signed webhooks and simulates the
//! contacts' replies.
//!
//! It serves to try out convo, or any other Telnyx client, without an account, and for tests. It has
//! these routes of Telnyx's v2 API below [`base_url`](Sandbox::base_url):
//!
//! - `POST /v2/messages` validates a request as Telnyx does, supports `Idempotency-Key` and responds
//!   in Telnyx's format. It accepts any API key, unless [`Options::api_key`] is set.
//! - `GET /v2/messages/{id}` returns a message in either direction.
//! - `DELETE /v2/messages/{id}` cancels a scheduled message, up to a minute before its time.
//! - `GET /v2/phone_numbers/messaging` lists [`OWN_NUMBER`], which is on the one messaging profile.
//! - `GET` and `PATCH /v2/messaging_profiles/{id}` show and change that profile. Webhooks then go to its
//!   new `webhook_url`.
//! - `GET /v2/webhook_deliveries`, `GET /v2/detail_records?filter[record_type]=messaging` and
//!   `GET /v2/messaging_optouts` list what became of webhooks, all messages, and the contacts that have
//!   said STOP.
//!
//! It posts signed webhooks to [`Options::webhook_url`]: `message.sent`, `message.finalized`, and
//! `message.received` with the contact's reply, `You said: …`. A text `please say …` makes the
//! contact reply with exactly the rest of it. With `please say STOP` the contact opts out: from then
//! on messages to it are refused with error 40300, except `please say START`, which lifts the block.
//!
//! To a message with media, or `please send a picture`, the contact replies with a picture, which the
//! sandbox serves at `/sandbox/picture.png`.
//!
//! The numbers in [`MAGIC_NUMBERS`] have special behaviours.
//!
//! There are two further routes for tests and for trying things out:
//!
//! - `GET /sandbox/requests`: the most recent requests to `/v2/…`, as a JSON array of
//!   [`RecordedRequest`];
//! - `POST /sandbox/inbound` with `{"from", "text", "to"?, "picture"?, "received_at"?}`: a message from a
//!   contact, to [`OWN_NUMBER`] and now by default.
//!
//! All state is in memory and bounded.

mod account;
mod api_error;
mod bounded_map;
mod cancel;
mod contact;
mod cost;
mod delivery;
mod fields;
mod key;
mod lifecycle;
mod lists;
mod message;
mod request;
mod routes;
mod send;
mod serve;
mod state;
mod trigger;
mod webhook;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::contact::{Behaviour, MAGIC_NUMBERS, MagicNumber, OWN_NUMBER};
pub use self::key::SigningKey;
pub use self::state::RecordedRequest;
use self::state::SandboxState;
pub use self::trigger::{ReceivedDraft, TriggeredStatus, received, reported};
use crate::secret::Secret;

/// The simulated delays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From acceptance to `message.sent`.
    pub to_sent: Duration,
    /// From `message.sent` to `message.finalized`.
    pub to_final: Duration,
    /// From `message.finalized` to the contact's reply.
    pub to_reply: Duration,
    /// How long the slow number takes to respond to a request; its reports take twice as long.
    pub slow: Duration,
    /// The wait before the second attempt at a webhook; doubled before the third.
    pub retry: Duration,
    /// Sends a scheduled message after this time at the latest; `None` at its scheduled time.
    pub longest_schedule: Option<Duration>,
}

impl Default for Pace {
    /// Slow enough to follow.
    fn default() -> Self {
        Self {
            to_sent: Duration::from_millis(300),
            to_final: Duration::from_millis(700),
            to_reply: Duration::from_secs(1),
            slow: Duration::from_secs(4),
            retry: Duration::from_secs(1),
            longest_schedule: None,
        }
    }
}

impl Pace {
    /// No delays, except for scheduled messages.
    #[must_use]
    pub fn immediate() -> Self {
        Self {
            to_sent: Duration::ZERO,
            to_final: Duration::ZERO,
            to_reply: Duration::ZERO,
            slow: Duration::ZERO,
            retry: Duration::ZERO,
            longest_schedule: None,
        }
    }
}

/// The configuration of a sandbox.
#[derive(Clone, Debug)]
pub struct Options {
    /// The webhook URL of the messaging profile at first. Without one, only messages with a `webhook_url` of
    /// their own are reported.
    pub webhook_url: Option<String>,
    /// Signs webhooks.
    pub signing_key: SigningKey,
    /// The only API key that is accepted; any if `None`.
    pub api_key: Option<Secret>,
    /// The simulated delays.
    pub pace: Pace,
    /// The share of webhooks that are lost, from 0 to 1: nobody ever attempts to deliver them.
    pub lose: f64,
}

/// A handle of a running sandbox. Dropping it does not stop the sandbox.
#[derive(Clone)]
pub struct Sandbox {
    address: SocketAddr,
    public_key: String,
    state: Arc<SandboxState>,
}

impl Sandbox {
    /// Starts a sandbox in the current tokio runtime. It runs until `shutdown` is cancelled, which
    /// closes its connections and stops its webhooks.
    ///
    /// # Errors
    /// If the listener has no address, or the HTTP client for webhooks cannot be built.
    pub fn start(
        listener: TcpListener,
        options: Options,
        shutdown: CancellationToken,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let public_key = options.signing_key.public_key();
        let state = Arc::new(SandboxState::new(options, &format!("http://{address}"), shutdown)?);
        state.spawn(serve::serve(Arc::clone(&state), listener));
        tracing::info!(%address, "sandbox: simulated Telnyx started, no messages are really sent");
        Ok(Self { address, public_key, state })
    }

    /// The value for `TELNYX_BASE_URL`: `http://127.0.0.1:PORT/v2`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v2", self.address)
    }

    /// The value for `TELNYX_PUBLIC_KEY`: base64 of 32 bytes.
    #[must_use]
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// The most recent requests below `/v2`, oldest first; at most 10,000.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.state.memory().requests()
    }

    /// Answers the next requests that read with 429 and this `Retry-After`, in seconds.
    pub fn refuse_reading(&self, requests: u32, retry_after: u32) {
        self.state.memory().refusals = (requests, retry_after);
    }

    /// Makes everything that has happened so far older.
    pub fn age_by(&self, by: Duration) {
        self.state.memory().age_by(by);
    }

    /// Returns when the sandbox and all of its tasks have ended.
    pub async fn stopped(&self) {
        self.state.shutdown.cancelled().await;
        self.state.tasks.close();
        self.state.tasks.wait().await;
    }
}
