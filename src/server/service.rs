//! The service of one connection, through which each of its requests passes on the way to the
//! routes.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http_body_util::BodyDataStream;
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper::{Request, Response, Uri};
use warp::reply::Response as Reply;

use super::access::{Caller, PeerSocket};
use super::body::{Arrival, discard};
use super::connection::{ConnectionState, Streamed, TrackedBody};
use super::permits::{Admission, RequestPermits};
use super::request_log::{LoggedBody, RequestLog};
use super::response;
use crate::error::{Code, Error};

/// How much of a refused request is read and discarded.
const MAX_DISCARDED: usize = 256 * 1024;

/// What the requests of one connection have in common.
pub(super) struct ConnectionService<R> {
    pub(super) routes: R,
    pub(super) state: Arc<ConnectionState>,
    pub(super) socket: Arc<PeerSocket>,
    pub(super) closing: Arc<AtomicBool>,
    pub(super) permits: Arc<RequestPermits>,
}

impl<R> ConnectionService<R>
where
    R: Service<Request<Incoming>, Response = Reply, Error = Infallible> + 'static,
{
    pub(super) async fn call(
        self: Arc<Self>,
        mut request: Request<Incoming>,
    ) -> Result<
        Response<TrackedBody<LoggedBody<impl Body<Data = Bytes, Error = warp::Error>>>>,
        Infallible,
    > {
        let arrived = self.state.begin_request();
        let authority = request.uri().authority().cloned();
        let caller =
            Caller { socket: Arc::clone(&self.socket), version: request.version(), authority };
        request.extensions_mut().insert(caller);
        let log = RequestLog::begin(&mut request);
        let connection = Arc::clone(&self.state);
        let arrival = Arrival { since: arrived, connection, context: log.context() };
        request.extensions_mut().insert(arrival);
        let state = Arc::clone(&self.state);
        let permit = match is_health(&request) {
            true => self.permits.try_take(),
            false => self.permits.take().await,
        };
        let is_permitted = permit.is_some();
        let admission = Admission::new(&self.permits, &state, permit);
        request.extensions_mut().insert(admission.clone());
        let response = log.follow(self.route(request, is_permitted)).await?;
        Ok(response.map(|body| TrackedBody::new(body, admission, state)))
    }

    async fn route(
        self: Arc<Self>,
        request: Request<Incoming>,
        is_permitted: bool,
    ) -> Result<Response<impl Body<Data = Bytes, Error = warp::Error>>, Infallible> {
        let mut response = if has_nul(request.uri()) {
            refuse(request, &Error::invalid("the URL contains a NUL character")).await
        } else if !is_permitted && !is_health(&request) {
            refuse(request, &Error::overloaded("the server is at its limit of concurrent requests"))
                .await
        } else {
            self.routes.call(request).await?
        };
        if response.extensions().get::<Streamed>().is_some() {
            self.state.stream();
        }
        let is_last = !is_permitted
            || self.state.is_last()
            || response.extensions().get() == Some(&Code::RequestTimeout)
            || self.closing.load(Ordering::Relaxed);
        if is_last {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}

/// Whether the request is for a health check, which is answered whatever the load.
fn is_health(request: &Request<Incoming>) -> bool {
    let path = request.uri().path();
    path.strip_prefix("/v1").unwrap_or(path).starts_with("/health")
}

/// Whether there is a NUL in the path or the query. It is refused alike on every path and before
/// any token is checked, so the response reveals nothing.
fn has_nul(address: &Uri) -> bool {
    address.path_and_query().is_some_and(|target| target.as_str().contains("%00"))
}

/// Discards the body of a request, within limits, and answers with an error.
async fn refuse(request: Request<Incoming>, error: &Error) -> Reply {
    let (head, body) = request.into_parts();
    discard(BodyDataStream::new(body), &head.headers, MAX_DISCARDED).await;
    response::refuse(error)
}
