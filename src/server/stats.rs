//! `GET /stats`: statistics about messages.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use warp::reply::Response;

use super::query::Query;
use super::response;
use super::state::ServerState;
use crate::error::Error;

/// How long an answer waits for the sums, which are otherwise made in the background.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Counts the messages that match the filters.
pub(super) async fn show(
    client: Arc<str>,
    state: Arc<ServerState>,
    query: String,
) -> Result<Response, Error> {
    let mut query = Query::new(&query);
    let asked = query.stats()?;
    query.finish()?;
    let conversations = state.conversations().await?;
    let memory = state.answer_memory(&client).reserve().await?;
    let json = response::to_json(&conversations.stats(&asked, PATIENCE).await?)?;
    Ok(response::json_bytes(StatusCode::OK, memory.hold(json)))
}
