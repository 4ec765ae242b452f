//! Long listings as one JSON text, read and written page by page: flat memory, no cursor held
//! open for a slow reader.

use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use warp::reply::{Reply, Response};

use super::link::Streamed;
use super::reply;
use crate::error::Error;
use crate::metrics;

/// Rows read at once.
pub(super) const PAGE: u64 = 500;

/// The frame around the rows of a listing.
pub(super) struct Frame {
    /// What comes before the first row, `[` included.
    pub(super) open: Vec<u8>,
    /// What comes after the last row.
    pub(super) close: &'static str,
}

/// Answers with all rows from a place on. `fetch` reads the page after a place and tells where the
/// next one begins. A failure of the first page is an ordinary refusal; a later one cuts the
/// answer off, so that half a listing is never taken for a whole.
///
/// # Errors
/// What reading the first page refuses.
pub(super) async fn rows<T, P, F, R>(
    frame: Frame,
    permit: OwnedSemaphorePermit,
    from: Option<P>,
    fetch: F,
) -> Result<Response, Error>
where
    T: Serialize + Send + 'static,
    P: Send + 'static,
    F: Fn(Option<P>) -> R + Send + 'static,
    R: Future<Output = Result<(Vec<T>, Option<P>), Error>> + Send + 'static,
{
    let Frame { mut open, close } = frame;
    let (first, next) = fetch(from).await?;
    append(&mut open, &first, "")?;
    if next.is_none() {
        open.extend_from_slice(close.as_bytes());
        return Ok(reply::json_bytes(StatusCode::OK, open));
    }
    let lead = if first.is_empty() { "" } else { "," };
    let later = stream::try_unfold((next, lead), move |(after, lead)| {
        // Given back with the last page, or when the client is gone.
        let _ = &permit;
        let page = after.map(|after| fetch(Some(after)));
        async move {
            let Some(page) = page else { return Ok(None) };
            let (rows, next) = page.await.inspect_err(log_cut)?;
            let mut chunk = Vec::new();
            append(&mut chunk, &rows, lead)?;
            if next.is_none() {
                chunk.extend_from_slice(close.as_bytes());
            } else if rows.is_empty() {
                // A sign of life for whoever waits while few rows are found.
                chunk.push(b'\n');
            }
            let lead = if rows.is_empty() { lead } else { "," };
            Ok::<_, Error>(Some((Bytes::from(chunk), (next, lead))))
        }
    });
    let body = stream::iter([Ok(Bytes::from(open))]).chain(later);
    let mut response = warp::reply::stream(Exclusive::new(body)).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.extensions_mut().insert(Streamed);
    Ok(response)
}

/// Writes rows, separated by commas, after `lead` if there are any.
fn append<T: Serialize>(text: &mut Vec<u8>, rows: &[T], lead: &str) -> Result<(), Error> {
    let mut separator = lead;
    for row in rows {
        text.extend_from_slice(separator.as_bytes());
        text.extend_from_slice(&reply::to_json(row)?);
        separator = ",";
    }
    Ok(())
}

fn log_cut(error: &Error) {
    metrics::error(error.code());
    tracing::warn!(code = error.code().as_str(), "a listing was cut off midway");
}

/// A stream that only its owner polls. That makes it `Sync`, as the router wants its bodies,
/// whatever is inside: the mutex is never locked.
struct Exclusive<T>(Mutex<Pin<Box<dyn Stream<Item = T> + Send>>>);

impl<T> Exclusive<T> {
    fn new(stream: impl Stream<Item = T> + Send + 'static) -> Self {
        Self(Mutex::new(Box::pin(stream)))
    }
}

impl<T> Stream for Exclusive<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let stream = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        stream.as_mut().poll_next(cx)
    }
}

