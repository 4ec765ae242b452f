//! `POST /sync`: settles, and fetches from Telnyx what no webhook has brought.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::Instrument;
use warp::reply::{Reply, Response};

use super::connection::Streamed;
use super::permits::Admission;
use super::query::Query;
use super::response;
use super::state::ServerState;
use super::stream::Exclusive;
use crate::domain::{SyncNews, SyncRequest};
use crate::error::Error;
use crate::threading::Conversations;

/// How much progress is kept for a slow client; further progress is left out.
const NEWS: usize = 64;
/// How often something is sent even if nothing has happened.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// A JSON object on each line.
pub(super) const NDJSON: &str = "application/x-ndjson";
/// Tells nginx to pass on what it receives at once.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Syncs, and tells how far it is, on one line each; the last line is the report. The sync belongs to the
/// server: it runs to its end even if the client leaves.
pub(super) async fn sync(
    state: Arc<ServerState>,
    admission: Admission,
    query: String,
) -> Result<Response, Error> {
    let mut query = Query::new(&query);
    let request = SyncRequest {
        since: query.time("since")?,
        fetch: !query.flag("no_fetch")?,
        dry_run: query.flag("dry_run")?,
    };
    query.finish()?;
    let conversations = state.conversations().await?.clone();
    conversations.check_sync(request)?;
    // If the database is unavailable, say so with the status code, before the stream begins.
    conversations.last_sync().await?;
    let permit = state.sync_permit()?;
    admission.follow()?;
    let (news, received) = mpsc::channel(NEWS);
    let draining = state.draining.clone();
    let work = async move {
        let _permit = permit;
        draining.run_until_cancelled(work(conversations, request, news)).await;
    };
    tokio::spawn(work.in_current_span());
    Ok(respond(received))
}

async fn work(conversations: Conversations, request: SyncRequest, news: mpsc::Sender<SyncNews>) {
    let listener = |progress| drop(news.try_send(SyncNews::Progress(progress)));
    let last = match conversations.sync(request, &listener).await {
        Ok(report) => SyncNews::Report(report),
        Err(error) => SyncNews::Error(error.body()),
    };
    // A client that has left is told nothing.
    let _ = news.send(last).await;
}

/// A stream of lines, which ends after the report. Without one it is cut off by the server's shutdown.
fn respond(received: mpsc::Receiver<SyncNews>) -> Response {
    let body = stream::unfold(received, |mut received| async move {
        let line = match timeout(HEARTBEAT, received.recv()).await {
            Ok(Some(news)) => line(&news),
            Ok(None) => return None,
            // An empty line.
            Err(_) => Bytes::from_static(b"\n"),
        };
        Some((Ok::<_, Error>(line), received))
    });
    let mut response = warp::reply::stream(Exclusive::new(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response.extensions_mut().insert(Streamed);
    response
}

fn line(news: &SyncNews) -> Bytes {
    let mut text = Vec::new();
    // Serialising to memory cannot fail: all keys are strings.
    let _ = response::write_json(&mut text, news);
    text.push(b'\n');
    text.into()
}
