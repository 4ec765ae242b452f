//! The kinds of failure, each with its word, its HTTP status and its exit code.

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Defines [`Code`] with the word of each kind in one place.
macro_rules! codes {
    ($($(#[$doc:meta])+ $kind:ident => $word:literal,)+) => {
        /// The kind of failure. The values in JSON are stable: programs match on them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Code {
            $($(#[$doc])+ #[serde(rename = $word)] $kind,)+
        }

        impl Code {
            /// The word in JSON, in the log and in the metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $word,)+
                }
            }

            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];
        }
    };
}

codes! {
    /// The request or the arguments are invalid.
    InvalidRequest => "invalid_request",
    /// A query parameter that the route does not support.
    UnknownParameter => "unknown_parameter",
    /// Not a phone number, or one without its country code.
    InvalidNumber => "invalid_number",
    /// A text of more segments than Telnyx accepts.
    MessageTooLong => "message_too_long",
    /// Part of an id that matches several conversations.
    AmbiguousId => "ambiguous_id",
    /// A name that several contacts have, or a part of one where the whole is needed.
    AmbiguousName => "ambiguous_name",
    /// An idempotency key that belongs to another request.
    IdempotencyKeyReused => "idempotency_key_reused",
    /// No such conversation.
    ConversationNotFound => "conversation_not_found",
    /// No such message.
    MessageNotFound => "message_not_found",
    /// No such webhook event.
    EventNotFound => "event_not_found",
    /// No such media file, or it is not kept.
    MediaNotFound => "media_not_found",
    /// The media file has not been fetched yet, or the store of media cannot be used now.
    MediaUnavailable => "media_unavailable",
    /// A range of bytes that begins beyond the end.
    RangeNotSatisfiable => "range_not_satisfiable",
    /// No forwarding of this name.
    ForwardNotFound => "forward_not_found",
    /// A receiver did not accept an event.
    ForwardRefused => "forward_refused",
    /// What followed a cursor of the feed is no longer kept, or it is of another database.
    CursorExpired => "cursor_expired",
    /// No such route.
    NotFound => "not_found",
    /// The route does not allow this method.
    MethodNotAllowed => "method_not_allowed",
    /// The body is larger than the route accepts.
    PayloadTooLarge => "payload_too_large",
    /// The request did not arrive in time.
    RequestTimeout => "request_timeout",
    /// The body is not JSON.
    UnsupportedMediaType => "unsupported_media_type",
    /// A webhook whose signature is missing, wrong or too old.
    InvalidSignature => "invalid_signature",
    /// The API token is missing or wrong.
    Unauthorized => "unauthorized",
    /// The API token lacks the scope; or no token is configured and the caller is not a local program.
    Forbidden => "forbidden",
    /// Too many wrong API tokens from the caller's address.
    TooManyAttempts => "too_many_attempts",
    /// Telnyx rejected the API key.
    InvalidApiKey => "invalid_api_key",
    /// A setting is missing or invalid.
    NotConfigured => "not_configured",
    /// The address to listen on is in use, or not available yet.
    AddressUnavailable => "address_unavailable",
    /// The database is missing, out of date, or in the other mode (real or sandbox).
    DatabaseNotReady => "database_not_ready",
    /// A quick check of the database found damage.
    DatabaseDamaged => "database_damaged",
    /// A check of `convo doctor` failed for a reason that has no kind of its own.
    CheckFailed => "check_failed",
    /// A database and its copy differ.
    CopyMismatch => "copy_mismatch",
    /// The contact has opted out.
    OptedOut => "opted_out",
    /// As many automatic answers as an hour allows went to the contact; nothing was sent.
    ReplyLimit => "reply_limit",
    /// A batch has sent the same text to the contact within the last 24 hours; nothing was sent.
    AlreadySent => "already_sent",
    /// Sending a batch was interrupted; another run goes on.
    SendsStopped => "interrupted",
    /// As many texts as an hour allows went to the contact; nothing was sent.
    SendLimit => "send_limit",
    /// Telnyx's rate limit; nothing was sent.
    RateLimited => "rate_limited",
    /// Telnyx could not be reached; nothing was sent.
    TelnyxUnreachable => "telnyx_unreachable",
    /// Telnyx refused the message.
    TelnyxRefused => "telnyx_refused",
    /// The message's state does not allow a retry.
    NotRetryable => "not_retryable",
    /// The message is not scheduled, or no longer is, so it cannot be cancelled.
    NotCancellable => "not_cancellable",
    /// A message to the contact is pending, unknown or scheduled, so the contact cannot be forgotten.
    ContactBusy => "contact_busy",
    /// The message was cancelled before it was sent.
    Cancelled => "cancelled",
    /// The database cannot be reached or is overloaded.
    DatabaseUnavailable => "database_unavailable",
    /// The search index does not have all messages yet.
    SearchIncomplete => "search_incomplete",
    /// The statistics do not have all messages yet.
    StatsIncomplete => "stats_incomplete",
    /// The server has reached a concurrency limit.
    Overloaded => "overloaded",
    /// The convo server cannot be reached, or its response was incomplete.
    ServerUnreachable => "server_unreachable",
    /// The response is not from a convo server, or is from an incompatible version.
    ServerMismatch => "server_mismatch",
    /// The message was accepted, but did not reach the awaited status in time.
    NotFinal => "not_final",
    /// What was waited for did not happen in time.
    TimedOut => "timed_out",
    /// The message may have been sent: its outcome is unknown.
    OutcomeUnknown => "outcome_unknown",
    /// An unexpected failure of convo or the machine.
    Internal => "internal",
}

