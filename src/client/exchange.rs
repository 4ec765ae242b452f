//! One request and its response, and what a failure means.
//!
//! A read that fails can simply be repeated. For a send it matters when it failed: before the first
//! byte was written nothing was sent; after that the outcome is unknown, and it may be repeated only
//! with the same key.

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use reqwest::{RequestBuilder, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::{Origin, Url};
use uuid::Uuid;

use super::connect_error;
use crate::domain::IdempotencyKey;
use crate::error::{Code, Error, ErrorBody};
use crate::net::cause;

/// The hint when the server does not accept the token.
const SET_TOKEN: &str = "set CONVO_API_TOKEN to a token of that server";

/// A request to a server.
pub(super) struct Exchange<'a> {
    server: &'a str,
    intent: Intent<'a>,
}

/// What a request does, which determines what its failure means.
#[derive(Clone, Copy)]
enum Intent<'a> {
    Read,
    Send(&'a IdempotencyKey),
    Retry(Uuid),
    Cancel(Uuid),
}

/// An error response with a code that only a newer version knows.
#[derive(Deserialize)]
struct NewerErrorBody {
    error: String,
    #[serde(rename = "code")]
    _code: String,
}

impl<'a> Exchange<'a> {
    pub(super) fn read(server: &'a str) -> Self {
        Self { server, intent: Intent::Read }
    }

    pub(super) fn send(server: &'a str, key: &'a IdempotencyKey) -> Self {
        Self { server, intent: Intent::Send(key) }
    }

    pub(super) fn retry(server: &'a str, message: Uuid) -> Self {
        Self { server, intent: Intent::Retry(message) }
    }

    pub(super) fn cancel(server: &'a str, message: Uuid) -> Self {
        Self { server, intent: Intent::Cancel(message) }
    }

    /// Sends the request and deserializes the response.
    pub(super) async fn run<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<(HeaderMap, T), Error> {
        let (status, headers, body) = self.respond(request).await?;
        if status.is_success()
            && let Ok(value) = serde_json::from_slice(&body)
        {
            return Ok((headers, value));
        }
        Err(self.unexpected_response(status, &headers, &body))
    }

    /// Sends the request and receives the whole response.
    pub(super) async fn respond(
        &self,
        request: RequestBuilder,
    ) -> Result<(StatusCode, HeaderMap, Bytes), Error> {
        let mut response = request.send().await.map_err(|error| self.no_response(&error))?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let body = response.bytes().await.map_err(|error| self.incomplete_response(&error))?;
        Ok((status, headers, body))
    }

