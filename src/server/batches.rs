//! `POST /batches/{id}/check`, `POST /batches/{id}`: texts to many, each of which is a send of its own.

use std::sync::Arc;

use bytes::Buf;
use futures_util::Stream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use warp::reply::Response;

use super::body::Arrival;
use super::path::Segment;
use super::query::Query;
use super::send::parse_body;
use super::state::ServerState;
use super::{access, response};
use crate::domain::{BatchId, BatchRecord, BatchRows};
use crate::error::Error;

/// What is known of a batch and of some of its rows.
pub(super) async fn check<B: Buf, E>(
    id: Segment,
    headers: HeaderMap,
    state: Arc<ServerState>,
    arrival: Arrival,
    query: String,
    body: impl Stream<Item = Result<B, E>>,
) -> Result<Response, Error> {
    let id = batch_id(&id, &query)?;
    let rows: BatchRows = read(&headers, &state, &arrival, body, "a valid list of rows").await?;
    let check = state.conversations().await?.check_batch(&id, &rows).await?;
    response::json(StatusCode::OK, &check)
}

/// Records that sending a batch has begun, or that nothing of it is left to be sent.
pub(super) async fn record<B: Buf, E>(
    id: Segment,
    headers: HeaderMap,
    state: Arc<ServerState>,
    arrival: Arrival,
    query: String,
    body: impl Stream<Item = Result<B, E>>,
) -> Result<Response, Error> {
    let id = batch_id(&id, &query)?;
    let record: BatchRecord =
        read(&headers, &state, &arrival, body, "a valid record of a batch").await?;
    let batch = state.conversations().await?.record_batch(&id, &record).await?;
    response::json(StatusCode::OK, &batch)
}

fn batch_id(id: &Segment, query: &str) -> Result<BatchId, Error> {
    Query::new(query).finish()?;
    BatchId::parse(&id.decode()?)
}

async fn read<T: DeserializeOwned, B: Buf, E>(
    headers: &HeaderMap,
    state: &ServerState,
    arrival: &Arrival,
    body: impl Stream<Item = Result<B, E>>,
    what: &str,
) -> Result<T, Error> {
    if headers.contains_key(CONTENT_TYPE) && !access::is_json(headers) {
        return Err(access::not_json());
    }
    let body = state.bodies.admit(body, &arrival.connection, headers).await?;
    let deadline = arrival.since + state.limits.request_time;
    let raw = state.bodies.collect(body, &arrival.connection, deadline).await?;
    parse_body(&raw.bytes, what)
}
