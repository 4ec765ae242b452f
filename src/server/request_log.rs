//! The outermost service, which sees each request come in and its response go out. It gives every
//! request an id, a log line and a place in the metrics, even if the client disconnects early.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Buf;
use http::{Request, Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use tracing::{Instrument, Span};

use super::context::{REQUEST_ID, RequestContext};
use super::response::harden;
use crate::error::Code;
use crate::metrics::{self, InFlight, Label, MethodLabel, Route, StatusClass};
use crate::throttle::Throttle;

/// How many kinds of strangers' requests are logged per interval: more than there are.
const MAX_KINDS: usize = 256;

/// A request from its head to the last byte of its response. It is logged on drop, because a
/// client may disconnect at any time.
pub(super) struct RequestLog {
    context: Arc<RequestContext>,
    method: MethodLabel,
    start: Instant,
    span: Span,
    status: Option<StatusCode>,
    code: Option<Code>,
    bytes_sent: u64,
    is_incomplete: bool,
    _in_flight: InFlight,
}

impl RequestLog {
    /// Attaches a context to the request. Everything logged while it is answered has its id.
    pub(super) fn begin<B>(request: &mut Request<B>) -> Self {
        let context = RequestContext::new(request.headers());
        request.extensions_mut().insert(Arc::clone(&context));
        let id = context.id().to_str().unwrap_or_default();
        // At the highest level, so that even a log of errors alone has the id.
        let span = tracing::error_span!("request", id);
        Self {
            context,
            method: request.method().into(),
            start: Instant::now(),
            span,
            status: None,
            code: None,
            bytes_sent: 0,
            is_incomplete: false,
            _in_flight: InFlight::request(),
        }
    }

    pub(super) fn context(&self) -> Arc<RequestContext> {
        Arc::clone(&self.context)
    }

    /// Awaits the response and follows its body until the last byte.
    pub(super) async fn follow<B>(
        mut self,
        response: impl Future<Output = Result<Response<B>, Infallible>>,
    ) -> Result<Response<LoggedBody<B>>, Infallible> {
        let mut response = response.instrument(self.span.clone()).await?;
        harden(response.headers_mut());
        response.headers_mut().insert(REQUEST_ID, self.context.id().clone());
        self.status = Some(response.status());
        self.code = response.extensions().get().copied();
        Ok(response.map(|body| LoggedBody { body, log: self }))
    }

    /// Why the response is incomplete, if it is.
    fn cut(&self) -> Option<&'static str> {
        match self.status {
            Some(_) if self.is_incomplete => Some("the response was cut off"),
            Some(_) => None,
            None if std::thread::panicking() => Some("a panic"),
            None => Some("the client disconnected before the response"),
        }
    }
}

impl RequestLog {
    fn write(&self, took: Duration, left_out: Option<u64>) {
        tracing::info!(
            parent: &self.span,
            method = self.method.as_str(),
            route = self.context.route().as_str(),
            status = self.status.map(|status| status.as_u16()),
            code = self.code.map(Code::as_str),
            ms = took.as_micros() as f64 / 1e3,
            bytes = self.bytes_sent,
            token = self.context.token(),
            cut = self.cut(),
            left_out,
            "request"
        );
    }
}

/// Anyone can cause any number of requests. Those of strangers are logged one per interval for each
/// method, route and outcome.
impl Drop for RequestLog {
    fn drop(&mut self) {
        let took = self.start.elapsed();
        let route = self.context.route();
        metrics::request(route, self.method, self.status.into(), took);
        if self.context.is_trusted() {
            return self.write(took, None);
        }
        static LINES: Throttle = Throttle::for_kinds(MAX_KINDS);
        let kind = (self.method.as_str(), route.as_str(), self.status, self.code);
        LINES.pass(kind, |left_out| self.write(took, left_out));
    }
}

/// Logs and counts what hyper could not parse and has answered 400 by itself. Strangers may send
/// any amount of it.
pub(super) fn log_unparsable() {
    static LINES: Throttle = Throttle::new();
    let status = StatusClass::ClientError;
    metrics::request(Route::None, MethodLabel::Other, status, Duration::ZERO);
    let route = Route::None.as_str();
    LINES.pass(route, |suppressed| {
        tracing::info!(route, suppressed, "received something that is not an HTTP request");
    });
}

/// The body of a response, counted as it is sent.
pub(super) struct LoggedBody<B> {
    body: B,
    log: RequestLog,
}

impl<B: Body<Data: Buf> + Unpin> Body for LoggedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.log.is_incomplete = match &polled {
            Poll::Ready(None) => false,
            Poll::Ready(Some(Ok(frame))) => {
                let size = frame.data_ref().map_or(0, Buf::remaining);
                self.log.bytes_sent += size as u64;
                !self.body.is_end_stream()
            }
            Poll::Ready(Some(Err(_))) | Poll::Pending => true,
        };
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