    /// Sends the request and receives the beginning of a successful response.
    pub(super) async fn open(&self, request: RequestBuilder) -> Result<Response, Error> {
        let response = request.send().await.map_err(|error| self.no_response(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let headers = response.headers().clone();
        let body = response.bytes().await.map_err(|error| self.incomplete_response(&error))?;
        Err(self.unexpected_response(status, &headers, &body))
    }

    fn no_response(&self, error: &reqwest::Error) -> Error {
        if error.is_builder() {
            return Error::invalid(format!("the request is invalid: {}", cause(error)));
        }
        if error.is_connect() {
            let what = if error.is_timeout() {
                "cannot be reached: it did not respond in time".to_owned()
            } else {
                format!("cannot be reached: {}", connect_error::reason(error))
            };
            return match connect_error::hint(error) {
                Some(hint) => self.unreachable(&what).hint(hint),
                None => self.unreachable(&what),
            };
        }
        if self.is_read() && connect_error::is_not_http(error) {
            let message = format!("the server at {} does not speak HTTP", self.server);
            let hint = "correct CONVO_SERVER: it may have to begin with https://";
            return Error::new(Code::ServerMismatch, message).hint(hint);
        }
        self.incomplete_response(error)
    }

    /// Whether the server's address has a path, which may be wrong.
    fn has_path(&self) -> bool {
        Url::parse(self.server).is_ok_and(|url| url.path() != "/")
    }

    fn is_read(&self) -> bool {
        matches!(self.intent, Intent::Read)
    }

    /// The request was written, at least in part, and no complete response was received.
    pub(super) fn incomplete_response(&self, error: &reqwest::Error) -> Error {
        let what = if error.is_timeout() {
            "did not respond in time"
        } else {
            "sent an incomplete response"
        };
        match self.intent {
            Intent::Read => self.unreachable(what),
            Intent::Send(_) | Intent::Retry(_) | Intent::Cancel(_) => self.outcome_unknown(what),
        }
    }

    /// A response that is an error or not from a convo server.
    pub(super) fn unexpected_response(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Error {
        if let Ok(body) = serde_json::from_slice::<ErrorBody>(body) {
            return self.server_error(body);
        }
        let is_client_error = status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT;
        if is_client_error && let Ok(newer) = serde_json::from_slice::<NewerErrorBody>(body) {
            return self
                .other_version(&format!("responded with an unknown error: {}", newer.error));
        }
        let unavailable =
            || self.unreachable(&format!("is not available (HTTP {})", status.as_u16()));
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.not_allowed(status),
            StatusCode::TOO_MANY_REQUESTS => unavailable(),
            _ if status.is_redirection() => self.redirected(status, headers),
            StatusCode::REQUEST_TIMEOUT if self.is_read() => unavailable(),
            _ if self.is_read() && status.is_server_error() => unavailable(),
            _ if self.is_read() && status.is_success() && is_json(body) => {
                self.unreadable_response()
            }
            _ if self.is_read() || is_client_error => self.mismatch(status),
            _ => self
                .outcome_unknown(&format!("sent an invalid response (HTTP {})", status.as_u16())),
        }
    }

    /// The server's error, as a local one.
    fn server_error(&self, body: ErrorBody) -> Error {
        let error = Error::from(body);
        match error.code() {
            Code::Unauthorized | Code::Forbidden => {
                let message =
                    format!("the convo server at {} refused the request: {error}", self.server);
                Error::new(error.code(), message).hint(SET_TOKEN)
            }
            // The request is correct for this version, so the server's must be another.
            Code::NotFound if self.has_path() => self
                .other_version(&format!("refused the request: {error}"))
                .hint("correct the path in CONVO_SERVER: convo's routes begin directly below it"),
            Code::NotFound | Code::MethodNotAllowed | Code::UnknownParameter => {
                self.other_version(&format!("refused the request: {error}"))
            }
            Code::OutcomeUnknown => match self.intent {
                Intent::Send(key) => error.with(|extra| {
                    extra.idempotency_key.get_or_insert_with(|| key.to_string());
                }),
                Intent::Read | Intent::Retry(_) | Intent::Cancel(_) => error,
            },
            _ => error,
        }
    }

    pub(super) fn unreachable(&self, what: &str) -> Error {
        let message = format!("the convo server at {} {what}", self.server);
        let hint = match self.intent {
            Intent::Read => {
                "check that `convo serve` is running there, and that CONVO_SERVER is correct"
            }
            Intent::Send(_) | Intent::Retry(_) => {
                "nothing was sent; check that `convo serve` is running there, and that CONVO_SERVER \
                 is correct"
            }
            Intent::Cancel(_) => {
                "nothing was cancelled; check that `convo serve` is running there, and that \
                 CONVO_SERVER is correct"
            }
        };
        Error::new(Code::ServerUnreachable, message).hint(hint)
    }

    fn outcome_unknown(&self, what: &str) -> Error {
        let may_have_been = match self.intent {
            Intent::Cancel(_) => "cancelled",
            _ => "sent",
        };
        let message = format!(
            "the convo server at {} {what}: the message may have been {may_have_been}",
            self.server
        );
        let error = Error::new(Code::OutcomeUnknown, message);
        match self.intent {
            Intent::Read => error,
            Intent::Send(key) => error
                .hint(format!("repeat it with --idempotency-key {key}: nothing is sent twice"))
                .with(|extra| extra.idempotency_key = Some(key.to_string())),
            Intent::Cancel(id) => error
                .hint(format!("to try again, which is safe: convo cancel {id}"))
                .with(|extra| extra.message_id = Some(id)),
            Intent::Retry(id) => error
                .hint("the server completes the send; the message's status will show the outcome")
                .with(|extra| extra.message_id = Some(id)),
        }
    }

    fn not_allowed(&self, status: StatusCode) -> Error {
        let (code, status) = match status {
            StatusCode::FORBIDDEN => (Code::Forbidden, 403),
            _ => (Code::Unauthorized, 401),
        };
        Error::new(
            code,
            format!("the server at {} refused the request (HTTP {status})", self.server),
        )
        .hint(SET_TOKEN)
    }

    /// A JSON response that is not the expected one.
    pub(super) fn unreadable_response(&self) -> Error {
        self.other_version("sent a response that this program does not understand")
    }

    fn other_version(&self, what: &str) -> Error {
        let message = format!("the convo server at {} {what}", self.server);
        Error::new(Code::ServerMismatch, message)
            .hint("the server and this program have different versions: update the older one")
    }

    fn redirected(&self, status: StatusCode, headers: &HeaderMap) -> Error {
        let status = status.as_u16();
        let message =
            format!("the server at {} redirects to another address (HTTP {status})", self.server);
        let hint = match redirect_origin(self.server, headers) {
            Some(address) => format!("if you trust that server, set CONVO_SERVER to {address}"),
            None => "set CONVO_SERVER to the address of the convo server itself".to_owned(),
        };
        Error::new(Code::ServerMismatch, message).hint(hint)
    }

    fn mismatch(&self, status: StatusCode) -> Error {
        let status = status.as_u16();
        Error::new(
            Code::ServerMismatch,
            format!("the server at {} is not a convo server (HTTP {status})", self.server),
        )
        .hint("correct CONVO_SERVER, or the proxy in front of the server")
    }
}

fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}

/// The origin that a redirect points to, without the rest of the URL.
fn redirect_origin(server: &str, headers: &HeaderMap) -> Option<String> {
    let location = headers.get(LOCATION)?.to_str().ok()?;
    let target = Url::parse(server).ok()?.join(location).ok()?;
    Some(target.origin()).filter(Origin::is_tuple).map(|origin| origin.ascii_serialization())
}
