//! The accept loop. warp's own gives no header timeout, no deadline for a shutdown and no peer
//! address to filters behind `warp::service`.
//!
//! Nothing waits outside: when there are as many connections as may be, those that were idle
//! longest make room, and where none is idle a few more are let in to be told 503. Whoever asks
//! for `/health` is answered there, too.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use warp::filters::BoxedFilter;
use warp::reply::Response as Reply;

use super::access::Caller;
use super::limits::Limits;
use super::link::{Answer, Link, Streamed, Watched};
use super::observe::{self, Exchange};
use super::reply;
use crate::error::Error;
use crate::metrics::UnderWay;

/// Connections beyond the limit, whose requests are told 503.
pub const RESERVE: usize = 64;
/// Waits between attempts to accept when the machine is out of something, such as open files.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long a connection is idle before another one may take its place.
const SPARE: Duration = Duration::from_secs(1);
/// Pauses between two looks at all connections: when there is no hurry, and when room is needed.
const LOOK: Duration = Duration::from_millis(500);
const QUICK_LOOK: Duration = Duration::from_millis(50);
/// Most bytes that hyper keeps of what was read and not yet understood: the longest head, too.
const READ_BUFFER: usize = 64 * 1024;
/// The most that is read of a request to be told 503, so that its client gets to read the answer.
const MOST_READ: usize = 256 * 1024;
const READ_TIME: Duration = Duration::from_secs(1);

/// The connections of a server. Dropping it cuts them all.
pub(super) struct Connections {
    tasks: JoinSet<()>,
    open: HashMap<Id, Open>,
    looked: Instant,
    http: http1::Builder,
    routes: BoxedFilter<(Reply,)>,
    limits: Limits,
    closing: Arc<AtomicBool>,
}

/// An open connection.
struct Open {
    link: Arc<Link>,
    task: AbortHandle,
}

impl Connections {
    /// A server without connections yet. Once `closing` is set, every answer is the last one of
    /// its connection.
    pub(super) fn new(
        routes: BoxedFilter<(Reply,)>,
        limits: Limits,
        closing: Arc<AtomicBool>,
    ) -> Self {
        let mut http = http1::Builder::new();
        // How long a client may take is looked at here, for every kind of waiting alike.
        http.header_read_timeout(None).max_buf_size(READ_BUFFER);
        let (tasks, open, looked) = (JoinSet::new(), HashMap::new(), Instant::now());
        Self { tasks, open, looked, http, routes, limits, closing }
    }

