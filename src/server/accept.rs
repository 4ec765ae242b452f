//! The accept loop. warp's own has no header timeout, no shutdown deadline, and does not tell
//! filters the peer's address.
//!
//! Connections do not wait in the kernel's queue: as many are accepted as there are [`permits`] for
//! requests, and [`RESERVE`] more, so that every request gets an answer, if only 503. When half of the
//! reserve is in use, those that have been idle longest are closed; when all of it is, also those
//! whose bodies have been arriving longest. Connections that follow the feed are not counted: they have a
//! limit of their own.
//!
//! [`permits`]: super::permits

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Interval, MissedTickBehavior};
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::access::PeerSocket;
use super::connection::{ConnectionState, TrackedStream};
use super::limits::Limits;
use super::listeners::Listeners;
use super::permits::{RequestPermits, Room, RoomRequests};
use super::request_log;
use super::service::ConnectionService;
use crate::metrics::InFlight;

/// How many connections are accepted beyond the limit on requests.
pub const RESERVE: usize = 64;
/// The backoff after accepting has failed, for example for want of file descriptors.
const MIN_BACKOFF: Duration = Duration::from_millis(10);
const MAX_BACKOFF: Duration = Duration::from_secs(1);
/// The longest interval between two checks for connections that have timed out.
const MAX_SWEEP_INTERVAL: Duration = Duration::from_millis(500);
/// The interval between attempts to close idle connections while no more are accepted.
const MIN_SWEEP_INTERVAL: Duration = Duration::from_millis(50);
/// hyper's read buffer, which also bounds the head of a request.
const READ_BUFFER: usize = 64 * 1024;

/// The connections of a server. Dropping it closes them all.
pub(super) struct Connections {
    tasks: JoinSet<()>,
    open: HashMap<Id, OpenConnection>,
    /// How many of them have lost their place, and are being told so.
    leaving: usize,
    http: http1::Builder,
    routes: BoxedFilter<(Response,)>,
    limits: Limits,
    permits: Arc<RequestPermits>,
    room_requests: RoomRequests,
    closing: Arc<AtomicBool>,
}

/// Since when a connection has been in some state, if it is; at a time.
type Since = fn(&ConnectionState, Instant) -> Option<Instant>;

struct OpenConnection {
    state: Arc<ConnectionState>,
    task: AbortHandle,
    is_leaving: bool,
}

impl Connections {
    /// Once `closing` is set, every response is the last one on its connection.
    pub(super) fn new(
        routes: BoxedFilter<(Response,)>,
        limits: Limits,
        closing: Arc<AtomicBool>,
    ) -> Self {
        let mut http = http1::Builder::new();
        // Timeouts are enforced here, for all phases of a connection.
        http.header_read_timeout(None).max_buf_size(READ_BUFFER);
        let (permits, room_requests) = RequestPermits::new(&limits);
        Self {
            tasks: JoinSet::new(),
            open: HashMap::new(),
            leaving: 0,
            http,
            routes,
            limits,
            permits,
            room_requests,
            closing,
        }
    }

    /// Accepts connections until `stop` completes, then those that were waiting in the kernel's
    /// queue at that moment. Returns the output of `stop`.
    pub(super) async fn accept<T>(
        &mut self,
        listeners: impl Into<Listeners>,
        stop: impl Future<Output = T>,
    ) -> T {
        let mut listeners = listeners.into();
        let mut stop = pin!(stop);
        let mut backoff = MIN_BACKOFF;
        let mut sweep = self.sweep_interval();
        let output = loop {
            let has_room = self.counted() < self.limits.connections.saturating_add(RESERVE);
            tokio::select! {
                output = &mut stop => break output,
                Some(ended) = self.tasks.join_next_with_id() => self.remove(ended),
                accepted = listeners.accept(), if has_room => match accepted {
                    Ok((stream, peer)) => {
                        backoff = MIN_BACKOFF;
                        self.serve(stream, peer);
                    }
                    Err(error) if concerns_one_connection(error.kind()) => {}
                    Err(error) => {
                        tracing::error!(%error, "cannot accept connections");
                        tokio::select! {
                            output = &mut stop => break output,
                            () = tokio::time::sleep(backoff) => {}
                        }
                        backoff = (backoff * 2).min(MAX_BACKOFF);
                    }
                },
                _ = sweep.tick() => self.close_timed_out(),
                () = tokio::time::sleep(MIN_SWEEP_INTERVAL), if !has_room => self.make_room(),
                Some(asked) = self.room_requests.recv() => self.give_up_body(asked),
            }
        };
        for listener in listeners.into_std() {
            self.accept_queued(&listener);
        }
        output
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// The number of connections that need a permit for each request.
    fn counted(&self) -> usize {
        self.open.len().saturating_sub(self.permits.followers())
    }

    /// Accepts what is in the kernel's queue: closing the listener would reset these connections.
    fn accept_queued(&mut self, listener: &StdListener) {
        while self.counted() < self.limits.connections
            && let Ok((stream, peer)) = listener.accept()
        {
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                self.serve(stream, peer);
            }
        }
    }

