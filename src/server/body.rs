//! Request bodies: collected with a size limit and a timeout, in bounded memory.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, EXPECT};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::ConnectionState;
use super::context::RequestContext;
use super::limits::Limits;
use crate::error::{Code, Error};

/// How much beyond the limit is read and discarded, so that the client gets to read the error
/// response instead of a connection reset.
pub(super) const MAX_DISCARDED: usize = 8 * 1024 * 1024;
/// How long that may take, and how long a pause in it may be.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);
const DISCARD_PAUSE: Duration = Duration::from_millis(50);
/// Bodies up to this size need no permit.
const SMALL: usize = 64 * 1024;
/// The memory of all larger bodies together, in KiB.
const LARGE_KIB: usize = 64 * 1024;

/// How a request arrives; an extension of the request.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    /// When its first byte arrived.
    pub(super) since: Instant,
    pub(super) connection: Arc<ConnectionState>,
    pub(super) context: Arc<RequestContext>,
}

/// Collects request bodies within the limits of a server.
pub(super) struct BodyReader {
    max: usize,
    large: Arc<Semaphore>,
}

/// A complete body. Dropping it returns its memory permit.
#[derive(Debug)]
pub(super) struct CollectedBody {
    pub(super) bytes: Bytes,
    _memory: Option<OwnedSemaphorePermit>,
}

impl BodyReader {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { max: limits.body, large: Arc::new(Semaphore::new(LARGE_KIB)) }
    }

    /// Refuses a body that is encoded, or too large by its `Content-Length`, without waiting for it.
    /// Returns it otherwise.
    ///
    /// # Errors
    /// `unsupported_media_type`, `payload_too_large`.
    pub(super) async fn admit<S, B, E>(
        &self,
        body: S,
        connection: &ConnectionState,
        headers: &HeaderMap,
    ) -> Result<S, Error>
    where
        S: Stream<Item = Result<B, E>>,
        B: Buf,
    {
        match self.check(headers) {
            Ok(()) => Ok(body),
            Err(error) => {
                connection.receive(discard(body, headers, MAX_DISCARDED)).await;
                Err(error)
            }
        }
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), Error> {
        if headers.get_all(CONTENT_ENCODING).iter().any(|encoding| encoding != "identity") {
            let what = "compressed bodies are not supported";
            let error = Error::new(Code::UnsupportedMediaType, what);
            return Err(error.hint("send the body without a Content-Encoding"));
        }
        let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        match declared.and_then(|length| length.parse::<usize>().ok()) {
            Some(length) if length > self.max => Err(too_large(self.max)),
            _ => Ok(()),
        }
    }

    /// Collects a body that arrives on a connection.
    ///
    /// # Errors
    /// `payload_too_large`; `request_timeout` at the deadline, or if its place is needed for others;
    /// `invalid_request` if it breaks off; `overloaded` if there are too many large bodies.
    pub(super) async fn collect<S, B, E>(
        &self,
        body: S,
        connection: &ConnectionState,
        deadline: Instant,
    ) -> Result<CollectedBody, Error>
    where
        S: Stream<Item = Result<B, E>>,
        B: Buf,
    {
        let read = tokio::time::timeout_at(deadline.into(), self.read(body));
        match connection.receive(read).await {
            Some(Ok(read)) => read,
            Some(Err(_)) => Err(too_slow("the body did not arrive in time")),
            None => Err(too_slow("the body arrived too slowly while the server was full")),
        }
    }

    async fn read<S, B, E>(&self, body: S) -> Result<CollectedBody, Error>
    where
        S: Stream<Item = Result<B, E>>,
        B: Buf,
    {
        let mut body = pin!(body);
        // Most bodies are a single chunk, which is not copied.
        let first = match body.next().await {
            None => Bytes::new(),
            Some(chunk) => take(chunk)?,
        };
        let mut size = first.len();
        let mut collected = BytesMut::new();
        let mut memory = None;
        while let Some(chunk) = body.next().await {
            let chunk = take(chunk)?;
            size += chunk.len();
            if size > self.max + MAX_DISCARDED {
                break;
            }
            if size <= self.max {
                if size > SMALL && memory.is_none() {
                    memory = Some(self.memory_permit()?);
                }
                if collected.is_empty() {
                    collected.extend_from_slice(&first);
                }
                collected.extend_from_slice(&chunk);
            }
        }
        if size > self.max {
            return Err(too_large(self.max));
        }
        let bytes = if collected.is_empty() { first } else { collected.freeze() };
        Ok(CollectedBody { bytes, _memory: memory })
    }

    /// A permit to keep a large body in memory.
    fn memory_permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        let kib = u32::try_from(self.max.div_ceil(1024)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.large).try_acquire_many_owned(kib);
        permit.map_err(|_| Error::overloaded("too many concurrent large requests"))
    }
}

