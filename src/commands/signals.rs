//! What a signal means to a program that serves.

use tokio::signal::unix::{SignalKind, signal};

use crate::server::Shutdown;

/// The exit code of a program that a second signal ended at once: 128 and SIGINT's number.
const INTERRUPTED: i32 = 130;

/// A wish that the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// SIGTERM: a supervisor's.
    Terminate,
    /// Ctrl-C: a person's, who waits.
    Interrupt,
}

/// Begins a shutdown at SIGTERM or Ctrl-C, and ends the process at the second of them. Nobody
/// who presses Ctrl-C has a balancer that should notice first.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever signals twice does not want to wait for the end"
)]
pub(super) async fn stop(shutdown: Shutdown) {
    let wish = next().await;
    tracing::info!("stopping; a second signal stops at once");
    if wish == Wish::Interrupt {
        shutdown.hurry.cancel();
    }
    shutdown.asked.cancel();
    next().await;
    std::process::exit(INTERRUPTED);
}

/// Returns at the next SIGTERM or Ctrl-C.
pub async fn next() -> Wish {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return never().await };
    tokio::select! {
        _ = terminate.recv() => Wish::Terminate,
        result = tokio::signal::ctrl_c() => match result {
            Ok(()) => Wish::Interrupt,
            Err(_) => never().await,
        },
    }
}

async fn never() -> Wish {
    std::future::pending().await
}
