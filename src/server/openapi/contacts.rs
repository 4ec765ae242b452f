//! The operations of contacts and their names.

use http::StatusCode;
use serde_json::json;

use super::examples;
use super::operation::Operation;
use super::routes::{QUERY, STORE};
use super::schemas::{Schemas, flag, limit, list, name, text};
use crate::domain::Contact;
use crate::domain::contact::LONGEST_NAME;
use crate::domain::naming::{NamesRequest, Naming};
use crate::error::Code;
use crate::server::access::Scope;

const CONTACTS: &str = "contacts";

/// What names a contact in the path of an operation on its name.
const ANY_CONTACT: &str = "The contact's number in any common notation, its name or an unambiguous part \
                           of it, or the conversation's id or a part of it.";

pub(super) fn list_all(schemas: &mut Schemas) -> Operation {
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

pub(super) fn show(schemas: &mut Schemas) -> Operation {
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

pub(super) fn give_name(schemas: &mut Schemas) -> Operation {
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

pub(super) fn remove_name(schemas: &mut Schemas) -> Operation {
    let contact = schemas.serialized::<Contact>();
    Operation::with_scope(Scope::Send, CONTACTS, "unnameContact", "Remove the name of a contact")
        .path("id", ANY_CONTACT, name())
        .errors(&QUERY)
        .errors(&[Code::InvalidNumber, Code::AmbiguousName, Code::ConversationNotFound])
        .errors(&[Code::Overloaded])
        .errors(&STORE)
        .response(StatusCode::OK, "The contact", contact, &json!(examples::nameless_contact()))
}

pub(super) fn give_names(schemas: &mut Schemas) -> Operation {
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
