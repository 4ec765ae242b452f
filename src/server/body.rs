//! Request bodies: collected with a cap and within a time, chunked or not.

use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};

use crate::error::{Code, Error};

/// Most bytes that a body may have.
pub(super) const MAX_BODY: usize = 1024 * 1024;
/// Most bytes of a body too large that are read and thrown away, so that the client gets to read
/// the refusal instead of a broken connection.
const MAX_WASTE: usize = 8 * 1024 * 1024;

/// Collects a body.
///
/// # Errors
/// `payload_too_large`; `invalid_request` when it broke off or did not come in time.
pub(super) async fn collect<S, B, E>(body: S, in_time: Duration) -> Result<Bytes, Error>
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    match tokio::time::timeout(in_time, read(body)).await {
        Ok(read) => read,
        Err(_) => Err(Error::invalid("the body did not arrive in time")),
    }
}

async fn read<S, B, E>(body: S) -> Result<Bytes, Error>
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    let mut body = pin!(body);
    // Most bodies come in one piece, which needs no copy.
    let first = match body.next().await {
        None => return Ok(Bytes::new()),
        Some(chunk) => take(chunk)?,
    };
    let mut whole = BytesMut::new();
    let mut size = first.len();
    while let Some(chunk) = body.next().await {
        let chunk = take(chunk)?;
        size += chunk.len();
        if size > MAX_WASTE {
            break;
        }
        if size <= MAX_BODY {
            if whole.is_empty() {
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&chunk);
        }
    }
    match size {
        0..=MAX_BODY if whole.is_empty() => Ok(first),
        0..=MAX_BODY => Ok(whole.freeze()),
        _ => Err(Error::new(Code::PayloadTooLarge, "the body is larger than 1 MiB")),
    }
}

fn take<B: Buf, E>(chunk: Result<B, E>) -> Result<Bytes, Error> {
    let mut chunk = chunk.map_err(|_| Error::invalid("the body could not be read"))?;
    Ok(chunk.copy_to_bytes(chunk.remaining()))
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    async fn collected(chunks: Vec<usize>) -> Result<usize, Code> {
        let chunks = chunks.into_iter().map(|size| Ok::<_, ()>(Bytes::from(vec![b'x'; size])));
        let body = collect(stream::iter(chunks), SOON).await;
        body.map(|body| body.len()).map_err(|error| error.code())
    }

    #[tokio::test]
    async fn bodies_up_to_the_cap_are_taken_whole() {
        for chunks in [vec![], vec![0], vec![5], vec![0, 3], vec![MAX_BODY], vec![1, MAX_BODY - 1]]
        {
            let size = chunks.iter().sum();
            assert_eq!(collected(chunks).await, Ok(size));
        }
    }

    #[tokio::test]
    async fn larger_ones_are_refused_in_flat_memory() {
        for chunks in [vec![MAX_BODY + 1], vec![MAX_BODY, 1], vec![MAX_BODY; 100]] {
            assert_eq!(collected(chunks).await, Err(Code::PayloadTooLarge));
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_or_never_ends_is_refused() {
        let broken = stream::iter([Ok(Bytes::from_static(b"{")), Err(())]);
        assert_eq!(collect(broken, SOON).await.map_err(|e| e.code()), Err(Code::InvalidRequest));
        let endless = stream::pending::<Result<Bytes, ()>>();
        let error = collect(endless, Duration::from_millis(1)).await.expect_err("too slow");
        assert!(error.to_string().contains("in time"));
    }
}
