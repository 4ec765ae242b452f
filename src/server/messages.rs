//! A single message: reading it, retrying one whose outcome is unknown, cancelling a scheduled one.

use std::sync::Arc;

use http::StatusCode;
use tracing::Instrument;
use uuid::Uuid;
use warp::reply::Response;

use super::path::Segment;
use super::query::Query;
use super::state::ServerState;
use super::{response, send};
use crate::error::{Code, Error};

/// `GET /messages/{id}`: one message with its history.
pub(super) async fn show(
    named: Segment,
    client: Arc<str>,
    state: Arc<ServerState>,
) -> Result<Response, Error> {
    let id = message_id(&named)?;
    let conversations = state.conversations().await?;
    let memory = state.answer_memory(&client).reserve().await?;
    let json = response::to_json(&conversations.message(id).await?)?;
    Ok(response::json_bytes(StatusCode::OK, memory.hold(json)))
}

/// `POST /messages/{id}/retry`: offers a message of unknown outcome again; with `force` also when
/// Telnyx no longer knows its idempotency key.
pub(super) async fn retry(
    named: Segment,
    state: Arc<ServerState>,
    query: String,
) -> Result<Response, Error> {
    let mut query = Query::new(&query);
    let force = query.flag("force")?;
    query.finish()?;
    let id = message_id(&named)?;
    let conversations = state.conversations().await?.clone();
    let permit = state.send_permit()?;
    let task = async move {
        let _permit = permit;
        conversations.retry(id, force).await
    };
    let message = state.sends.spawn(task.in_current_span()).await.unwrap_or_else(|error| {
        Err(send::failed_midway(&error).with(|extra| extra.message_id = Some(id)))
    })?;
    response::json(send::status_of(&message), &message)
}

/// `POST /messages/{id}/cancel`: cancels a scheduled message.
pub(super) async fn cancel(
    named: Segment,
    state: Arc<ServerState>,
    query: String,
) -> Result<Response, Error> {
    Query::new(&query).finish()?;
    let id = message_id(&named)?;
    let conversations = state.conversations().await?.clone();
    let permit = state.send_permit()?;
    let task = async move {
        let _permit = permit;
        conversations.cancel(id).await
    };
    let message = state.sends.spawn(task.in_current_span()).await.unwrap_or_else(|error| {
        Err(send::failed_midway(&error).with(|extra| extra.message_id = Some(id)))
    })?;
    response::json(StatusCode::OK, &message)
}

pub(super) fn message_id(named: &Segment) -> Result<Uuid, Error> {
    Uuid::try_parse(&named.decode()?)
        .map_err(|_| Error::new(Code::MessageNotFound, "Message not found"))
}
