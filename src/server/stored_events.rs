//! The raw events: the list, and one as it came.

use std::sync::Arc;

use http::StatusCode;
use warp::reply::Response;

use super::list::{self, ListRequest};
use super::path::Segment;
use super::query::Query;
use super::response;
use super::state::ServerState;
use crate::domain::StoredEventCursor;
use crate::error::Error;

/// `GET /webhooks/events`: all that match the filters, streamed; with `limit` a page of them.
pub(super) async fn list(
    client: Arc<str>,
    state: Arc<ServerState>,
    query: String,
) -> Result<Response, Error> {
    let mut query = Query::new(&query);
    let limit = query.limit()?;
    let after: Option<StoredEventCursor> = query.parsed("after")?;
    let filter = query.stored_event_filter()?;
    query.finish()?;
    let conversations = state.conversations().await?.clone();
    let request = ListRequest { limit, after, parameters: filter.parameters() };
    let filter = Arc::new(filter);
    list::respond(&client, &state, request, move |after, limit| {
        let (conversations, filter) = (conversations.clone(), Arc::clone(&filter));
        async move { conversations.stored_events(&filter, after, limit).await }
    })
    .await
}

/// `GET /webhooks/events/{id}`: the body of the webhook, byte for byte.
pub(super) async fn show(
    id: Segment,
    client: Arc<str>,
    state: Arc<ServerState>,
) -> Result<Response, Error> {
    let id = id.decode()?;
    let memory = state.answer_memory(&client).reserve().await?;
    let body = state.conversations().await?.stored_event(&id).await?;
    Ok(response::json_bytes(StatusCode::OK, memory.hold(body)))
}
