//! The state of a connection, visible outside its task. The accept loop uses it to enforce
//! timeouts, to evict idle connections, and to know which ones a shutdown may cut.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use super::limits::Limits;
use super::permits::{Admission, FollowPermit};

/// How much of a response a client must accept within [`Limits::request_time`]: this, or the rest.
const MIN_PROGRESS: usize = 64 * 1024;

/// Marks a response that is streamed for as long as its client reads: a shutdown does not wait for
/// it. An extension of the response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streamed;

/// How long a connection must have waited for its client before it is given up in favour of another:
/// for a request, and for the rest of a body. Of the latter the client is told.
const MIN_IDLE: Duration = Duration::from_secs(1);
const MIN_BODY: Duration = Duration::from_millis(250);
/// How long a connection may take to end once it has lost its place.
const EVICTION_TIME: Duration = Duration::from_secs(1);

/// The state of a connection, shared by its task and the accept loop.
#[derive(Debug)]
pub(super) struct ConnectionState {
    activity: Mutex<Activity>,
    /// Cancelled when its body no longer has time to arrive.
    evicted: CancellationToken,
}

#[derive(Debug)]
struct Activity {
    phase: Phase,
    since: Instant,
    /// Whether there has been a request.
    used: bool,
    stall: Option<Stall>,
    /// When it lost its place to another; `None` again if a request has come all the same.
    evicted_at: Option<Instant>,
    /// Whether the next response is the last one.
    is_last: bool,
    /// Its request follows the feed, or the last one did.
    follower: Option<FollowPermit>,
    /// Wakes the task that waits for the client to send something.
    reader: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Waiting for a request.
    Idle,
    /// Part of a request's head has arrived.
    Head,
    /// The body of a request is arriving.
    Body,
    /// Processing a request.
    Busy,
    /// Sending a response that is [`Streamed`].
    Streaming,
}

/// The client is not reading: the socket's send buffer is full.
#[derive(Debug)]
struct Stall {
    since: Instant,
    /// Bytes that the client has accepted since.
    accepted: usize,
}

impl ConnectionState {
    pub(super) fn new() -> Arc<Self> {
        let activity = Activity {
            phase: Phase::Idle,
            since: Instant::now(),
            used: false,
            stall: None,
            evicted_at: None,
            is_last: false,
            follower: None,
            reader: None,
        };
        Arc::new(Self { activity: Mutex::new(activity), evicted: CancellationToken::new() })
    }

    /// The head of a request is complete. Returns when its first byte arrived.
    pub(super) fn begin_request(&self) -> Instant {
        let mut activity = self.lock();
        // A pipelined request arrived while the previous one was being answered.
        let arrived = if activity.phase == Phase::Head { activity.since } else { Instant::now() };
        activity.phase = Phase::Busy;
        activity.used = true;
        activity.evicted_at = None;
        activity.follower = None;
        arrived
    }

    /// Receives the body of a request. `None` if it is given up to make room for others.
    pub(super) async fn receive<T>(&self, body: impl Future<Output = T>) -> Option<T> {
        self.enter(Phase::Body);
        let received = tokio::select! {
            biased;
            received = body => Some(received),
            () = self.evicted.cancelled() => None,
        };
        self.enter(Phase::Busy);
        if received.is_some() {
            // It was there in time after all: the response may take as long as any.
            self.lock().evicted_at = None;
        }
        received
    }

    /// Gives up the body that is arriving.
    pub(super) fn evict_body(&self) {
        self.evict();
        self.evicted.cancel();
    }

    /// Ends the connection unless a request has arrived that was not read yet: on a busy machine that
    /// may take a while.
    pub(super) fn evict_idle(&self) {
        if let Some(reader) = self.evict() {
            reader.wake();
        }
    }

    fn evict(&self) -> Option<Waker> {
        let mut activity = self.lock();
        activity.evicted_at = Some(Instant::now());
        activity.is_last = true;
        activity.reader.take()
    }

    /// Whether the next response is the last one.
    pub(super) fn is_last(&self) -> bool {
        self.lock().is_last
    }

    /// Whether its client does not read what was sent to it.
    pub(super) fn is_stalled(&self) -> bool {
        self.lock().stall.is_some()
    }

    /// Nothing has arrived. Returns whether to wait for more, of which the task is then told.
    fn waits(&self, reader: &Waker) -> bool {
        let mut activity = self.lock();
        let is_idle = matches!(activity.phase, Phase::Idle | Phase::Head);
        if is_idle && activity.evicted_at.is_some() {
            return false;
        }
        activity.reader = Some(reader.clone());
        true
    }

    fn enter(&self, phase: Phase) {
        let mut activity = self.lock();
        activity.phase = phase;
        activity.since = Instant::now();
    }

    /// Its request follows the feed.
    pub(super) fn follow(&self, follower: FollowPermit) {
        self.lock().follower = Some(follower);
    }

    /// The response is [`Streamed`].
    pub(super) fn stream(&self) {
        self.lock().phase = Phase::Streaming;
    }

