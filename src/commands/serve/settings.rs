//! The settings of a server, all of which are checked before it starts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::commands::webhook::sandbox_key_file;
use crate::config::{Config, TelnyxAccess};
use crate::error::Error;
use crate::forwarding::ForwardTarget;
use crate::media::MediaSettings;
use crate::server::access::ApiToken;
use crate::server::{Limits, Stop};
use crate::store::{Location, Mode};
use crate::threading::Policy;

/// What `convo serve` needs to know.
#[derive(Clone, Debug)]
pub(super) struct ServerSettings {
    pub database: Location,
    pub mode: Mode,
    pub is_sandbox: bool,
    /// Where a sandbox keeps its key for signatures.
    pub key_file: PathBuf,
    /// The share of webhooks that the simulated Telnyx loses.
    pub lose: Option<f64>,
    pub listen: String,
    pub api_tokens: Vec<ApiToken>,
    pub public_keys: Vec<String>,
    pub forwarding: Arc<[ForwardTarget]>,
    pub media: MediaSettings,
    pub telnyx: TelnyxAccess,
    pub policy: Policy,
    pub limits: Limits,
    pub stop: Stop,
    pub start_timeout: Duration,
    pub under_systemd: bool,
    pub has_sockets: bool,
}

impl ServerSettings {
    /// # Errors
    /// `not_configured` for an invalid setting.
    pub(super) fn read(config: &Config) -> Result<Self, Error> {
        Ok(Self {
            database: config.database()?,
            mode: config.mode(),
            is_sandbox: config.is_sandbox(),
            key_file: sandbox_key_file(config)?,
            lose: None,
            listen: config.listen()?,
            api_tokens: config.api_tokens()?,
            public_keys: config.public_keys()?,
            forwarding: config.forwarding()?.into(),
            media: config.media()?,
            telnyx: config.telnyx()?,
            policy: config.policy()?,
            limits: config.limits()?,
            stop: config.stop()?,
            start_timeout: config.start_timeout()?,
            under_systemd: config.under_systemd(),
            has_sockets: config.has_sockets(),
        })
    }
}
