//! The operations of webhooks, their stored events, and sync.

use http::StatusCode;
use serde_json::json;

use super::examples;
use super::operation::Operation;
use super::routes::{QUERY, STORE};
use super::schemas::{Schemas, flag, limit, list, name, status, text, time};
use crate::domain::{EventOutcome, StoredEvent};
use crate::error::Code;
use crate::server::access::Scope;
use crate::server::sync::NDJSON;

const WEBHOOK: &str = "webhook";
const SYNC: &str = "sync";

pub(super) fn webhook(schemas: &mut Schemas) -> Operation {
    let outcome = status(&schemas.serialized::<EventOutcome>());
    let event = json!({
        "type": "object",
        "description": "An event of Telnyx's messaging API, version 2.",
        "properties": { "data": { "type": "object" } },
        "required": ["data"],
    });
    Operation::signed(WEBHOOK, "receiveWebhook", "Receive an event from Telnyx")
        .description(
            "200 once the event is committed durably; a repeated event changes nothing. The \
             response takes at most 2 seconds: after a 503, Telnyx delivers the event again.",
        )
        .body(&event, &examples::event())
        .errors(&[Code::InvalidSignature, Code::InvalidRequest, Code::PayloadTooLarge])
        .errors(&[Code::UnsupportedMediaType, Code::RequestTimeout, Code::Overloaded])
        .errors(&STORE)
        .response(
            StatusCode::OK,
            "The outcome of the event",
            outcome,
            &json!({ "status": "stored" }),
        )
}

pub(super) fn stored_events(schemas: &mut Schemas) -> Operation {
    let events = list(&schemas.serialized::<StoredEvent>());
    let position = json!({ "type": "string", "pattern": "^-?[0-9]{1,18}_([0-9a-f]{2})*$" });
    Operation::with_scope(Scope::Admin, WEBHOOK, "listWebhooks", "List the stored webhook events")
        .description(
            "Newest first, by Telnyx's clock. Without `limit`, all of them are streamed. A page may have \
             fewer events than `limit`, even none, as long as there is a `Link`: with `contact`, every event \
             is read.",
        )
        .query("limit", "The maximum size of the page; without it, the response has all events.", limit())
        .query("after", "Only events after this position, from the `Link` of the previous page.", position)
        .query("type", "Only events of this type, such as `message.finalized`.", name())
        .query("since", "Only events that happened at this time or later, by Telnyx's clock.", time())
        .query(
            "contact",
            "Only events about messages from or to this contact: a number in any common notation, or the \
             conversation's full id.",
            name(),
        )
        .errors(&QUERY)
        .errors(&[Code::ConversationNotFound, Code::AmbiguousId, Code::AmbiguousName])
        .errors(&[Code::Overloaded])
        .errors(&STORE)
        .response(StatusCode::OK, "The events", events, &json!([examples::stored_event()]))
        .response_header(StatusCode::OK, "Link")
}

pub(super) fn stored_event() -> Operation {
    let event =
        json!({ "type": "object", "description": "The body of the webhook, byte for byte." });
    Operation::with_scope(
        Scope::Admin,
        WEBHOOK,
        "getWebhook",
        "Get a stored webhook event as it came",
    )
    .path("id", "Telnyx's id of the event.", name())
    .errors(&[Code::InvalidRequest, Code::EventNotFound, Code::Overloaded])
    .errors(&STORE)
    .response(StatusCode::OK, "The event", event, &examples::event())
}

pub(super) fn sync() -> Operation {
    Operation::with_scope(Scope::Admin, SYNC, "sync", "Fetch what no webhook has brought")
        .description(
            "Settles messages left without an outcome, then reads from Telnyx: webhooks that could not \
             be delivered, the list of all messages, outbound messages without an end, and opt-outs. One \
             process at a time does it; a further request waits. The response has one JSON object on \
             each line: `progress` again and again, and at the end `report` or `error`. Empty lines keep \
             the connection open. A response without its last line was cut off; the sync runs to its end \
             nevertheless, unless the server stops, and the next one goes on from where it was.",
        )
        .query("since", "Read everything from this time on; at most ten days ago.", time())
        .query("no_fetch", "Only settle.", flag())
        .query("dry_run", "Change nothing, and tell what would be found.", flag())
        .errors(&QUERY)
        .errors(&[Code::UnsupportedMediaType, Code::NotConfigured, Code::Overloaded])
        .errors(&STORE)
        .response_as(NDJSON, StatusCode::OK, "What is done", text(), &examples::sync())
}
