//! SIGTERM, SIGHUP and Ctrl-C, and what they do.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::server::Shutdown;

/// The exit code of a process that a second signal ends at once: 128 and SIGINT's number.
const INTERRUPTED: i32 = 130;

/// A request to end the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StopSignal {
    /// SIGTERM, from a supervisor, or SIGHUP, because the terminal is gone.
    Terminate,
    /// SIGINT: a person pressed Ctrl-C and is waiting.
    Interrupt,
}

/// Begins a shutdown at SIGTERM, SIGHUP or Ctrl-C, and ends the process at the second signal. Ctrl-C skips
/// the drain: there is no load balancer that would have to notice first.
#[expect(
    clippy::disallowed_methods,
    reason = "a second signal means that the shutdown takes too long"
)]
pub(super) async fn shut_down(shutdown: Shutdown) {
    let signal = next().await;
    tracing::info!("shutting down; a second signal exits immediately");
    if signal == StopSignal::Interrupt {
        shutdown.hurry.cancel();
    }
    shutdown.asked.cancel();
    // Not SIGHUP: when a terminal is closed, it may come from the shell as well.
    stop().await;
    std::process::exit(INTERRUPTED);
}

/// Cancels what `interrupt` controls at the next signal, instead of ending the program: a send's
/// outcome is still recorded.
pub(super) fn cancel_at_signal(interrupt: CancellationToken) {
    tokio::spawn(async move {
        next().await;
        interrupt.cancel();
    });
}

/// Waits until the program is asked to end.
pub(super) async fn requested() {
    next().await;
}

/// Waits for the next SIGTERM, SIGHUP or Ctrl-C.
async fn next() -> StopSignal {
    tokio::select! {
        signal = stop() => signal,
        () = hangup() => StopSignal::Terminate,
    }
}

/// Waits for the next SIGTERM or Ctrl-C.
async fn stop() -> StopSignal {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return never().await };
    tokio::select! {
        _ = terminate.recv() => StopSignal::Terminate,
        result = tokio::signal::ctrl_c() => match result {
            Ok(()) => StopSignal::Interrupt,
            Err(_) => never().await,
        },
    }
}

/// Waits for the next SIGHUP; forever if `nohup` had it ignored, which a handler would undo.
async fn hangup() {
    if !is_hangup_ignored()
        && let Ok(mut hangup) = signal(SignalKind::hangup())
    {
        hangup.recv().await;
        return;
    }
    std::future::pending::<()>().await;
}

/// Whether this process was started with SIGHUP ignored. Only Linux tells.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // The lowest bit is that of signal 1, SIGHUP.
    ignored.is_some_and(|mask| mask & 1 == 1)
}

async fn never() -> StopSignal {
    std::future::pending().await
}
