//! One request and its answer, and what it means when there is none.
//!
//! For a reading request every failure only means: not now. For a send it matters when it failed:
//! before a byte was written nothing was sent; after that nobody knows, and only the same key may
//! repeat it.

use std::error::Error as _;

use http::{HeaderMap, StatusCode};
use reqwest::RequestBuilder;
use serde::Deserialize;
use serde::de::DeserializeOwned;
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
        Err(self.refusal(status, &body))
    }

    /// No answer came at all.
    fn unanswered(&self, error: &reqwest::Error) -> Error {
        if error.is_builder() {
            return Error::invalid(format!("the request cannot be made: {}", cause(error)));
        }
        if error.is_connect() {
            return self.unreachable(&format!("cannot be reached: {}", cause(error)));
        }
        self.broken_off(error)
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
    fn refusal(&self, status: StatusCode, body: &[u8]) -> Error {
        if let Ok(told) = serde_json::from_slice::<ErrorBody>(body) {
            return self.told(told);
        }
        let is_client_error = status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT;
        if is_client_error && let Ok(newer) = serde_json::from_slice::<NewerErrorBody>(body) {
            return Error::new(Code::ServerMismatch, newer.error)
                .hint("the server speaks a newer version; update this program");
        }
        match (self.aim, status) {
            (_, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => self.not_allowed(status),
            (Aim::Send(_) | Aim::Retry(_), _) if !is_client_error && !status.is_redirection() => {
                self.outcome_unknown(&format!("gave no readable answer (HTTP {})", status.as_u16()))
            }
            (
                Aim::Read,
                StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT,
            ) => self.unreachable(&format!("is not available (HTTP {})", status.as_u16())),
            _ => self.mismatch(status),
        }
    }

    /// The server's own refusal, as it would be told here.
    fn told(&self, body: ErrorBody) -> Error {
        let error = Error::from(body);
        match error.code() {
            Code::Unauthorized => error.hint(SET_TOKEN),
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

    fn mismatch(&self, status: StatusCode) -> Error {
        let status = status.as_u16();
        Error::new(
            Code::ServerMismatch,
            format!("what answers at {} is not a convo server (HTTP {status})", self.server),
        )
        .hint("correct CONVO_SERVER, or the proxy in front of the server")
    }
}

/// The innermost reason, which is the one that says something: `Connection refused`, not
/// `error sending request`.
pub(super) fn cause(error: &reqwest::Error) -> String {
    let Some(mut innermost) = error.source() else {
        return error.to_string();
    };
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
