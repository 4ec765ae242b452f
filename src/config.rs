//! Settings: flags over environment over `.env`, read here and nowhere else.

use std::fmt;
use std::time::Duration;

use crate::domain::PhoneNumber;

/// A text that must never be shown: `Debug` and `Display` print a placeholder.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// What the user asked for, resolved and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the threads are kept. Hidden, because it may hold a password.
    pub database_url: Secret,
    /// Our key to Telnyx's API.
    pub api_key: Option<Secret>,
    /// The public keys that sign webhooks, as configured (base64 of 32 bytes).
    pub public_keys: Vec<String>,
    /// Our own numbers; the first is the default sender.
    pub numbers: Vec<PhoneNumber>,
    /// Telnyx's v2 API, without a final slash.
    pub telnyx_base_url: String,
    /// Where `serve` listens, as `host:port`.
    pub listen: String,
    /// The convo server to talk to instead of the database, without a final slash.
    pub server: Option<String>,
    /// Tokens of the REST API: a server accepts each, a client uses the first.
    pub api_tokens: Vec<Secret>,
    /// The filter of the log.
    pub log: String,
    /// Play mode: a simulated Telnyx and a database of its own.
    pub sandbox: bool,
    /// The longest a send may take before its outcome counts as unknown.
    pub send_timeout: Duration,
}
