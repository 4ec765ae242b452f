//! The operation of each route. A test sends the corresponding requests to a running server, so that a
//! missing route, parameter or error is noticed.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Value, json};

use super::operation::Operation;
use super::schemas::{
    Schemas, cursor, feed_cursor, feed_cursor_or_empty, flag, id, limit, list, name, own_number,
    place, recipient, status, text, time,
};
use super::{examples, unread};
use crate::domain::batch::BATCH_ID_PATTERN;
use crate::domain::contact::LONGEST_NAME;
use crate::domain::idempotency_key::IDEMPOTENCY_KEY_PATTERN;
use crate::domain::naming::{NamesRequest, Naming};
use crate::domain::{
    BatchCheck, BatchInfo, BatchRecord, BatchRows, Contact, Conversation, Direction, EventOutcome,
    FeedKind, FeedPage, ForgetReceipt, ForgottenMarks, Forward, ForwardReplay, ForwardTest,
    Message, SearchHit, SendPlan, SendRequest, Stats, StatsBy, Status, StoredEvent, Thread,
};
use crate::error::Code;
use crate::server::access::Scope;
use crate::server::export::JSON_LINES;
use crate::server::health::Readiness;
use crate::server::query::MAX_WAIT;
use crate::server::sync::NDJSON;

pub(super) const CONVERSATIONS: &str = "conversations";
const CONTACTS: &str = "contacts";
const SENDING: &str = "sending";
const FEED: &str = "feed";
const FORWARDING: &str = "forwarding";
const WEBHOOK: &str = "webhook";
const SYNC: &str = "sync";
const SERVER: &str = "server";

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
    add("/conversations", "get", conversations(schemas));
    add("/conversations/{id}", "get", conversation(schemas));
    add("/conversations/{id}", "delete", forget(schemas));
    add("/conversations/{number}/send", "post", send(schemas));
    add("/conversations/{id}/read", "post", unread::read(schemas));
    add("/conversations/{id}/unread", "post", unread::unread(schemas));
    add("/batches/{id}", "post", record_batch(schemas));
    add("/batches/{id}/check", "post", check_batch(schemas));
    add("/conversations/{id}/name", "put", name_contact(schemas));
    add("/conversations/{id}/name", "delete", unname_contact(schemas));
    add("/contacts", "get", contacts(schemas));
    add("/contacts", "put", name_contacts(schemas));
    add("/contacts/{id}", "get", contact(schemas));
    add("/messages", "get", search(schemas));
    add("/messages/{id}", "get", message(schemas));
    add("/stats", "get", stats(schemas));
    add("/messages/{id}/media/{n}", "get", medium());
    add("/messages/{id}/retry", "post", retry(schemas));
    add("/messages/{id}/cancel", "post", cancel(schemas));
    add("/events", "get", events(schemas));
    add("/export", "get", export());
    add("/forgotten", "get", forgotten(schemas));
    add("/forwards", "get", forwards(schemas));
    add("/forwards/{name}/test", "post", test_forward(schemas));
    add("/forwards/{name}/enable", "post", enable_forward(schemas));
    add("/forwards/{name}/replay", "post", replay_forward(schemas));
    add("/sync", "post", sync());
    add("/webhooks/sms", "post", webhook(schemas));
    add("/webhooks/events", "get", stored_events(schemas));
    add("/webhooks/events/{id}", "get", stored_event());
    add("/health", "get", health());
    add("/health/ready", "get", ready(schemas));
    add("/metrics", "get", metrics());
    add("/openapi.json", "get", openapi());
    paths
}

