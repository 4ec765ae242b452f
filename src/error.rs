//! The one error of convo: what happened, in the user's words, and what to do next.
//!
//! Every failure that a user can meet has a [`Code`], and the code alone decides the HTTP status,
//! the exit code and the word in JSON. What must not reach a stranger (a database's words, a path)
//! is logged where it happens and never put into an [`Error`].

use std::fmt;

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::phone::NumberError;

/// What kind of failure it is. The words are stable: programs match on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request or the arguments make no sense.
    InvalidRequest,
    /// A query parameter that the route does not have.
    UnknownParameter,
    /// A phone number that is none, or lacks its country code.
    InvalidNumber,
    /// A text of more segments than Telnyx sends.
    MessageTooLong,
    /// Part of an id that fits several threads.
    AmbiguousId,
    /// An idempotency key that belongs to another request.
    IdempotencyKeyReused,
    /// No such thread.
    ConversationNotFound,
    /// No such message.
    MessageNotFound,
    /// No such route.
    NotFound,
    /// The route exists, but not for this method.
    MethodNotAllowed,
    /// The body is larger than the route takes.
    PayloadTooLarge,
    /// The request did not arrive in time.
    RequestTimeout,
    /// The body is not JSON.
    UnsupportedMediaType,
    /// A webhook whose signature is missing, wrong or too old.
    InvalidSignature,
    /// The caller has no or a wrong API token.
    Unauthorized,
    /// The caller's API token lacks the scope; without any token, only local programs are served.
    Forbidden,
    /// Too many wrong API tokens came from the caller's address.
    TooManyAttempts,
    /// Telnyx refused our API key.
    InvalidApiKey,
    /// A setting is missing or makes no sense.
    NotConfigured,
    /// The address to listen on is taken, or not there yet.
    AddressUnavailable,
    /// The database is not there, not up to date, or of the other mode.
    DatabaseNotReady,
    /// A database and its copy differ.
    CopyMismatch,
    /// The contact has opted out.
    OptedOut,
    /// Telnyx asks to slow down; nothing was sent.
    RateLimited,
    /// Telnyx could not be reached; nothing was sent.
    TelnyxUnreachable,
    /// Telnyx refused the message for good.
    TelnyxRefused,
    /// The message is in no state to be offered again.
    NotRetryable,
    /// The message was taken back before it was offered.
    Cancelled,
    /// The database cannot be reached or is overloaded.
    DatabaseUnavailable,
    /// The server has more to do than it can.
    Overloaded,
    /// The convo server cannot be reached, or broke off its answer.
    ServerUnreachable,
    /// What answered is not a convo server, or not one that this program understands.
    ServerMismatch,
    /// The message was accepted, but what was waited for did not come in time.
    NotFinal,
    /// It may have been sent; nobody knows.
    OutcomeUnknown,
    /// A fault of convo itself, or of the machine.
    Internal,
}

impl Code {
    /// The HTTP status of this kind of failure. [`Code::TelnyxRefused`] answers with Telnyx's own.
    #[must_use]
    pub fn http_status(self) -> StatusCode {
        match self {
            Self::InvalidRequest
            | Self::UnknownParameter
            | Self::InvalidNumber
            | Self::MessageTooLong
            | Self::AmbiguousId => StatusCode::BAD_REQUEST,
            Self::InvalidSignature | Self::Unauthorized | Self::InvalidApiKey => {
                StatusCode::UNAUTHORIZED
            }
            Self::Forbidden | Self::OptedOut => StatusCode::FORBIDDEN,
            Self::ConversationNotFound | Self::MessageNotFound | Self::NotFound => {
                StatusCode::NOT_FOUND
            }
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotRetryable | Self::Cancelled | Self::CopyMismatch => StatusCode::CONFLICT,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::IdempotencyKeyReused | Self::TelnyxRefused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::RateLimited | Self::TooManyAttempts => StatusCode::TOO_MANY_REQUESTS,
            Self::TelnyxUnreachable
            | Self::NotConfigured
            | Self::AddressUnavailable
            | Self::DatabaseNotReady
            | Self::DatabaseUnavailable
            | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::ServerUnreachable | Self::ServerMismatch => StatusCode::BAD_GATEWAY,
            Self::NotFinal | Self::OutcomeUnknown => StatusCode::ACCEPTED,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The exit code of the command line, as the README's table has it.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::InvalidRequest
            | Self::UnknownParameter
            | Self::InvalidNumber
            | Self::MessageTooLong
            | Self::AmbiguousId
            | Self::IdempotencyKeyReused
            | Self::NotRetryable
            | Self::MethodNotAllowed
            | Self::PayloadTooLarge
            | Self::UnsupportedMediaType => 2,
            Self::ConversationNotFound | Self::MessageNotFound => 3,
            Self::InvalidSignature
            | Self::Unauthorized
            | Self::Forbidden
            | Self::TooManyAttempts
            | Self::InvalidApiKey
            | Self::NotConfigured
            | Self::DatabaseNotReady
            | Self::NotFound
            | Self::ServerMismatch => 4,
            Self::RateLimited
            | Self::AddressUnavailable
            | Self::TelnyxUnreachable
            | Self::RequestTimeout
            | Self::Overloaded
            | Self::DatabaseUnavailable
            | Self::ServerUnreachable => 5,
            Self::TelnyxRefused | Self::Cancelled | Self::CopyMismatch => 6,
            Self::OptedOut => 7,
            Self::NotFinal => 8,
            Self::OutcomeUnknown => 9,
        }
    }

    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|word| word.as_str().map(str::to_owned))
            .unwrap_or_default()
    }
}

