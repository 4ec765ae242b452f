//! Every route, with what may be asked and what may be answered. A test asks a running server the
//! same, so a route, a parameter or a failure that is missing here does not stay unnoticed.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::json;

use super::examples;
use super::operation::Operation;
use super::schemas::{Schemas, flag, id, limit, list, status, text, time};
use crate::config::Scope;
use crate::domain::send::IDEMPOTENCY_KEY_PATTERN;
use crate::domain::{Conversation, Direction, Message, SendPlan, SendRequest, Status, Thread};
use crate::error::Code;
use crate::server::reading::Readiness;
use crate::threading::Received;

const THREADS: &str = "threads";
const SENDING: &str = "sending";
const SERVER: &str = "server";

/// What whoever needs the database may meet.
const STORE: [Code; 2] = [Code::DatabaseUnavailable, Code::Internal];
/// What whoever says something in a query may be told.
const QUERY: [Code; 2] = [Code::InvalidRequest, Code::UnknownParameter];

/// The operations of each path, by method.
pub(super) type Paths = BTreeMap<&'static str, BTreeMap<&'static str, Operation>>;

/// All of them.
pub(super) fn all(schemas: &mut Schemas) -> Paths {
    let mut paths = Paths::new();
    let mut add = |path, method, operation| {
        paths.entry(path).or_default().insert(method, operation);
    };
    add("/conversations", "get", conversations(schemas));
    add("/conversations/{id}", "get", conversation(schemas));
    add("/conversations/{number}/send", "post", send(schemas));
    add("/messages/{id}", "get", message(schemas));
    add("/messages/{id}/retry", "post", retry(schemas));
    add("/webhooks/sms", "post", webhook(schemas));
    add("/health", "get", health());
    add("/health/ready", "get", ready(schemas));
    add("/metrics", "get", metrics());
    add("/openapi.json", "get", openapi());
    paths
}

fn conversations(schemas: &mut Schemas) -> Operation {
    let threads = list(&schemas.written::<Conversation>());
    let (statuses, direction) = (schemas.read::<Status>(), schemas.read::<Direction>());
    Operation::guarded(
        Scope::Read,
        THREADS,
        "listConversations",
        "Threads, most recently active first",
    )
    .about(
        "Without `limit` all of them in one answer, which is streamed. With `limit` a page, \
             and a `Link` to the next one while there is more: no thread comes twice, and one \
             that becomes active meanwhile moves before the first page. An answer that breaks \
             off is not valid JSON.",
    )
    .query("limit", "At most so many: a page.", limit())
    .query("after", "Where the page before ended: an opaque text from its `Link`.", text())
    .query("since", "Only threads that were active at this time or later.", time())
    .words("status", "Only threads whose last message has one of these.", &statuses)
    .query("direction", "Only threads whose last message went this way.", direction)
    .query(
        "number",
        "Only threads whose last message went out from, or came in to, this number of ours.",
        text(),
    )
    .query("opted_out", "Only threads whose contact has opted out.", flag())
    .query("reverse", "Least recently active first.", flag())
    .fails(&QUERY)
    .fails(&[Code::InvalidNumber, Code::Overloaded])
    .fails(&STORE)
    .answers(StatusCode::OK, "The threads", threads, &json!([examples::conversation()]))
    .tells(StatusCode::OK, "Link")
}

fn conversation(schemas: &mut Schemas) -> Operation {
    let thread = schemas.written::<Thread>();
    Operation::guarded(Scope::Read, THREADS, "getConversation", "One thread with its messages")
        .about(
            "The messages are in chronological order. Without `limit` all of them, streamed; with \
             it the newest so many, those before a message, or those after one.",
        )
        .path(
            "id",
            "The thread's id, at least 4 digits of its beginning or end, or the contact's \
            number in any usual writing.",
            text(),
        )
        .query("limit", "At most so many messages.", limit())
        .query(
            "before",
            "Only messages before this one, by its id, or before this time (RFC 3339). Needs `limit`.",
            text())
        .query(
            "after",
            "Only messages after this one; the nil id stands for the place before \
            the first.",
            id(),
        )
        .query("history", "With what was reported about each message.", flag())
        .fails(&QUERY)
        .fails(&[Code::AmbiguousId, Code::Overloaded])
        .fails(&[Code::ConversationNotFound, Code::MessageNotFound])
        .fails(&STORE)
        .answers(StatusCode::OK, "The thread", thread, &json!(examples::thread()))
}

