//! The life of a message in Telnyx's words, ordered so that a report can only move it forward.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is known of a message's delivery.
///
/// The outbound words are ordered: [`advance`](Status::advance) is the maximum, which makes it
/// idempotent, commutative and associative, so any order of any repeats of the same reports ends
/// at the same status. An inbound message is `received` from the start and for ever.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[schemars(
    description = "What is known of a message's delivery. Reports only move it forward, in \
                          this order."
)]
pub enum Status {
    /// Stored; an attempt to hand it to Telnyx may be under way.
    Pending,
    /// Offered to Telnyx, the answer was lost: it may or may not have been sent.
    Unknown,
    /// Accepted by Telnyx for a later time.
    Scheduled,
    /// Accepted by Telnyx, waiting in its queue.
    Queued,
    /// On its way from Telnyx to the carrier.
    Sending,
    /// Handed to the carrier.
    Sent,
    /// Final: the carrier never confirmed delivery. Not a failure.
    DeliveryUnconfirmed,
    /// Final: its time ran out before it could be sent.
    Expired,
    /// Final: taken back before it was sent.
    Cancelled,
    /// Final: it was surely not sent.
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

    /// The rank kept beside the word in the database, where a guarded update compares it. The
    /// gaps leave room for a word that Telnyx may add between two of today's.
    #[must_use]
    pub fn rank(self) -> i16 {
        self as i16 * 10
    }

    /// The word itself, as the API and the database spell it.
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

    /// The status a word names, if it is one of convo's.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// The status a word in a Telnyx report stands for. `None` for words that move nothing: those
    /// not listed, and those that only convo itself may say (`pending`, `unknown`, `received`).
    #[must_use]
    pub fn from_report(word: &str) -> Option<Self> {
        Self::parse(word).filter(|status| (Self::Scheduled..=Self::Read).contains(status))
    }

    /// The later of two statuses of one message.
    #[must_use]
    pub fn advance(self, reported: Self) -> Self {
        self.max(reported)
    }

    /// Whether nothing more is to be expected (a later, higher report still counts).
    #[must_use]
    pub fn is_final(self) -> bool {
        self >= Self::DeliveryUnconfirmed
    }

    /// Whether the message surely did not reach its recipient.
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
    use proptest::prelude::*;

    fn reported() -> impl Strategy<Value = Status> {
        proptest::sample::select(&Status::ALL[..13])
    }

    #[test]
    fn the_order_is_the_contracts() {
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
    fn words_read_back_in_both_spellings() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
            let json = serde_json::to_string(&status).expect("a unit variant serialises");
            assert_eq!(json, format!("\"{status}\""));
        }
    }

    #[test]
    fn a_report_cannot_speak_for_convo() {
        for word in ["pending", "unknown", "received", "webhook_delivered", "DELIVERED", ""] {
            assert_eq!(Status::from_report(word), None, "{word}");
        }
        assert_eq!(Status::from_report("scheduled"), Some(Status::Scheduled));
        assert_eq!(Status::from_report("read"), Some(Status::Read));
    }

    proptest! {
        #[test]
        fn any_order_of_any_repeats_ends_the_same(
            reports in proptest::collection::vec(reported(), 1..12),
            shuffled in any::<proptest::sample::Index>(),
        ) {
            let fold = |list: &[Status]| list.iter().fold(Status::Pending, |now, next| now.advance(*next));
            let once = fold(&reports);
            let mut other = reports.clone();
            other.rotate_left(shuffled.index(reports.len()));
            other.extend(reports.iter().rev());
            prop_assert_eq!(fold(&other), once);
        }

        #[test]
        fn a_status_never_moves_back(now in reported(), next in reported()) {
            prop_assert!(now.advance(next) >= now);
        }
    }
}
