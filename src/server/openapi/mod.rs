//! The API as an OpenAPI 3.1 document. Its schemas are made of the very types that travel and its
//! failures of [`Code`](crate::error::Code); what types cannot say stands in `routes`.

mod examples;
mod operation;
mod routes;
mod schemas;

use serde::Serialize;
use serde_json::{Value, json};

use crate::error::ErrorBody;
use routes::Paths;
use schemas::Schemas;

/// The version of OpenAPI.
const OPENAPI: &str = "3.1.0";
const ABOUT: &str = "\
SMS threads over the Telnyx Messaging API: one thread per contact, with everything said in it.

JSON in and out, UTF-8; times are RFC 3339 in UTC with microseconds. Every failure has the shape \
of `Error`, and its `code` is stable: match on that. More fields and codes may come, none will \
go. A `GET` route also answers `HEAD`; another method is 405 (`method_not_allowed`), an unknown \
path or parameter 404 (`not_found`) or 400. Only the webhook and `/health` are open to strangers.";

/// The document, its parts in the order in which people read it.
#[derive(Serialize)]
struct Document {
    openapi: &'static str,
    info: Value,
    servers: Value,
    tags: Value,
    paths: Paths,
    components: Value,
}

/// The document as JSON for people, with a final line break.
#[must_use]
pub fn document() -> String {
    let mut schemas = Schemas::new();
    let paths = routes::all(&mut schemas);
    schemas.written::<ErrorBody>();
    let document = Document {
        openapi: OPENAPI,
        info: json!({
            "title": "convo",
            "description": ABOUT,
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
        }),
        servers: json!([{ "url": "/", "description": "The server that this came from" }]),
        tags: tags(),
        paths,
        components: components(schemas),
    };
    // Text keys and plain values: nothing in it can fail to be JSON.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn tags() -> Value {
    json!([
        { "name": "threads", "description": "Who wrote, and what was said" },
        { "name": "sending", "description": "Saying something" },
        { "name": "webhook", "description": "Telnyx's way in" },
        { "name": "server", "description": "How the server fares" },
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
                "description": "A token of CONVO_API_TOKEN. Routes name the scope it needs, read \
                                or send. On a server without any token, programs on its own \
                                machine are served without one.",
            },
            "signature": {
                "type": "apiKey",
                "in": "header",
                "name": "telnyx-signature-ed25519",
                "description": "Telnyx's Ed25519 signature of `timestamp|body`, in base64.",
            },
            "timestamp": {
                "type": "apiKey",
                "in": "header",
                "name": "telnyx-timestamp",
                "description": "When Telnyx signed it, in Unix seconds; not more than 5 minutes off.",
            },
        },
    })
}

fn headers() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "X-Request-Id": {
            "description": "Names this request in the server's log: the caller's own, or a new one.",
            "required": true,
            "schema": text,
        },
        "Idempotency-Key": {
            "description": "The key under which this very send may be repeated.",
            "schema": text,
        },
        "Link": { "description": "`<…>; rel=\"next\"`, while there are more.", "schema": text },
        "Retry-After": {
            "description": "Seconds to wait before trying again.",
            "schema": { "type": "integer", "minimum": 0 },
        },
        "WWW-Authenticate": { "description": "What to bring: a bearer token.", "schema": text },
    })
}
