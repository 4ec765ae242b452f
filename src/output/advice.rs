//! What a person can do about a message that did not arrive, or may not have.

use crate::domain::{Message, Status};

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// A sentence without a final stop. Nothing in it was written by a stranger.
    pub words: &'static str,
    /// The command that does it, to be pasted.
    pub command: Option<String>,
}

/// What Telnyx's error codes ask for. Its own words, which are shown beside, say what happened.
const BY_CODE: &[(&[&str], &str)] = &[
    (&["40300"], "it can be written to again once it sends START"),
    (&["40001", "40310"], "check the number: a landline, for one, takes no texts"),
    (&["40002", "40015", "40017"], "a filter took it for spam; word it otherwise and send it anew"),
    (&["40003"], "the carrier blocks our number for good; ask Telnyx's support"),
    (&["40004", "40006", "40008"], "it may be sent again later"),
    (&["40005", "40014"], "it waited too long; send it again if it still matters"),
    (&["40010"], "register our number for US traffic (10DLC) in the Telnyx portal"),
    (&["40011", "40016", "40018", "40318"], "too much at once; send it again later, and slower"),
    (&["40012"], "check the contact's number"),
    (&["40020"], "texts with codes are blocked for a day; send it again then"),
    (&["40302", "40328"], "shorten it, or send it as several texts"),
    (&["40301", "40308", "40319"], "send it from another of our numbers"),
    (&["40317"], "send fewer or smaller files"),
    (&["40309", "40331"], "allow the country in the messaging profile, in the Telnyx portal"),
    (&["40333"], "raise the messaging profile's spend limit in the Telnyx portal"),
    (
        &["40013", "40100", "40305", "40312", "40314", "40315", "40320", "40321", "40329", "40330"],
        "see to our number and its messaging profile in the Telnyx portal",
    ),
];

/// What can be done, where something can.
#[must_use]
pub fn advice(message: &Message) -> Option<Advice> {
    let words = |words| Some(Advice { words, command: None });
    let code = message.error.as_ref().and_then(|error| error.code.as_deref());
    let by_code = || BY_CODE.iter().find(|(codes, _)| code.is_some_and(|c| codes.contains(&c)));
    match (message.status, by_code()) {
        (Status::Unknown, _) => Some(Advice {
            words: "its report may still tell; or offer the same request again",
            command: Some(format!("convo retry {}", message.id)),
        }),
        (Status::SendingFailed | Status::DeliveryFailed, Some((_, known))) => words(known),
        (Status::SendingFailed, None) => words("it surely did not go out; it may be sent again"),
        (Status::Expired, _) => words("send it again if it still matters"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{failed, outbound};
    use super::*;
    use std::collections::BTreeSet;

    fn for_code(code: &str) -> Option<&'static str> {
        let mut message = failed("Hi");
        if let Some(error) = &mut message.error {
            error.code = Some(code.to_owned());
        }
        advice(&message).map(|advice| advice.words)
    }

    #[test]
    fn each_code_asks_for_one_thing() {
        let codes: Vec<_> = BY_CODE.iter().flat_map(|(codes, _)| *codes).collect();
        assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len());
        assert!(for_code("40300").is_some_and(|words| words.contains("START")));
        assert!(for_code("40008").is_some_and(|words| words.contains("later")));
        assert_eq!(for_code("40999"), None);
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
