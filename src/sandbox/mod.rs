//! A simulated Telnyx: a real HTTP server that accepts sends, signs and posts webhooks, and lets
//! the contacts answer.
//!
//! It is for trying convo (or any program that speaks to Telnyx) without an account, and it is what
//! the tests use. It speaks Telnyx's v2 API below [`base_url`](Sandbox::base_url):
//!
//! - `POST /v2/messages` judges a request as Telnyx does, honours `Idempotency-Key` and answers in
//!   Telnyx's envelope. Any API key will do, unless [`Options::api_key`] names one.
//! - `GET /v2/messages/{id}` tells how a message stands, ours or a contact's.
//!
//! Then it posts what happens to [`Options::webhook_url`], signed like the real thing:
//! `message.sent`, `message.finalized`, and `message.received` with the contact's answer, which is
//! `You said: …`. A text `please say …` makes the contact answer with exactly the rest of it.
//! `please say STOP` is how a contact opts out: from then on messages to it are refused with 40300,
//! until `please say START`, which alone still reaches it.
//!
//! The numbers in [`MAGIC_NUMBERS`] misbehave, each in its own way.
//!
//! Beside the API there are, for tests and for play,
//!
//! - `GET /sandbox/requests`: the newest requests to `/v2/…`, as a JSON array of [`Recorded`];
//! - `POST /sandbox/inbound` with `{"from", "text", "to"?, "picture"?}`: a contact writes of its own
//!   accord, to [`OWN_NUMBER`] unless `to` says otherwise.
//!
//! Everything lives in memory, and only the newest of it is kept.

mod contact;
mod key;
mod life;
mod message;
mod offer;
mod recent;
mod refusal;
mod request;
mod routes;
mod serve;
mod state;
mod webhook;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::contact::{Behaviour, MAGIC_NUMBERS, MagicNumber, OWN_NUMBER};
pub use self::key::SigningKey;
pub use self::state::Recorded;
use self::state::State;
use crate::config::Secret;

/// How fast things happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From acceptance to `message.sent`.
    pub to_sent: Duration,
    /// From `message.sent` to `message.finalized`.
    pub to_final: Duration,
    /// From `message.finalized` to the contact's answer.
    pub to_reply: Duration,
    /// How long the slow number takes to answer a request; its reports take twice as long.
    pub slow: Duration,
    /// The wait before a webhook's second attempt; doubled before the third.
    pub retry: Duration,
    /// The longest a scheduled message is held; `None` holds it until its time.
    pub longest_schedule: Option<Duration>,
}

impl Default for Pace {
    /// Slow enough to watch.
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
    /// Everything at once, except that scheduled messages keep their time.
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

/// What a sandbox is to be like.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where webhooks go, as on a messaging profile. Without one, only messages that bring their
    /// own `webhook_url` are reported.
    pub webhook_url: Option<String>,
    /// The key that signs webhooks.
    pub signing_key: SigningKey,
    /// The only API key to accept; any when left out.
    pub api_key: Option<Secret>,
    /// How fast things happen.
    pub pace: Pace,
}

/// A running sandbox. Dropping the handle does not end it; its token does.
#[derive(Clone)]
pub struct Sandbox {
    address: SocketAddr,
    public_key: String,
    state: Arc<State>,
}

impl Sandbox {
    /// Starts a sandbox on a bound listener, inside the current tokio runtime. It runs until
    /// `shutdown` is cancelled; that cuts its connections and stops its webhooks.
    ///
    /// # Errors
    /// When the listener has no address, or the HTTP client for webhooks cannot be made.
    pub fn start(
        listener: TcpListener,
        options: Options,
        shutdown: CancellationToken,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let public_key = options.signing_key.public_key();
        let state = Arc::new(State::new(options, &format!("http://{address}"), shutdown)?);
        state.spawn(serve::serve(Arc::clone(&state), listener));
        tracing::info!(%address, "sandbox: simulated Telnyx started, nothing is really sent");
        Ok(Self { address, public_key, state })
    }

    /// The value for `TELNYX_BASE_URL`: `http://127.0.0.1:PORT/v2`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v2", self.address)
    }

    /// The value for `TELNYX_PUBLIC_KEY`: base64 of the 32 raw bytes.
    #[must_use]
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// The newest requests it was asked below `/v2`, oldest first; at most 10,000.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.state.memory().requests()
    }

    /// Returns when the sandbox has ended and all its tasks with it.
    pub async fn stopped(&self) {
        self.state.shutdown.cancelled().await;
        self.state.tasks.close();
        self.state.tasks.wait().await;
    }
}
