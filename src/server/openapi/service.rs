//! The operations of the server itself.

use http::StatusCode;
use serde_json::json;

use super::examples;
use super::operation::Operation;
use super::schemas::{Schemas, status, text};
use crate::error::Code;
use crate::server::access::Scope;
use crate::server::health::Readiness;

const SERVER: &str = "server";

pub(super) fn health() -> Operation {
    let outcome = status(&json!({ "type": "string", "enum": ["ok"] }));
    Operation::open(SERVER, "health", "Liveness").response(
        StatusCode::OK,
        "The process responds",
        outcome,
        &json!({ "status": "ok" }),
    )
}

pub(super) fn ready(schemas: &mut Schemas) -> Operation {
    let readiness = schemas.serialized::<Readiness>();
    let scopes = [Scope::Metrics, Scope::Read];
    Operation::with_optional_scopes(&scopes, SERVER, "ready", "Readiness")
        .description("The checks are listed for callers with a token only.")
        .response(
            StatusCode::OK,
            "Every check passes",
            readiness.clone(),
            &json!(examples::ready()),
        )
        .response(
            StatusCode::SERVICE_UNAVAILABLE,
            "A check fails",
            readiness,
            &json!(examples::not_ready()),
        )
}

pub(super) fn metrics() -> Operation {
    let example = json!("convo_webhooks_total{outcome=\"stored\"} 1\n");
    Operation::with_scope(Scope::Metrics, SERVER, "metrics", "Metrics")
        .allow(&[Scope::Read])
        .errors(&[Code::Overloaded, Code::Internal])
        .response_as(
            "text/plain",
            StatusCode::OK,
            "Prometheus' text format, version 0.0.4",
            text(),
            &example,
        )
}

pub(super) fn openapi() -> Operation {
    let document = json!({ "type": "object", "required": ["openapi", "info", "paths"] });
    Operation::with_scope(Scope::Read, SERVER, "openapi", "This document")
        .errors(&[Code::Overloaded])
        .response(StatusCode::OK, "An OpenAPI 3.1 document", document, &json!({}))
}
