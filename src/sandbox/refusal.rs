//! Telnyx's errors: codes, HTTP statuses and the envelope.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use serde::Serialize;

/// A code of Telnyx's catalogue. Which HTTP status goes with which code is published only for the
/// general ones; the others follow the rule "malformed 400, validation 422, not allowed 403".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) title: &'static str,
}

const fn kind(status: StatusCode, code: &'static str, title: &'static str) -> Kind {
    Kind { status, code, title }
}

pub(super) const INVALID_URL: Kind = kind(StatusCode::UNPROCESSABLE_ENTITY, "10003", "Invalid URL");
pub(super) const MISSING_PARAMETER: Kind =
    kind(StatusCode::UNPROCESSABLE_ENTITY, "10004", "Missing required parameter");
pub(super) const NOT_FOUND: Kind = kind(StatusCode::NOT_FOUND, "10005", "Resource not found");
pub(super) const UNEXPECTED: Kind =
    kind(StatusCode::INTERNAL_SERVER_ERROR, "10007", "Unexpected error");
pub(super) const UNAUTHENTICATED: Kind =
    kind(StatusCode::UNAUTHORIZED, "10009", "Authentication failed");
pub(super) const TOO_MANY_REQUESTS: Kind =
    kind(StatusCode::TOO_MANY_REQUESTS, "10011", "Too many requests");
pub(super) const CONTENT_TYPE_UNKNOWN: Kind =
    kind(StatusCode::UNSUPPORTED_MEDIA_TYPE, "10014", "Unsupported content type");
pub(super) const BAD_REQUEST: Kind = kind(StatusCode::BAD_REQUEST, "10015", "Bad Request");
pub(super) const METHOD_NOT_ALLOWED: Kind =
    kind(StatusCode::METHOD_NOT_ALLOWED, "10015", "Bad Request");
pub(super) const TOO_LARGE: Kind = kind(StatusCode::PAYLOAD_TOO_LARGE, "10015", "Bad Request");
pub(super) const NOT_E164: Kind =
    kind(StatusCode::UNPROCESSABLE_ENTITY, "10016", "Phone number must be in +E.164 format");
pub(super) const INVALID_JSON: Kind = kind(StatusCode::BAD_REQUEST, "10023", "Invalid JSON");
pub(super) const UNPROCESSABLE: Kind =
    kind(StatusCode::UNPROCESSABLE_ENTITY, "10027", "Unprocessable entity");
pub(super) const INVALID_ENUM: Kind =
    kind(StatusCode::UNPROCESSABLE_ENTITY, "10032", "Invalid enum value");
pub(super) const BLOCKED: Kind =
    kind(StatusCode::FORBIDDEN, "40300", "Blocked due to STOP message");
pub(super) const TOO_LONG: Kind =
    kind(StatusCode::UNPROCESSABLE_ENTITY, "40302", "Message too large");
pub(super) const MESSAGE_NOT_FOUND: Kind =
    kind(StatusCode::NOT_FOUND, "40303", "Message not found");
pub(super) const WRONG_CONTENT: Kind =
    kind(StatusCode::UNPROCESSABLE_ENTITY, "40304", "Invalid combination of message content");
pub(super) const INVALID_TO: Kind =
    kind(StatusCode::UNPROCESSABLE_ENTITY, "40310", "Invalid 'to' address");
pub(super) const NO_CONTENT: Kind =
    kind(StatusCode::UNPROCESSABLE_ENTITY, "40316", "No content provided");
pub(super) const TOO_MUCH_MEDIA: Kind =
    kind(StatusCode::UNPROCESSABLE_ENTITY, "40317", "MMS message content too large");
pub(super) const QUEUE_FULL: Kind = kind(StatusCode::TOO_MANY_REQUESTS, "40318", "Queue full");
pub(super) const INVALID_SENDER: Kind =
    kind(StatusCode::UNPROCESSABLE_ENTITY, "40325", "Invalid alphanumeric sender ID");

/// One error object, as it stands in an answer and in a message's `errors`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ErrorObject {
    pub(super) code: &'static str,
    pub(super) title: &'static str,
    pub(super) detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
    meta: Meta,
}

#[derive(Clone, Debug, Serialize)]
struct Source {
    pointer: String,
}

#[derive(Clone, Debug, Serialize)]
struct Meta {
    url: String,
}

impl ErrorObject {
    pub(super) fn new(code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        let url = format!("https://developers.telnyx.com/docs/overview/errors/{code}");
        Self { code, title, detail: detail.into(), source: None, meta: Meta { url } }
    }
}

/// A request that is not accepted, and why.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    error: Box<ErrorObject>,
    retry_after: Option<u32>,
}

impl Refusal {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let error = Box::new(ErrorObject::new(kind.code, kind.title, detail));
        Self { status: kind.status, error, retry_after: None }
    }

    /// Says which part of the request is at fault, as a JSON pointer.
    pub(super) fn at(mut self, pointer: impl Into<String>) -> Self {
        self.error.source = Some(Source { pointer: pointer.into() });
        self
    }

    /// Says how many seconds to wait before the next try.
    pub(super) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The code, for the log.
    pub(super) fn code(&self) -> &'static str {
        self.error.code
    }

    pub(super) fn into_response(self) -> Response<Bytes> {
        let mut response = json(self.status, &serde_json::json!({ "errors": [self.error] }));
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// An answer in JSON.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    // Our own types have string keys only, so they always serialise.
    let body = serde_json::to_vec(body).unwrap_or_default();
    json_bytes(status, body.into())
}

/// An answer whose JSON is written already.
pub(super) fn json_bytes(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