    fn serve(&mut self, stream: TcpStream, peer: SocketAddr) {
        if self.is_crowded() {
            self.evict_idle();
        }
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection was closed before it was served");
            return;
        }
        let state = ConnectionState::new();
        let service = Arc::new(ConnectionService {
            routes: TowerToHyperService::new(warp::service(self.routes.clone())),
            state: Arc::clone(&state),
            socket: Arc::new(PeerSocket::new(peer, stream.local_addr().ok())),
            closing: Arc::clone(&self.closing),
            permits: Arc::clone(&self.permits),
        });
        let service = service_fn(move |request| Arc::clone(&service).call(request));
        let stream = TokioIo::new(TrackedStream { stream, state: Arc::clone(&state) });
        let connection = self.http.serve_connection(stream, service);
        let in_flight = InFlight::connection();
        let task = self.tasks.spawn(async move {
            let _in_flight = in_flight;
            if let Err(error) = connection.await {
                if error.is_parse() {
                    request_log::log_unparsable();
                }
                tracing::debug!(%error, "a connection ended early");
            }
        });
        self.open.insert(task.id(), OpenConnection { state, task, is_leaving: false });
    }

    /// Whether more than half of the reserve is in use.
    fn is_crowded(&self) -> bool {
        self.counted().saturating_sub(self.leaving)
            >= self.limits.connections.saturating_add(RESERVE / 2)
    }

    /// Ends those connections that have kept the server waiting longest, the idle ones first.
    fn make_room(&mut self) {
        while self.is_crowded() && (self.evict_idle() || self.evict_body()) {}
    }

    fn evict_idle(&mut self) -> bool {
        self.evict(ConnectionState::idle_since, ConnectionState::evict_idle)
    }

    fn evict_body(&mut self) -> bool {
        self.evict(ConnectionState::body_since, ConnectionState::evict_body)
    }

    /// Gives up the body that has been arriving longest, if there is one.
    fn give_up_body(&mut self, asked: oneshot::Sender<Room>) {
        let room = if self.evict_body() {
            Room::Made
        } else if self.open.values().any(|open| open.state.may_leave()) {
            Room::Soon
        } else {
            Room::None
        };
        let _ = asked.send(room);
    }

    /// Evicts the connection that has been in some state for longest.
    fn evict(&mut self, since: Since, evict: fn(&ConnectionState)) -> bool {
        let longest = self.longest(since);
        let Some(open) = longest.and_then(|id| self.open.get_mut(&id)) else { return false };
        if open.state.is_stalled() {
            open.task.abort();
        }
        evict(&open.state);
        open.is_leaving = true;
        self.leaving += 1;
        true
    }

    /// The connection that has been in some state since the earliest time.
    fn longest(&self, since: Since) -> Option<Id> {
        let now = Instant::now();
        let staying = self.open.iter().filter(|(_, open)| !open.is_leaving);
        let waiting = staying.filter_map(|(id, open)| Some((since(&open.state, now)?, *id)));
        waiting.min_by_key(|(since, _)| *since).map(|(_, id)| id)
    }

    fn close_timed_out(&mut self) {
        let now = Instant::now();
        let limits = self.limits.clone();
        self.close_where(|connection| connection.has_timed_out(&limits, now));
    }

    fn sweep_interval(&self) -> Interval {
        let shortest = self.limits.request_time.min(self.limits.keep_alive);
        let pause = (shortest / 8).clamp(Duration::from_millis(5), MAX_SWEEP_INTERVAL);
        let mut interval = tokio::time::interval(pause);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        interval
    }

    /// Lets every connection finish the request it is processing. Those that wait for their client
    /// or stream to it get `grace` for a last request or a last page.
    pub(super) async fn finish(&mut self, grace: Duration) {
        if tokio::time::timeout(grace, self.wait_until_closed()).await.is_err() {
            self.close_where(|connection| !connection.is_busy());
            self.wait_until_closed().await;
        }
    }

    async fn wait_until_closed(&mut self) {
        let mut sweep = self.sweep_interval();
        while !self.tasks.is_empty() {
            tokio::select! {
                Some(ended) = self.tasks.join_next_with_id() => self.remove(ended),
                _ = sweep.tick() => self.close_timed_out(),
                Some(asked) = self.room_requests.recv() => self.give_up_body(asked),
            }
        }
    }

    fn close_where(&mut self, mut is_over: impl FnMut(&ConnectionState) -> bool) {
        let leaving = &mut self.leaving;
        self.open.retain(|_, open| {
            let over = is_over(&open.state);
            if over {
                open.task.abort();
                *leaving -= usize::from(open.is_leaving);
            }
            !over
        });
    }

    fn remove(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                if !error.is_cancelled() {
                    // The panic hook has logged where; its message may quote private data.
                    tracing::error!("a connection's task panicked");
                }
                error.id()
            }
        };
        if self.open.remove(&id).is_some_and(|open| open.is_leaving) {
            self.leaving -= 1;
        }
    }
}

fn concerns_one_connection(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::Interrupted
    )
}
