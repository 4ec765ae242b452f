//! systemd's socket activation, notifications and watchdog. Without systemd, these do nothing.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

use crate::error::{Code, Error};

/// Added to each announced duration before systemd's timeout.
const MARGIN: Duration = Duration::from_secs(10);
/// How often the start timeout is extended.
const EXTEND_INTERVAL: Duration = Duration::from_secs(5);

/// The listening socket that systemd passed, if any. It changes the environment of this process, so
/// it must be called before any threads are started.
///
/// # Errors
/// `not_configured` unless exactly one listening TCP socket was passed.
pub(crate) fn inherited() -> Result<Option<TcpListener>, Error> {
    let invalid = |message: String| {
        Error::new(Code::NotConfigured, message)
            .hint("set exactly one ListenStream with a port in the socket unit")
    };
    let mut sockets = ListenFd::from_env();
    match sockets.len() {
        0 => Ok(None),
        1 => sockets.take_tcp_listener(0).map_err(|error| {
            invalid(format!("the inherited socket is not a listening TCP socket: {error}"))
        }),
        count => Err(invalid(format!("{count} sockets were inherited, but convo uses only one"))),
    }
}

/// The service has started.
pub(crate) fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Sets the status that `systemctl status` shows.
pub(crate) fn status(status: &str) {
    notify(&[NotifyState::Status(status)]);
}

/// The service is shutting down, which takes up to `time`.
pub(crate) fn stopping(time: Duration) {
    notify(&[NotifyState::Stopping, extend(time + MARGIN)]);
}

/// Keeps extending systemd's start timeout. Never returns.
pub(crate) async fn starting() {
    loop {
        notify(&[extend(EXTEND_INTERVAL + MARGIN)]);
        tokio::time::sleep(EXTEND_INTERVAL).await;
    }
}

/// Notifies the watchdog while `is_alive` responds in time. Returns at once if there is no watchdog.
pub(crate) async fn feed_watchdog(is_alive: impl AsyncFn() -> bool) {
    let Some(timeout) = sd_notify::watchdog_enabled() else { return };
    // More than once per timeout, so that a single late notification does no harm.
    let interval = timeout / 3;
    loop {
        if tokio::time::timeout(interval, is_alive()).await.unwrap_or(false) {
            notify(&[NotifyState::Watchdog]);
        } else {
            tracing::error!("the program is unresponsive; systemd will restart it");
        }
        tokio::time::sleep(interval).await;
    }
}

fn extend(time: Duration) -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(u32::try_from(time.as_micros()).unwrap_or(u32::MAX))
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(%error, "cannot notify systemd");
    }
}
