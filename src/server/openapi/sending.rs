//! The operations that send, one text or many.

use http::StatusCode;
use serde_json::{Value, json};

use super::examples;
use super::operation::Operation;
use super::routes::{QUERY, STORE};
use super::schemas::{Schemas, flag, id, recipient};
use crate::domain::batch::BATCH_ID_PATTERN;
use crate::domain::idempotency_key::IDEMPOTENCY_KEY_PATTERN;
use crate::domain::{
    BatchCheck, BatchInfo, BatchRecord, BatchRows, Message, SendPlan, SendRequest,
};
use crate::error::Code;
use crate::server::access::Scope;

const SENDING: &str = "sending";

pub(super) fn send(schemas: &mut Schemas) -> Operation {
    let message = schemas.serialized::<Message>();
    let plan = schemas.serialized::<SendPlan>();
    let key = json!({ "type": "string", "pattern": IDEMPOTENCY_KEY_PATTERN });
    Operation::with_scope(Scope::Send, SENDING, "sendMessage", "Send a message")
        .description(
            "The message is stored before it is sent to Telnyx. 201 means that Telnyx accepted it, \
             202 that its outcome is unknown: repeat it only with the same `Idempotency-Key`. \
             Any other status means that nothing was sent.",
        )
        .path(
            "number",
            "The recipient: a number with its country code, or a short code. Other common notations are \
             accepted, too, and the whole name of a contact or the whole id of a conversation.",
            recipient(),
        )
        .query("dry_run", "Return what would be sent, without sending it.", flag())
        .header(
            "Idempotency-Key",
            "Requests with the same key send a message only once. While the first request is in \
             progress, a repeated one waits for it and gets the same response, even if that is an error. \
             Kept for 30 days. The default is the message's id. An answer (`in_reply_to`) has the key \
             `reply:` and the id of the message that it answers, and accepts no other.",
            key,
        )
        .body(&schemas.deserialized::<SendRequest>(), &json!(examples::send_request()))
        .errors(&QUERY)
        .errors(&[Code::InvalidNumber, Code::MessageTooLong, Code::RequestTimeout])
        .errors(&[Code::AmbiguousName, Code::ConversationNotFound])
        .errors(&[Code::PayloadTooLarge, Code::UnsupportedMediaType, Code::IdempotencyKeyReused])
        .errors(&[Code::InvalidApiKey, Code::OptedOut, Code::TelnyxRefused, Code::Cancelled])
        .errors(&[Code::MessageNotFound, Code::ReplyLimit, Code::SendLimit, Code::AlreadySent])
        .errors(&[Code::RateLimited, Code::TelnyxUnreachable, Code::Overloaded])
        .errors(&STORE)
        .errors(&[Code::NotConfigured, Code::OutcomeUnknown])
        .response(
            StatusCode::OK,
            "With `dry_run`: what would be sent",
            plan,
            &json!(examples::plan()),
        )
        .response(
            StatusCode::CREATED,
            "Telnyx accepted the message",
            message.clone(),
            &json!(examples::message()),
        )
        .response_header(StatusCode::CREATED, "Idempotency-Key")
        .response(
            StatusCode::ACCEPTED,
            "The message; it is not known yet whether it was sent",
            message,
            &json!(examples::unknown()),
        )
        .response_header(StatusCode::ACCEPTED, "Idempotency-Key")
        .link(StatusCode::CREATED, "getMessage", "id", "/id")
        .link(StatusCode::CREATED, "getConversation", "id", "/conversation_id")
        .link(StatusCode::ACCEPTED, "getMessage", "id", "/id")
        .link(StatusCode::ACCEPTED, "retryMessage", "id", "/id")
}

fn batch_id() -> Value {
    json!({ "type": "string", "pattern": BATCH_ID_PATTERN })
}

