//! The routes. Each filter checks the path first, then the method, then access. All are boxed, which
//! keeps compile times bounded, and ordered by how often they are requested.

mod contacts;
mod conversations;
mod feed;
mod filters;
mod messages;
mod methods;
mod sending;
mod service;
mod webhooks;

use std::sync::Arc;

use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, path};

use super::response::recover;
use super::state::ServerState;

/// All routes. Errors are JSON, also for unknown paths.
pub(super) fn all(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    let frequent = webhooks::receive(state).or(service::health()).unify();
    let others = sending::all(state)
        .or(conversations::all(state))
        .unify()
        .or(messages::all(state))
        .unify()
        .or(contacts::all(state))
        .unify()
        .or(feed::all(state))
        .unify()
        .or(webhooks::all(state))
        .unify()
        .or(service::all(state))
        .unify()
        .boxed();
    let routes = frequent.or(others).unify().boxed();
    let versioned = path("v1").and(routes.clone());
    routes.or(versioned).unify().recover(recover).unify().boxed()
}
