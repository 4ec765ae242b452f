//! The operation of each route. A test sends the corresponding requests to a running server, so that a
//! missing route, parameter or error is noticed.

use std::collections::BTreeMap;

use super::operation::Operation;
use super::schemas::Schemas;
use super::{contacts, conversations, feed, messages, sending, service, unread, webhooks};
use crate::error::Code;

pub(super) const CONVERSATIONS: &str = "conversations";

/// The errors of every route that uses the database.
pub(super) const STORE: [Code; 2] = [Code::DatabaseUnavailable, Code::Internal];
/// The errors of every route with query parameters.
pub(super) const QUERY: [Code; 2] = [Code::InvalidRequest, Code::UnknownParameter];

/// The operations of each path, by method.
pub(super) type Paths = BTreeMap<&'static str, BTreeMap<&'static str, Operation>>;

pub(super) fn all(schemas: &mut Schemas) -> Paths {
    let mut paths = Paths::new();
    let mut add = |path, method, operation| {
        paths.entry(path).or_default().insert(method, operation);
    };
    add("/conversations", "get", conversations::list_all(schemas));
    add("/conversations/{id}", "get", conversations::show(schemas));
    add("/conversations/{id}", "delete", conversations::forget(schemas));
    add("/conversations/{number}/send", "post", sending::send(schemas));
    add("/conversations/{id}/read", "post", unread::read(schemas));
    add("/conversations/{id}/unread", "post", unread::unread(schemas));
    add("/batches/{id}", "post", sending::record_batch(schemas));
    add("/batches/{id}/check", "post", sending::check_batch(schemas));
    add("/conversations/{id}/name", "put", contacts::give_name(schemas));
    add("/conversations/{id}/name", "delete", contacts::remove_name(schemas));
    add("/contacts", "get", contacts::list_all(schemas));
    add("/contacts", "put", contacts::give_names(schemas));
    add("/contacts/{id}", "get", contacts::show(schemas));
    add("/messages", "get", messages::search(schemas));
    add("/messages/{id}", "get", messages::message(schemas));
    add("/stats", "get", messages::stats(schemas));
    add("/messages/{id}/media/{n}", "get", messages::medium());
    add("/messages/{id}/retry", "post", sending::retry(schemas));
    add("/messages/{id}/cancel", "post", sending::cancel(schemas));
    add("/events", "get", feed::events(schemas));
    add("/export", "get", feed::export());
    add("/forgotten", "get", conversations::forgotten(schemas));
    add("/forwards", "get", feed::forwards(schemas));
    add("/forwards/{name}/test", "post", feed::test_forward(schemas));
    add("/forwards/{name}/enable", "post", feed::enable_forward(schemas));
    add("/forwards/{name}/replay", "post", feed::replay_forward(schemas));
    add("/sync", "post", webhooks::sync());
    add("/webhooks/sms", "post", webhooks::webhook(schemas));
    add("/webhooks/events", "get", webhooks::stored_events(schemas));
    add("/webhooks/events/{id}", "get", webhooks::stored_event());
    add("/health", "get", service::health());
    add("/health/ready", "get", service::ready(schemas));
    add("/metrics", "get", service::metrics());
    add("/openapi.json", "get", service::openapi());
    paths
}
