//! What a user can do about Telnyx's error codes. Telnyx's own title and detail, shown beside, say what
//! happened.

use super::MessageError;
use crate::error::Error;

/// The hint where a contact has opted out.
const SEND_AFTER_START: &str = "wait until the contact sends START";

/// Hints by code. Where Telnyx documents a code with several meanings, the hint fits all of them.
const HINTS: &[(&[&str], &str)] = &[
    (&["10001"], "check in the Telnyx portal that your number is active"),
    (&["10002", "10016"], "check both numbers: each begins with a plus and its country code"),
    (&["10003"], "check the URLs of the files"),
    (
        &["10004", "10006", "10014", "10015", "10023", "10027", "10029", "10032"],
        "Telnyx does not accept this form of request; update convo, or report the error",
    ),
    (
        &["10005"],
        "check in the Telnyx portal that your number and its messaging profile belong to the account \
         of TELNYX_API_KEY",
    ),
    (&["10007", "10008", "10037", "40004", "40006", "40008"], "try sending it again later"),
    (&["10009", "20002", "20006"], "set TELNYX_API_KEY to a valid key from the Telnyx portal"),
    (&["10010"], "check in the Telnyx portal that the account and its API key may send messages"),
    (
        &["10011", "40011", "40016", "40018", "40318"],
        "too many messages at once; send it again later, at a slower rate",
    ),
    (&["20012"], "add funds to the Telnyx account, in the Telnyx portal"),
    (&["20013"], "the Telnyx account is blocked; contact Telnyx support"),
    (&["20014"], "verify the Telnyx account, in the Telnyx portal"),
    (&["40001", "40310"], "check the number: it may be a landline, which cannot receive texts"),
    (&["40002", "40015", "40017"], "a spam filter blocked it; reword it and send it again"),
    (&["40003"], "the carrier has blocked your number permanently; contact Telnyx support"),
    (&["40005", "40014"], "it waited in the queue too long; send it again if it still matters"),
    (&["40009"], "the text was not accepted; reword it and send it again"),
    (&["40010"], "register your number for US traffic (10DLC) in the Telnyx portal"),
    (&["40012"], "check the contact's number"),
    (
        &["40020"],
        "texts with verification codes are blocked for 24 hours; send it again after that",
    ),
    (&["40100"], "enable messaging for your number, in the Telnyx portal"),
    (&["40301", "40308", "40319"], "send it from another of your numbers"),
    (&["40302", "40328"], "shorten it, or split it into several texts"),
    (&["40303"], "check that TELNYX_API_KEY belongs to the account that the message was sent from"),
    (&["40304"], "send the text and the files as separate messages"),
    (&["40305"], "assign your number to a messaging profile, in the Telnyx portal"),
    (
        &["40306", "40307", "40325"],
        "set the alphanumeric sender in the messaging profile, in the Telnyx portal, or send it from \
         a number",
    ),
    (&["40309", "40331"], "allow the country in the messaging profile, in the Telnyx portal"),
    (&["40312"], "enable the messaging profile of your number, in the Telnyx portal"),
    (&["40314"], "messaging is disabled for the Telnyx account; contact Telnyx support"),
    (&["40315", "40320", "40321"], "send it from another of your numbers, or again later"),
    (&["40316"], "add a text or a file"),
    (&["40317"], "send fewer or smaller files"),
    (&["40322"], "Telnyx does not allow this content; reword it"),
    (&["40329", "40330"], "verify your toll-free number, in the Telnyx portal"),
    (&["40333"], "raise the messaging profile's spend limit, in the Telnyx portal"),
    (&["40013", "40300"], "check your number and its messaging profile in the Telnyx portal"),
];

/// The hint for a code; `None` for one that is not in Telnyx's catalogue.
#[must_use]
pub fn hint_for(code: &str) -> Option<&'static str> {
    HINTS.iter().find(|(codes, _)| codes.contains(&code)).map(|(_, hint)| *hint)
}

impl MessageError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        if self.speaks_of_stop() { Some(SEND_AFTER_START) } else { hint_for(self.code.as_deref()?) }
    }

    /// Adds the [hint](Self::hint) to an error, if there is one.
    pub(crate) fn add_hint(&self, error: Error) -> Error {
        match self.hint() {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Every code that Telnyx documents for senders of messages.
    const DOCUMENTED: &[&str] = &[
        "10001", "10002", "10003", "10004", "10005", "10006", "10007", "10008", "10009", "10010",
        "10011", "10014", "10015", "10016", "10023", "10027", "10029", "10032", "10037", "20002",
        "20006", "20012", "20013", "20014", "40001", "40002", "40003", "40004", "40005", "40006",
        "40008", "40009", "40010", "40011", "40012", "40013", "40014", "40015", "40016", "40017",
        "40018", "40020", "40100", "40300", "40301", "40302", "40303", "40304", "40305", "40306",
        "40307", "40308", "40309", "40310", "40312", "40314", "40315", "40316", "40317", "40318",
        "40319", "40320", "40321", "40322", "40325", "40328", "40329", "40330", "40331", "40333",
    ];

    #[test]
    fn every_documented_code_has_one_hint() {
        let codes: Vec<_> = HINTS.iter().flat_map(|(codes, _)| *codes).copied().collect();
        assert_eq!(codes.iter().copied().collect::<BTreeSet<_>>().len(), codes.len(), "twice");
        assert_eq!(
            codes.into_iter().collect::<BTreeSet<_>>(),
            DOCUMENTED.iter().copied().collect()
        );
        for (codes, hint) in HINTS {
            assert!(!hint.ends_with('.') && !hint.contains("  "), "{codes:?}: {hint}");
            assert!(!hint.contains("STOP") && !hint.contains("START"), "{codes:?}: {hint}");
        }
        for code in ["", "1000", "40999", "40300 "] {
            assert_eq!(hint_for(code), None, "{code:?}");
        }
    }

    #[test]
    fn hints_name_what_is_wrong() {
        for (code, word) in [
            ("40010", "10DLC"),
            ("40305", "profile"),
            ("40002", "spam"),
            ("40333", "spend limit"),
            ("40309", "country"),
            ("40329", "toll-free"),
            ("20012", "funds"),
            ("10009", "TELNYX_API_KEY"),
        ] {
            assert!(hint_for(code).is_some_and(|hint| hint.contains(word)), "{code}");
        }
    }

    #[test]
    fn only_an_error_that_speaks_of_stop_asks_for_start() {
        let hint = |code: &str, title: &str| {
            MessageError { code: Some(code.into()), title: title.into(), detail: None }.hint()
        };
        assert_eq!(hint("40300", "Blocked due to STOP message"), Some(SEND_AFTER_START));
        let other = hint("40300", "Number not assigned to the profile").expect("a hint");
        assert!(other.contains("profile") && !other.contains("START"), "{other}");
        let uncoded = MessageError { code: None, title: "STOP".into(), detail: None };
        assert_eq!(uncoded.hint(), None);
    }
}
