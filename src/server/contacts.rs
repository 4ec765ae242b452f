//! Contacts and their names: the list, one of them, naming one or several.

use std::sync::Arc;

use bytes::Buf;
use futures_util::Stream;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Deserializer};
use warp::reply::Response;

use super::body::Arrival;
use super::json_body::{self, BodyForm};
use super::list::{self, ListRequest};
use super::path::Segment;
use super::query::Query;
use super::response;
use super::state::ServerState;
use crate::domain::naming::NamesRequest;
use crate::domain::{ContactCursor, ContactFilter, ContactName, Selector};
use crate::error::Error;

const NAME: BodyForm = BodyForm { name: "a valid name", example: r#"{"name": "Ada Lovelace"}"# };
const NAMES: BodyForm = BodyForm {
    name: "a valid list of contacts",
    example: r#"{"contacts": [{"contact_number": "+12125551234", "contact_name": "Ada Lovelace"}]}"#,
};

/// The body of `PUT /conversations/{contact}/name`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NameRequest {
    #[serde(deserialize_with = "null_or_text")]
    name: Option<String>,
}

/// A field that may be null, but not left out: a misspelled one would remove a name.
fn null_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

/// `GET /contacts`: all that have a name and match the filter, streamed; with `limit` a page of them.
pub(super) async fn list(
    client: Arc<str>,
    state: Arc<ServerState>,
    query: String,
) -> Result<Response, Error> {
    let mut query = Query::new(&query);
    let limit = query.limit()?;
    let after: Option<ContactCursor> = query.parsed("after")?;
    let filter = ContactFilter { part: query.take("name")? };
    query.finish()?;
    let conversations = state.conversations().await?.clone();
    let request = ListRequest { limit, after, parameters: filter.parameters() };
    let filter = Arc::new(filter);
    list::respond(&client, &state, request, move |after, limit| {
        let (conversations, filter) = (conversations.clone(), Arc::clone(&filter));
        async move { conversations.contacts(&filter, after.as_ref(), limit).await }
    })
    .await
}

/// `GET /contacts/{contact}`: whom a number, a whole name or a whole id means.
pub(super) async fn show(
    named: Segment,
    state: Arc<ServerState>,
    query: String,
) -> Result<Response, Error> {
    let selector = Selector::new(&named.number()?);
    Query::new(&query).finish()?;
    let contact = state.conversations().await?.contact(&selector).await?;
    response::json(StatusCode::OK, &contact)
}

/// `PUT /contacts`: names several contacts.
pub(super) async fn name_all<B: Buf, E>(
    headers: HeaderMap,
    state: Arc<ServerState>,
    arrival: Arrival,
    query: String,
    body: impl Stream<Item = Result<B, E>>,
) -> Result<Response, Error> {
    let mut query = Query::new(&query);
    let is_dry = query.flag("dry_run")?;
    query.finish()?;
    let raw = json_body::collect(&state, &headers, &arrival, body).await?;
    let request: NamesRequest = json_body::parse(&raw.bytes, NAMES)?;
    let namings = state.conversations().await?.name_contacts(&request, is_dry).await?;
    response::json(StatusCode::OK, &namings)
}

/// `PUT /conversations/{contact}/name`: names a contact; null or an empty name removes it.
pub(super) async fn name<B: Buf, E>(
    named: Segment,
    headers: HeaderMap,
    state: Arc<ServerState>,
    arrival: Arrival,
    query: String,
    body: impl Stream<Item = Result<B, E>>,
) -> Result<Response, Error> {
    let selector = Selector::new(&named.number()?);
    Query::new(&query).finish()?;
    let raw = json_body::collect(&state, &headers, &arrival, body).await?;
    let NameRequest { name } = json_body::parse(&raw.bytes, NAME)?;
    let name = name.filter(|name| !name.is_empty());
    let name = name.as_deref().map(ContactName::parse).transpose()?;
    let contact = state.conversations().await?.name_contact(&selector, name).await?;
    response::json(StatusCode::OK, &contact)
}

/// `DELETE /conversations/{contact}/name`: removes a contact's name.
pub(super) async fn unname(
    named: Segment,
    state: Arc<ServerState>,
    query: String,
) -> Result<Response, Error> {
    let selector = Selector::new(&named.number()?);
    Query::new(&query).finish()?;
    let contact = state.conversations().await?.name_contact(&selector, None).await?;
    response::json(StatusCode::OK, &contact)
}
