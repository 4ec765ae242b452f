//! The routes that send, one text or many.

use std::sync::Arc;

use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, body, path};

use super::filters::{allowed, allowed_headers, arrival, raw_query, route, with};
use super::methods::post;
use crate::metrics::Route;
use crate::server::access::Scope;
use crate::server::path::Segment;
use crate::server::response::respond;
use crate::server::state::ServerState;
use crate::server::{batches, messages, send};

/// Sending.
pub(super) fn all(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    send_message(state)
        .or(batches(state))
        .unify()
        .or(retry(state))
        .unify()
        .or(cancel(state))
        .unify()
        .boxed()
}

fn send_message(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("conversations" / Segment / "send")
        .and(route(Route::Send))
        .and(post())
        .and(allowed_headers(&[Scope::Send], state))
        .and(with(state))
        .and(arrival())
        .and(raw_query())
        .and(body::stream())
        .then(send::send)
        .map(respond)
        .boxed()
}

/// Batches, whose rows are sent one by one.
fn batches(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    let record = path!("batches" / Segment)
        .and(route(Route::Batch))
        .and(post())
        .and(allowed_headers(&[Scope::Send], state))
        .and(with(state))
        .and(arrival())
        .and(raw_query())
        .and(body::stream())
        .then(batches::record)
        .map(respond)
        .boxed();
    path!("batches" / Segment / "check")
        .and(route(Route::BatchCheck))
        .and(post())
        .and(allowed_headers(&[Scope::Send], state))
        .and(with(state))
        .and(arrival())
        .and(raw_query())
        .and(body::stream())
        .then(batches::check)
        .map(respond)
        .or(record)
        .unify()
        .boxed()
}

fn retry(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("messages" / Segment / "retry")
        .and(route(Route::Retry))
        .and(post())
        .and(allowed(&[Scope::Send], state))
        .and(with(state))
        .and(raw_query())
        .then(messages::retry)
        .map(respond)
        .boxed()
}

fn cancel(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("messages" / Segment / "cancel")
        .and(route(Route::Cancel))
        .and(post())
        .and(allowed(&[Scope::Send], state))
        .and(with(state))
        .and(raw_query())
        .then(messages::cancel)
        .map(respond)
        .boxed()
}