impl<T> fmt::Debug for Exclusive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exclusive")
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::error::Code;

    fn frame() -> Frame {
        Frame { open: b"[".to_vec(), close: "]" }
    }

    fn permit() -> OwnedSemaphorePermit {
        let listings = std::sync::Arc::new(tokio::sync::Semaphore::new(1));
        listings.try_acquire_owned().expect("a permit")
    }

    /// The numbers up to `count`; what comes after `broken` cannot be read.
    async fn numbers(count: u64, broken: Option<u64>) -> Result<Response, Error> {
        let fetch = move |start: Option<u64>| async move {
            let start = start.unwrap_or(0);
            if broken.is_some_and(|broken| start > broken) {
                return Err(Error::new(Code::DatabaseUnavailable, "away"));
            }
            let end = count.min(start + PAGE);
            Ok(((start..end).collect::<Vec<u64>>(), (end < count).then_some(end)))
        };
        rows(frame(), permit(), None, fetch).await
    }

    #[tokio::test]
    async fn pages_without_rows_leave_valid_json() {
        for found in ["", "0", "3", "0 3", "1 2", "0 1 2 3"] {
            let fetch = move |page: Option<u8>| async move {
                let page = page.unwrap_or(0);
                let rows: Vec<u8> = found.split(' ').filter_map(|n| n.parse().ok()).collect();
                let rows = rows.into_iter().filter(|row| *row == page).collect::<Vec<u8>>();
                Ok((rows, (page < 3).then_some(page + 1)))
            };
            let response = rows(frame(), permit(), None, fetch).await.expect("a listing");
            let body = response.into_body().collect().await.expect("a whole body").to_bytes();
            let read: Vec<u8> = serde_json::from_slice(&body).expect("valid JSON");
            let shown: Vec<_> = read.iter().map(u8::to_string).collect();
            assert_eq!(shown.join(" "), found);
        }
    }

    #[tokio::test]
    async fn any_number_of_rows_is_one_json_array() {
        for count in [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE] {
            let response = numbers(count, None).await.expect("a listing");
            let body = response.into_body().collect().await.expect("a whole body").to_bytes();
            let read: Vec<u64> = serde_json::from_slice(&body).expect("valid JSON");
            assert!(read.into_iter().eq(0..count), "{count} rows");
        }
    }

    #[tokio::test]
    async fn a_listing_that_fails_midway_is_cut() {
        let response = numbers(3 * PAGE, Some(PAGE)).await.expect("its beginning");
        let mut body = response.into_body();
        let beginning = body.frame().await.expect("a frame").expect("the first page");
        assert!(beginning.data_ref().is_some_and(|data| data.starts_with(b"[0,1,")));
        while let Some(frame) = body.frame().await {
            if frame.is_err() {
                return;
            }
        }
        panic!("the body ended as if it were whole");
    }

    #[tokio::test]
    async fn a_listing_keeps_its_place_until_its_end() {
        let listings = std::sync::Arc::new(tokio::sync::Semaphore::new(1));
        let begin = || {
            let permit = std::sync::Arc::clone(&listings).try_acquire_owned().expect("a place");
            let fetch = |page: Option<u64>| async move {
                let page = page.unwrap_or(0);
                Ok((vec![page], (page < 2).then_some(page + 1)))
            };
            rows(frame(), permit, None, fetch)
        };
        for frames in 0..2 {
            let mut body = begin().await.expect("its beginning").into_body();
            for _ in 0..frames {
                body.frame().await.expect("a frame").expect("a page");
                assert_eq!(listings.available_permits(), 0, "it goes on");
            }
            assert_eq!(listings.available_permits(), 0, "it goes on");
            drop(body);
            assert_eq!(listings.available_permits(), 1, "its client is gone");
        }
        let body = begin().await.expect("its beginning").into_body();
        body.collect().await.expect("a whole body");
        assert_eq!(listings.available_permits(), 1, "it is whole");
    }

    #[tokio::test]
    async fn a_failure_before_the_first_row_is_an_ordinary_refusal() {
        let fetch = |_: Option<u64>| async {
            Err::<(Vec<u64>, _), _>(Error::new(Code::DatabaseUnavailable, "away"))
        };
        let error = rows(frame(), permit(), None, fetch).await.expect_err("refused");
        assert_eq!(error.http_status(), 503);
    }
}
