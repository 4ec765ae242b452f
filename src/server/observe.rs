//! The outermost service: it sees each request in and its answer out. Every request gets an id,
//! one line in the log and a place in the metrics, also when its caller has gone before the end.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Poller, Poll};
use std::time::{Duration, Instant};

use bytes::Buf;
use http::{Method, Request, Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use tracing::{Instrument, Span};

use super::reply::harden;
use super::request::{Context, NO_ROUTE, REQUEST_ID};
use crate::error::Code;
use crate::metrics::{self, UnderWay};
use crate::throttle::Throttle;

/// Every method but the usual ones.
const OTHER: &str = "other";

/// A request from its head to the last byte of its answer. Its end is told when it is dropped,
/// for a caller may go at any time.
pub(super) struct Exchange {
    context: Arc<Context>,
    method: &'static str,
    begun: Instant,
    span: Span,
    status: Option<StatusCode>,
    code: Option<Code>,
    sent: u64,
    broken: bool,
    _under_way: UnderWay,
}

impl Exchange {
    /// Gives a request its context. Whatever is logged while it is answered names its id.
    pub(super) fn begin<B>(request: &mut Request<B>) -> Self {
        let context = Context::new(request.headers());
        request.extensions_mut().insert(Arc::clone(&context));
        let id = context.id().to_str().unwrap_or_default();
        // Of the highest level, so that also a log of errors alone tells whose they are.
        let span = tracing::error_span!("request", id);
        Self {
            context,
            method: known(request.method()),
            begun: Instant::now(),
            span,
            status: None,
            code: None,
            sent: 0,
            broken: false,
            _under_way: UnderWay::request(),
        }
    }

    /// Waits for the answer, and watches it go out.
    pub(super) async fn watch<A>(
        mut self,
        answer: impl Future<Output = Result<Response<A>, Infallible>>,
    ) -> Result<Response<Watched<A>>, Infallible> {
        let mut response = answer.instrument(self.span.clone()).await?;
        harden(response.headers_mut());
        response.headers_mut().insert(REQUEST_ID, self.context.id().clone());
        self.status = Some(response.status());
        self.code = response.extensions().get().copied();
        Ok(response.map(|body| Watched { body, exchange: self }))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let took = self.begun.elapsed();
        let (route, method, token) = (self.context.route(), self.method, self.context.token());
        let status = self.status.map(|status| status.as_u16());
        metrics::request(route, method, class(self.status), took);
        let ms = took.as_micros() as f64 / 1e3;
        let (bytes, code) = (self.sent, self.code.map(Code::as_str));
        let cut = match (self.status, self.broken) {
            (Some(_), false) => None,
            (Some(_), true) => Some("the answer broke off"),
            (None, _) if std::thread::panicking() => Some("a fault of convo"),
            (None, _) => Some("no answer went out"),
        };
        tracing::info!(
            parent: &self.span, method, route, status, code, ms, bytes, token, cut, "request"
        );
    }
}

/// What came was no request that any route could take, and the HTTP library itself has said so to
/// the caller. Strangers may send as much of it as they like.
pub(super) fn note_unreadable() {
    static LINES: Throttle = Throttle::new();
    metrics::request(NO_ROUTE, OTHER, class(Some(StatusCode::BAD_REQUEST)), Duration::ZERO);
    LINES.pass(NO_ROUTE, |left_out| {
        tracing::info!(route = NO_ROUTE, left_out, "what came was no HTTP request");
    });
}

/// The body of an answer, counted as it goes out.
pub(super) struct Watched<B> {
    body: B,
    exchange: Exchange,
}

impl<B: Body<Data: Buf> + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Poller<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        // Until it is known to be whole, it is not.
        self.exchange.broken = true;
        match &polled {
            Poll::Ready(None) => self.exchange.broken = false,
            Poll::Ready(Some(Ok(frame))) => {
                let size = frame.data_ref().map_or(0, Buf::remaining);
                self.exchange.sent += size as u64;
                self.exchange.broken = !self.body.is_end_stream();
            }
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A method as a word of a small set: callers may make up their own.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => OTHER,
    }
}

fn class(status: Option<StatusCode>) -> &'static str {
    match status.map_or(0, |status| status.as_u16() / 100) {
        0 => "none",
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}