fn conversations(schemas: &mut Schemas) -> Operation {
    let conversations = list(&schemas.serialized::<Conversation>());
    let statuses = schemas.deserialized::<Status>();
    let direction = schemas.deserialized::<Direction>();
    Operation::with_scope(
        Scope::Read,
        CONVERSATIONS,
        "listConversations",
        "List conversations, most recently active first",
    )
    .description(
        "Without `limit`, all of them in one streamed response; with it a page, with a `Link` to \
         the next one if there are more. No conversation is listed twice: one that becomes active \
         in the meantime moves before the first page. A response that is cut off is not valid JSON.",
    )
    .query("limit", "The maximum size of the page.", limit())
    .query("after", "The end of the previous page: an opaque value from its `Link`.", cursor())
    .query("since", "Only conversations active at this time or later.", time())
    .query("until", "Only conversations last active before this time.", time())
    .query(
        "contact",
        "Only the conversation with this contact: a number in any common notation, a name or an \
         unambiguous part of one, or its id.",
        name(),
    )
    .query_list(
        "status",
        "Only conversations whose last message has one of these statuses. `failed` means \
         expired, sending_failed or delivery_failed, `open` any that is not final.",
        &statuses,
    )
    .query("direction", "Only conversations whose last message has this direction.", direction)
    .query(
        "number",
        "Only conversations whose last message was sent from or to this number of yours. \
         Other common notations are accepted, too.",
        own_number(),
    )
    .query("unread", "Only conversations with unread messages.", flag())
    .query("opted_out", "Only conversations whose contact has opted out.", flag())
    .query("reverse", "Least recently active first.", flag())
    .errors(&QUERY)
    .errors(&[Code::InvalidNumber, Code::AmbiguousName, Code::Overloaded])
    .errors(&STORE)
    .response(StatusCode::OK, "The conversations", conversations, &json!([examples::conversation()]))
    .response_header(StatusCode::OK, "Link")
    .link(StatusCode::OK, "getConversation", "id", "/0/id")
    .link(StatusCode::OK, "getMessage", "id", "/0/last_message/id")
}

fn search(schemas: &mut Schemas) -> Operation {
    let hits = list(&schemas.serialized::<SearchHit>());
    let statuses = schemas.deserialized::<Status>();
    let direction = schemas.deserialized::<Direction>();
    Operation::with_scope(Scope::Read, CONVERSATIONS, "searchMessages", "Search messages, newest first")
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
        .query("after", "The end of the previous page: an opaque value from its `Link`.", cursor())
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
        .response(StatusCode::OK, "The messages", hits, &json!([examples::search_hit()]))
        .response_header(StatusCode::OK, "Link")
        .response_header(StatusCode::OK, "Search-Incomplete-Before")
        .link(StatusCode::OK, "getMessage", "id", "/0/id")
}

fn stats(schemas: &mut Schemas) -> Operation {
    let stats = schemas.serialized::<Stats>();
    let statuses = schemas.deserialized::<Status>();
    let direction = schemas.deserialized::<Direction>();
    let by = schemas.deserialized::<StatsBy>();
    Operation::with_scope(Scope::Read, CONVERSATIONS, "getStats", "Statistics about messages")
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
        )
        .query("since", "Only messages at this time or later.", time())
        .query("until", "Only messages before this time.", time())
        .query(
            "contact",
            "Only messages with this contact: a number in any common notation, or the id of the \
             conversation.",
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
        .errors(&[Code::InvalidNumber, Code::Overloaded])
        .errors(&STORE)
        .response(StatusCode::OK, "The statistics", stats, &json!(examples::stats()))
}

fn conversation(schemas: &mut Schemas) -> Operation {
    let thread = schemas.serialized::<Thread>();
    Operation::with_scope(
        Scope::Read,
        CONVERSATIONS,
        "getConversation",
        "Get a conversation with its messages",
    )
    .description(
        "The messages are in chronological order. Without `limit`, all of them in one streamed \
         response; with it the newest ones, those before a message, or those after one, with a `Link` \
         to the next page in that direction if there are more. A message may arrive late with an \
         earlier time: it is then not among those after a newer one.",
    )
    .path(
        "id",
        "The contact's number in any common notation, its name or an unambiguous part of it, the \
         conversation's id, or at least 4 hex digits from its beginning or end.",
        name(),
    )
    .query("limit", "The maximum number of messages.", limit())
    .query(
        "before",
        "Only messages before this one (its id) or before this time (RFC 3339), in pages. Cannot be \
         combined with `after`.",
        place(),
    )
    .query(
        "after",
        "Only messages after this one; the nil UUID means the position before the first.",
        id(),
    )
    .query("history", "Include the delivery reports of each message.", flag())
    .errors(&QUERY)
    .errors(&[Code::AmbiguousId, Code::AmbiguousName, Code::Overloaded])
    .errors(&[Code::ConversationNotFound, Code::MessageNotFound])
    .errors(&STORE)
    .response(StatusCode::OK, "The conversation", thread, &json!(examples::thread()))
    .response_header(StatusCode::OK, "Link")
    .link(StatusCode::OK, "getMessage", "id", "/messages/0/id")
}

