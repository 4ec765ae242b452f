//! The operations of messages: search, one of them, its media, and statistics.

use http::StatusCode;
use serde_json::json;

use super::examples;
use super::operation::Operation;
use super::routes::{CONVERSATIONS, QUERY, STORE};
use super::schemas::{Schemas, cursor, id, limit, list, name, own_number, text, time};
use crate::domain::{Direction, Message, SearchHit, Stats, StatsBy, Status};
use crate::error::Code;
use crate::server::access::Scope;

pub(super) fn search(schemas: &mut Schemas) -> Operation {
    let hits = list(&schemas.serialized::<SearchHit>());
    let operation = Operation::with_scope(
        Scope::Read,
        CONVERSATIONS,
        "searchMessages",
        "Search messages, newest first",
    );
    let operation = operation
        .description(
            "The messages that match everything given; without `q`, a list of messages. Pages are \
             those of `/conversations`. The search is complete to the last message that was stored, \
             unless the response has the header `Search-Incomplete-Before`.",
        )
        .query(
            "q",
            "Words, all of which the text or the subject must have: without regard to case, accents and \
             punctuation. Words in double quotes are a phrase; a `*` at the end of a word stands for \
             any ending.",
            text(),
        )
        .query("not", "Words and phrases that it must not have. Only together with `q`.", text())
        .query("limit", "The maximum size of the page.", limit())
        .query("after", "The end of the previous page: an opaque value from its `Link`.", cursor());
    filtered(operation, schemas)
        .response(StatusCode::OK, "The messages", hits, &json!([examples::search_hit()]))
        .response_header(StatusCode::OK, "Link")
        .response_header(StatusCode::OK, "Search-Incomplete-Before")
        .link(StatusCode::OK, "getMessage", "id", "/0/id")
}

pub(super) fn message(schemas: &mut Schemas) -> Operation {
    let message = schemas.serialized::<Message>();
    Operation::with_scope(
        Scope::Read,
        CONVERSATIONS,
        "getMessage",
        "Get a message with its history",
    )
    .path("id", "The message's id.", id())
    .errors(&[Code::InvalidRequest, Code::MessageNotFound, Code::Overloaded])
    .errors(&STORE)
    .response(StatusCode::OK, "The message", message, &json!(examples::message_with_history()))
    .link(StatusCode::OK, "getConversation", "id", "/conversation_id")
}

pub(super) fn medium() -> Operation {
    let content = json!({ "type": "string", "description": "The content, byte for byte." });
    let operation = Operation::with_scope(
        Scope::Read,
        CONVERSATIONS,
        "getMedia",
        "Get a media file of an inbound message",
    )
    .description(
        "The server fetches the media of inbound messages and keeps them; `state` of the message's media \
         tells what became of each. The type is found in the content: one of a short list, else \
         `application/octet-stream`. The file is offered for saving under a name made of the message's id. \
         `ETag` is its SHA-256. One range of bytes can be requested with `Range`, also with `If-Range`.",
    )
    .path("id", "The message's id.", id())
    .path("n", "The place of the file among the message's media, from 1.", json!({ "type": "integer", "minimum": 1 }))
    .header("Range", "A part of the file, such as `bytes=0-1023`.", text())
    .header("If-Range", "An `ETag`: the part is served only of that content.", text())
    .errors(&[
        Code::InvalidRequest,
        Code::MessageNotFound,
        Code::MediaNotFound,
        Code::MediaUnavailable,
        Code::RangeNotSatisfiable,
        Code::Overloaded,
    ])
    .errors(&STORE);
    let operation = [StatusCode::OK, StatusCode::PARTIAL_CONTENT].into_iter().fold(
        operation,
        |operation, status| {
            let described = ["Accept-Ranges", "Content-Disposition", "ETag"].into_iter();
            let operation = operation
                .response_as(
                    "application/octet-stream",
                    status,
                    "The file, or a part of it",
                    content.clone(),
                    &json!("BLOB"),
                )
                .also_as("image/png", status, &content, &json!("PNG"));
            described.fold(operation, |operation, header| operation.response_header(status, header))
        },
    );
    operation
        .response_header(StatusCode::PARTIAL_CONTENT, "Content-Range")
        .response_header(StatusCode::RANGE_NOT_SATISFIABLE, "Content-Range")
}

pub(super) fn stats(schemas: &mut Schemas) -> Operation {
    let stats = schemas.serialized::<Stats>();
    let by = schemas.deserialized::<StatsBy>();
    let operation = Operation::with_scope(Scope::Read, CONVERSATIONS, "getStats", "Statistics about messages")
        .description(
            "How many messages match everything given, what became of them, and what they cost. They \
             count where they are dated, with their status of now. Complete to the last message that was \
             stored, unless `complete` is false.",
        )
        .query("by", "What the rows are grouped by; `day` by default.", by)
        .query(
            "utc_offset",
            "When days begin: how far clocks are ahead of UTC, such as `+02:00`, followed by any changes of \
             that, such as `,2026-10-25T01:00:00Z=+01:00`.",
            text(),
        )
        .query(
            "limit",
            "The maximum number of rows: the last days, or the groups with the most messages. By default \
             all, but of contacts 20.",
            limit(),
        );
    filtered(operation, schemas).response(
        StatusCode::OK,
        "The statistics",
        stats,
        &json!(examples::stats()),
    )
}

/// The conditions on messages, which a search and statistics share, and the errors of both.
fn filtered(operation: Operation, schemas: &mut Schemas) -> Operation {
    let statuses = schemas.deserialized::<Status>();
    let direction = schemas.deserialized::<Direction>();
    operation
        .query("since", "Only messages at this time or later.", time())
        .query("until", "Only messages before this time.", time())
        .query(
            "contact",
            "Only messages with this contact: a number in any common notation, a name or an unambiguous \
             part of one, or the id of the conversation.",
            name(),
        )
        .query_list(
            "status",
            "Only messages with one of these statuses. `failed` means expired, sending_failed or \
             delivery_failed, `open` any that is not final.",
            &statuses,
        )
        .query("direction", "Only messages with this direction.", direction)
        .query(
            "number",
            "Only messages from or to this number of yours. Other common notations are accepted, too.",
            own_number(),
        )
        .errors(&QUERY)
        .errors(&[Code::InvalidNumber, Code::AmbiguousName, Code::Overloaded])
        .errors(&STORE)
}
