//! The server: Telnyx's webhook and the REST API. It is responsible for access and transport;
//! conversations are the business of [`threading`](crate::threading).

mod accept;
pub mod access;
mod answer_memory;
mod batches;
mod body;
mod budget;
mod connection;
mod contacts;
mod context;
mod conversations;
mod events;
mod export;
mod forget;
mod forwards;
mod health;
mod json_body;
mod limits;
mod list;
mod listeners;
mod media;
mod messages;
mod metrics;
pub mod openapi;
mod path;
mod permits;
mod plus;
mod query;
mod request_log;
mod response;
mod routes;
mod search;
mod send;
mod service;
mod state;
mod stats;
mod stored_events;
mod stream;
mod sync;
#[cfg(test)]
mod tests;
mod unread;
mod webhook;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::forwarding::Forwarder;
use crate::media::ContentStore;
use crate::telnyx::signature::Verifier;
use accept::Connections;
pub use accept::RESERVE;
use access::Access;
pub use limits::{Limits, Shutdown, Stop};
pub use listeners::Listeners;
use state::ServerState;

/// The time before the shutdown deadline for recording interrupted sends and closing the database;
/// a quarter of a short deadline.
const FINAL_RESERVE: Duration = Duration::from_secs(2);
/// The grace period after the drain for a request or a page in transit; an eighth of a short
/// deadline.
const LINGER: Duration = Duration::from_secs(1);

/// The configuration of a server.
#[derive(Clone, Debug)]
pub struct App {
    /// Access control of the REST API.
    pub access: Access,
    /// Verifies the signatures of webhooks.
    pub verifier: Arc<Verifier>,
    /// Limits on connections, bodies and concurrency, and timeouts.
    pub limits: Limits,
    /// How it shuts down.
    pub stop: Stop,
    /// Where media are kept; `None` if they are not.
    pub media: Option<ContentStore>,
}

/// A handle of a server; clones refer to the same one.
///
/// It can run before its database is open: `/health` is served, all other routes wait a moment for
/// [`open`](Self::open) and then answer 503.
#[derive(Clone)]
pub struct Server {
    state: Arc<ServerState>,
    stop: Stop,
}

impl Server {
    /// Does not listen yet: see [`run`](Self::run).
    #[must_use]
    pub fn new(app: App) -> Self {
        let stop = app.stop;
        Self { state: Arc::new(ServerState::new(app)), stop }
    }

    /// Serves these conversations from now on.
    pub fn open(&self, forwarder: impl Into<Forwarder>) {
        self.state.open(forwarder.into());
    }

    /// Requests no longer wait for the database to be opened.
    pub(crate) fn database_is_down(&self) {
        self.state.database_down.store(true, Ordering::Relaxed);
    }

    /// The number of sends in progress.
    pub(crate) fn sends(&self) -> usize {
        self.state.sends.len()
    }

    /// The liveness of the runtime and the writer thread, whether or not the database is available.
    pub(crate) async fn is_alive(&self) -> bool {
        let runs_tasks = tokio::spawn(std::future::ready(())).await.is_ok();
        match self.state.opened() {
            Some(conversations) => runs_tasks && conversations.is_alive().await,
            None => runs_tasks,
        }
    }

    /// Serves until `shutdown` is requested. Then it drains: it still serves, but is not ready.
    /// After that it accepts no connections and finishes the requests and sends in progress.
    /// Returns the shutdown deadline.
    pub async fn run(&self, listeners: impl Into<Listeners>, shutdown: Shutdown) -> Instant {
        let Self { state, stop } = self;
        let closing = Arc::clone(&state.closing);
        let mut connections =
            Connections::new(routes::all(state), state.limits.clone(), Arc::clone(&closing));
        let drained = async {
            shutdown.asked.cancelled().await;
            closing.store(true, Ordering::Relaxed);
            state.draining.cancel();
            let end = Instant::now() + stop.deadline;
            let hurry = shutdown.hurry.cancelled();
            let _ = tokio::time::timeout(stop.drain, hurry).await;
            end
        };
        let end = connections.accept(listeners, drained).await;
        self.finish(connections, end).await;
        end
    }

    async fn finish(&self, mut connections: Connections, end: Instant) {
        let Self { state, stop } = self;
        let reserve = FINAL_RESERVE.min(stop.deadline / 4);
        let mut finished = pin!(async {
            connections.finish(LINGER.min(stop.deadline / 8)).await;
            state.sends.close();
            state.sends.wait().await;
        });
        if tokio::time::timeout_at((end - reserve).into(), &mut finished).await.is_ok() {
            return;
        }
        // Telnyx still does not answer: the callers get an unknown outcome.
        state.interrupt_sends();
        if tokio::time::timeout_at((end - reserve / 2).into(), finished).await.is_err() {
            tracing::warn!(sends = self.sends(), "stopped with requests still in progress");
        }
    }
}
