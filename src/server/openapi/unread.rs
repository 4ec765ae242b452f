//! The operations that mark conversations read and unread.

use http::StatusCode;
use serde_json::json;

use super::examples;
use super::operation::Operation;
use super::routes::{CONVERSATIONS, QUERY, STORE};
use super::schemas::{Schemas, count, id, name};
use crate::domain::Conversation;
use crate::error::Code;
use crate::server::access::Scope;

pub(super) fn read(schemas: &mut Schemas) -> Operation {
    let operation = Operation::with_scope(
        Scope::Send,
        CONVERSATIONS,
        "markConversationRead",
        "Mark a conversation read",
    )
    .description(
        "Everything that has arrived by now, or up to a point. What arrives meanwhile stays unread, and what \
         was read stays read: a request that comes late, or twice, changes nothing. There is no request \
         body.",
    );
    marking(operation, schemas)
        .query("up_to", "Only this message and what arrived before it.", id())
        .query(
            "arrived",
            "Only what had arrived when the conversation's `arrived` had this value. Cannot be combined with \
             `up_to`.",
            count(),
        )
        .errors(&[Code::MessageNotFound])
}

pub(super) fn unread(schemas: &mut Schemas) -> Operation {
    let operation = Operation::with_scope(
        Scope::Send,
        CONVERSATIONS,
        "markConversationUnread",
        "Mark a conversation unread",
    )
    .description(
        "Makes its last inbound message unread, unless one is, as if it had just arrived. There is no request \
         body.",
    );
    marking(operation, schemas)
}

fn marking(operation: Operation, schemas: &mut Schemas) -> Operation {
    let conversation = schemas.serialized::<Conversation>();
    operation
        .path(
            "id",
            "The conversation's id, at least 4 hex digits from its beginning or end, or the contact's \
             number in any common notation.",
            name(),
        )
        .errors(&QUERY)
        .errors(&[Code::UnsupportedMediaType, Code::Overloaded])
        .errors(&[Code::AmbiguousId, Code::AmbiguousName, Code::ConversationNotFound])
        .errors(&STORE)
        .response(
            StatusCode::OK,
            "The conversation as it is then",
            conversation,
            &json!(examples::conversation()),
        )
        .link(StatusCode::OK, "getConversation", "id", "/id")
}
