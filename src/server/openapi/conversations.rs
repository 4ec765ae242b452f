//! The operations of conversations, and of forgetting a contact.

use http::StatusCode;
use serde_json::json;

use super::examples;
use super::operation::Operation;
use super::routes::{CONVERSATIONS, QUERY, STORE};
use super::schemas::{Schemas, cursor, flag, id, limit, list, name, own_number, place, time};
use crate::domain::{Conversation, Direction, ForgetReceipt, ForgottenMarks, Status, Thread};
use crate::error::Code;
use crate::server::access::Scope;

pub(super) fn list_all(schemas: &mut Schemas) -> Operation {
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

pub(super) fn show(schemas: &mut Schemas) -> Operation {
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

pub(super) fn forget(schemas: &mut Schemas) -> Operation {
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

pub(super) fn forgotten(schemas: &mut Schemas) -> Operation {
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
