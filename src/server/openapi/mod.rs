//! The OpenAPI 3.1 document of the REST API. Its schemas are generated from the types that are
//! serialized, its errors from [`Code`](crate::error::Code); `routes` has the rest.

mod contacts;
mod conversations;
mod examples;
mod feed;
mod messages;
mod operation;
mod routes;
mod schemas;
mod sending;
mod service;
mod unread;
mod webhooks;

use std::sync::LazyLock;

use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use warp::reply::Response;

use super::response;
use crate::error::ErrorBody;
use crate::telnyx::signature::{SIGNATURE_HEADER, TIMESTAMP_HEADER};
use routes::Paths;
use schemas::Schemas;

const OPENAPI: &str = "3.1.0";
/// The version of the API, not of the program: the major version is the one in its paths, the minor one
/// grows with each field, parameter, code or route that is added.
const API_VERSION: &str = "1.0";
const ABOUT: &str = "\
SMS conversations over the Telnyx Messaging API: one per contact, with all of its messages.

Requests and responses are JSON in UTF-8; times are RFC 3339 in UTC with microseconds. Every error \
has the schema `Error`, and its `code` is stable: match on that. Fields and codes may be added, but \
not removed. A `GET` route also accepts `HEAD`; any other method returns 405 \
(`method_not_allowed`), an unknown path 404 (`not_found`), an unknown parameter 400 \
(`unknown_parameter`). Only the webhook and `/health` are accessible without a token.";

/// The document, with its fields in the usual order.
#[derive(Serialize)]
struct Document {
    openapi: &'static str,
    info: Value,
    servers: Value,
    tags: Value,
    paths: Paths,
    components: Value,
}

/// `GET /openapi.json`
pub(super) fn show() -> Response {
    static DOCUMENT: LazyLock<String> = LazyLock::new(document);
    response::json_bytes(StatusCode::OK, DOCUMENT.as_bytes())
}

/// The document as indented JSON with a final line break.
#[must_use]
pub fn document() -> String {
    let mut schemas = Schemas::new();
    let paths = routes::all(&mut schemas);
    schemas.serialized::<ErrorBody>();
    let document = Document {
        openapi: OPENAPI,
        info: json!({
            "title": "convo",
            "description": ABOUT,
            "version": API_VERSION,
            "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
        }),
        servers: json!([
            { "url": "/v1", "description": "The server that this document came from" },
            { "url": "/", "description": "The same, without the API version in its paths" },
        ]),
        tags: tags(),
        paths,
        components: components(schemas),
    };
    // Serialization cannot fail: all keys are strings.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn tags() -> Value {
    json!([
        { "name": "conversations", "description": "Reading conversations and messages" },
        { "name": "contacts", "description": "Names of contacts" },
        { "name": "sending", "description": "Sending messages" },
        { "name": "feed", "description": "What happens, as it happens" },
        { "name": "forwarding", "description": "Forwarding events to other programs" },
        { "name": "webhook", "description": "Receiving events from Telnyx, and reading them as they came" },
        { "name": "server", "description": "Health, metrics and this document" },
    ])
}

fn components(schemas: Schemas) -> Value {
    let mut schemas = schemas.definitions();
    if let Some(error) = schemas.get_mut("Error") {
        error["examples"] = json!([examples::error()]);
    }
    json!({
        "schemas": schemas,
        "headers": headers(),
        "securitySchemes": {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "A token from CONVO_API_TOKEN. Each route names the required scope, read, \
                                send or admin. A server without tokens serves programs on its own \
                                machine without one.",
            },
            "signature": {
                "type": "apiKey",
                "in": "header",
                "name": SIGNATURE_HEADER,
                "description": "Telnyx's Ed25519 signature of `timestamp|body`, in base64.",
            },
            "timestamp": {
                "type": "apiKey",
                "in": "header",
                "name": TIMESTAMP_HEADER,
                "description": "When Telnyx signed it, in Unix seconds; at most 5 minutes from the server's clock.",
            },
        },
    })
}

fn headers() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "X-Request-Id": {
            "description": "Identifies the request in the server's log: the caller's own id, or a new one.",
            "required": true,
            "schema": text,
        },
        "Idempotency-Key": {
            "description": "The key under which this send can be repeated safely.",
            "schema": text,
        },
        "Search-Incomplete-Before": { "description": "Present while the search index is being built: messages that were stored before this time may be missing.", "schema": { "type": "string", "format": "date-time" } },
        "Link": { "description": "`<…>; rel=\"next\"`, if there are more. The target is relative to the URL of the request.", "schema": text },
        "Retry-After": {
            "description": "Seconds to wait before trying again.",
            "schema": { "type": "integer", "minimum": 0 },
        },
        "Accept-Ranges": { "description": "`bytes`: a part can be requested.", "schema": text },
        "Content-Disposition": { "description": "The name under which the file is offered for saving.", "schema": text },
        "Content-Range": { "description": "Which bytes of how many.", "schema": text },
        "ETag": { "description": "The SHA-256 of the whole file, in quotes.", "schema": text },
        "WWW-Authenticate": { "description": "The required authentication: a bearer token.", "schema": text },
    })
}