    /// Accepts until told to stop, and then whoever has connected by then. Returns what it was told.
    pub(super) async fn accept<T>(
        &mut self,
        listener: TcpListener,
        stop: impl Future<Output = T>,
    ) -> T {
        let mut stop = pin!(stop);
        let mut pause = SHORTEST_PAUSE;
        let mut look = self.looks();
        let told = loop {
            let room = self.open.len() < self.limits.connections.saturating_add(RESERVE);
            tokio::select! {
                told = &mut stop => break told,
                Some(ended) = self.tasks.join_next_with_id() => self.forget(ended),
                accepted = listener.accept(), if room => match accepted {
                    Ok((stream, peer)) => {
                        pause = SHORTEST_PAUSE;
                        self.serve(stream, peer);
                    }
                    Err(error) if concerns_one_connection(error.kind()) => {}
                    Err(error) => {
                        tracing::error!(%error, "no connection can be accepted");
                        tokio::select! {
                            told = &mut stop => break told,
                            () = tokio::time::sleep(pause) => {}
                        }
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                },
                _ = look.tick() => {
                    self.look();
                    if !room {
                        self.make_room();
                    }
                }
            }
        };
        self.accept_waiting(listener);
        told
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Lets in whoever is in the kernel's queue: closing the socket would turn them away.
    fn accept_waiting(&mut self, listener: TcpListener) {
        let Ok(listener) = listener.into_std() else { return };
        while self.open.len() < self.limits.connections
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
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection was gone before it began");
            return;
        }
        let link = Link::new();
        let requests = Arc::new(Requests {
            routes: TowerToHyperService::new(warp::service(self.routes.clone())),
            link: Arc::clone(&link),
            peer,
            closing: Arc::clone(&self.closing),
            surplus: !self.has_room(),
        });
        let service = service_fn(move |request| Arc::clone(&requests).answer(request));
        let stream = TokioIo::new(Watched { stream, link: Arc::clone(&link) });
        let connection = self.http.serve_connection(stream, service);
        let counted = UnderWay::connection();
        let task = self.tasks.spawn(async move {
            let _counted = counted;
            if let Err(error) = connection.await {
                if error.is_parse() {
                    observe::note_unreadable();
                }
                tracing::debug!(%error, "a connection ended early");
            }
        });
        self.open.insert(task.id(), Open { link, task });
    }

    /// Whether one more connection is within the limit, if need be in the place of idle ones.
    fn has_room(&mut self) -> bool {
        if self.open.len() >= self.limits.connections && self.looked.elapsed() >= QUICK_LOOK {
            self.look();
            self.make_room();
        }
        self.open.len() < self.limits.connections
    }

    /// Ends some of the connections that were idle longest.
    fn make_room(&mut self) {
        let now = Instant::now();
        let mut idle: Vec<_> = self
            .open
            .iter()
            .filter_map(|(id, open)| Some((open.link.waits_since()?, *id)))
            .filter(|(since, _)| now.saturating_duration_since(*since) >= SPARE)
            .collect();
        idle.sort_unstable_by_key(|(since, _)| *since);
        let limit = self.limits.connections;
        let wanted = self.open.len().saturating_sub(limit) + limit / 8 + 1;
        for (_, id) in idle.into_iter().take(wanted) {
            if let Some(open) = self.open.remove(&id) {
                open.task.abort();
            }
        }
    }

    /// Ends the connections whose client has had its time.
    fn look(&mut self) {
        let (now, limits) = (Instant::now(), self.limits.clone());
        self.looked = now;
        self.cut_where(|link| link.is_overdue(&limits, now));
    }

    fn looks(&self) -> tokio::time::Interval {
        let shortest = self.limits.request_time.min(self.limits.keep_alive);
        let pause = (shortest / 8).clamp(Duration::from_millis(5), LOOK);
        let mut looks = tokio::time::interval(pause);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        looks
    }

    /// Lets every connection finish what it is answering. Those that only wait for their client,
    /// or stream to it, get `patience` for a last request or a last page.
    pub(super) async fn finish(&mut self, patience: Duration) {
        if tokio::time::timeout(patience, self.end()).await.is_err() {
            self.cut_where(|link| !link.is_busy());
            self.end().await;
        }
    }

    /// Returns when there is no connection left.
    async fn end(&mut self) {
        let mut look = self.looks();
        while !self.tasks.is_empty() {
            tokio::select! {
                Some(ended) = self.tasks.join_next_with_id() => self.forget(ended),
                _ = look.tick() => self.look(),
            }
        }
    }

    fn cut_where(&mut self, mut is_over: impl FnMut(&Link) -> bool) {
        self.open.retain(|_, open| {
            let over = is_over(&open.link);
            if over {
                open.task.abort();
            }
            !over
        });
    }

    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                if !error.is_cancelled() {
                    // Its place is in the log already; its words do not belong there.
                    tracing::error!("a connection ended by a fault of convo");
                }
                error.id()
            }
        };
        self.open.remove(&id);
    }
}

/// What the requests of one connection have in common.
struct Requests<R> {
    routes: R,
    link: Arc<Link>,
    peer: SocketAddr,
    closing: Arc<AtomicBool>,
    /// Whether the connection is one more than the server takes.
    surplus: bool,
}

impl<R> Requests<R>
where
    R: Service<Request<Incoming>, Response = Reply, Error = Infallible> + 'static,
{
    async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
    ) -> Result<
        Response<Answer<observe::Watched<impl Body<Data = Bytes, Error = warp::Error>>>>,
        Infallible,
    > {
        let arrived = self.link.begin();
        let authority = request.uri().authority().cloned();
        request.extensions_mut().insert(Caller { peer: self.peer, authority, arrived });
        let exchange = Exchange::begin(&mut request);
        let link = Arc::clone(&self.link);
        let response = exchange.watch(self.route(request)).await?;
        Ok(response.map(|body| Answer::new(body, link)))
    }

    async fn route(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<impl Body<Data = Bytes, Error = warp::Error>>, Infallible> {
        let mut response = if has_nul(request.uri()) {
            turn_away(request, &Error::invalid("the address contains a NUL character")).await
        } else if self.surplus && !request.uri().path().starts_with("/health") {
            let what = "the server has as many connections as it takes";
            turn_away(request, &Error::overloaded(what)).await
        } else {
            self.routes.call(request).await?
        };
        if response.extensions().get::<Streamed>().is_some() {
            self.link.stream();
        }
        if self.surplus || self.closing.load(Ordering::Relaxed) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}

/// Whether there is a NUL in the path or the query; in an address it can only be written like this.
/// The answer is one for everybody and every path, so it tells a stranger nothing.
fn has_nul(address: &Uri) -> bool {
    address.path_and_query().is_some_and(|asked| asked.as_str().contains("%00"))
}

/// Reads what a small request still has to say, and refuses it.
async fn turn_away(request: Request<Incoming>, error: &Error) -> Reply {
    let mut body = Limited::new(request.into_body(), MOST_READ);
    let read = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = tokio::time::timeout(READ_TIME, read).await;
    reply::refuse(error)
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
