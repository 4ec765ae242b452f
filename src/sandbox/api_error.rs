//! Telnyx's error responses.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use serde::Serialize;

/// A code of Telnyx's catalogue. The HTTP status is documented only for the general ones; the others
/// follow the rule "malformed 400, validation 422, not allowed 403".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ErrorType {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) title: &'static str,
}

const fn error(status: StatusCode, code: &'static str, title: &'static str) -> ErrorType {
    ErrorType { status, code, title }
}

pub(super) const INVALID_URL: ErrorType =
    error(StatusCode::UNPROCESSABLE_ENTITY, "10003", "Invalid URL");
pub(super) const MISSING_PARAMETER: ErrorType =
    error(StatusCode::UNPROCESSABLE_ENTITY, "10004", "Missing required parameter");
pub(super) const NOT_FOUND: ErrorType = error(StatusCode::NOT_FOUND, "10005", "Resource not found");
pub(super) const UNEXPECTED: ErrorType =
    error(StatusCode::INTERNAL_SERVER_ERROR, "10007", "Unexpected error");
pub(super) const UNAUTHENTICATED: ErrorType =
    error(StatusCode::UNAUTHORIZED, "10009", "Authentication failed");
pub(super) const NOT_ALLOWED: ErrorType =
    error(StatusCode::FORBIDDEN, "10010", "Authorization failed");
pub(super) const TOO_MANY_REQUESTS: ErrorType =
    error(StatusCode::TOO_MANY_REQUESTS, "10011", "Too many requests");
pub(super) const CONTENT_TYPE_UNKNOWN: ErrorType =
    error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "10014", "Unsupported content type");
pub(super) const BAD_REQUEST: ErrorType = error(StatusCode::BAD_REQUEST, "10015", "Bad Request");
pub(super) const METHOD_NOT_ALLOWED: ErrorType =
    error(StatusCode::METHOD_NOT_ALLOWED, "10015", "Bad Request");
pub(super) const TOO_LARGE: ErrorType =
    error(StatusCode::PAYLOAD_TOO_LARGE, "10015", "Bad Request");
pub(super) const NOT_E164: ErrorType =
    error(StatusCode::UNPROCESSABLE_ENTITY, "10016", "Phone number must be in +E.164 format");
pub(super) const INVALID_JSON: ErrorType = error(StatusCode::BAD_REQUEST, "10023", "Invalid JSON");
pub(super) const UNPROCESSABLE: ErrorType =
    error(StatusCode::UNPROCESSABLE_ENTITY, "10027", "Unprocessable entity");
pub(super) const INVALID_ENUM: ErrorType =
    error(StatusCode::UNPROCESSABLE_ENTITY, "10032", "Invalid enum value");
pub(super) const BLOCKED: ErrorType =
    error(StatusCode::FORBIDDEN, "40300", "Blocked due to STOP message");
pub(super) const TOO_LONG: ErrorType =
    error(StatusCode::UNPROCESSABLE_ENTITY, "40302", "Message too large");
pub(super) const MESSAGE_NOT_FOUND: ErrorType =
    error(StatusCode::NOT_FOUND, "40303", "Message not found");
pub(super) const WRONG_CONTENT: ErrorType =
    error(StatusCode::UNPROCESSABLE_ENTITY, "40304", "Invalid combination of message content");
pub(super) const INVALID_TO: ErrorType =
    error(StatusCode::UNPROCESSABLE_ENTITY, "40310", "Invalid 'to' address");
pub(super) const NO_CONTENT: ErrorType =
    error(StatusCode::UNPROCESSABLE_ENTITY, "40316", "No content provided");
pub(super) const TOO_MUCH_MEDIA: ErrorType =
    error(StatusCode::UNPROCESSABLE_ENTITY, "40317", "MMS message content too large");
pub(super) const QUEUE_FULL: ErrorType =
    error(StatusCode::TOO_MANY_REQUESTS, "40318", "Queue full");
pub(super) const INVALID_SENDER: ErrorType =
    error(StatusCode::UNPROCESSABLE_ENTITY, "40325", "Invalid alphanumeric sender ID");

/// An error in a response, or in the `errors` of a message.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ErrorObject {
    pub(super) code: &'static str,
    pub(super) title: &'static str,
    pub(super) detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<ErrorSource>,
    meta: ErrorMeta,
}

#[derive(Clone, Debug, Serialize)]
struct ErrorSource {
    pointer: String,
}

#[derive(Clone, Debug, Serialize)]
struct ErrorMeta {
    url: String,
}

impl ErrorObject {
    pub(super) fn new(code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        let url = format!("https://developers.telnyx.com/docs/overview/errors/{code}");
        Self { code, title, detail: detail.into(), source: None, meta: ErrorMeta { url } }
    }
}

#[derive(Clone, Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    error: Box<ErrorObject>,
    retry_after: Option<u32>,
}

impl ApiError {
    pub(super) fn new(error: ErrorType, detail: impl Into<String>) -> Self {
        let object = Box::new(ErrorObject::new(error.code, error.title, detail));
        Self { status: error.status, error: object, retry_after: None }
    }

    /// Sets the JSON pointer to the invalid part of the request.
    pub(super) fn at(mut self, pointer: impl Into<String>) -> Self {
        self.error.source = Some(ErrorSource { pointer: pointer.into() });
        self
    }

    /// Sets `Retry-After`, in seconds.
    pub(super) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

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

pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    // Serialization cannot fail: all keys are strings.
    let body = serde_json::to_vec(body).unwrap_or_default();
    json_bytes(status, body.into())
}

/// A response whose body is JSON text.
pub(super) fn json_bytes(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
