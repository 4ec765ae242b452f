//! The log, always on standard error. On a terminal it is text for people. Elsewhere a server's log
//! is JSON, one object per line; a command's is part of its output for the user.
//!
//! At `info`, it contains no message texts, phone numbers, keys or tokens.

use std::io::{self, BufWriter, IsTerminal};
use std::panic::{self, PanicHookInfo};
use std::sync::OnceLock;

use anstream::{AutoStream, ColorChoice};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::error::{Code, Error};
use crate::stdio;

/// The default filter of a server.
const SERVER_FILTER: &str = "info";
/// The default filter of a command. The user sees the error anyway, so only convo's own details
/// about it are logged.
const COMMAND_FILTER: &str = "off,convo=error";
/// Lines that are buffered for a slow reader, a few megabytes; further ones are dropped and counted.
const BUFFERED_LINES: usize = 8_192;

static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// The log of a server. Dropping it flushes the buffered lines, unless nobody reads them.
#[derive(Debug)]
#[must_use]
pub(crate) struct ServerLog(#[expect(dead_code, reason = "held for its drop")] WorkerGuard);

/// Starts a server's log. A thread of its own writes it, so that no request waits for a slow reader.
///
/// # Errors
/// `not_configured` when the filter is invalid.
pub(crate) fn start_server(filter: Option<&str>) -> Result<ServerLog, Error> {
    let filter = parse_filter(filter.unwrap_or(SERVER_FILTER))?;
    let builder = NonBlockingBuilder::default().buffered_lines_limit(BUFFERED_LINES);
    let (writer, worker) = builder.thread_name("log").finish(BufWriter::new(stdio::stderr()));
    let _ = DROPPED.set(writer.error_counter());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // Fails if a log was started before in this process, as in tests, which then stays.
    let _ = if io::stderr().is_terminal() {
        log.with_ansi(use_colour()).try_init()
    } else {
        log.json().flatten_event(true).with_span_list(false).try_init()
    };
    panic::set_hook(Box::new(log_panic));
    Ok(ServerLog(worker))
}

/// Starts a command's log. If its errors are JSON, nothing else is written to standard error unless
/// `CONVO_LOG` is set.
///
/// # Errors
/// `not_configured` when the filter is invalid.
pub(crate) fn start_command(filter: Option<&str>, json: bool) -> Result<(), Error> {
    let filter = parse_filter(filter.unwrap_or(if json { "off" } else { COMMAND_FILTER }))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let _ = log.with_ansi(use_colour()).try_init();
    Ok(())
}

/// How many lines of a server's log were dropped because their reader was too slow.
pub(crate) fn dropped_lines() -> u64 {
    DROPPED.get().map_or(0, |counter| counter.dropped_lines() as u64)
}

fn parse_filter(filter: &str) -> Result<EnvFilter, Error> {
    let invalid = || {
        Error::new(Code::NotConfigured, "CONVO_LOG is not a valid log filter")
            .hint("set it to error, warn, info, debug or trace")
    };
    // A bare word that is not a level would name a module and silence all others.
    let is_known = |word: &str| word.contains('=') || word.parse::<LevelFilter>().is_ok();
    if !filter.split(',').map(str::trim).all(is_known) {
        return Err(invalid());
    }
    EnvFilter::try_new(filter).map_err(|_| invalid())
}

fn use_colour() -> bool {
    AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// Logs where a panic happened. Its message may quote private data, so it is logged at `debug` only.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(location, "a task panicked");
    tracing::debug!(panic = panic.payload_as_str(), "panic message");
}