impl Code {
    /// The HTTP status of this kind of failure; for [`Code::TelnyxRefused`] only the fallback, see
    /// [`Error::http_status`](crate::error::Error::http_status).
    #[must_use]
    pub fn http_status(self) -> StatusCode {
        match self {
            Self::InvalidRequest
            | Self::UnknownParameter
            | Self::InvalidNumber
            | Self::MessageTooLong
            | Self::AmbiguousId
            | Self::AmbiguousName => StatusCode::BAD_REQUEST,
            Self::InvalidSignature | Self::Unauthorized | Self::InvalidApiKey => {
                StatusCode::UNAUTHORIZED
            }
            Self::Forbidden | Self::OptedOut => StatusCode::FORBIDDEN,
            Self::ConversationNotFound
            | Self::MessageNotFound
            | Self::EventNotFound
            | Self::MediaNotFound
            | Self::ForwardNotFound
            | Self::NotFound => StatusCode::NOT_FOUND,
            Self::CursorExpired => StatusCode::GONE,
            Self::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotRetryable
            | Self::NotCancellable
            | Self::ContactBusy
            | Self::Cancelled
            | Self::AlreadySent
            | Self::CopyMismatch => StatusCode::CONFLICT,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::IdempotencyKeyReused | Self::TelnyxRefused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::RateLimited | Self::ReplyLimit | Self::SendLimit | Self::TooManyAttempts => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::TelnyxUnreachable
            | Self::NotConfigured
            | Self::AddressUnavailable
            | Self::DatabaseNotReady
            | Self::DatabaseDamaged
            | Self::DatabaseUnavailable
            | Self::SearchIncomplete
            | Self::StatsIncomplete
            | Self::MediaUnavailable
            | Self::SendsStopped
            | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::ServerUnreachable | Self::ServerMismatch | Self::ForwardRefused => {
                StatusCode::BAD_GATEWAY
            }
            Self::NotFinal | Self::TimedOut | Self::OutcomeUnknown => StatusCode::ACCEPTED,
            Self::CheckFailed | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
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
            | Self::AmbiguousName
            | Self::IdempotencyKeyReused
            | Self::NotRetryable
            | Self::RangeNotSatisfiable
            | Self::MethodNotAllowed
            | Self::PayloadTooLarge
            | Self::UnsupportedMediaType => 2,
            Self::ConversationNotFound
            | Self::MessageNotFound
            | Self::EventNotFound
            | Self::MediaNotFound
            | Self::ForwardNotFound => 3,
            Self::Unauthorized
            | Self::Forbidden
            | Self::TooManyAttempts
            | Self::InvalidApiKey
            | Self::NotConfigured
            | Self::DatabaseNotReady
            | Self::NotFound
            | Self::ServerMismatch => 4,
            Self::RateLimited
            | Self::ReplyLimit
            | Self::SendLimit
            | Self::SendsStopped
            | Self::AddressUnavailable
            | Self::TelnyxUnreachable
            | Self::RequestTimeout
            | Self::Overloaded
            | Self::SearchIncomplete
            | Self::StatsIncomplete
            | Self::DatabaseUnavailable
            | Self::MediaUnavailable
            | Self::ServerUnreachable => 5,
            Self::TelnyxRefused
            | Self::AlreadySent
            | Self::InvalidSignature
            | Self::NotCancellable
            | Self::ContactBusy
            | Self::Cancelled
            | Self::CopyMismatch
            | Self::DatabaseDamaged
            | Self::CheckFailed
            | Self::ForwardRefused
            | Self::CursorExpired => 6,
            Self::OptedOut => 7,
            Self::NotFinal | Self::TimedOut => 8,
            Self::OutcomeUnknown => 9,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_a_kind_is_the_same_in_json_and_everywhere_else() {
        for code in Code::ALL {
            let word = serde_json::Value::from(code.as_str());
            assert_eq!(serde_json::to_value(code).expect("a word"), word);
            assert_eq!(serde_json::from_value::<Code>(word).expect("a kind"), *code);
        }
        assert_eq!(Code::IdempotencyKeyReused.as_str(), "idempotency_key_reused");
    }
}
