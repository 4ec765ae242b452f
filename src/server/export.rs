//! `GET /export`: everything as JSON lines, streamed.

use std::sync::Arc;

use futures_util::stream;
use http::header::{CONTENT_TYPE, HeaderValue};
use warp::reply::{Reply, Response};

use super::connection::Streamed;
use super::query::Query;
use super::state::ServerState;
use super::stream::{Exclusive, SLICE, log_cut};
use crate::domain::{ExportFilter, ExportLine};
use crate::error::Error;
use crate::output::json;

/// The media type of JSON lines.
pub(super) const JSON_LINES: &str = "application/x-ndjson";

/// Reads and sends an export page by page. It holds a permit as long as it runs; one that fails midway is
/// cut off, so that its last line is missing.
pub(super) async fn read(
    client: Arc<str>,
    state: Arc<ServerState>,
    query: String,
) -> Result<Response, Error> {
    let mut query = Query::new(&query);
    let filter = ExportFilter {
        contact: query.contact()?,
        since: query.time("since")?,
        until: query.time("until")?,
        raw: query.flag("raw")?,
    };
    query.finish()?;
    let conversations = state.conversations().await?;
    let permit = state.stream_permit(&client)?;
    let memory = state.answer_memory(&client);
    let reserved = memory.reserve().await?;
    let mut reader = conversations.export(filter).await?;
    let first = reader.next().await?.unwrap_or_default();
    let first = reserved.hold(lines(&first).await?);
    let body = stream::try_unfold((Some(first), reader), move |(first, mut reader)| {
        // Released after the last page, or when the client disconnects.
        let _ = &permit;
        let memory = memory.clone();
        async move {
            if let Some(first) = first {
                return Ok(Some((first, (None, reader))));
            }
            let reserved = memory.reserve_next().await;
            let Some(found) = reader.next().await.inspect_err(log_cut)? else { return Ok(None) };
            let chunk = reserved.hold(lines(&found).await?);
            Ok::<_, Error>(Some((chunk, (None, reader))))
        }
    });
    let mut response = warp::reply::stream(Exclusive::new(body)).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON_LINES));
    response.extensions_mut().insert(Streamed);
    Ok(response)
}

/// The lines as the command line prints them, too. Other tasks get their turn in between.
async fn lines(lines: &[ExportLine]) -> Result<Vec<u8>, Error> {
    let (mut text, mut slice) = (Vec::new(), 0);
    for line in lines {
        json::write_line(&mut text, line).map_err(|_| Error::internal())?;
        if text.len() - slice > SLICE {
            slice = text.len();
            tokio::task::yield_now().await;
        }
    }
    Ok(text)
}