    /// Since when it has been waiting for its client to send a request, or to read the previous
    /// response; `None` while it is processing a request, and before it may be closed for waiting.
    pub(super) fn idle_since(&self, now: Instant) -> Option<Instant> {
        let activity = self.lock();
        let is_idle = matches!(activity.phase, Phase::Idle | Phase::Head);
        let since = activity.stall.as_ref().map_or(activity.since, |stall| stall.since);
        let is_due = now.saturating_duration_since(since) >= MIN_IDLE;
        (is_idle && is_due && activity.evicted_at.is_none()).then_some(since)
    }

    /// Since when a body has been arriving, once it may be given up.
    pub(super) fn body_since(&self, now: Instant) -> Option<Instant> {
        let activity = self.lock();
        let is_slow = activity.phase == Phase::Body
            && activity.evicted_at.is_none()
            && now.saturating_duration_since(activity.since) >= MIN_BODY;
        is_slow.then_some(activity.since)
    }

    /// Whether its body may soon be given up, or was given up just now.
    pub(super) fn may_leave(&self) -> bool {
        let activity = self.lock();
        let was_evicted = activity.phase == Phase::Busy && activity.evicted_at.is_some();
        activity.phase == Phase::Body || was_evicted
    }

    /// Whether a shutdown has to wait for it.
    pub(super) fn is_busy(&self) -> bool {
        self.lock().phase == Phase::Busy
    }

    pub(super) fn has_timed_out(&self, limits: &Limits, now: Instant) -> bool {
        let activity = self.lock();
        let exceeds = |since: Instant, time| now.saturating_duration_since(since) > time;
        let stalled =
            activity.stall.as_ref().is_some_and(|s| exceeds(s.since, limits.request_time));
        stalled
            || activity.evicted_at.is_some_and(|since| exceeds(since, EVICTION_TIME))
            || match activity.phase {
                Phase::Idle if activity.used => exceeds(activity.since, limits.keep_alive),
                Phase::Idle | Phase::Head => exceeds(activity.since, limits.request_time),
                Phase::Body | Phase::Busy | Phase::Streaming => false,
            }
    }

    fn received(&self) {
        let mut activity = self.lock();
        if activity.phase == Phase::Idle {
            activity.phase = Phase::Head;
            activity.since = Instant::now();
        }
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        let mut activity = self.lock();
        match (written, &mut activity.stall) {
            (Poll::Pending, None) => {
                activity.stall = Some(Stall { since: Instant::now(), accepted: 0 });
            }
            (Poll::Ready(Ok(bytes)), Some(stall)) => {
                stall.accepted += bytes;
                if stall.accepted >= MIN_PROGRESS {
                    activity.stall = None;
                }
            }
            _ => {}
        }
    }

    fn flushed(&self) {
        self.lock().stall = None;
    }

    fn end_request(&self) {
        self.enter(Phase::Idle);
    }

    fn lock(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that updates the state of its connection on each read and write.
pub(super) struct TrackedStream<S> {
    pub(super) stream: S,
    pub(super) state: Arc<ConnectionState>,
}

impl<S: AsyncRead + Unpin> AsyncRead for TrackedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        // Empty lines before a request are to be ignored (RFC 9112, section 2.2).
        if buf.filled()[before..].iter().any(|byte| !b"\r\n".contains(byte)) {
            self.state.received();
        }
        if read.is_pending() && !self.state.waits(cx.waker()) {
            // The end of the stream, as if the client had closed it.
            return Poll::Ready(Ok(()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TrackedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.state.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.state.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.state.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The body of a response. The request ends when hyper drops it.
pub(super) struct TrackedBody<B> {
    body: B,
    _admission: Admission,
    state: Arc<ConnectionState>,
}

impl<B> TrackedBody<B> {
    pub(super) fn new(body: B, admission: Admission, state: Arc<ConnectionState>) -> Self {
        Self { body, _admission: admission, state }
    }
}

impl<B> Drop for TrackedBody<B> {
    fn drop(&mut self) {
        self.state.end_request();
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for TrackedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn whoever_completes_its_body_after_losing_its_place_is_not_cut_off() {
        let state = ConnectionState::new();
        state.begin_request();
        let completed = state.receive(async { state.evict_body() }).await;
        assert!(completed.is_some() && state.is_last());
        let later = Instant::now() + EVICTION_TIME * 2;
        assert!(!state.has_timed_out(&Limits::default(), later));
    }

    #[tokio::test]
    async fn an_empty_line_does_not_begin_a_request() {
        let state = ConnectionState::new();
        let (mut client, stream) = tokio::io::duplex(64);
        let mut tracked = TrackedStream { stream, state: Arc::clone(&state) };
        for (sent, phase) in [("\r\n", Phase::Idle), ("\r\nGET", Phase::Head)] {
            client.write_all(sent.as_bytes()).await.expect("sent");
            let mut read = vec![0; sent.len()];
            tracked.read_exact(&mut read).await.expect("read");
            assert_eq!(state.lock().phase, phase, "{sent:?}");
        }
    }
}
