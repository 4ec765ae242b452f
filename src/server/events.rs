//! `GET /events`: the feed, as a page or as a stream of server-sent events.
//!
//! Whoever waits for an event holds no permit and no connection to the database. All are woken by the
//! same signal and share what is then read.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use warp::reply::{Reply, Response};

use super::answer_memory::{AnswerMemory, PageMemory};
use super::connection::Streamed;
use super::permits::Admission;
use super::query::Query;
use super::response;
use super::state::ServerState;
use super::stream::{self as pages, Exclusive, Frame};
use crate::domain::{FeedCursor, FeedPage, FeedStart};
use crate::error::Error;
use crate::metrics;
use crate::threading::FeedReader;

/// How many events a page has by default.
const PAGE: u64 = 100;
/// How often a stream sends something even if nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long the client of a stream that was cut should wait before it comes back, in milliseconds.
const RETRY: u64 = 1_000;
/// What an event takes as JSON besides its text.
const EVENT_MEMORY: usize = 4 * 1024;

const EVENT_STREAM: &str = "text/event-stream";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells nginx to pass on what it receives at once.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Reads the feed from a position, or from now on.
pub(super) async fn read(
    headers: HeaderMap,
    client: Arc<str>,
    state: Arc<ServerState>,
    admission: Admission,
    query: String,
) -> Result<Response, Error> {
    let mut query = Query::new(&query);
    let start = query.feed_start()?;
    let filter = query.feed_filter()?;
    let is_stream = accepts_stream(&headers);
    let (limit, wait) = if is_stream { (None, None) } else { (query.limit()?, query.wait()?) };
    query.finish()?;
    let last_event = last_event(&headers)?;
    let (memory, draining) = (state.answer_memory(&client), state.draining.clone());
    let conversations = state.conversations().await?;
    if is_stream {
        let start = last_event.map_or(start, FeedStart::After);
        admission.follow()?;
        let reader = conversations.read_feed(start, &filter, true).await?;
        let beat = Instant::now() + HEARTBEAT;
        let last_sent = reader.position();
        return EventStream { reader, memory, draining, beat, last_sent }.respond().await;
    }
    let wait = wait.unwrap_or_default();
    let reader = conversations.read_feed(start, &filter, !wait.is_zero()).await?;
    let waiting = LongPoll { admission, draining, deadline: Instant::now() + wait };
    page(reader, limit.unwrap_or(PAGE), &memory, waiting).await
}

/// Whether the client prefers a stream to JSON.
fn accepts_stream(headers: &HeaderMap) -> bool {
    let mut best = ("", 0.0);
    for header in headers.get_all(ACCEPT) {
        for range in header.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
            let quality: f64 = quality.unwrap_or(1.0);
            let is_stream = name.eq_ignore_ascii_case(EVENT_STREAM);
            if quality > best.1 || (is_stream && quality == best.1) {
                best = (name, quality);
            }
        }
    }
    best.1 > 0.0 && best.0.eq_ignore_ascii_case(EVENT_STREAM)
}

/// The last event that the client of a stream has received before it was cut.
fn last_event(headers: &HeaderMap) -> Result<Option<FeedCursor>, Error> {
    let Some(value) = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let cursor = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let invalid = || {
        Error::invalid("Last-Event-ID is not a cursor of the feed")
            .hint("send the id of an event as it was received, or none")
    };
    cursor.map(Some).ok_or_else(invalid)
}

/// How a request waits for events.
struct LongPoll {
    admission: Admission,
    draining: CancellationToken,
    deadline: Instant,
}

impl LongPoll {
    /// Waits until there may be events. Returns whether it is worth looking: the time is not over, and
    /// the server does not shut down.
    async fn wait(&self, reader: &mut FeedReader) -> Result<bool, Error> {
        if Instant::now() >= self.deadline || self.draining.is_cancelled() {
            return Ok(false);
        }
        self.admission.follow()?;
        tokio::select! {
            biased;
            () = self.draining.cancelled() => Ok(false),
            () = reader.more() => Ok(true),
            () = sleep_until(self.deadline) => Ok(false),
        }
    }
}

