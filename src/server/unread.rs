//! `POST /conversations/{id or number}/read`, `POST /conversations/{id or number}/unread`

use std::sync::Arc;

use http::StatusCode;
use warp::reply::Response;

use super::path::Segment;
use super::query::Query;
use super::response;
use super::state::ServerState;
use crate::domain::{Conversation, ReadUpTo, Selector};
use crate::error::Error;

/// Marks a conversation read: everything that has arrived, or up to a point.
pub(super) async fn read(
    named: Segment,
    client: Arc<str>,
    state: Arc<ServerState>,
    query: String,
) -> Result<Response, Error> {
    let selector = Selector::new(&named.number()?);
    let mut query = Query::new(&query);
    let up_to = match (query.message_id("up_to")?, query.count("arrived")?) {
        (Some(_), Some(_)) => {
            return Err(Error::invalid("up_to and arrived cannot be combined")
                .hint("use one of them, or neither to mark everything read"));
        }
        (Some(message), None) => ReadUpTo::Message(message),
        (None, Some(arrived)) => ReadUpTo::Arrived(arrived),
        (None, None) => ReadUpTo::Now,
    };
    query.finish()?;
    let conversations = state.conversations().await?.clone();
    respond(&client, &state, async { conversations.mark_read(&selector, up_to).await }).await
}

/// Makes the last inbound message of a conversation unread.
pub(super) async fn unread(
    named: Segment,
    client: Arc<str>,
    state: Arc<ServerState>,
    query: String,
) -> Result<Response, Error> {
    let selector = Selector::new(&named.number()?);
    Query::new(&query).finish()?;
    let conversations = state.conversations().await?.clone();
    respond(&client, &state, async { conversations.mark_unread(&selector).await }).await
}

async fn respond(
    client: &Arc<str>,
    state: &ServerState,
    marked: impl Future<Output = Result<Conversation, Error>>,
) -> Result<Response, Error> {
    let memory = state.answer_memory(client).reserve().await?;
    let json = response::to_json(&marked.await?)?;
    Ok(response::json_bytes(StatusCode::OK, memory.hold(json)))
}
