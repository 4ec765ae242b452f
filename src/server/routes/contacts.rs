//! The routes of contacts and their names.

use std::sync::Arc;

use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, body, path};

use super::filters::{allowed, allowed_headers, arrival, client, raw_query, route, with};
use super::methods::{delete_beside_put, get, get_beside_put, put_beside_delete, put_beside_get};
use crate::metrics::Route;
use crate::server::access::Scope;
use crate::server::contacts;
use crate::server::path::Segment;
use crate::server::response::respond;
use crate::server::state::ServerState;

/// Contacts.
pub(super) fn all(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    list_contacts(state)
        .or(contact(state))
        .unify()
        .or(name_contacts(state))
        .unify()
        .or(name_contact(state))
        .unify()
        .or(unname_contact(state))
        .unify()
        .boxed()
}

fn list_contacts(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("contacts")
        .and(route(Route::Contacts))
        .and(get_beside_put())
        .and(allowed(&[Scope::Read], state))
        .and(client())
        .and(with(state))
        .and(raw_query())
        .then(contacts::list)
        .map(respond)
        .boxed()
}

/// Whoever may send can find out whom a name means.
fn contact(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("contacts" / Segment)
        .and(route(Route::Contact))
        .and(get())
        .and(allowed(&[Scope::Read, Scope::Send], state))
        .and(with(state))
        .and(raw_query())
        .then(contacts::show)
        .map(respond)
        .boxed()
}

fn name_contacts(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("contacts")
        .and(route(Route::Contacts))
        .and(put_beside_get())
        .and(allowed_headers(&[Scope::Send], state))
        .and(with(state))
        .and(arrival())
        .and(raw_query())
        .and(body::stream())
        .then(contacts::name_all)
        .map(respond)
        .boxed()
}

fn name_contact(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("conversations" / Segment / "name")
        .and(route(Route::ContactName))
        .and(put_beside_delete())
        .and(allowed_headers(&[Scope::Send], state))
        .and(with(state))
        .and(arrival())
        .and(raw_query())
        .and(body::stream())
        .then(contacts::name)
        .map(respond)
        .boxed()
}

fn unname_contact(state: &Arc<ServerState>) -> BoxedFilter<(Response,)> {
    path!("conversations" / Segment / "name")
        .and(route(Route::ContactName))
        .and(delete_beside_put())
        .and(allowed(&[Scope::Send], state))
        .and(with(state))
        .and(raw_query())
        .then(contacts::unname)
        .map(respond)
        .boxed()
}
