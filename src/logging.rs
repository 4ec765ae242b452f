//! The log, always on standard error. A server's is for people on a terminal and JSON anywhere
//! else, one object a line; a command's is part of what it tells its user.
//!
//! At `info` no text of a message, no phone number, no key and no token is in it.

use std::io::{self, BufWriter, IsTerminal};
use std::panic::{self, PanicHookInfo};
use std::sync::OnceLock;

use anstream::{AutoStream, ColorChoice};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::Config;
use crate::error::{Code, Error};

/// What a server logs when nothing else is said.
const SERVER: &str = "info";
/// What a command logs: its outcome is told by its error, so only what hides behind that, and
/// nothing that libraries say of it.
const COMMAND: &str = "off,convo=error";
/// Lines that wait for a slow reader, a few megabytes; further ones are lost and counted.
const WAITING_LINES: usize = 8_192;

static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// The log of a server. Dropping it writes what waits, unless nobody reads it.
#[derive(Debug)]
#[must_use]
pub struct ServerLog(#[expect(dead_code, reason = "it is there to be dropped")] WorkerGuard);

/// Starts a server's log. It is written by a thread of its own: no request waits for a reader.
///
/// # Errors
/// `not_configured` when the filter makes no sense.
pub fn start_server(config: &Config) -> Result<ServerLog, Error> {
    let filter = filter(config, SERVER)?;
    let builder = NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES);
    let (writer, worker) = builder.thread_name("log").finish(BufWriter::new(io::stderr()));
    let _ = DROPPED.set(writer.error_counter());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // A second start in one process, as in tests, keeps the first.
    let _ = if io::stderr().is_terminal() {
        log.with_ansi(wants_colour()).try_init()
    } else {
        log.json().flatten_event(true).with_span_list(false).try_init()
    };
    panic::set_hook(Box::new(log_panic));
    Ok(ServerLog(worker))
}

/// Starts a command's log. Where its error is to be JSON, nothing else is on standard error unless
/// `CONVO_LOG` asks for it.
///
/// # Errors
/// `not_configured` when the filter makes no sense.
pub fn start_command(config: &Config, json: bool) -> Result<(), Error> {
    let filter = filter(config, if json { "off" } else { COMMAND })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let _ = log.with_ansi(wants_colour()).try_init();
    Ok(())
}

/// How many lines of a server's log were lost because nobody read them in time.
#[must_use]
pub fn dropped_lines() -> u64 {
    DROPPED.get().map_or(0, |counter| counter.dropped_lines() as u64)
}

fn filter(config: &Config, default: &str) -> Result<EnvFilter, Error> {
    let refuse = || {
        Error::new(Code::NotConfigured, "CONVO_LOG is no log filter")
            .hint("say error, warn, info, debug or trace")
    };
    let wanted = config.log.as_deref().unwrap_or(default);
    // A bare word that is no level would name a module, and silence all others.
    let is_known = |word: &str| word.contains('=') || word.parse::<LevelFilter>().is_ok();
    if !wanted.split(',').map(str::trim).all(is_known) {
        return Err(refuse());
    }
    EnvFilter::try_new(wanted).map_err(|_| refuse())
}

fn wants_colour() -> bool {
    AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// A fault is told by its place. Its words may quote a message, so they need `debug`.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "a fault of convo ended a task");
    tracing::debug!(words = panic.payload_as_str(), "what the fault said");
}
