//! What a connection is doing, seen from outside of its task: only so can the accept loop end
//! those that wait too long, make room when there are many, and know which a stop may cut.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::limits::Limits;

/// What a client must take of an answer within the time of a request: 64 KiB, or the rest of it.
const LEAST_TAKEN: usize = 64 * 1024;

/// An answer that goes on for as long as its client reads: a stop does not wait for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streamed;

/// A connection, as those see it who do not run it.
#[derive(Debug)]
pub(super) struct Link(Mutex<Seen>);

#[derive(Debug)]
struct Seen {
    phase: Phase,
    since: Instant,
    /// Whether a request was answered on it.
    used: bool,
    stall: Option<Stall>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No byte of a request has come.
    Waiting,
    /// Part of a request's head has come.
    Head,
    /// A request is being answered.
    Busy,
    /// An answer goes out that has no end in sight.
    Streaming,
}

/// A client that does not take what is there for it.
#[derive(Debug)]
struct Stall {
    since: Instant,
    taken: usize,
}

impl Link {
    pub(super) fn new() -> Arc<Self> {
        let (phase, since) = (Phase::Waiting, Instant::now());
        Arc::new(Self(Mutex::new(Seen { phase, since, used: false, stall: None })))
    }

    /// A request's head is whole. Returns when its first byte came.
    pub(super) fn begin(&self) -> Instant {
        let mut seen = self.seen();
        // Sent ahead on an open connection, it came before the last one was answered.
        let came = if seen.phase == Phase::Head { seen.since } else { Instant::now() };
        (seen.phase, seen.used) = (Phase::Busy, true);
        came
    }

    /// The answer goes on for as long as its client reads.
    pub(super) fn stream(&self) {
        self.seen().phase = Phase::Streaming;
    }

    /// Since when it waits for its client to send a request, or to take the answer to the last;
    /// `None` while one is being answered.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        let seen = self.seen();
        let waits = matches!(seen.phase, Phase::Waiting | Phase::Head);
        waits.then(|| seen.stall.as_ref().map_or(seen.since, |stall| stall.since))
    }

    /// Whether a stop has to wait for it.
    pub(super) fn is_busy(&self) -> bool {
        self.seen().phase == Phase::Busy
    }

    /// Whether its client has had the time it gets.
    pub(super) fn is_overdue(&self, limits: &Limits, now: Instant) -> bool {
        let seen = self.seen();
        let over = |since: Instant, time| now.saturating_duration_since(since) > time;
        let stalled = seen.stall.as_ref().is_some_and(|s| over(s.since, limits.request_time));
        stalled
            || match seen.phase {
                Phase::Waiting if seen.used => over(seen.since, limits.keep_alive),
                Phase::Waiting | Phase::Head => over(seen.since, limits.request_time),
                Phase::Busy | Phase::Streaming => false,
            }
    }

    fn received(&self) {
        let mut seen = self.seen();
        if seen.phase == Phase::Waiting {
            (seen.phase, seen.since) = (Phase::Head, Instant::now());
        }
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        let mut seen = self.seen();
        match (written, &mut seen.stall) {
            (Poll::Pending, None) => {
                seen.stall = Some(Stall { since: Instant::now(), taken: 0 });
            }
            (Poll::Ready(Ok(bytes)), Some(stall)) => {
                stall.taken += bytes;
                if stall.taken >= LEAST_TAKEN {
                    seen.stall = None;
                }
            }
            _ => {}
        }
    }

    /// Everything there was for the client is on its way.
    fn flushed(&self) {
        self.seen().stall = None;
    }

    fn answered(&self) {
        let mut seen = self.seen();
        (seen.phase, seen.since) = (Phase::Waiting, Instant::now());
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that tells its link what goes through it.
pub(super) struct Watched<S> {
    pub(super) stream: S,
    pub(super) link: Arc<Link>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        // An empty line before a request is none of it (RFC 9112, section 2.2).
        if buf.filled()[before..].iter().any(|byte| !b"\r\n".contains(byte)) {
            self.link.received();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.link.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.link.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.link.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The body of an answer. The request is over when hyper drops it.
pub(super) struct Answer<B> {
    body: B,
    link: Arc<Link>,
}

impl<B> Answer<B> {
    pub(super) fn new(body: B, link: Arc<Link>) -> Self {
        Self { body, link }
    }
}

impl<B> Drop for Answer<B> {
    fn drop(&mut self) {
        self.link.answered();
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Answer<B> {
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
    async fn an_empty_line_begins_no_request() {
        let link = Link::new();
        let (mut client, stream) = tokio::io::duplex(64);
        let mut watched = Watched { stream, link: Arc::clone(&link) };
        for (sent, phase) in [("\r\n", Phase::Waiting), ("\r\nGET", Phase::Head)] {
            client.write_all(sent.as_bytes()).await.expect("sent");
            let mut read = vec![0; sent.len()];
            watched.read_exact(&mut read).await.expect("read");
            assert_eq!(link.seen().phase, phase, "{sent:?}");
        }
    }
}