/// Reads and drops what of a refused body is on its way already, so that the client gets to read the
/// response instead of a connection reset. A body that pauses is not waited for.
pub(super) async fn discard<S, B, E>(body: S, headers: &HeaderMap, max: usize)
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    // The client waits for the status before it sends anything.
    if headers.contains_key(EXPECT) {
        return;
    }
    let mut body = pin!(body);
    let mut left = max;
    let all = async {
        while let Ok(Some(Ok(chunk))) = tokio::time::timeout(DISCARD_PAUSE, body.next()).await {
            match left.checked_sub(chunk.remaining()) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, all).await;
}

fn too_slow(what: &str) -> Error {
    Error::new(Code::RequestTimeout, what)
}

fn too_large(max: usize) -> Error {
    let size = match max / 1024 {
        kib if kib > 0 && kib.is_multiple_of(1024) => format!("{} MiB", kib / 1024),
        kib if kib > 0 => format!("{kib} KiB"),
        _ => format!("{max} bytes"),
    };
    Error::new(Code::PayloadTooLarge, format!("the body is larger than {size}"))
}

fn take<B: Buf, E>(chunk: Result<B, E>) -> Result<Bytes, Error> {
    let mut chunk = chunk.map_err(|_| Error::invalid("the body could not be read"))?;
    Ok(chunk.copy_to_bytes(chunk.remaining()))
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    const MAX: usize = 1024 * 1024;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    fn bodies() -> BodyReader {
        BodyReader::new(&Limits::default())
    }

    fn chunks(sizes: Vec<usize>) -> impl Stream<Item = Result<Bytes, ()>> {
        stream::iter(sizes.into_iter().map(|size| Ok(Bytes::from(vec![b'x'; size]))))
    }

    async fn collected(sizes: Vec<usize>) -> Result<usize, Code> {
        let body = bodies().collect(chunks(sizes), &ConnectionState::new(), soon()).await;
        body.map(|body| body.bytes.len()).map_err(|error| error.code())
    }

    #[tokio::test]
    async fn bodies_up_to_the_limit_are_collected() {
        for sizes in [vec![], vec![0], vec![5], vec![0, 3], vec![MAX], vec![1, MAX - 1]] {
            let size = sizes.iter().sum();
            assert_eq!(collected(sizes).await, Ok(size));
        }
    }

    #[tokio::test]
    async fn larger_bodies_are_refused() {
        for sizes in [vec![MAX + 1], vec![MAX, 1], vec![MAX; 100]] {
            assert_eq!(collected(sizes).await, Err(Code::PayloadTooLarge));
        }
    }

    #[tokio::test]
    async fn an_endless_body_is_read_up_to_a_limit() {
        let mut read = 0;
        let chunks =
            (0..100).inspect(|_| read += 1).map(|_| Ok::<_, ()>(Bytes::from(vec![0; MAX])));
        let error = bodies()
            .collect(stream::iter(chunks), &ConnectionState::new(), soon())
            .await
            .expect_err("too large");
        assert_eq!(error.code(), Code::PayloadTooLarge);
        assert_eq!(read, (MAX + MAX_DISCARDED) / MAX + 1);
    }

    #[tokio::test]
    async fn the_memory_of_large_bodies_is_bounded() {
        let bodies = bodies();
        let large = || vec![SMALL; MAX / SMALL];
        let mut kept = Vec::new();
        for _ in 0..LARGE_KIB * 1024 / MAX {
            kept.push(
                bodies
                    .collect(chunks(large()), &ConnectionState::new(), soon())
                    .await
                    .expect("memory"),
            );
        }
        let refused = bodies
            .collect(chunks(large()), &ConnectionState::new(), soon())
            .await
            .expect_err("no memory");
        assert_eq!(refused.code(), Code::Overloaded);
        let small = bodies
            .collect(chunks(vec![5, 5]), &ConnectionState::new(), soon())
            .await
            .expect("small bodies need no permit");
        assert_eq!(small.bytes.len(), 10);
        kept.pop();
        assert!(
            bodies.collect(chunks(large()), &ConnectionState::new(), soon()).await.is_ok(),
            "the memory is free again"
        );
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_or_never_ends_is_refused() {
        let broken = stream::iter([Ok(Bytes::from_static(b"{")), Err(())]);
        let error = bodies()
            .collect(broken, &ConnectionState::new(), soon())
            .await
            .expect_err("broken off");
        assert_eq!(error.code(), Code::InvalidRequest);
        let endless = stream::pending::<Result<Bytes, ()>>();
        let error = bodies()
            .collect(endless, &ConnectionState::new(), Instant::now())
            .await
            .expect_err("too slow");
        assert_eq!(error.code(), Code::RequestTimeout);
    }
}
