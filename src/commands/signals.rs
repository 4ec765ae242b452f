//! What a signal means to a program that serves.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code of a program that a second signal ended at once: 128 and SIGINT's number.
const INTERRUPTED: i32 = 130;

/// Cancels the token at SIGTERM or Ctrl-C, and ends the process at the second of them.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever signals twice does not want to wait for the end"
)]
pub(super) async fn stop(shutdown: CancellationToken) {
    next().await;
    tracing::info!("stopping; a second signal stops at once");
    shutdown.cancel();
    next().await;
    std::process::exit(INTERRUPTED);
}

/// Returns at the next SIGTERM or Ctrl-C.
pub async fn next() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return never().await };
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => if result.is_err() { never().await },
    }
}

async fn never() {
    std::future::pending::<()>().await;
}
