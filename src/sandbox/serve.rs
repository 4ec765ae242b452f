//! The sandbox's own accept loop.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use warp::reply::Response;

use super::api_error::{ApiError, NOT_ALLOWED};
use super::routes;
use super::state::SandboxState;
use crate::net;

/// Concurrent connections; those that never get a response stay open.
const MAX_CONNECTIONS: usize = 1_024;
/// Timeout for the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// The backoff after accepting has failed, for example for want of file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Serves programs on this machine, and no web page that a browser on it shows.
async fn serve_local<R>(routes: R, request: Request<Incoming>) -> Result<Response, Infallible>
where
    R: Service<Request<Incoming>, Response = Response, Error = Infallible>,
{
    match net::why_not_for_this_machine(request.headers(), request.uri().authority()) {
        None => routes.call(request).await,
        Some(reason) => {
            let error = ApiError::new(
                NOT_ALLOWED,
                format!("Only programs on this machine are served: {reason}."),
            );
            Ok(error.into_response().map(Into::into))
        }
    }
}

/// Serves until the sandbox shuts down, which closes all connections at once, without waiting for
/// responses in progress.
pub(super) async fn serve(state: Arc<SandboxState>, listener: TcpListener) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let routes = TowerToHyperService::new(warp::service(routes::all(&state)));
    let service = service_fn(move |request| serve_local(routes.clone(), request));
    loop {
        // The semaphore is never closed.
        let slot = Arc::clone(&slots).acquire_owned().await;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("sandbox: cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
                continue;
            }
        };
        // Small responses must not be delayed.
        let _ = stream.set_nodelay(true);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service.clone());
        state.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("sandbox: connection ended: {error}");
            }
            drop(slot);
        });
    }
}
