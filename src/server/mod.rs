//! The server: the webhook that Telnyx posts to, and the REST API. It decides who may call and
//! what travels how; what a thread is, [`threading`](crate::threading) decides.

pub mod access;
mod body;
mod listen;
mod metrics;
mod observe;
mod path;
mod query;
mod reading;
mod reply;
mod request;
mod routes;
mod send;
mod stream;
#[cfg(test)]
mod tests;
mod webhook;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::Error;
use crate::telnyx::signature::Verifier;
use crate::threading::Threads;
use access::Access;
use listen::Connections;

/// What sends get to record that they were cut short.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a server serves, and to whom.
#[derive(Clone)]
pub struct App {
    /// The threads, and the way to Telnyx.
    pub threads: Threads,
    /// Who may call the REST API.
    pub access: Access,
    /// Whose webhooks are believed.
    pub verifier: Arc<Verifier>,
    /// Whether all of it is play.
    pub sandbox: bool,
}

/// What one caller may take of the server.
#[derive(Clone, Debug)]
struct Limits {
    /// Longest wait for the head of a request, also of the next one on an open connection.
    header_time: Duration,
    /// Longest wait for the body of a request.
    body_time: Duration,
    /// Most connections at once: half of the files that a process may usually open, so that the
    /// database gets its share.
    connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_time: Duration::from_secs(30),
            body_time: Duration::from_secs(10),
            connections: 512,
        }
    }
}

/// What the handlers share.
struct State {
    threads: Threads,
    access: Access,
    verifier: Arc<Verifier>,
    limits: Limits,
    /// Sends under way, whether or not anybody still waits for their answer.
    sends: TaskTracker,
}

/// Serves until `shutdown`, then finishes what is begun, sends included, for at most `deadline`.
///
/// # Errors
/// `internal` when the listener is of no use.
pub async fn run(
    listener: TcpListener,
    app: App,
    shutdown: CancellationToken,
    deadline: Duration,
) -> Result<(), Error> {
    run_within(Limits::default(), listener, app, shutdown, deadline).await
}

async fn run_within(
    limits: Limits,
    listener: TcpListener,
    app: App,
    shutdown: CancellationToken,
    deadline: Duration,
) -> Result<(), Error> {
    let address = listener.local_addr().map_err(|error| {
        tracing::error!(%error, "the listening socket has no address");
        Error::internal()
    })?;
    tracing::info!(%address, sandbox = app.sandbox, "listening");
    let App { threads, access, verifier, .. } = app;
    let sends = TaskTracker::new();
    let state = Arc::new(State { threads, access, verifier, limits, sends: sends.clone() });
    let mut connections = Connections::new(routes::all(&state), &state.limits);
    connections.accept(&listener, state.limits.connections, &shutdown).await;
    // From here on nobody can connect.
    drop(listener);
    let mut finished = pin!(async {
        connections.finish().await;
        sends.close();
        sends.wait().await;
    });
    if tokio::time::timeout(deadline, &mut finished).await.is_ok() {
        return Ok(());
    }
    // Sends that Telnyx still does not answer: their callers learn that nobody knows.
    state.threads.interrupt().cancel();
    if tokio::time::timeout(LAST_WORDS, finished).await.is_err() {
        tracing::warn!(sends = sends.len(), "stopped with requests still under way");
    }
    Ok(())
}
