//! The raw events: the list, and one as it came.

use std::sync::Arc;

use http::StatusCode;
use warp::reply::Response;

use super::conversations::{add_link_after, list_frame};
use super::path::Segment;
use super::query::Query;
use super::response;
use super::state::ServerState;
use super::stream::{self, PAGE};
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
    let Some(limit) = limit else {
        let (permit, memory) = (state.stream_permit(&client)?, state.answer_memory(&client));
        let filter = Arc::new(filter);
        return stream::rows(list_frame(), permit, memory, after, move |after| {
            let (conversations, filter) = (conversations.clone(), Arc::clone(&filter));
            async move {
                let page = conversations.stored_events(&filter, after, PAGE).await?;
                Ok((page.rows, page.next))
            }
        })
        .await;
    };
    let memory = state.answer_memory(&client).reserve().await?;
    let page = conversations.stored_events(&filter, after, limit).await?;
    let mut response = stream::page(list_frame(), memory, page.rows).await?;
    if let Some(next) = page.next {
        add_link_after(&mut response, filter.parameters(), limit, &next);
    }
    Ok(response)
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
