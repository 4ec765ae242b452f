//! Long lists as one JSON document, read and sent page by page: memory is bounded, and no database
//! cursor is held open for a slow reader.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::{Stream, StreamExt, stream};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use warp::reply::{Reply, Response};

use super::answer_memory::{AnswerMemory, PageMemory};
use super::budget::Share;
use super::connection::Streamed;
use super::response;
use crate::error::Error;
use crate::metrics;

/// Rows per page: few, because the sizes of all of them are read even if the first one fills the page.
pub(super) const PAGE: u64 = 100;
/// How much is serialized before other tasks get their turn.
pub(super) const SLICE: usize = 64 * 1024;

/// The JSON around the rows.
pub(super) struct Frame {
    /// Up to the first row, including `[`.
    pub(super) open: Vec<u8>,
    /// From `]` on.
    pub(super) close: Cow<'static, str>,
}

/// Responds with one page.
pub(super) async fn page<T: Serialize>(
    frame: Frame,
    memory: PageMemory,
    rows: Vec<T>,
) -> Result<Response, Error> {
    let Frame { mut open, close } = frame;
    append(&mut open, rows, "").await?;
    open.extend_from_slice(close.as_bytes());
    Ok(response::json_bytes(StatusCode::OK, memory.hold(open)))
}

/// Responds with all rows after a position. `fetch` reads the page after a position and returns the
/// position of the next one. An error on the first page is returned; a later one cuts off the
/// response, so that a partial list cannot be mistaken for a complete one.
pub(super) async fn rows<T, P, F, R>(
    frame: Frame,
    permit: Share,
    memory: AnswerMemory,
    from: Option<P>,
    fetch: F,
) -> Result<Response, Error>
where
    T: Serialize + Send + 'static,
    P: Send + 'static,
    F: Fn(Option<P>) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(Vec<T>, Option<P>), Error>> + Send + 'static,
{
    let reserved = memory.reserve().await?;
    let (first, next) = fetch(from).await?;
    if next.is_none() {
        return page(frame, reserved, first).await;
    }
    let Frame { mut open, close } = frame;
    let lead = if first.is_empty() { "" } else { "," };
    append(&mut open, first, "").await?;
    let open = reserved.hold(open);
    let fetch = Arc::new(fetch);
    let later = stream::try_unfold((next, lead), move |(after, lead)| {
        // Released after the last page, or when the client disconnects.
        let _ = &permit;
        let (memory, fetch, close) = (memory.clone(), Arc::clone(&fetch), close.clone());
        async move {
            let Some(after) = after else { return Ok(None) };
            let reserved = memory.reserve_next().await;
            let (rows, next) = fetch(Some(after)).await.inspect_err(log_cut)?;
            let mut chunk = Vec::new();
            let next_lead = if rows.is_empty() { lead } else { "," };
            append(&mut chunk, rows, lead).await?;
            if next.is_none() {
                chunk.extend_from_slice(close.as_bytes());
            } else if chunk.is_empty() {
                // Keeps the connection active while a filter matches few rows.
                chunk.push(b'\n');
            }
            Ok::<_, Error>(Some((reserved.hold(chunk), (next, next_lead))))
        }
    });
    let body = stream::iter([Ok(open)]).chain(later);
    let mut response = warp::reply::stream(Exclusive::new(body)).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.extensions_mut().insert(Streamed);
    Ok(response)
}

