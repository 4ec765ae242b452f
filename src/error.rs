//! The one error of convo: what happened, in the user's words, and what to do next.
//!
//! Every failure that a user can meet has a [`Code`], which alone decides the HTTP status, the exit
//! code and the word in JSON. Internal details (a database's message, a path) are logged where they
//! occur and never put into an [`Error`].

mod code;

use std::fmt;

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use code::Code;

/// A failure, ready to be shown to a user or a caller.
#[derive(Debug)]
pub struct Error(Box<Parts>);

/// The parts of an [`Error`], boxed so that every `Result` stays small.
#[derive(Clone, Debug)]
struct Parts {
    code: Code,
    message: String,
    hint: Option<String>,
    extra: Extra,
}

/// Further fields of an error, under the API's names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Extra {
    /// Telnyx's description of the error.
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
    /// The id of the stored message, if one was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<Uuid>,
    /// The key under which the same send may be repeated safely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The oldest cursor of the feed there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<String>,
}

/// The JSON body of an error response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Error")]
pub struct ErrorBody {
    /// What happened, as a sentence.
    pub error: String,
    /// The kind of failure, as a stable value.
    pub code: Code,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Further fields, where they apply.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Error {
    /// An error with its message: a sentence without a final stop.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let (message, hint, extra) = (message.into(), None, Extra::default());
        Self(Box::new(Parts { code, message, hint, extra }))
    }

    /// An `invalid_request` error.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    /// An unexpected failure. The code that detects it logs the details.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(Code::Internal, "an unexpected failure in convo")
            .hint("see the log of the program that failed")
    }

    /// An `overloaded` error, with the advice to try again in a second.
    #[must_use]
    pub fn overloaded(message: impl Into<String>) -> Self {
        Self::new(Code::Overloaded, message)
            .hint("try again shortly")
            .with(|extra| extra.retry_after = Some(1))
    }

    /// Adds a hint: what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Sets further fields.
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

    /// The hint: what to do next.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The further fields.
    #[must_use]
    pub fn extra(&self) -> &Extra {
        &self.0.extra
    }

    /// The HTTP status of the response: Telnyx's own for its refusals, else that of the code.
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

    /// The JSON body of the response.
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
        Self(Box::new(Parts { code, message, hint, extra }))
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