/// A failure, ready to be told to whoever asked.
#[derive(Debug)]
pub struct Error(Box<Told>);

/// The parts of an [`Error`]; boxed, so that every `Result` stays small.
#[derive(Clone, Debug)]
struct Told {
    code: Code,
    message: String,
    hint: Option<String>,
    extra: Extra,
}

/// What may help beside the sentence. Field names are the API's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Extra {
    /// More words from Telnyx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Telnyx's error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telnyx_code: Option<String>,
    /// The HTTP status Telnyx answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// Seconds to wait before trying again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The message that was stored, whatever became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<Uuid>,
    /// The key under which the same send may be repeated safely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// The JSON body of an error answer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Error")]
pub struct ErrorBody {
    /// What happened, as a sentence.
    pub error: String,
    /// The stable word.
    pub code: Code,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What else helps.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Error {
    /// A failure of a kind, in a sentence without a final stop.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let (message, hint, extra) = (message.into(), None, Extra::default());
        Self(Box::new(Told { code, message, hint, extra }))
    }

    /// Input that makes no sense.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    /// A phone number that is none.
    #[must_use]
    pub fn number(error: &NumberError) -> Self {
        Self::new(Code::InvalidNumber, error.to_string()).hint(error.hint())
    }

    /// A fault of convo itself. What exactly is logged by whoever saw it.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(Code::Internal, "an unexpected failure inside convo")
            .hint("the log of the program that failed says more")
    }

    /// More is asked at once than is taken on; whoever comes again in a moment may find room.
    #[must_use]
    pub fn overloaded(message: impl Into<String>) -> Self {
        Self::new(Code::Overloaded, message)
            .hint("try again shortly")
            .with(|extra| extra.retry_after = Some(1))
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds what else helps.
    #[must_use]
    pub fn with(mut self, add: impl FnOnce(&mut Extra)) -> Self {
        add(&mut self.0.extra);
        self
    }

    /// The kind of failure.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What to do next.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// What else helps.
    #[must_use]
    pub fn extra(&self) -> &Extra {
        &self.0.extra
    }

    /// The HTTP status of the answer: Telnyx's own for its refusals, else the kind's.
    #[must_use]
    pub fn http_status(&self) -> StatusCode {
        match (self.0.code, self.0.extra.status_code) {
            (Code::TelnyxRefused, Some(status)) => StatusCode::from_u16(status)
                .ok()
                .filter(StatusCode::is_client_error)
                .unwrap_or(self.0.code.http_status()),
            _ => self.0.code.http_status(),
        }
    }

    /// The exit code of the command line.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.0.code.exit_code()
    }

    /// The JSON body of the answer.
    #[must_use]
    pub fn body(&self) -> ErrorBody {
        ErrorBody {
            error: self.0.message.clone(),
            code: self.0.code,
            hint: self.0.hint.clone(),
            extra: self.0.extra.clone(),
        }
    }
}

impl From<ErrorBody> for Error {
    fn from(body: ErrorBody) -> Self {
        let ErrorBody { error: message, code, hint, extra } = body;
        Self(Box::new(Told { code, message, hint, extra }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_the_way_to_a_client() {
        let sent = Error::new(Code::OptedOut, "the contact has opted out")
            .hint("wait for START")
            .with(|extra| extra.telnyx_code = Some("40300".into()));
        let json = serde_json::to_string(&sent.body()).expect("a body serialises");
        let body: ErrorBody = serde_json::from_str(&json).expect("and reads back");
        let read = Error::from(body);
        assert_eq!((read.code(), read.to_string()), (sent.code(), sent.to_string()));
        assert_eq!((read.hint_text(), read.extra()), (sent.hint_text(), sent.extra()));
        assert_eq!(sent.code().as_str(), "opted_out");
    }

    #[test]
    fn telnyx_keeps_its_own_status_but_never_a_success() {
        let refused = |status| {
            Error::new(Code::TelnyxRefused, "refused")
                .with(|extra| extra.status_code = Some(status))
                .http_status()
                .as_u16()
        };
        assert_eq!(refused(403), 403);
        assert_eq!(refused(200), 422);
        assert_eq!(refused(9_999), 422);
    }
}
