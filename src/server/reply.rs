//! Answers: JSON in one shape for every path, whether a handler refused or no route was found.

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

/// What every answer says to browsers and caches: this is data about people, to be kept by nobody,
/// shown in no page and never run. There is no `Access-Control-*` among them, and never is: no web
/// page of another origin may read an answer.
const HARDENING: [(HeaderName, HeaderValue); 5] = [
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

/// Puts the security headers on an answer.
pub(super) fn harden(headers: &mut HeaderMap) {
    for (name, value) in HARDENING {
        headers.insert(name, value);
    }
}

/// A refusal before any handler ran.
#[derive(Debug)]
pub(super) struct Refused(pub(super) Error);

impl Reject for Refused {}

/// The path exists, but not for the method; the ones it has.
#[derive(Debug)]
pub(super) struct WrongMethod(pub(super) &'static str);

impl Reject for WrongMethod {}

/// An answer that is JSON already.
pub(super) fn json_bytes(status: StatusCode, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into().into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A value as JSON.
pub(super) fn json<T: Serialize>(status: StatusCode, value: &T) -> Result<Response, Error> {
    to_json(value).map(|body| json_bytes(status, body))
}

/// A value as JSON text.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        Error::internal()
    })
}

/// A handler's result as an answer.
pub(super) fn respond(result: Result<Response, Error>) -> Response {
    result.unwrap_or_else(|error| refuse(&error))
}

/// An error as an answer.
pub(super) fn refuse(error: &Error) -> Response {
    metrics::error(error.code());
    let body = serde_json::to_vec(&error.body()).unwrap_or_default();
    let mut response = json_bytes(error.http_status(), body);
    // For the line about the request.
    response.extensions_mut().insert(error.code());
    let headers = response.headers_mut();
    let soon = (error.code() == Code::DatabaseUnavailable).then_some(1);
    if let Some(seconds) = error.extra().retry_after.or(soon) {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if error.code() == Code::Unauthorized {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Answers what no route took. Nothing of a rejection's own text gets out.
pub(super) async fn recover(rejection: Rejection) -> Result<Response, Infallible> {
    if let Some(Refused(error)) = rejection.find() {
        return Ok(refuse(error));
    }
    if let Some(WrongMethod(allow)) = rejection.find() {
        let message = format!("this route takes {allow} only");
        let mut response = refuse(&Error::new(Code::MethodNotAllowed, message));
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        return Ok(response);
    }
    if rejection.is_not_found() {
        return Ok(refuse(&Error::new(Code::NotFound, "no such route")));
    }
    tracing::error!(?rejection, "a request was refused for no known reason");
    Ok(refuse(&Error::internal()))
}