/// What names a contact in the path of an operation on its name.
const ANY_CONTACT: &str = "The contact's number in any common notation, its name or an unambiguous part \
                           of it, or the conversation's id or a part of it.";

fn contacts(schemas: &mut Schemas) -> Operation {
    let contacts = list(&schemas.serialized::<Contact>());
    let position = json!({ "type": "string", "pattern": "^([0-9a-f]{2})*_([0-9a-f]{2})*$" });
    Operation::with_scope(
        Scope::Read,
        CONTACTS,
        "listContacts",
        "List the contacts that have a name",
    )
    .description("In the order of their names. Without `limit`, all of them are streamed.")
    .query("limit", "The maximum size of the page.", limit())
    .query("after", "The end of the previous page: an opaque value from its `Link`.", position)
    .query("name", "Only contacts whose names have this part, without regard to case.", text())
    .errors(&QUERY)
    .errors(&[Code::Overloaded])
    .errors(&STORE)
    .response(StatusCode::OK, "The contacts", contacts, &json!([examples::contact()]))
    .response_header(StatusCode::OK, "Link")
    .link(StatusCode::OK, "getConversation", "id", "/0/contact_number")
}

fn contact(schemas: &mut Schemas) -> Operation {
    let contact = schemas.serialized::<Contact>();
    Operation::with_scope(Scope::Read, CONTACTS, "getContact", "Find out whom a name means")
        .allow(&[Scope::Send])
        .description("By the rule of what sends: a part of a name or of an id is refused.")
        .path("id", "A number in any common notation, a whole name, or a whole id.", name())
        .errors(&QUERY)
        .errors(&[Code::InvalidNumber, Code::AmbiguousName, Code::ConversationNotFound])
        .errors(&[Code::Overloaded])
        .errors(&STORE)
        .response(StatusCode::OK, "The contact", contact, &json!(examples::contact()))
}

fn name_contact(schemas: &mut Schemas) -> Operation {
    let contact = schemas.serialized::<Contact>();
    let named = json!({
        "type": "object",
        "description": "The name that the contact is to have; null or an empty text removes it.",
        "properties": { "name": { "type": ["string", "null"], "maxLength": LONGEST_NAME } },
        "required": ["name"],
        "additionalProperties": false,
    });
    Operation::with_scope(Scope::Send, CONTACTS, "nameContact", "Name a contact")
        .description(
            "There need not be a conversation yet. Several contacts may have the same name, but a name \
             cannot read as a number or an id.",
        )
        .path("id", ANY_CONTACT, name())
        .body(&named, &json!({ "name": examples::NAME }))
        .errors(&QUERY)
        .errors(&[Code::InvalidNumber, Code::AmbiguousName, Code::ConversationNotFound])
        .errors(&[Code::PayloadTooLarge, Code::UnsupportedMediaType, Code::RequestTimeout])
        .errors(&[Code::Overloaded])
        .errors(&STORE)
        .response(StatusCode::OK, "The contact", contact, &json!(examples::contact()))
}

fn unname_contact(schemas: &mut Schemas) -> Operation {
    let contact = schemas.serialized::<Contact>();
    Operation::with_scope(Scope::Send, CONTACTS, "unnameContact", "Remove the name of a contact")
        .path("id", ANY_CONTACT, name())
        .errors(&QUERY)
        .errors(&[Code::InvalidNumber, Code::AmbiguousName, Code::ConversationNotFound])
        .errors(&[Code::Overloaded])
        .errors(&STORE)
        .response(StatusCode::OK, "The contact", contact, &json!(examples::nameless_contact()))
}

fn name_contacts(schemas: &mut Schemas) -> Operation {
    let namings = list(&schemas.serialized::<Naming>());
    Operation::with_scope(Scope::Send, CONTACTS, "nameContacts", "Name several contacts")
        .description(
            "Up to 500, in one transaction. A contact that has another name keeps it, unless `replace` is \
             true. If one cannot have its name, none is named.",
        )
        .query("dry_run", "Change nothing, and tell what would become of each.", flag())
        .body(&schemas.deserialized::<NamesRequest>(), &json!(examples::names_request()))
        .errors(&QUERY)
        .errors(&[Code::InvalidNumber, Code::PayloadTooLarge, Code::UnsupportedMediaType])
        .errors(&[Code::RequestTimeout, Code::Overloaded])
        .errors(&STORE)
        .response(
            StatusCode::OK,
            "What became of each",
            namings,
            &json!([examples::naming()]),
        )
}

