//! The routes of the feed, its forwarding, and export.

use std::sync::Arc;

use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, ext, path};

use super::filters::{allowed, allowed_headers, client, raw_query, route, with};
use super::methods::{get, post};
use crate::metrics::Route;
use crate::server::access::Scope;
use crate::server::path::Segment;
use crate::server::permits::Admission;
use crate::server::response::respond;
use crate::server::state::ServerState;
use crate::server::{events, export, forwards};

/// The feed.
pub(super) fn all(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    events(state)
        .or(list_forwards(state))
        .unify()
        .or(test_forward(state))
        .unify()
        .or(enable_forward(state))
        .unify()
        .or(replay_forward(state))
        .unify()
        .or(export(state))
        .unify()
        .boxed()
}

fn events(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("events")
        .and(route(Route::Events))
        .and(get())
        .and(allowed_headers(&[Scope::Read], state))
        .and(client())
        .and(with(state))
        .and(ext::get::<Admission>())
        .and(raw_query())
        .then(events::read)
        .map(respond)
        .boxed()
}

fn list_forwards(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("forwards")
        .and(route(Route::Forwards))
        .and(get())
        .and(allowed(&[Scope::Admin], state))
        .and(with(state))
        .and(raw_query())
        .then(forwards::list)
        .map(respond)
        .boxed()
}

fn test_forward(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("forwards" / Segment / "test")
        .and(route(Route::ForwardTest))
        .and(post())
        .and(allowed(&[Scope::Admin], state))
        .and(with(state))
        .and(raw_query())
        .then(forwards::test)
        .map(respond)
        .boxed()
}

fn enable_forward(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("forwards" / Segment / "enable")
        .and(route(Route::ForwardEnable))
        .and(post())
        .and(allowed(&[Scope::Admin], state))
        .and(with(state))
        .and(raw_query())
        .then(forwards::enable)
        .map(respond)
        .boxed()
}

fn replay_forward(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("forwards" / Segment / "replay")
        .and(route(Route::ForwardReplay))
        .and(post())
        .and(allowed(&[Scope::Admin], state))
        .and(with(state))
        .and(raw_query())
        .then(forwards::replay)
        .map(respond)
        .boxed()
}

/// Everything, which is for administrators.
fn export(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("export")
        .and(route(Route::Export))
        .and(get())
        .and(allowed(&[Scope::Admin], state))
        .and(client())
        .and(with(state))
        .and(raw_query())
        .then(export::read)
        .map(respond)
        .boxed()
}