/// Appends rows, separated by commas and preceded by `lead`. Other tasks get their turn in between: a
/// webhook does not wait for a long page.
async fn append<T: Serialize>(text: &mut Vec<u8>, rows: Vec<T>, lead: &str) -> Result<(), Error> {
    let (mut separator, mut slice) = (lead, text.len());
    for row in rows {
        text.extend_from_slice(separator.as_bytes());
        response::write_json(text, &row)?;
        separator = ",";
        if text.len() - slice > SLICE {
            slice = text.len();
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

pub(super) fn log_cut(error: &Error) {
    metrics::error(error.code());
    tracing::warn!(code = error.code().as_str(), "a streamed list was cut off");
}

/// Makes a stream `Sync`, as warp requires of bodies: only the owner polls it, so the mutex is never
/// locked.
pub(super) struct Exclusive<T>(Mutex<Pin<Box<dyn Stream<Item = T> + Send>>>);

impl<T> Exclusive<T> {
    pub(super) fn new(stream: impl Stream<Item = T> + Send + 'static) -> Self {
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

    use super::super::answer_memory::ANSWER_MEMORY;
    use super::super::budget::Budget;
    use super::*;
    use crate::error::Code;

    fn frame() -> Frame {
        Frame { open: b"[".to_vec(), close: "]".into() }
    }

    fn client() -> Arc<str> {
        "client".into()
    }

    fn permit() -> Share {
        Budget::new(2).try_take(&client(), 1).expect("a permit")
    }

    fn memory(budget: &Budget) -> AnswerMemory {
        AnswerMemory { budget: budget.clone(), client: client() }
    }

    fn ample() -> AnswerMemory {
        memory(&Budget::new(ANSWER_MEMORY))
    }

    /// The numbers up to `count`; pages after `broken` fail.
    async fn numbers(count: u64, broken: Option<u64>) -> Result<Response, Error> {
        let fetch = move |start: Option<u64>| async move {
            let start = start.unwrap_or(0);
            if broken.is_some_and(|broken| start > broken) {
                return Err(Error::new(Code::DatabaseUnavailable, "away"));
            }
            let end = count.min(start + PAGE);
            Ok(((start..end).collect::<Vec<u64>>(), (end < count).then_some(end)))
        };
        rows(frame(), permit(), ample(), None, fetch).await
    }

    #[tokio::test]
    async fn empty_pages_leave_valid_json() {
        for found in ["", "0", "3", "0 3", "1 2", "0 1 2 3"] {
            let fetch = move |page: Option<u8>| async move {
                let page = page.unwrap_or(0);
                let rows: Vec<u8> = found.split(' ').filter_map(|n| n.parse().ok()).collect();
                let rows = rows.into_iter().filter(|row| *row == page).collect::<Vec<u8>>();
                Ok((rows, (page < 3).then_some(page + 1)))
            };
            let response = rows(frame(), permit(), ample(), None, fetch).await.expect("a list");
            let body = response.into_body().collect().await.expect("a complete body").to_bytes();
            let read: Vec<u8> = serde_json::from_slice(&body).expect("valid JSON");
            let shown: Vec<_> = read.iter().map(u8::to_string).collect();
            assert_eq!(shown.join(" "), found);
        }
    }

    #[tokio::test]
    async fn any_number_of_rows_is_one_json_array() {
        for count in [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE] {
            let response = numbers(count, None).await.expect("a list");
            let body = response.into_body().collect().await.expect("a complete body").to_bytes();
            let read: Vec<u64> = serde_json::from_slice(&body).expect("valid JSON");
            assert!(read.into_iter().eq(0..count), "{count} rows");
        }
    }

    #[tokio::test]
    async fn a_list_that_fails_midway_is_cut_off() {
        let response = numbers(3 * PAGE, Some(PAGE)).await.expect("its beginning");
        let mut body = response.into_body();
        let beginning = body.frame().await.expect("a frame").expect("the first page");
        assert!(beginning.data_ref().is_some_and(|data| data.starts_with(b"[0,1,")));
        while let Some(frame) = body.frame().await {
            if frame.is_err() {
                return;
            }
        }
        panic!("the body ended as if it were complete");
    }

    #[tokio::test]
    async fn a_list_keeps_its_permit_until_it_ends() {
        let permits = Budget::new(2);
        let begin = || {
            let permit = permits.try_take(&client(), 1).expect("a permit");
            let fetch = |page: Option<u64>| async move {
                let page = page.unwrap_or(0);
                Ok((vec![page], (page < 2).then_some(page + 1)))
            };
            rows(frame(), permit, ample(), None, fetch)
        };
        for frames in 0..2 {
            let mut body = begin().await.expect("its beginning").into_body();
            for _ in 0..frames {
                body.frame().await.expect("a frame").expect("a page");
                assert_eq!(permits.taken(), 1, "still streaming");
            }
            assert_eq!(permits.taken(), 1, "still streaming");
            drop(body);
            assert_eq!(permits.taken(), 0, "the client has disconnected");
        }
        let body = begin().await.expect("its beginning").into_body();
        body.collect().await.expect("a complete body");
        assert_eq!(permits.taken(), 0, "it is complete");
    }

    #[tokio::test]
    async fn a_page_counts_until_it_is_received() {
        let budget = Budget::new(ANSWER_MEMORY);
        let fetch = |page: Option<u64>| async move {
            let page = page.unwrap_or(0);
            Ok((vec!["x".repeat(100_000)], (page < 2).then_some(page + 1)))
        };
        let response = rows(frame(), permit(), memory(&budget), None, fetch).await;
        let mut body = response.expect("its beginning").into_body();
        assert!((100_000..400_000).contains(&budget.taken()), "one page is there");
        let first = body.frame().await.expect("a frame").expect("a page");
        assert!((100_000..400_000).contains(&budget.taken()), "it has not been received yet");
        drop(first);
        assert_eq!(budget.taken(), 0);
        let second = body.frame().await.expect("a frame").expect("a page");
        drop(body);
        assert!(budget.taken() > 0);
        drop(second);
        assert_eq!(budget.taken(), 0);
    }

    #[tokio::test]
    async fn an_error_on_the_first_page_is_an_error_response() {
        let fetch = |_: Option<u64>| async {
            Err::<(Vec<u64>, _), _>(Error::new(Code::DatabaseUnavailable, "away"))
        };
        let error = rows(frame(), permit(), ample(), None, fetch).await.expect_err("refused");
        assert_eq!(error.http_status(), 503);
    }
}
