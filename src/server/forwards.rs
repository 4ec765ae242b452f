//! Forwarding: where it stands; testing, enabling and replaying a name.

use std::sync::Arc;

use http::StatusCode;
use warp::reply::Response;

use super::path::Segment;
use super::query::Query;
use super::response;
use super::state::ServerState;
use crate::error::Error;

/// `GET /forwards`
pub(super) async fn list(state: Arc<ServerState>, query: String) -> Result<Response, Error> {
    Query::new(&query).finish()?;
    response::json(StatusCode::OK, &state.forwarder().await?.list().await?)
}

/// `POST /forwards/{name}/test`: delivers one event of the kind `test`.
pub(super) async fn test(
    name: Segment,
    state: Arc<ServerState>,
    query: String,
) -> Result<Response, Error> {
    Query::new(&query).finish()?;
    let tested = state.forwarder().await?.test(&name.decode()?).await?;
    response::json(StatusCode::OK, &tested)
}

/// `POST /forwards/{name}/enable`: ends a pause.
pub(super) async fn enable(
    name: Segment,
    state: Arc<ServerState>,
    query: String,
) -> Result<Response, Error> {
    Query::new(&query).finish()?;
    let forward = state.forwarder().await?.enable(&name.decode()?).await?;
    response::json(StatusCode::OK, &forward)
}

/// `POST /forwards/{name}/replay`: delivers events again, from a time on or those that were given up.
pub(super) async fn replay(
    name: Segment,
    state: Arc<ServerState>,
    query: String,
) -> Result<Response, Error> {
    let mut query = Query::new(&query);
    let since = query.time("since")?;
    query.finish()?;
    let replay = state.forwarder().await?.replay(&name.decode()?, since).await?;
    response::json(StatusCode::OK, &replay)
}