/// Responds with a page, as soon as it has an event or the time is over.
async fn page(
    mut reader: FeedReader,
    limit: u64,
    memory: &AnswerMemory,
    waiting: LongPoll,
) -> Result<Response, Error> {
    let memory = loop {
        match look(&mut reader, memory).await? {
            Some(memory) => break memory,
            None if waiting.wait(&mut reader).await? => {}
            None => break memory.reserve_amount(EVENT_MEMORY).await?,
        }
    };
    let FeedPage { events, next } = reader.take(limit);
    // Only one page is held: what it came from is shared with others, or gone.
    drop(reader);
    metrics::events(&events);
    let close = format!(r#"],"next":"{next}"}}"#).into();
    pages::page(Frame { open: br#"{"events":["#.to_vec(), close }, memory, events).await
}

/// Looks for the next events, for which it reserves memory: that of a page while it reads what only this
/// reader needs, and otherwise that of a copy of what all share.
async fn look(reader: &mut FeedReader, memory: &AnswerMemory) -> Result<Option<PageMemory>, Error> {
    if !reader.is_at_end() {
        let reserved = memory.reserve().await?;
        return Ok(reader.look().await?.then_some(reserved));
    }
    if !reader.look().await? {
        return Ok(None);
    }
    let amount = reader.length() + EVENT_MEMORY;
    memory.reserve_amount(amount).await.map(Some)
}

/// A stream of server-sent events.
struct EventStream {
    reader: FeedReader,
    memory: AnswerMemory,
    draining: CancellationToken,
    /// When it sends something even if nothing has happened.
    beat: Instant,
    /// The position that the client knows.
    last_sent: FeedCursor,
}

impl EventStream {
    /// Responds as soon as it is certain that the position is valid.
    async fn respond(mut self) -> Result<Response, Error> {
        let mut open = format!("retry: {RETRY}\nid: {}\n\n", self.last_sent).into_bytes();
        let reserved = match look(&mut self.reader, &self.memory).await? {
            Some(reserved) => {
                self.append(&mut open).await?;
                reserved
            }
            None => self.memory.reserve_amount(EVENT_MEMORY).await?,
        };
        let open = reserved.hold(open);
        let state = (Some(open), self);
        let body = stream::try_unfold(state, |(open, mut stream)| async move {
            let chunk = match open {
                Some(open) => Some(open),
                None => stream.next().await.inspect_err(log_cut)?,
            };
            Ok::<_, Error>(chunk.map(|chunk| (chunk, (None, stream))))
        });
        let mut response = warp::reply::stream(Exclusive::new(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
        headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
        response.extensions_mut().insert(Streamed);
        Ok(response)
    }

    /// What to send next; `None` at the end, when the server shuts down.
    async fn next(&mut self) -> Result<Option<bytes::Bytes>, Error> {
        loop {
            let draining = self.draining.clone();
            tokio::select! {
                biased;
                () = draining.cancelled() => return Ok(None),
                () = self.reader.more() => {}
                () = sleep_until(self.beat) => return Ok(Some(self.heartbeat())),
            }
            let looked = draining.run_until_cancelled(look(&mut self.reader, &self.memory)).await;
            match looked.transpose()? {
                None => return Ok(None),
                Some(Some(reserved)) => {
                    let mut text = Vec::new();
                    self.append(&mut text).await?;
                    return Ok(Some(reserved.hold(text)));
                }
                Some(None) if Instant::now() >= self.beat => return Ok(Some(self.heartbeat())),
                Some(None) => {}
            }
        }
    }

    /// Appends the events that were found.
    async fn append(&mut self, text: &mut Vec<u8>) -> Result<(), Error> {
        let FeedPage { events, next } = self.reader.take(u64::MAX);
        metrics::events(&events);
        let mut slice = text.len();
        for event in events {
            text.extend_from_slice(
                format!("id: {}\nevent: {}\ndata: ", event.cursor, event.kind).as_bytes(),
            );
            response::write_json(text, &event)?;
            text.extend_from_slice(b"\n\n");
            self.last_sent = event.cursor;
            if text.len() - slice > pages::SLICE {
                slice = text.len();
                tokio::task::yield_now().await;
            }
        }
        self.tell_position(text, next);
        self.beat = Instant::now() + HEARTBEAT;
        Ok(())
    }

    /// A comment, and the position if it has moved: a client that comes back need not read again what
    /// does not match.
    fn heartbeat(&mut self) -> bytes::Bytes {
        let mut text = b":\n\n".to_vec();
        self.tell_position(&mut text, self.reader.position());
        self.beat = Instant::now() + HEARTBEAT;
        text.into()
    }

    /// Appends the position if the client does not know it.
    fn tell_position(&mut self, text: &mut Vec<u8>, position: FeedCursor) {
        if position != self.last_sent {
            text.extend_from_slice(format!("id: {position}\n\n").as_bytes());
            self.last_sent = position;
        }
    }
}

/// A stream that breaks off: its client comes back with the last position that it knows.
fn log_cut(error: &Error) {
    metrics::error(error.code());
    tracing::warn!(code = error.code().as_str(), "an event stream was cut off");
}
