//! The routes of conversations.

use std::sync::Arc;

use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, path};

use super::filters::{allowed, client, raw_query, route, with};
use super::methods::{delete, get, get_beside_delete, post};
use crate::metrics::Route;
use crate::server::access::Scope;
use crate::server::path::Segment;
use crate::server::response::respond;
use crate::server::state::ServerState;
use crate::server::{conversations, forget, unread};

/// Conversations.
pub(super) fn all(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    conversations(state)
        .or(conversation(state))
        .unify()
        .or(marking(state))
        .unify()
        .or(forgetting(state))
        .unify()
        .boxed()
}

fn conversations(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("conversations")
        .and(route(Route::Conversations))
        .and(get())
        .and(allowed(&[Scope::Read], state))
        .and(client())
        .and(with(state))
        .and(raw_query())
        .then(conversations::list)
        .map(respond)
        .boxed()
}

fn conversation(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("conversations" / Segment)
        .and(route(Route::Conversation))
        .and(get_beside_delete())
        .and(allowed(&[Scope::Read], state))
        .and(client())
        .and(with(state))
        .and(raw_query())
        .then(conversations::show)
        .map(respond)
        .boxed()
}

/// Marking a conversation read or unread.
fn marking(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    let unread = path!("conversations" / Segment / "unread")
        .and(route(Route::MarkUnread))
        .and(post())
        .and(allowed(&[Scope::Send], state))
        .and(client())
        .and(with(state))
        .and(raw_query())
        .then(unread::unread)
        .map(respond)
        .boxed();
    path!("conversations" / Segment / "read")
        .and(route(Route::MarkRead))
        .and(post())
        .and(allowed(&[Scope::Send], state))
        .and(client())
        .and(with(state))
        .and(raw_query())
        .then(unread::read)
        .map(respond)
        .or(unread)
        .unify()
        .boxed()
}

/// Forgetting a contact, which is for administrators.
fn forgetting(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    let list = path!("forgotten")
        .and(route(Route::Forgotten))
        .and(get())
        .and(allowed(&[Scope::Admin], state))
        .and(with(state))
        .and(raw_query())
        .then(forget::list)
        .map(respond)
        .boxed();
    path!("conversations" / Segment)
        .and(route(Route::Conversation))
        .and(delete())
        .and(allowed(&[Scope::Admin], state))
        .and(with(state))
        .and(raw_query())
        .then(forget::forget)
        .map(respond)
        .or(list)
        .unify()
        .boxed()
}
