//! The accept loop. warp's own gives no header timeout, no deadline for a shutdown and no peer
//! address to filters behind `warp::service`.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::Limits;
use super::access::Caller;
use super::observe::Exchange;
use crate::metrics::UnderWay;

/// Waits between attempts to accept when the machine is out of something, such as open files.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The connections of a server. Dropping it cuts them all.
pub(super) struct Connections {
    open: JoinSet<()>,
    graceful: GracefulShutdown,
    http: http1::Builder,
    routes: BoxedFilter<(Response,)>,
}

impl Connections {
    /// A server without connections yet.
    pub(super) fn new(routes: BoxedFilter<(Response,)>, limits: &Limits) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(limits.header_time);
        Self { open: JoinSet::new(), graceful: GracefulShutdown::new(), http, routes }
    }

    /// Accepts until told to stop. At most `limit` connections are open; further ones wait in the
    /// kernel's queue.
    pub(super) async fn accept(
        &mut self,
        listener: &TcpListener,
        limit: usize,
        stop: &CancellationToken,
    ) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(ended) = self.open.join_next() => log_end(ended),
                accepted = listener.accept(), if self.open.len() < limit => match accepted {
                    Ok((stream, peer)) => {
                        pause = SHORTEST_PAUSE;
                        self.serve(stream, peer);
                    }
                    Err(error) if concerns_one_connection(error.kind()) => {}
                    Err(error) => {
                        tracing::error!(%error, "no connection can be accepted");
                        let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                },
            }
        }
    }

    fn serve(&mut self, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection was gone before it began");
            return;
        }
        let routes = TowerToHyperService::new(warp::service(self.routes.clone()));
        let service = service_fn(move |mut request: Request<Incoming>| {
            let authority = request.uri().authority().cloned();
            request.extensions_mut().insert(Caller { peer, authority });
            let exchange = Exchange::begin(&mut request);
            exchange.watch(routes.call(request))
        });
        let connection = self.http.serve_connection(TokioIo::new(stream), service);
        let connection = self.graceful.watch(connection);
        let open = UnderWay::connection();
        self.open.spawn(async move {
            let _open = open;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }

    /// Lets every connection finish what it is answering.
    pub(super) async fn finish(self) {
        let Self { mut open, graceful, .. } = self;
        graceful.shutdown().await;
        while let Some(ended) = open.join_next().await {
            log_end(ended);
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

fn log_end(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection ended by a fault of convo");
    }
}
