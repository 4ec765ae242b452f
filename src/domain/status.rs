//! The delivery statuses of a message, in Telnyx's words, ordered so that a report can only raise
//! them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The delivery status of a message.
///
/// The statuses of outbound messages are ordered, and a report can only raise a status: see
/// [`fold`](super::fold). An inbound message is always `received`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[schemars(
    description = "The delivery status of a message. Reports only move it forward, in this order."
)]
pub enum Status {
    /// Stored; an attempt to send it may be in progress.
    Pending,
    /// Submitted to Telnyx, but the response was lost: it may or may not have been sent.
    Unknown,
    /// Accepted by Telnyx for a later time.
    Scheduled,
    /// Accepted by Telnyx and queued.
    Queued,
    /// On its way from Telnyx to the carrier.
    Sending,
    /// Handed to the carrier.
    Sent,
    /// Final: the carrier never confirmed the delivery. Not a failure.
    DeliveryUnconfirmed,
    /// Final: it expired before it could be sent.
    Expired,
    /// Final: it was cancelled before it was sent.
    Cancelled,
    /// Final: it was certainly not sent.
    SendingFailed,
    /// Final: the carrier could not deliver it.
    DeliveryFailed,
    /// Final: it reached the recipient's phone.
    Delivered,
    /// Final: the recipient opened it (RCS, WhatsApp).
    Read,
    /// An inbound message.
    Received,
}

impl Status {
    /// Every status, in the order of their ranks.
    pub const ALL: [Self; 14] = [
        Self::Pending,
        Self::Unknown,
        Self::Scheduled,
        Self::Queued,
        Self::Sending,
        Self::Sent,
        Self::DeliveryUnconfirmed,
        Self::Expired,
        Self::Cancelled,
        Self::SendingFailed,
        Self::DeliveryFailed,
        Self::Delivered,
        Self::Read,
        Self::Received,
    ];

    /// The rank stored beside the word in the database, where a guarded update compares it. The
    /// gaps leave room for a status that Telnyx may add between two existing ones.
    #[must_use]
    pub fn rank(self) -> i16 {
        self as i16 * 10
    }

    /// The word in the API and the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Unknown => "unknown",
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::DeliveryUnconfirmed => "delivery_unconfirmed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::SendingFailed => "sending_failed",
            Self::DeliveryFailed => "delivery_failed",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Received => "received",
        }
    }

    /// Those of messages that are still to be sent, or of which it is not known whether they were.
    pub(crate) const UNDECIDED: [Self; 3] = [Self::Pending, Self::Unknown, Self::Scheduled];

    /// Parses the word in the API and the database.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// The statuses that a word for several stands for: `failed`, and `open` for those to which more
    /// may happen.
    #[must_use]
    pub fn group(word: &str) -> Option<Vec<Self>> {
        let all = Self::ALL.into_iter();
        match word {
            "failed" => Some(
                all.filter(|status| status.is_failure() && *status != Self::Cancelled).collect(),
            ),
            "open" => Some(all.filter(|status| !status.is_final()).collect()),
            _ => None,
        }
    }

    /// The status that a word in a Telnyx report means. `None` for words that change nothing: unknown
    /// ones, and those that only convo itself assigns (`pending`, `unknown`, `received`).
    #[must_use]
    pub fn from_report(word: &str) -> Option<Self> {
        Self::parse(word).filter(|status| (Self::Scheduled..=Self::Read).contains(status))
    }

    /// Whether it is not yet known if the message was sent: an attempt is in progress, or Telnyx's
    /// answer was lost.
    #[must_use]
    pub fn is_open(self) -> bool {
        self <= Self::Unknown
    }

    /// Whether no further report is expected (a later, higher one still counts).
    #[must_use]
    pub fn is_final(self) -> bool {
        self >= Self::DeliveryUnconfirmed
    }

    /// Whether the message certainly did not reach its recipient.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Expired | Self::Cancelled | Self::SendingFailed | Self::DeliveryFailed)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_the_documented_one() {
        let words = "pending unknown scheduled queued sending sent delivery_unconfirmed expired \
                     cancelled sending_failed delivery_failed delivered read received";
        let ours: Vec<_> = Status::ALL.iter().map(|status| status.as_str()).collect();
        assert_eq!(ours.join(" "), words);
        assert!(
            Status::ALL
                .windows(2)
                .all(|pair| { pair[0] < pair[1] && pair[0].rank() < pair[1].rank() })
        );
    }

    #[test]
    fn words_survive_both_text_forms() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
            let json = serde_json::to_string(&status).expect("a unit variant serialises");
            assert_eq!(json, format!("\"{status}\""));
        }
    }

    #[test]
    fn a_word_may_stand_for_several() {
        let words = |word| {
            let group = Status::group(word).unwrap_or_default();
            group.into_iter().map(Status::as_str).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words("failed"), "expired sending_failed delivery_failed");
        assert_eq!(words("open"), "pending unknown scheduled queued sending sent");
        assert_eq!(Status::group("delivered"), None);
    }

    #[test]
    fn a_report_cannot_set_the_statuses_that_convo_assigns() {
        for word in ["pending", "unknown", "received", "webhook_delivered", "DELIVERED", ""] {
            assert_eq!(Status::from_report(word), None, "{word}");
        }
        assert_eq!(Status::from_report("scheduled"), Some(Status::Scheduled));
        assert_eq!(Status::from_report("read"), Some(Status::Read));
    }
}
