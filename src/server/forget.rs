//! `DELETE /conversations/{id or number}`, `GET /forgotten`

use std::sync::Arc;

use http::StatusCode;
use tracing::Instrument;
use warp::reply::Response;

use super::path::Segment;
use super::query::Query;
use super::response;
use super::state::ServerState;
use crate::domain::Selector;
use crate::error::Error;

/// `DELETE /conversations/{id or number}`: forgets a contact. It goes on if the client hangs up.
pub(super) async fn forget(
    contact: Segment,
    state: Arc<ServerState>,
    query: String,
) -> Result<Response, Error> {
    let mut query = Query::new(&query);
    let is_dry = query.flag("dry_run")?;
    query.finish()?;
    let contact = Selector::new(&contact.decode()?);
    let conversations = state.conversations().await?.clone();
    let task = async move { conversations.forget(&contact, is_dry).await };
    // A shutdown waits for it.
    let forgotten = state.sends.spawn(task.in_current_span());
    let receipt = forgotten.await.map_err(|_| Error::internal())??;
    response::json(StatusCode::OK, &receipt)
}

/// `GET /forgotten`: the marks of contacts that were forgotten, with their key.
pub(super) async fn list(state: Arc<ServerState>, query: String) -> Result<Response, Error> {
    Query::new(&query).finish()?;
    response::json(StatusCode::OK, &state.conversations().await?.forgotten().await?)
}
