//! Responses: JSON, errors in the same shape from handlers and for unknown routes.

use std::convert::Infallible;

use bytes::Bytes;
use http::StatusCode;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use serde::Serialize;
use warp::reject::{Reject, Rejection};
use warp::reply::Response;

use crate::error::{Code, Error};
use crate::metrics;

/// The security headers of every response: personal data that must not be cached, framed or
/// executed. No `Access-Control-*` header is ever sent, so that pages of other origins cannot read
/// a response.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 5] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// Adds the security headers, unless the response has a stricter one.
pub(super) fn harden(headers: &mut HeaderMap) {
    for (name, value) in SECURITY_HEADERS {
        headers.entry(name).or_insert(value);
    }
}

/// The rejection of a request before its handler.
#[derive(Debug)]
pub(super) struct Refused(pub(super) Error);

impl Reject for Refused {}

/// The rejection of a method that the route does not have; with the value for `Allow`.
#[derive(Debug)]
pub(super) struct WrongMethod(pub(super) &'static str);

impl Reject for WrongMethod {}

/// A response whose body is JSON text.
pub(super) fn json_bytes(status: StatusCode, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into().into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(super) fn json<T: Serialize>(status: StatusCode, value: &T) -> Result<Response, Error> {
    to_json(value).map(|body| json_bytes(status, body))
}

pub(super) fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    let mut json = Vec::new();
    write_json(&mut json, value)?;
    Ok(json)
}

pub(super) fn write_json<T: Serialize>(json: &mut Vec<u8>, value: &T) -> Result<(), Error> {
    serde_json::to_writer(json, value).map_err(|error| {
        tracing::error!(%error, "a response could not be serialized");
        Error::internal()
    })
}

/// The response for the result of a handler.
pub(super) fn respond(result: Result<Response, Error>) -> Response {
    result.unwrap_or_else(|error| refuse(&error))
}

/// The response for an error.
pub(super) fn refuse(error: &Error) -> Response {
    metrics::error(error.code());
    let body = serde_json::to_vec(&error.body()).unwrap_or_default();
    let mut response = json_bytes(error.http_status(), body);
    // For the request log.
    response.extensions_mut().insert(error.code());
    let headers = response.headers_mut();
    let default = (error.code() == Code::DatabaseUnavailable).then_some(1);
    if let Some(seconds) = error.extra().retry_after.or(default) {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if error.code() == Code::Unauthorized {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// The response for a rejection. warp's own text is not sent to the caller.
pub(super) async fn recover(rejection: Rejection) -> Result<Response, Infallible> {
    if let Some(Refused(error)) = rejection.find() {
        return Ok(refuse(error));
    }
    if let Some(WrongMethod(allow)) = rejection.find() {
        let message = format!("this route only allows {allow}");
        let mut response = refuse(&Error::new(Code::MethodNotAllowed, message));
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        return Ok(response);
    }
    if rejection.is_not_found() {
        return Ok(refuse(&Error::new(Code::NotFound, "no such route")));
    }
    tracing::error!(?rejection, "a request was rejected for an unknown reason");
    Ok(refuse(&Error::internal()))
}
