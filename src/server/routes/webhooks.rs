//! The routes of webhooks, their stored events, and sync.

use std::sync::Arc;

use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, body, ext, header, path};

use super::filters::{allowed, arrival, client, raw_query, route, with};
use super::methods::{get, post};
use crate::metrics::Route;
use crate::server::access::Scope;
use crate::server::path::Segment;
use crate::server::permits::Admission;
use crate::server::response::respond;
use crate::server::state::ServerState;
use crate::server::{stored_events, sync, webhook};

/// Stored events and sync.
pub(super) fn all(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    list_stored_events(state).or(stored_event(state)).unify().or(synchronize(state)).unify().boxed()
}

pub(super) fn receive(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("webhooks" / "sms")
        .and(route(Route::Webhook))
        .and(post())
        .and(with(state))
        .and(arrival())
        .and(header::headers_cloned())
        .and(body::stream())
        .then(webhook::receive)
        .map(respond)
        .boxed()
}

/// Raw events, which are for administrators.
fn list_stored_events(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("webhooks" / "events")
        .and(route(Route::StoredEvents))
        .and(get())
        .and(allowed(&[Scope::Admin], state))
        .and(client())
        .and(with(state))
        .and(raw_query())
        .then(stored_events::list)
        .map(respond)
        .boxed()
}

fn stored_event(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("webhooks" / "events" / Segment)
        .and(route(Route::StoredEvent))
        .and(get())
        .and(allowed(&[Scope::Admin], state))
        .and(client())
        .and(with(state))
        .then(stored_events::show)
        .map(respond)
        .boxed()
}

fn synchronize(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("sync")
        .and(route(Route::Sync))
        .and(post())
        .and(allowed(&[Scope::Admin], state))
        .and(with(state))
        .and(ext::get::<Admission>())
        .and(raw_query())
        .then(sync::sync)
        .map(respond)
        .boxed()
}
