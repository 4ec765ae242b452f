//! Request bodies that are one JSON object.

use bytes::Buf;
use futures_util::Stream;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::access;
use super::body::{Arrival, CollectedBody};
use super::state::ServerState;
use crate::error::Error;

/// How many characters of a parser's message are passed on: it may quote the body.
const MAX_REASON: usize = 200;

/// What a body is to be, for people.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyForm {
    /// With its article.
    pub(super) name: &'static str,
    /// One in JSON.
    pub(super) example: &'static str,
}

/// Collects a body, which must not have another type than JSON.
///
/// # Errors
/// `unsupported_media_type`, `payload_too_large`, `request_timeout`, `overloaded`; `invalid_request` if it
/// breaks off.
pub(super) async fn collect<B: Buf, E>(
    state: &ServerState,
    headers: &HeaderMap,
    arrival: &Arrival,
    body: impl Stream<Item = Result<B, E>>,
) -> Result<CollectedBody, Error> {
    if headers.contains_key(CONTENT_TYPE) && !access::is_json(headers) {
        return Err(access::not_json());
    }
    let body = state.bodies.admit(body, &arrival.connection, headers).await?;
    let deadline = arrival.since + state.limits.request_time;
    state.bodies.collect(body, &arrival.connection, deadline).await
}

/// Reads a body.
///
/// # Errors
/// `invalid_request`, with the place and what is wrong there.
pub(super) fn parse<T: DeserializeOwned>(raw: &[u8], form: BodyForm) -> Result<T, Error> {
    // serde would also accept an array of the fields' values.
    let is_object = raw.trim_ascii_start().first() == Some(&b'{');
    let not_an_object = || {
        let hint = format!("send one such as {}", form.example);
        Error::invalid("the body is not a JSON object").hint(hint)
    };
    match serde_json::from_slice(raw) {
        Ok(value) if is_object => Ok(value),
        Ok(_) => Err(not_an_object()),
        Err(error) if error.classify() == Category::Data && !is_object => Err(not_an_object()),
        Err(error) => Err(explain(&error, form)),
    }
}

/// The position of the mistake, and what is wrong.
fn explain(error: &serde_json::Error, form: BodyForm) -> Error {
    let position = format!("line {}, column {}", error.line(), error.column());
    if error.classify() != Category::Data {
        return Error::invalid(format!("the body is not valid JSON ({position})"));
    }
    let message = error.to_string();
    let reason = message.rsplit_once(" at line ").map_or(message.as_str(), |(reason, _)| reason);
    let reason: String = reason.chars().take(MAX_REASON).collect();
    Error::invalid(format!("the body is not {}: {reason} ({position})", form.name))
}
