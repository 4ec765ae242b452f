//! The values of the labels. They are enums, so that no value can be made up from what somebody
//! sent.

use http::{Method, StatusCode};

/// A label with a fixed set of values.
pub(crate) trait Label: Copy + 'static {
    const ALL: &'static [Self];

    fn as_str(self) -> &'static str;
}

/// Defines labels, with the word of each value in one place.
macro_rules! labels {
    ($($(#[$about:meta])+ $name:ident { $($(#[$doc:meta])* $value:ident => $word:literal,)+ })+) => {
        $(
            $(#[$about])+
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
            pub(crate) enum $name {
                $($(#[$doc])* $value,)+
            }

            impl Label for $name {
                const ALL: &'static [Self] = &[$(Self::$value),+];

                fn as_str(self) -> &'static str {
                    match self {
                        $(Self::$value => $word,)+
                    }
                }
            }
        )+
    };
}

labels! {
    /// The routes of the server, by their templates: a path may hold a phone number.
    Route {
        Webhook => "/webhooks/sms",
        Conversations => "/conversations",
        Conversation => "/conversations/{id or number}",
        Send => "/conversations/{number}/send",
        MarkRead => "/conversations/{id or number}/read",
        MarkUnread => "/conversations/{id or number}/unread",
        Batch => "/batches/{id}",
        BatchCheck => "/batches/{id}/check",
        Contacts => "/contacts",
        Contact => "/contacts/{contact}",
        ContactName => "/conversations/{contact}/name",
        Messages => "/messages",
        Stats => "/stats",
        Message => "/messages/{id}",
        Media => "/messages/{id}/media/{n}",
        Retry => "/messages/{id}/retry",
        Cancel => "/messages/{id}/cancel",
        Events => "/events",
        StoredEvents => "/webhooks/events",
        StoredEvent => "/webhooks/events/{id}",
        Export => "/export",
        Forgotten => "/forgotten",
        Forwards => "/forwards",
        ForwardTest => "/forwards/{name}/test",
        ForwardEnable => "/forwards/{name}/enable",
        ForwardReplay => "/forwards/{name}/replay",
        Sync => "/sync",
        Health => "/health",
        Ready => "/health/ready",
        Metrics => "/metrics",
        OpenApi => "/openapi.json",
        /// No route matched.
        None => "none",
    }

    /// Clients may invent methods of their own, which are `other`.
    MethodLabel {
        Get => "GET",
        Head => "HEAD",
        Post => "POST",
        Put => "PUT",
        Patch => "PATCH",
        Delete => "DELETE",
        Options => "OPTIONS",
        Other => "other",
    }

    /// The class of an HTTP status.
    StatusClass {
        Informational => "1xx",
        Success => "2xx",
        Redirection => "3xx",
        ClientError => "4xx",
        ServerError => "5xx",
        /// The caller was gone before there was an answer.
        None => "none",
    }

    /// Why a caller was not authenticated.
    AuthFailure {
        NoToken => "no_token",
        WrongToken => "wrong_token",
        /// The signature of a webhook.
        Signature => "signature",
    }

    /// How a webhook ended that was not accepted.
    WebhookFailure {
        /// Its signature did not verify.
        Refused => "refused",
        /// Its body did not arrive, before its signature was checked.
        Unreadable => "unreadable",
        /// Signed, but not an event of Telnyx.
        Invalid => "invalid",
        /// Signed, but it could not be stored.
        Unavailable => "unavailable",
    }

    /// Why the signature of a webhook did not verify.
    SignatureFailure {
        NoKey => "no_key",
        MissingHeader => "missing_header",
        BadTimestamp => "bad_timestamp",
        BadSignature => "bad_signature",
        Stale => "stale",
    }

    /// How a send ended, unless with an error.
    SendOutcome {
        Accepted => "accepted",
        Unknown => "unknown",
        /// The result of an earlier send with the same idempotency key.
        Repeated => "repeated",
    }

    /// How a request to send a message ended at Telnyx.
    OfferOutcome {
        Accepted => "accepted",
        Refused => "refused",
        RateLimited => "rate_limited",
        /// Certainly not sent.
        Unreachable => "unreachable",
        /// It may have been sent.
        Ambiguous => "ambiguous",
    }

    /// How looking up a message at Telnyx ended.
    LookupOutcome {
        Found => "found",
        /// Not found, or the request failed.
        NotFound => "not_found",
    }

    /// What became of a request that reads one of Telnyx's lists, or a message for a sync.
    FetchOutcome {
        Found => "found",
        NotFound => "not_found",
        RateLimited => "rate_limited",
        Refused => "refused",
        Unreachable => "unreachable",
    }

    /// How an attempt to forward an event ended.
    DeliveryOutcome {
        Delivered => "delivered",
        /// An answer other than 2xx.
        Refused => "refused",
        /// The answer 410.
        Gone => "gone",
        Timeout => "timeout",
        /// No connection, or one that broke off.
        Unreachable => "unreachable",
    }

    /// Why a writer repeated something.
    Repeat {
        /// Another process held SQLite's write lock, so the transaction began later.
        Lock => "lock",
        /// A deadlock or a serialization failure between two servers.
        Contention => "contention",
        /// One row failed its batch, whose jobs were then written one by one.
        Data => "data",
    }

    /// The class of a database error.
    DatabaseErrorClass {
        Contention => "contention",
        /// A row cannot be stored.
        Data => "data",
        /// Closed for a copy.
        Held => "held",
        Unavailable => "unavailable",
    }
}

impl From<&Method> for MethodLabel {
    fn from(method: &Method) -> Self {
        let known = |label: &&Self| label.as_str() == method.as_str();
        Self::ALL.iter().find(known).copied().unwrap_or(Self::Other)
    }
}

impl From<Option<StatusCode>> for StatusClass {
    fn from(status: Option<StatusCode>) -> Self {
        match status.map_or(0, |status| status.as_u16() / 100) {
            0 => Self::None,
            1 => Self::Informational,
            2 => Self::Success,
            3 => Self::Redirection,
            4 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_and_statuses_outside_the_set_are_grouped() {
        for (method, word) in [("GET", "GET"), ("OPTIONS", "OPTIONS"), ("BREW", "other")] {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            assert_eq!(MethodLabel::from(&method).as_str(), word);
        }
        for (status, word) in [(100, "1xx"), (204, "2xx"), (304, "3xx"), (418, "4xx"), (599, "5xx")]
        {
            let status = StatusCode::from_u16(status).ok();
            assert_eq!(StatusClass::from(status).as_str(), word);
        }
        assert_eq!(StatusClass::from(None).as_str(), "none");
    }
}