fn send(schemas: &mut Schemas) -> Operation {
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

fn message(schemas: &mut Schemas) -> Operation {
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

fn batch_id() -> Value {
    json!({ "type": "string", "pattern": BATCH_ID_PATTERN })
}

fn check_batch(schemas: &mut Schemas) -> Operation {
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

fn record_batch(schemas: &mut Schemas) -> Operation {
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

fn cancel(schemas: &mut Schemas) -> Operation {
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

fn retry(schemas: &mut Schemas) -> Operation {
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

fn medium() -> Operation {
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

fn events(schemas: &mut Schemas) -> Operation {
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

fn export() -> Operation {
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

fn forwards(schemas: &mut Schemas) -> Operation {
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

fn test_forward(schemas: &mut Schemas) -> Operation {
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

fn enable_forward(schemas: &mut Schemas) -> Operation {
    let forward = schemas.serialized::<Forward>();
    change_forward("enableForward", "Go on after a pause")
        .description("Ends the pause after an answer 410. A failed delivery is attempted at once.")
        .errors(&STORE)
        .response(StatusCode::OK, "Where it stands", forward, &json!(examples::forward()))
}

fn replay_forward(schemas: &mut Schemas) -> Operation {
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

fn stored_events(schemas: &mut Schemas) -> Operation {
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

fn stored_event() -> Operation {
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

fn forget(schemas: &mut Schemas) -> Operation {
    let receipt = schemas.serialized::<ForgetReceipt>();
    Operation::with_scope(
        Scope::Admin,
        CONVERSATIONS,
        "forgetContact",
        "Remove everything that is stored about a contact",
    )
    .description(
        "Its messages with their delivery reports, the webhooks about it as they came, its entries in the \
         feed, idempotency keys, opt-out and name. It cannot be undone. A keyed hash of the number stays with \
         the time: an opt-out still refuses, and older messages are not stored again. Followers of the \
         feed get an event of the kind `removed`. It goes on if the client hangs up.",
    )
    .path("id", "The contact's number, its whole name, or the conversation's whole id.", name())
    .query("dry_run", "Only count what would be removed.", flag())
    .errors(&QUERY)
    .errors(&[Code::InvalidNumber, Code::ConversationNotFound, Code::ContactBusy])
    .errors(&[Code::AmbiguousName, Code::Overloaded])
    .errors(&STORE)
    .response(StatusCode::OK, "The receipt", receipt, &json!(examples::forget_receipt()))
}

fn forgotten(schemas: &mut Schemas) -> Operation {
    let marks = schemas.serialized::<ForgottenMarks>();
    Operation::with_scope(
        Scope::Admin,
        CONVERSATIONS,
        "listForgotten",
        "List the marks of contacts that were forgotten",
    )
    .description(
        "For `convo restore --forgotten`, which applies them to a backup from before. Whoever has the key \
         can find out whether a number is among them.",
    )
    .errors(&[Code::UnknownParameter, Code::Overloaded])
    .errors(&STORE)
    .response(StatusCode::OK, "The marks, and their key", marks, &json!(examples::forgotten()))
}

fn sync() -> Operation {
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

fn webhook(schemas: &mut Schemas) -> Operation {
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

fn health() -> Operation {
    let outcome = status(&json!({ "type": "string", "enum": ["ok"] }));
    Operation::open(SERVER, "health", "Liveness").response(
        StatusCode::OK,
        "The process responds",
        outcome,
        &json!({ "status": "ok" }),
    )
}

fn ready(schemas: &mut Schemas) -> Operation {
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

fn metrics() -> Operation {
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

fn openapi() -> Operation {
    let document = json!({ "type": "object", "required": ["openapi", "info", "paths"] });
    Operation::with_scope(Scope::Read, SERVER, "openapi", "This document")
        .errors(&[Code::Overloaded])
        .response(StatusCode::OK, "An OpenAPI 3.1 document", document, &json!({}))
}
