//! What systemd passes to a service, and what it wants to hear of one. Without systemd nothing is
//! passed and nobody listens.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

use crate::error::{Code, Error};

/// How much longer than announced something may take before systemd loses patience.
const MARGIN: Duration = Duration::from_secs(10);
/// How often systemd is told that a start goes on.
const STILL: Duration = Duration::from_secs(5);

/// Takes over the listening socket that systemd opened, if it did. It changes the environment of
/// this process, so it is to be called before there are threads.
///
/// # Errors
/// `not_configured` when what was passed is not one TCP socket.
pub fn inherited() -> Result<Option<TcpListener>, Error> {
    let refuse = |what: String| {
        Error::new(Code::NotConfigured, what)
            .hint("give the socket unit one ListenStream with a port")
    };
    let mut sockets = ListenFd::from_env();
    match sockets.len() {
        0 => Ok(None),
        1 => sockets
            .take_tcp_listener(0)
            .map_err(|error| refuse(format!("the inherited socket is none to listen on: {error}"))),
        many => Err(refuse(format!("{many} sockets were inherited, and convo serves one"))),
    }
}

/// The service does its work, which is what `status` tells.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// What the service is doing.
pub fn status(status: &str) {
    notify(&[NotifyState::Status(status)]);
}

/// The service stops, and may take so long.
pub fn stopping(time: Duration) {
    notify(&[NotifyState::Stopping, extend(time + MARGIN)]);
}

/// Tells again and again that a start is still under way, which may take longer than systemd
/// would wait. Never returns.
pub async fn starting() {
    loop {
        notify(&[extend(STILL + MARGIN)]);
        tokio::time::sleep(STILL).await;
    }
}

/// Feeds the watchdog for as long as `lives` says so in time. Returns at once where there is none.
pub async fn feed_watchdog(lives: impl AsyncFn() -> bool) {
    let Some(patience) = sd_notify::watchdog_enabled() else { return };
    // Twice within the time: one that comes late is not the end yet.
    let pause = patience / 3;
    loop {
        if tokio::time::timeout(pause, lives()).await.unwrap_or(false) {
            notify(&[NotifyState::Watchdog]);
        } else {
            tracing::error!("the program is stuck; systemd will end it");
        }
        tokio::time::sleep(pause).await;
    }
}

fn extend(time: Duration) -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(u32::try_from(time.as_micros()).unwrap_or(u32::MAX))
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(%error, "systemd was not told");
    }
}
