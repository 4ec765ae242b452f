//! One request and its answer, and what it means when there is none.
//!
//! For a reading request every failure only means: not now. For a send it matters when it failed:
//! before a byte was written nothing was sent; after that nobody knows, and only the same key may
//! repeat it.

use std::error::Error as _;

use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use reqwest::RequestBuilder;
use rustls::CertificateError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::{Origin, Url};
use uuid::Uuid;

use crate::error::{Code, Error, ErrorBody};

/// What to do when the server knows no or another token.
const SET_TOKEN: &str = "set CONVO_API_TOKEN to a token of that server";

/// A request to a server, of which it is known whether it sends something.
pub(super) struct Exchange<'a> {
    server: &'a str,
    aim: Aim<'a>,
}

/// What a request is for.
#[derive(Clone, Copy)]
enum Aim<'a> {
    /// To know; it changes nothing.
    Read,
    /// To send a message, under this key.
    Send(&'a str),
    /// To offer this stored message again.
    Retry(Uuid),
}

/// An error answer of a convo that knows codes which this one does not.
#[derive(Deserialize)]
struct NewerErrorBody {
    error: String,
    #[serde(rename = "code")]
    _code: String,
}

impl<'a> Exchange<'a> {
    /// A request that changes nothing.
    pub(super) fn reading(server: &'a str) -> Self {
        Self { server, aim: Aim::Read }
    }

    /// A send under a key.
    pub(super) fn sending(server: &'a str, key: &'a str) -> Self {
        Self { server, aim: Aim::Send(key) }
    }

    /// An offer of a stored message.
    pub(super) fn retrying(server: &'a str, message: Uuid) -> Self {
        Self { server, aim: Aim::Retry(message) }
    }

    /// Asks, and reads the answer as `T`.
    pub(super) async fn run<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<(HeaderMap, T), Error> {
        let mut response = request.send().await.map_err(|error| self.unanswered(&error))?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let body = response.bytes().await.map_err(|error| self.broken_off(&error))?;
        if status.is_success()
            && let Ok(answer) = serde_json::from_slice(&body)
        {
            return Ok((headers, answer));
        }
        Err(self.refusal(status, &headers, &body))
    }

    /// No answer came at all.
    fn unanswered(&self, error: &reqwest::Error) -> Error {
        if error.is_builder() {
            return Error::invalid(format!("the request cannot be made: {}", cause(error)));
        }
        if error.is_connect() {
            let what = match error.is_timeout() {
                true => "cannot be reached: it did not answer in time".to_owned(),
                false => format!("cannot be reached: {}", reason(error)),
            };
            return match hint_of_connecting(error) {
                Some(hint) => self.unreachable(&what).hint(hint),
                None => self.unreachable(&what),
            };
        }
        if self.is_reading() && says_no_http(error) {
            let what = format!("what answers at {} does not speak HTTP", self.server);
            let hint = "correct CONVO_SERVER: perhaps it begins with https://";
            return Error::new(Code::ServerMismatch, what).hint(hint);
        }
        self.broken_off(error)
    }

    /// Whether the server is said to be below a path, which may be wrong.
    fn has_path(&self) -> bool {
        Url::parse(self.server).is_ok_and(|url| url.path() != "/")
    }

    fn is_reading(&self) -> bool {
        matches!(self.aim, Aim::Read)
    }

    /// The request was written, at least in part, and no whole answer came back.
    fn broken_off(&self, error: &reqwest::Error) -> Error {
        let what =
            if error.is_timeout() { "did not answer in time" } else { "broke off its answer" };
        match self.aim {
            Aim::Read => self.unreachable(what),
            Aim::Send(_) | Aim::Retry(_) => self.outcome_unknown(what),
        }
    }

