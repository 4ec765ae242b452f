//! What callers may take of a server, and how it stops.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// What callers may take of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most connections at once. By default half of the files that a process may usually open, so
    /// that the database gets its share.
    pub connections: usize,
    /// Most webhooks that wait for their commit.
    pub queue: usize,
    /// Most messages that are being sent at once.
    pub sends: usize,
    /// Most bytes that a body may have.
    pub body: usize,
    /// Longest time for a request to arrive, from its first byte to its last, for the first byte on
    /// a new connection, and for a client to take the next part of an answer.
    pub request_time: Duration,
    /// How long a connection may stay open between two requests: longer than balancers keep theirs,
    /// so that it is never closed under a request.
    pub keep_alive: Duration,
    /// Longest time for the answer to a webhook. Telnyx gives up after 2 s, and delivers again.
    pub webhook_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            queue: 1_024,
            sends: 64,
            body: 1024 * 1024,
            request_time: Duration::from_secs(30),
            keep_alive: Duration::from_secs(75),
            webhook_time: Duration::from_millis(1_500),
        }
    }
}

/// How a server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// How long it serves on, but says that it is not ready, for balancers to notice.
    pub drain: Duration,
    /// Longest time from the signal to the end, the drain included.
    pub deadline: Duration,
}

impl Default for Stop {
    fn default() -> Self {
        Self { drain: Duration::from_secs(3), deadline: Duration::from_secs(10) }
    }
}

/// A shutdown, once it is asked for. Cloning gives another handle of the same one.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// The server is to stop.
    pub asked: CancellationToken,
    /// It need not drain first.
    pub hurry: CancellationToken,
}
