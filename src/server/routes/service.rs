//! The routes of the server itself.

use std::sync::Arc;

use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, path};

use super::filters::{allowed, knows_caller, route, with};
use super::methods::get;
use crate::metrics::Route;
use crate::server::access::Scope;
use crate::server::response::respond;
use crate::server::state::ServerState;
use crate::server::{health, metrics, openapi};

/// The scopes of those who may see metrics and the details of readiness.
const METRICS: &[Scope] = &[Scope::Metrics, Scope::Read];

/// The server itself, but for `/health`.
pub(super) fn all(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    ready(state).or(metrics(state)).unify().or(openapi(state)).unify().boxed()
}

pub(super) fn health() -> BoxedFilter<(Response,)> {
    path!("health").and(route(Route::Health)).and(get()).map(health::live).boxed()
}

fn ready(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("health" / "ready")
        .and(route(Route::Ready))
        .and(get())
        .and(knows_caller(METRICS, state))
        .and(with(state))
        .then(health::ready)
        .map(respond)
        .boxed()
}

fn metrics(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("metrics")
        .and(route(Route::Metrics))
        .and(get())
        .and(allowed(METRICS, state))
        .and(with(state))
        .then(metrics::show)
        .map(respond)
        .boxed()
}

fn openapi(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("openapi.json")
        .and(route(Route::OpenApi))
        .and(get())
        .and(allowed(&[Scope::Read], state))
        .map(openapi::show)
        .boxed()
}