fn send(schemas: &mut Schemas) -> Operation {
    let (message, plan) = (schemas.written::<Message>(), schemas.written::<SendPlan>());
    let key = json!({ "type": "string", "pattern": IDEMPOTENCY_KEY_PATTERN });
    Operation::guarded(Scope::Send, SENDING, "sendMessage", "Send a message")
        .about(
            "The message is stored before it is offered to Telnyx. 201 means that Telnyx took it, \
             202 that nobody knows: repeat that one only under the same `Idempotency-Key`. \
             Anything else means that nothing was sent. The number must be written with its \
             country code.",
        )
        .path(
            "number",
            "The recipient: a number in any usual writing, with its country code, or \
            a short code.",
            text(),
        )
        .query("dry_run", "Tell what would be sent, and send nothing.", flag())
        .header(
            "Idempotency-Key",
            "Names this send: repeated under the same key, it goes out \
            once. Kept for 30 days. Without it, the message's id is its key.",
            key,
        )
        .reads(&schemas.read::<SendRequest>(), &json!(examples::request()))
        .fails(&QUERY)
        .fails(&[Code::InvalidNumber, Code::MessageTooLong, Code::RequestTimeout])
        .fails(&[Code::PayloadTooLarge, Code::UnsupportedMediaType, Code::IdempotencyKeyReused])
        .fails(&[Code::InvalidApiKey, Code::OptedOut, Code::TelnyxRefused, Code::Cancelled])
        .fails(&[Code::RateLimited, Code::TelnyxUnreachable, Code::Overloaded])
        .fails(&STORE)
        .fails(&[Code::NotConfigured, Code::OutcomeUnknown])
        .answers(
            StatusCode::OK,
            "With `dry_run`: what a send would do",
            plan,
            &json!(examples::plan()),
        )
        .answers(
            StatusCode::CREATED,
            "Telnyx took it",
            message.clone(),
            &json!(examples::message()),
        )
        .tells(StatusCode::CREATED, "Idempotency-Key")
        .answers(
            StatusCode::ACCEPTED,
            "The message; nobody knows yet whether it was sent",
            message,
            &json!(examples::unknown()),
        )
        .tells(StatusCode::ACCEPTED, "Idempotency-Key")
}

fn message(schemas: &mut Schemas) -> Operation {
    let message = schemas.written::<Message>();
    Operation::guarded(Scope::Read, THREADS, "getMessage", "One message with its history")
        .path("id", "The message's id.", id())
        .fails(&[Code::InvalidRequest, Code::MessageNotFound, Code::Overloaded])
        .fails(&STORE)
        .answers(StatusCode::OK, "The message", message, &json!(examples::told()))
}

fn retry(schemas: &mut Schemas) -> Operation {
    let message = schemas.written::<Message>();
    Operation::guarded(
        Scope::Send,
        SENDING,
        "retryMessage",
        "Offer a message of unknown outcome again",
    )
    .about(
        "It is the very same request under the same key, so within 24 hours of the first offer \
             nothing is sent twice. A message with any other status is left alone. There is no \
             body.",
    )
    .path("id", "The message's id.", id())
    .query(
        "force",
        "Also after 24 hours, when Telnyx no longer knows the key: if it was sent \
            then, it is sent twice.",
        flag(),
    )
    .fails(&QUERY)
    .fails(&[Code::UnsupportedMediaType, Code::OptedOut, Code::Overloaded])
    .fails(&[Code::MessageNotFound, Code::NotRetryable, Code::NotConfigured])
    .fails(&[Code::OutcomeUnknown])
    .fails(&STORE)
    .answers(StatusCode::CREATED, "Telnyx has it", message.clone(), &json!(examples::message()))
    .answers(
        StatusCode::ACCEPTED,
        "The message; still nobody knows whether it was sent",
        message,
        &json!(examples::unknown()),
    )
}

fn webhook(schemas: &mut Schemas) -> Operation {
    let answer = status(&schemas.written::<Received>());
    let event = json!({
        "type": "object",
        "description": "An event of Telnyx's messaging API, version 2.",
        "properties": { "data": { "type": "object" } },
        "required": ["data"],
    });
    Operation::signed("webhook", "receiveWebhook", "Telnyx reports what happened")
        .about(
            "Answered 200 once the event is committed durably; the same event again changes \
             nothing. Answered within 2 seconds: 503 asks Telnyx to deliver it again.",
        )
        .reads(&event, &examples::event())
        .fails(&[Code::InvalidSignature, Code::InvalidRequest, Code::PayloadTooLarge])
        .fails(&[Code::RequestTimeout, Code::Overloaded])
        .fails(&STORE)
        .answers(StatusCode::OK, "What became of the event", answer, &json!({ "status": "stored" }))
}

fn health() -> Operation {
    let answer = status(&json!({ "type": "string", "enum": ["ok"] }));
    Operation::open(SERVER, "health", "Whether the process answers").answers(
        StatusCode::OK,
        "It does",
        answer,
        &json!({ "status": "ok" }),
    )
}

fn ready(schemas: &mut Schemas) -> Operation {
    let readiness = schemas.written::<Readiness>();
    Operation::guarded(Scope::Read, SERVER, "ready", "Whether the server can do its work")
        .answers(StatusCode::OK, "It can", readiness.clone(), &json!(examples::ready()))
        .answers(
            StatusCode::SERVICE_UNAVAILABLE,
            "A check fails",
            readiness,
            &json!(examples::not_ready()),
        )
}

fn metrics() -> Operation {
    let example = json!("convo_webhooks_total{outcome=\"stored\"} 1\n");
    Operation::guarded(Scope::Read, SERVER, "metrics", "What the server has counted")
        .fails(&[Code::Overloaded, Code::Internal])
        .answers_as(
            "text/plain",
            StatusCode::OK,
            "Prometheus' text format, version 0.0.4",
            text(),
            &example,
        )
}

fn openapi() -> Operation {
    let document = json!({ "type": "object", "required": ["openapi", "info", "paths"] });
    Operation::guarded(Scope::Read, SERVER, "openapi", "This document")
        .fails(&[Code::Overloaded])
        .answers(StatusCode::OK, "An OpenAPI 3.1 document", document, &json!({}))
}
