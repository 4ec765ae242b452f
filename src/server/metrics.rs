//! `GET /metrics`, for Prometheus.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use warp::reply::Response;

use super::state::ServerState;
use crate::error::Error;
use crate::metrics::{self, Snapshot};

/// How long to wait for the figures from the database; without them, the rest is served alone.
const DATABASE_TIMEOUT: Duration = Duration::from_millis(500);

/// The media type of Prometheus' text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `GET /metrics`
pub(super) async fn show(state: Arc<ServerState>) -> Result<Response, Error> {
    let snapshot = match state.opened() {
        Some(conversations) => conversations.snapshot(DATABASE_TIMEOUT).await,
        None => Snapshot::default(),
    };
    let mut response = Response::new(metrics::text(&snapshot)?.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
    Ok(response)
}
