//! The operations of the feed and its forwarding, and of export.

use http::StatusCode;
use serde_json::json;

use super::examples;
use super::operation::Operation;
use super::routes::{CONVERSATIONS, QUERY, STORE};
use super::schemas::{
    Schemas, feed_cursor, feed_cursor_or_empty, flag, limit, list, name, own_number, text, time,
};
use crate::domain::{Direction, FeedKind, FeedPage, Forward, ForwardReplay, ForwardTest, Status};
use crate::error::Code;
use crate::server::access::Scope;
use crate::server::export::JSON_LINES;
use crate::server::query::MAX_WAIT;

const FEED: &str = "feed";
const FORWARDING: &str = "forwarding";

pub(super) fn events(schemas: &mut Schemas) -> Operation {
    let page = schemas.serialized::<FeedPage>();
    let statuses = schemas.deserialized::<Status>();
    let kinds = schemas.deserialized::<FeedKind>();
    let direction = schemas.deserialized::<Direction>();
    let wait = json!({ "type": "integer", "minimum": 0, "maximum": MAX_WAIT, "default": 0 });
    Operation::with_scope(Scope::Read, FEED, "readEvents", "Read the feed: what happens, in order")
        .description(
            "Every change is one event, in the order of their storing. Go on after the `next` of a page, \
             which is there even if it has no events: nothing is missed, and nothing comes twice. Without \
             `after` and `since`, the feed is read from now on.\n\n\
             With `Accept: text/event-stream`, the response is a stream of server-sent events: `id` is the \
             cursor, `event` the kind and `data` the event as in a page. Every 15 seconds of silence a \
             comment is sent, with an `id` if other events have passed. `Last-Event-ID` takes precedence \
             over `after` and `since`; `limit` and `wait` are for pages only. A stream ends when the server \
             shuts down, and is cut off if the client does not read it: connect again with the last `id`.",
        )
        .query("after", "Only events after this position: a `cursor` or `next`.", feed_cursor())
        .query("since", "Only events at this time or later. Cannot be combined with `after`.", time())
        .query("limit", "The maximum size of the page, by default 100. It may have fewer events.", limit())
        .query("wait", "For how many seconds to wait for an event if there is none yet.", wait)
        .query(
            "contact",
            "Only events of this contact: a number in any common notation, a name or an unambiguous part of \
             one, or the conversation's full id.",
            name(),
        )
        .query("number", "Only messages sent from or to this number of yours.", own_number())
        .query("direction", "Only messages of this direction.", direction)
        .query_list(
            "status",
            "Only messages that had one of these statuses at the time of the event. `failed` means \
             expired, sending_failed or delivery_failed, `open` any that is not final.",
            &statuses,
        )
        .query_list("kind", "Only events of these kinds.", &kinds)
        .header(
            "Last-Event-ID",
            "For a stream: the `id` of the last event that was received. Empty counts as absent.",
            feed_cursor_or_empty(),
        )
        .errors(&QUERY)
        .errors(&[Code::InvalidNumber, Code::AmbiguousName, Code::CursorExpired])
        .errors(&[Code::Overloaded])
        .errors(&STORE)
        .response(StatusCode::OK, "The events", page, &json!(examples::feed_page()))
        .also_as(
            "text/event-stream",
            StatusCode::OK,
            &text(),
            &json!(examples::event_stream()),
        )
        .link(StatusCode::OK, "getConversation", "id", "/events/0/conversation_id")
        .link(StatusCode::OK, "getMessage", "id", "/events/0/message/id")
}

pub(super) fn export() -> Operation {
    let contact = "Only the conversation with this contact: a number in any common notation, a name or an \
                   unambiguous part of one, or the conversation's full id.";
    Operation::with_scope(Scope::Admin, CONVERSATIONS, "exportConversations", "Export everything")
        .description(
            "JSON lines that lose nothing, streamed: `convo import` reads them back. The first line has the \
             type `convo_export`, the last the type `end`: without it, the export broke off. Between them \
             are the types `opt_out`, `conversation`, `message`, `report`, `merged` and `event`.",
        )
        .query("contact", contact, name())
        .query("since", "Only messages of this time or later.", time())
        .query("until", "Only messages before this time.", time())
        .query("raw", "Also the raw webhook events.", flag())
        .errors(&QUERY)
        .errors(&[Code::ConversationNotFound, Code::AmbiguousName, Code::Overloaded])
        .errors(&STORE)
        .response_as(JSON_LINES, StatusCode::OK, "The export", text(), &json!(examples::export()))
}

pub(super) fn forwards(schemas: &mut Schemas) -> Operation {
    let forwards = list(&schemas.serialized::<Forward>());
    Operation::with_scope(Scope::Admin, FORWARDING, "listForwards", "List where forwarding stands")
        .errors(&[Code::UnknownParameter])
        .errors(&[Code::Overloaded])
        .errors(&STORE)
        .response(StatusCode::OK, "Every name", forwards, &json!([examples::forward()]))
}

/// An operation on a name, without a body in the request.
fn change_forward(id: &'static str, summary: &'static str) -> Operation {
    let name = json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$" });
    Operation::with_scope(Scope::Admin, FORWARDING, id, summary)
        .path("name", "The receiver's name, as `CONVO_FORWARD_URL` has it.", name)
        .errors(&QUERY)
        .errors(&[Code::UnsupportedMediaType, Code::ForwardNotFound, Code::Overloaded])
}

pub(super) fn test_forward(schemas: &mut Schemas) -> Operation {
    let tested = schemas.serialized::<ForwardTest>();
    change_forward("testForward", "Deliver a test event")
        .description("The event has the kind `test`. It is delivered once, whatever the state.")
        .errors(&[Code::Internal])
        .response(
            StatusCode::OK,
            "How the delivery ended",
            tested,
            &json!(examples::forward_test()),
        )
}

pub(super) fn enable_forward(schemas: &mut Schemas) -> Operation {
    let forward = schemas.serialized::<Forward>();
    change_forward("enableForward", "Go on after a pause")
        .description("Ends the pause after an answer 410. A failed delivery is attempted at once.")
        .errors(&STORE)
        .response(StatusCode::OK, "Where it stands", forward, &json!(examples::forward()))
}

pub(super) fn replay_forward(schemas: &mut Schemas) -> Operation {
    let replay = schemas.serialized::<ForwardReplay>();
    change_forward("replayForward", "Deliver events again")
        .description(
            "Without `since`, what was given up. The events are delivered between new ones, with the \
             `webhook-id` that they had.",
        )
        .query("since", "Everything from this time on that was forwarded.", time())
        .errors(&STORE)
        .response(
            StatusCode::OK,
            "What is delivered again",
            replay,
            &json!(examples::forward_replay()),
        )
}
