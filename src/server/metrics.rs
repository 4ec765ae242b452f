//! `GET /metrics`: how this server stands and what it has counted, for Prometheus.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use warp::reply::Response;

use super::state::State;
use crate::error::Error;
use crate::metrics::{self, Live};

/// Longest wait for what the database has to tell. Everything else is told without it.
const DATABASE_TIME: Duration = Duration::from_millis(500);

/// Prometheus' text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Tells everything that is counted.
pub(super) async fn metrics(state: Arc<State>) -> Result<Response, Error> {
    let live = match state.opened() {
        Some(threads) => threads.live(DATABASE_TIME).await,
        None => Live::default(),
    };
    let mut response = Response::new(metrics::text(&live)?.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
    Ok(response)
}
