//! The server: the webhook that Telnyx posts to, and the REST API. It decides who may call and
//! what travels how; what a thread is, [`threading`](crate::threading) decides.

pub mod access;
mod body;
mod limits;
mod link;
mod listen;
mod metrics;
mod observe;
pub mod openapi;
mod path;
mod query;
mod reading;
mod reply;
mod request;
mod routes;
mod send;
mod state;
mod stream;
#[cfg(test)]
mod tests;
mod webhook;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use crate::telnyx::signature::Verifier;
use crate::threading::Threads;
use access::Access;
pub use limits::{Limits, Shutdown, Stop};
use listen::Connections;
pub use listen::RESERVE;
use state::State;

/// The last part of the deadline, in which sends record that they were cut short and the database
/// is closed. Of a short deadline it is a quarter.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// What connections get at the end for a request or a page that is on its way. Of a short deadline
/// it is an eighth.
const LINGER: Duration = Duration::from_secs(1);

/// What a server serves, and to whom.
#[derive(Clone, Debug)]
pub struct App {
    /// Who may call the REST API.
    pub access: Access,
    /// Whose webhooks are believed.
    pub verifier: Arc<Verifier>,
    /// What callers may take.
    pub limits: Limits,
    /// How it stops.
    pub stop: Stop,
}

/// A server. Cloning gives another handle of the same one.
///
/// It can run before its database is there: `/health` answers, the rest waits a moment for
/// [`open`](Self::open) and then says 503.
#[derive(Clone)]
pub struct Server {
    state: Arc<State>,
    stop: Stop,
}

impl Server {
    /// A server that does not run yet.
    #[must_use]
    pub fn new(app: App) -> Self {
        let stop = app.stop;
        Self { state: Arc::new(State::new(app)), stop }
    }

    /// Serves these threads from now on.
    pub fn open(&self, threads: Threads) {
        self.state.open(threads);
    }

    /// Lets nobody wait for the database: it is away.
    pub fn database_is_away(&self) {
        self.state.away.store(true, Ordering::Relaxed);
    }

    /// How many messages are being sent.
    #[must_use]
    pub fn sends(&self) -> usize {
        self.state.sends.len()
    }

    /// Whether the parts of the program that everything needs still turn: the runtime, and the
    /// thread that writes. The database may be away for all this cares.
    pub async fn is_alive(&self) -> bool {
        let turns = tokio::spawn(std::future::ready(())).await.is_ok();
        match self.state.opened() {
            Some(threads) => turns && threads.is_alive().await,
            None => turns,
        }
    }

    /// Serves until `shutdown`; then serves on for the drain, but is not ready, lets nobody else
    /// in, and finishes what is begun, sends included. Returns when all of it is to be over.
    pub async fn run(&self, listener: TcpListener, shutdown: Shutdown) -> Instant {
        let (state, stop) = (&self.state, self.stop);
        let closing = Arc::clone(&state.closing);
        let mut connections =
            Connections::new(routes::all(state), state.limits.clone(), Arc::clone(&closing));
        let drained = async {
            shutdown.asked.cancelled().await;
            closing.store(true, Ordering::Relaxed);
            let end = Instant::now() + stop.deadline;
            let hurry = shutdown.hurry.cancelled();
            let _ = tokio::time::timeout(stop.drain, hurry).await;
            end
        };
        let end = connections.accept(listener, drained).await;
        // From here on nobody can connect.
        self.finish(connections, end).await;
        end
    }

    async fn finish(&self, mut connections: Connections, end: Instant) {
        let Self { state, stop } = self;
        let reserve = LAST_WORDS.min(stop.deadline / 4);
        let mut finished = pin!(async {
            connections.finish(LINGER.min(stop.deadline / 8)).await;
            state.sends.close();
            state.sends.wait().await;
        });
        if tokio::time::timeout_at((end - reserve).into(), &mut finished).await.is_ok() {
            return;
        }
        // Sends that Telnyx still does not answer: their callers learn that nobody knows.
        state.interrupt();
        if tokio::time::timeout_at((end - reserve / 2).into(), finished).await.is_err() {
            tracing::warn!(sends = self.sends(), "stopped with requests still under way");
        }
    }
}
