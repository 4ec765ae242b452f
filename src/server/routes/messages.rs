//! The routes of messages.

use std::sync::Arc;

use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, path};

use super::filters::{allowed, allowed_headers, client, raw_query, route, with};
use super::methods::get;
use crate::metrics::Route;
use crate::server::access::Scope;
use crate::server::path::Segment;
use crate::server::response::respond;
use crate::server::state::ServerState;
use crate::server::{media, messages, search, stats};

/// Messages.
pub(super) fn all(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    search_messages(state)
        .or(message(state))
        .unify()
        .or(statistics(state))
        .unify()
        .or(medium(state))
        .unify()
        .boxed()
}

fn search_messages(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("messages")
        .and(route(Route::Messages))
        .and(get())
        .and(allowed(&[Scope::Read], state))
        .and(client())
        .and(with(state))
        .and(raw_query())
        .then(search::list)
        .map(respond)
        .boxed()
}

fn message(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("messages" / Segment)
        .and(route(Route::Message))
        .and(get())
        .and(allowed(&[Scope::Read], state))
        .and(client())
        .and(with(state))
        .then(messages::show)
        .map(respond)
        .boxed()
}

fn statistics(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("stats")
        .and(route(Route::Stats))
        .and(get())
        .and(allowed(&[Scope::Read], state))
        .and(client())
        .and(with(state))
        .and(raw_query())
        .then(stats::show)
        .map(respond)
        .boxed()
}

fn medium(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("messages" / Segment / "media" / Segment)
        .and(route(Route::Media))
        .and(get())
        .and(warp::method())
        .and(allowed_headers(&[Scope::Read], state))
        .and(client())
        .and(with(state))
        .then(media::show)
        .map(respond)
        .boxed()
}
