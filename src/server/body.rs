//! Request bodies: collected with a cap and within a time, chunked or not, in bounded memory.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::Limits;
use crate::error::{Code, Error};

/// How much more than the cap is read and thrown away, so that the client gets to read the refusal
/// instead of a broken connection.
const MOST_WASTE: usize = 8 * 1024 * 1024;
/// Bytes that each request may keep without asking.
const SMALL: usize = 64 * 1024;
/// What all larger bodies together may keep, in KiB.
const LARGE_KIB: usize = 64 * 1024;

/// How the bodies of one server are collected.
pub(super) struct Bodies {
    most: usize,
    large: Arc<Semaphore>,
}

/// A whole body. Dropping it gives its memory back.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) bytes: Bytes,
    _memory: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { most: limits.body, large: Arc::new(Semaphore::new(LARGE_KIB)) }
    }

    /// Refuses a body that says of itself that it is too large, unless it is small enough to be
    /// read and thrown away, and comes without being asked for.
    ///
    /// # Errors
    /// `payload_too_large`.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<(), Error> {
        let waste = if headers.contains_key(EXPECT) { 0 } else { MOST_WASTE };
        let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        match declared.and_then(|length| length.parse::<usize>().ok()) {
            Some(length) if length > self.most + waste => Err(too_large(self.most)),
            _ => Ok(()),
        }
    }

    /// Collects a body.
    ///
    /// # Errors
    /// `payload_too_large`; `request_timeout` when it is not there by an instant;
    /// `invalid_request` when it broke off; `overloaded` when too many large ones come at once.
    pub(super) async fn collect<S, B, E>(&self, body: S, by: Instant) -> Result<Whole, Error>
    where
        S: Stream<Item = Result<B, E>>,
        B: Buf,
    {
        match tokio::time::timeout_at(by.into(), self.read(body)).await {
            Ok(read) => read,
            Err(_) => Err(Error::new(Code::RequestTimeout, "the body did not arrive in time")),
        }
    }

    async fn read<S, B, E>(&self, body: S) -> Result<Whole, Error>
    where
        S: Stream<Item = Result<B, E>>,
        B: Buf,
    {
        let mut body = pin!(body);
        // Most bodies come in one piece, which needs no copy.
        let first = match body.next().await {
            None => Bytes::new(),
            Some(chunk) => take(chunk)?,
        };
        let (mut whole, mut size, mut memory) = (BytesMut::new(), first.len(), None);
        while let Some(chunk) = body.next().await {
            let chunk = take(chunk)?;
            size += chunk.len();
            if size > self.most + MOST_WASTE {
                break;
            }
            if size <= self.most {
                if size > SMALL && memory.is_none() {
                    memory = Some(self.memory()?);
                }
                if whole.is_empty() {
                    whole.extend_from_slice(&first);
                }
                whole.extend_from_slice(&chunk);
            }
        }
        if size > self.most {
            return Err(too_large(self.most));
        }
        let bytes = if whole.is_empty() { first } else { whole.freeze() };
        Ok(Whole { bytes, _memory: memory })
    }

    /// The right to keep a large body.
    fn memory(&self) -> Result<OwnedSemaphorePermit, Error> {
        let kib = u32::try_from(self.most.div_ceil(1024)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.large).try_acquire_many_owned(kib);
        permit.map_err(|_| Error::overloaded("too many large requests at once"))
    }
}

fn too_large(most: usize) -> Error {
    let size = match most / 1024 {
        kib if kib > 0 && kib.is_multiple_of(1024) => format!("{} MiB", kib / 1024),
        kib if kib > 0 => format!("{kib} KiB"),
        _ => format!("{most} bytes"),
    };
    Error::new(Code::PayloadTooLarge, format!("the body is larger than {size}"))
}

fn take<B: Buf, E>(chunk: Result<B, E>) -> Result<Bytes, Error> {
    let mut chunk = chunk.map_err(|_| Error::invalid("the body could not be read"))?;
    Ok(chunk.copy_to_bytes(chunk.remaining()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::stream;

    use super::*;

    const MAX: usize = 1024 * 1024;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    fn bodies() -> Bodies {
        Bodies::new(&Limits::default())
    }

    fn chunks(sizes: Vec<usize>) -> impl Stream<Item = Result<Bytes, ()>> {
        stream::iter(sizes.into_iter().map(|size| Ok(Bytes::from(vec![b'x'; size]))))
    }

    async fn collected(sizes: Vec<usize>) -> Result<usize, Code> {
        let body = bodies().collect(chunks(sizes), soon()).await;
        body.map(|body| body.bytes.len()).map_err(|error| error.code())
    }

    #[tokio::test]
    async fn bodies_up_to_the_cap_are_taken_whole() {
        for sizes in [vec![], vec![0], vec![5], vec![0, 3], vec![MAX], vec![1, MAX - 1]] {
            let size = sizes.iter().sum();
            assert_eq!(collected(sizes).await, Ok(size));
        }
    }

    #[tokio::test]
    async fn larger_ones_are_refused_in_flat_memory() {
        for sizes in [vec![MAX + 1], vec![MAX, 1], vec![MAX; 100]] {
            assert_eq!(collected(sizes).await, Err(Code::PayloadTooLarge));
        }
    }

    #[tokio::test]
    async fn of_one_without_an_end_only_so_much_is_read() {
        let mut read = 0;
        let chunks =
            (0..100).inspect(|_| read += 1).map(|_| Ok::<_, ()>(Bytes::from(vec![0; MAX])));
        let error = bodies().collect(stream::iter(chunks), soon()).await.expect_err("too large");
        assert_eq!(error.code(), Code::PayloadTooLarge);
        assert_eq!(read, (MAX + MOST_WASTE) / MAX + 1);
    }

    #[tokio::test]
    async fn only_so_many_large_ones_are_kept_at_once() {
        let bodies = bodies();
        let large = || vec![SMALL; MAX / SMALL];
        let mut kept = Vec::new();
        for _ in 0..LARGE_KIB * 1024 / MAX {
            kept.push(bodies.collect(chunks(large()), soon()).await.expect("there is room"));
        }
        let refused = bodies.collect(chunks(large()), soon()).await.expect_err("no room");
        assert_eq!(refused.code(), Code::Overloaded);
        let small = bodies.collect(chunks(vec![5, 5]), soon()).await.expect("small ones are");
        assert_eq!(small.bytes.len(), 10);
        kept.pop();
        assert!(bodies.collect(chunks(large()), soon()).await.is_ok(), "room again");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_or_never_ends_is_refused() {
        let broken = stream::iter([Ok(Bytes::from_static(b"{")), Err(())]);
        let error = bodies().collect(broken, soon()).await.expect_err("broken off");
        assert_eq!(error.code(), Code::InvalidRequest);
        let endless = stream::pending::<Result<Bytes, ()>>();
        let error = bodies().collect(endless, Instant::now()).await.expect_err("too slow");
        assert_eq!(error.code(), Code::RequestTimeout);
    }
}