    /// An answer that is not the one asked for.
    fn refusal(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
        if let Ok(told) = serde_json::from_slice::<ErrorBody>(body) {
            return self.told(told);
        }
        let is_client_error = status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT;
        if is_client_error && let Ok(newer) = serde_json::from_slice::<NewerErrorBody>(body) {
            return self.other_version(&format!("refused it in words of its own: {}", newer.error));
        }
        let unavailable = || self.unreachable(&format!("is not available (HTTP {})", code(status)));
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.not_allowed(status),
            StatusCode::TOO_MANY_REQUESTS => unavailable(),
            _ if status.is_redirection() => self.redirected(status, headers),
            StatusCode::REQUEST_TIMEOUT if self.is_reading() => unavailable(),
            _ if self.is_reading() && status.is_server_error() => unavailable(),
            _ if self.is_reading() && status.is_success() && is_json(body) => self.garbled(),
            _ if self.is_reading() || is_client_error => self.mismatch(status),
            _ => self.outcome_unknown(&format!("gave no readable answer (HTTP {})", code(status))),
        }
    }

    /// The server's own refusal, as it would be told here.
    fn told(&self, body: ErrorBody) -> Error {
        let error = Error::from(body);
        match error.code() {
            Code::Unauthorized | Code::Forbidden => {
                let what = format!("the convo server at {} refused: {error}", self.server);
                Error::new(error.code(), what).hint(SET_TOKEN)
            }
            // What is asked for is right here, so it is the server that does not know it.
            Code::NotFound if self.has_path() => self
                .other_version(&format!("refused the request: {error}"))
                .hint("correct the path in CONVO_SERVER: convo's routes begin right after it"),
            Code::NotFound | Code::MethodNotAllowed | Code::UnknownParameter => {
                self.other_version(&format!("refused the request: {error}"))
            }
            Code::OutcomeUnknown => match self.aim {
                Aim::Send(key) => error.with(|extra| {
                    extra.idempotency_key.get_or_insert_with(|| key.to_owned());
                }),
                Aim::Read | Aim::Retry(_) => error,
            },
            _ => error,
        }
    }

    fn unreachable(&self, what: &str) -> Error {
        let message = format!("the convo server at {} {what}", self.server);
        let hint = match self.aim {
            Aim::Read => "is `convo serve` running there, and CONVO_SERVER right?",
            Aim::Send(_) | Aim::Retry(_) => {
                "nothing was sent; is `convo serve` running there, and CONVO_SERVER right?"
            }
        };
        Error::new(Code::ServerUnreachable, message).hint(hint)
    }

    fn outcome_unknown(&self, what: &str) -> Error {
        let message = format!("the convo server at {} {what}: it may have been sent", self.server);
        let error = Error::new(Code::OutcomeUnknown, message);
        match self.aim {
            Aim::Read => error,
            Aim::Send(key) => error
                .hint(format!("repeat it with --idempotency-key {key}: nothing is sent twice"))
                .with(|extra| extra.idempotency_key = Some(key.to_owned())),
            Aim::Retry(id) => error
                .hint("the server carries on; the message tells what became of it")
                .with(|extra| extra.message_id = Some(id)),
        }
    }

    fn not_allowed(&self, status: StatusCode) -> Error {
        let (code, status) = match status {
            StatusCode::FORBIDDEN => (Code::Forbidden, 403),
            _ => (Code::Unauthorized, 401),
        };
        Error::new(code, format!("{} refused the request (HTTP {status})", self.server))
            .hint(SET_TOKEN)
    }

    /// A readable answer that is not the one asked for.
    pub(super) fn garbled(&self) -> Error {
        self.other_version("gave an answer that this program does not understand")
    }

    fn other_version(&self, what: &str) -> Error {
        let message = format!("the convo server at {} {what}", self.server);
        Error::new(Code::ServerMismatch, message)
            .hint("server and program are of different versions: update the older one")
    }

    fn redirected(&self, status: StatusCode, headers: &HeaderMap) -> Error {
        let status = code(status);
        let what = format!("the server at {} redirects elsewhere (HTTP {status})", self.server);
        let hint = match elsewhere(self.server, headers) {
            Some(address) => format!("if you trust that server, set CONVO_SERVER to {address}"),
            None => "set CONVO_SERVER to the address where convo itself answers".to_owned(),
        };
        Error::new(Code::ServerMismatch, what).hint(hint)
    }

    fn mismatch(&self, status: StatusCode) -> Error {
        let status = code(status);
        Error::new(
            Code::ServerMismatch,
            format!("what answers at {} is not a convo server (HTTP {status})", self.server),
        )
        .hint("correct CONVO_SERVER, or the proxy in front of the server")
    }
}

fn code(status: StatusCode) -> u16 {
    status.as_u16()
}

fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}

/// The server that a redirect points at, and nothing of what else is in its address.
fn elsewhere(server: &str, headers: &HeaderMap) -> Option<String> {
    let location = headers.get(LOCATION)?.to_str().ok()?;
    let target = Url::parse(server).ok()?.join(location).ok()?;
    Some(target.origin()).filter(Origin::is_tuple).map(|origin| origin.ascii_serialization())
}

/// What helps against a connection that cannot be made, where its failure tells.
fn hint_of_connecting(error: &reqwest::Error) -> Option<&'static str> {
    let causes = || causes(error);
    // Who resolves names wraps the failure without a type of its own.
    if causes().any(|cause| cause.to_string().starts_with("dns error")) {
        return Some("check the name in CONVO_SERVER, and this machine's network");
    }
    match causes().find_map(unwrapped)? {
        rustls::Error::InvalidCertificate(_) => Some(
            "its certificate is not trusted here: renew it, or add its authority to this system's \
             CA certificates",
        ),
        _ => Some("no TLS there: is CONVO_SERVER right, and does the server speak https?"),
    }
}

/// Why a connection cannot be made. What TLS says of a certificate is in words for programmers.
fn reason(error: &reqwest::Error) -> String {
    let Some(rustls::Error::InvalidCertificate(fault)) = causes(error).find_map(unwrapped) else {
        return cause(error);
    };
    let told = match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is made for another name"
        }
        CertificateError::UnknownIssuer => "its certificate is signed by nobody known here",
        _ => "its certificate is not accepted",
    };
    told.to_owned()
}

/// What TLS says, under any number of wrappings.
fn unwrapped<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut inner = cause;
    while let Some(wrapping) = inner.downcast_ref::<std::io::Error>() {
        inner = wrapping.get_ref()?;
    }
    inner.downcast_ref()
}

/// Whether what came back is no HTTP at all.
fn says_no_http(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| cause.downcast_ref().is_some_and(hyper::Error::is_parse))
}

/// The innermost reason, which is the one that says something: `Connection refused`, not
/// `error sending request`.
pub(super) fn cause(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// The reasons behind a failure, from the outermost on.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}
