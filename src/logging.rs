//! The log: for people on a terminal, as JSON under systemd; always on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::Config;
use crate::error::{Code, Error};

/// What a server logs when nothing else is said.
pub const SERVER: &str = "info";
/// What a command logs: its outcome is told by its error, so only what hides behind that.
pub const COMMAND: &str = "error";

/// Starts the log with the configured filter, or a default.
///
/// # Errors
/// `not_configured` when the filter makes no sense.
pub fn start(config: &Config, default: &str) -> Result<(), Error> {
    let filter = EnvFilter::try_new(config.log.as_deref().unwrap_or(default)).map_err(|_| {
        Error::new(Code::NotConfigured, "CONVO_LOG is no log filter")
            .hint("say error, warn, info, debug or trace")
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second start in one process, as in tests, keeps the first.
    let _ = if config.under_systemd { log.json().try_init() } else { log.try_init() };
    Ok(())
}