pub(super) fn check_batch(schemas: &mut Schemas) -> Operation {
    let check = schemas.serialized::<BatchCheck>();
    Operation::with_scope(Scope::Send, SENDING, "checkBatch", "Check rows of a batch")
        .description(
            "Says of each row whether it would be sent, was sent before under this batch, went to the \
             same contact within the last 24 hours in another one, or goes to a contact that has opted out. \
             Nothing is stored. Each row is sent by `POST /conversations/{number}/send` with `batch`.",
        )
        .path("id", "The name of the batch.", batch_id())
        .body(&schemas.deserialized::<BatchRows>(), &json!(examples::batch_rows()))
        .errors(&QUERY)
        .errors(&[Code::InvalidNumber, Code::RequestTimeout, Code::PayloadTooLarge])
        .errors(&[Code::UnsupportedMediaType, Code::Overloaded])
        .errors(&STORE)
        .response(StatusCode::OK, "What is known", check, &json!(examples::batch_check()))
}

pub(super) fn record_batch(schemas: &mut Schemas) -> Operation {
    let batch = schemas.serialized::<BatchInfo>();
    Operation::with_scope(
        Scope::Send,
        SENDING,
        "recordBatch",
        "Record a batch as begun or finished",
    )
    .description("The same record again changes nothing but the time at which it was finished.")
    .path("id", "The name of the batch.", batch_id())
    .body(&schemas.deserialized::<BatchRecord>(), &json!(examples::batch_record()))
    .errors(&QUERY)
    .errors(&[Code::RequestTimeout, Code::PayloadTooLarge])
    .errors(&[Code::UnsupportedMediaType, Code::Overloaded])
    .errors(&STORE)
    .response(StatusCode::OK, "The batch", batch, &json!(examples::batch()))
}

pub(super) fn retry(schemas: &mut Schemas) -> Operation {
    let message = schemas.serialized::<Message>();
    Operation::with_scope(
        Scope::Send,
        SENDING,
        "retryMessage",
        "Retry a message of unknown outcome",
    )
    .description(
        "Sends the same request to Telnyx with the same key, so nothing is sent twice within 24 \
         hours of the first attempt. A message with any other status is left unchanged. There is \
         no request body.",
    )
    .path("id", "The message's id.", id())
    .query(
        "force",
        "Retry even after 24 hours, when Telnyx no longer knows the key: a message that was sent \
         is then sent twice.",
        flag(),
    )
    .errors(&QUERY)
    .errors(&[Code::UnsupportedMediaType, Code::OptedOut, Code::Overloaded])
    .errors(&[Code::MessageNotFound, Code::NotRetryable, Code::NotConfigured])
    .errors(&[Code::OutcomeUnknown])
    .errors(&STORE)
    .response(
        StatusCode::CREATED,
        "Telnyx accepted the message",
        message.clone(),
        &json!(examples::message()),
    )
    .response(
        StatusCode::ACCEPTED,
        "The message; it is still not known whether it was sent",
        message,
        &json!(examples::unknown()),
    )
}

pub(super) fn cancel(schemas: &mut Schemas) -> Operation {
    let message = schemas.serialized::<Message>();
    Operation::with_scope(Scope::Send, SENDING, "cancelMessage", "Cancel a scheduled message")
        .description(
            "Telnyx cancels a message up to a minute before its time. Cancelling a cancelled message \
             succeeds and changes nothing. There is no request body.",
        )
        .path("id", "The message's id.", id())
        .errors(&QUERY)
        .errors(&[Code::UnsupportedMediaType, Code::Overloaded])
        .errors(&[Code::MessageNotFound, Code::NotCancellable, Code::NotConfigured])
        .errors(&[Code::InvalidApiKey, Code::RateLimited, Code::TelnyxUnreachable])
        .errors(&[Code::OutcomeUnknown])
        .errors(&STORE)
        .response(
            StatusCode::OK,
            "The message, which is cancelled",
            message,
            &json!(examples::cancelled()),
        )
        .link(StatusCode::OK, "getMessage", "id", "/id")
}
