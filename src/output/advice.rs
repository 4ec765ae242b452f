//! What a person can do about a message that was not delivered, or may not have been sent.

use crate::domain::{Message, MessageError, Status};

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// A sentence without a final stop, all of it convo's own words.
    pub words: &'static str,
    /// The command that does it, ready to paste.
    pub command: Option<String>,
}

/// The advice for a message; `None` where there is nothing to do.
#[must_use]
pub fn advice(message: &Message) -> Option<Advice> {
    let words = |words| Some(Advice { words, command: None });
    let by_code = message.error.as_ref().and_then(MessageError::hint);
    match (message.status, by_code) {
        (Status::Unknown, _) => Some(Advice {
            words: "a delivery report may still arrive; to retry the same request",
            command: Some(format!("convo retry {}", message.id)),
        }),
        (Status::SendingFailed | Status::DeliveryFailed, Some(known)) => words(known),
        (Status::SendingFailed, None) => words("it was not sent; it is safe to send it again"),
        (Status::Expired, _) => words("send it again if it still matters"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{failed, outbound};
    use super::*;

    #[test]
    fn a_failure_is_followed_by_the_hint_for_its_code() {
        let mut message = failed("Hi");
        for (code, expected) in [("40008", Some("later")), ("40999", None)] {
            if let Some(error) = &mut message.error {
                error.code = Some(code.to_owned());
            }
            let words = advice(&message).map(|advice| advice.words);
            assert_eq!(words.is_some(), expected.is_some(), "{code}");
            assert!(words.unwrap_or_default().contains(expected.unwrap_or_default()), "{code}");
        }
    }

    #[test]
    fn nothing_is_advised_where_nothing_is_wrong() {
        for status in [Status::Queued, Status::Delivered, Status::DeliveryUnconfirmed] {
            assert_eq!(advice(&outbound("Hi", status)), None);
        }
        let unknown = outbound("Hi", Status::Unknown);
        let command = advice(&unknown).and_then(|advice| advice.command);
        assert_eq!(command, Some(format!("convo retry {}", unknown.id)));
        assert!(advice(&outbound("Hi", Status::SendingFailed)).is_some());
    }
}
