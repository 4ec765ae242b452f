//! `POST /batches/{id}/check`, `POST /batches/{id}`: texts to many, each of which is a send of its own.

use std::sync::Arc;

use bytes::Buf;
use futures_util::Stream;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use warp::reply::Response;

use super::body::Arrival;
use super::json_body::{self, BodyForm};
use super::path::Segment;
use super::query::Query;
use super::response;
use super::state::ServerState;
use crate::domain::{BatchId, BatchRecord, BatchRows};
use crate::error::Error;

const ROWS: BodyForm = BodyForm { name: "a valid list of rows", example: r#"{"rows": []}"# };
const RECORD: BodyForm = BodyForm {
    name: "a valid record of a batch",
    example: r#"{"content": "00112233445566778899aabbccddeeff", "rows": 2, "finished": false}"#,
};

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
    let rows: BatchRows = read(&headers, &state, &arrival, body, ROWS).await?;
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
    let record: BatchRecord = read(&headers, &state, &arrival, body, RECORD).await?;
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
    form: BodyForm,
) -> Result<T, Error> {
    let raw = json_body::collect(state, headers, arrival, body).await?;
    json_body::parse(&raw.bytes, form)
}
