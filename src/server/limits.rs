//! The limits of a server, and how it shuts down.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Limits on connections, bodies and concurrency, and timeouts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of connections. The default is half of the usual limit on open files, which
    /// leaves enough for the database.
    pub connections: usize,
    /// Maximum number of requests that follow the feed: event streams, and requests that wait for an
    /// event. Their connections are not counted among the others.
    pub streams: usize,
    /// Maximum number of webhooks waiting for their commit.
    pub queue: usize,
    /// Maximum number of concurrent sends.
    pub sends: usize,
    /// Maximum size of a request body in bytes.
    pub body: usize,
    /// Timeout for receiving a request from its first byte to its last, for the first byte on a new
    /// connection, and for a client to read the next part of a response.
    pub request_time: Duration,
    /// Idle timeout between two requests. It must exceed that of a load balancer, which could
    /// otherwise send a request on a connection that is just being closed.
    pub keep_alive: Duration,
    /// Deadline for responding to a webhook. Telnyx gives up after 2 s and delivers it again.
    pub webhook_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            streams: 1_024,
            queue: 1_024,
            sends: 64,
            body: 1024 * 1024,
            request_time: Duration::from_secs(30),
            keep_alive: Duration::from_secs(75),
            webhook_time: Duration::from_millis(1_500),
        }
    }
}

/// How a server shuts down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// How long it still serves while reporting that it is not ready, so that load balancers notice.
    pub drain: Duration,
    /// Maximum time from the signal to the end, including the drain.
    pub deadline: Duration,
}

impl Default for Stop {
    fn default() -> Self {
        Self { drain: Duration::from_secs(3), deadline: Duration::from_secs(10) }
    }
}

/// Requests a shutdown; clones refer to the same one.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Shut down.
    pub asked: CancellationToken,
    /// Skip the rest of the drain.
    pub hurry: CancellationToken,
}
