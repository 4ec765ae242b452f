//! The simulated contacts: how each number behaves, and what contacts reply.

use crate::domain::text::storable;

/// The user's own number in the sandbox: the sender of a request with only a messaging profile, and a
/// value for `TELNYX_PHONE_NUMBER`.
pub const OWN_NUMBER: &str = "+12025550100";

/// A text that begins with this makes the contact reply with the rest of it.
const PLEASE_SAY: &str = "please say ";
/// The text that makes the contact send a picture.
const PLEASE_SEND_A_PICTURE: &str = "please send a picture";
/// Characters of a text that are echoed: few enough for a short SMS in any alphabet.
const ECHO_LENGTH: usize = 100;

/// How a contact, or Telnyx, behaves. Every number without a special behaviour is
/// [`Friendly`](Behaviour::Friendly).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Behaviour {
    /// Receives and replies.
    Friendly,
    /// Receives, never replies.
    Silent,
    /// The request is refused with 40310.
    Refused,
    /// The request is refused with 40300, as after a STOP.
    OptedOut,
    /// The carrier refuses: `delivery_failed` with 40008.
    Undeliverable,
    /// It never leaves Telnyx: `sending_failed` with 40014.
    SendingFailed,
    /// The carrier never confirms: `delivery_unconfirmed`.
    Unconfirmed,
    /// The first request is answered 429 with `Retry-After`; repeated, it is accepted.
    RateLimitedOnce,
    /// The first request is answered 500; repeated, it is accepted.
    ServerErrorOnce,
    /// Accepted and delivered, but no request gets a response.
    AnswerLost,
    /// Accepted and delivered; only a repeated request gets a response.
    AnswerLostOnce,
    /// Accepted, but there is no response and no report.
    Vanished,
    /// Every webhook is posted twice concurrently, and `message.finalized` before `message.sent`.
    Doubled,
    /// The response takes several seconds, the reports even longer.
    Slow,
    /// The API key is refused: 401.
    Unauthorized,
}

/// A number that triggers a special behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MagicNumber {
    /// A short name for tables.
    pub name: &'static str,
    /// The number, from the range reserved for fiction.
    pub number: &'static str,
    /// How it behaves.
    pub behaviour: Behaviour,
    /// A description, as a phrase without a full stop.
    pub does: &'static str,
}

const fn magic(
    name: &'static str,
    number: &'static str,
    behaviour: Behaviour,
    does: &'static str,
) -> MagicNumber {
    MagicNumber { name, number, behaviour, does }
}

/// All magic numbers. Any other number receives messages and replies `You said: …`.
pub const MAGIC_NUMBERS: &[MagicNumber] = &[
    magic(
        "refused",
        "+12025550101",
        Behaviour::Refused,
        "refused at once with error 40310 (invalid recipient)",
    ),
    magic(
        "opted out",
        "+12025550102",
        Behaviour::OptedOut,
        "refused at once with error 40300 (blocked by STOP)",
    ),
    magic(
        "undeliverable",
        "+12025550103",
        Behaviour::Undeliverable,
        "accepted and sent, then delivery_failed with error 40008",
    ),
    magic(
        "sending failed",
        "+12025550104",
        Behaviour::SendingFailed,
        "accepted, then sending_failed with error 40014 (expired in the queue)",
    ),
    magic(
        "unconfirmed",
        "+12025550105",
        Behaviour::Unconfirmed,
        "accepted and sent, then delivery_unconfirmed",
    ),
    magic(
        "rate limited once",
        "+12025550106",
        Behaviour::RateLimitedOnce,
        "the first request is answered with 429 and Retry-After: 1; a retry is accepted",
    ),
    magic(
        "server error once",
        "+12025550107",
        Behaviour::ServerErrorOnce,
        "the first request is answered with 500; a retry is accepted",
    ),
    magic(
        "answer lost",
        "+12025550108",
        Behaviour::AnswerLost,
        "accepted and delivered, but no request gets a response; only the webhooks report it",
    ),
    magic(
        "answer lost once",
        "+12025550109",
        Behaviour::AnswerLostOnce,
        "the same, but a retry with the same idempotency key gets a response",
    ),
    magic(
        "vanished",
        "+12025550110",
        Behaviour::Vanished,
        "accepted, but there is no response and no webhook",
    ),
    magic(
        "doubled",
        "+12025550111",
        Behaviour::Doubled,
        "every webhook is posted twice, message.finalized before message.sent",
    ),
    magic(
        "slow",
        "+12025550112",
        Behaviour::Slow,
        "responds after several seconds; the webhooks arrive even later",
    ),
    magic("silent", "+12025550113", Behaviour::Silent, "delivered, but the contact never replies"),
    magic(
        "unauthorized",
        "+12025550114",
        Behaviour::Unauthorized,
        "refused with 401, as if the API key were wrong",
    ),
];

impl Behaviour {
    /// The behaviour of a number.
    #[must_use]
    pub fn for_number(number: &str) -> Self {
        MAGIC_NUMBERS
            .iter()
            .find(|magic| magic.number == number)
            .map_or(Self::Friendly, |magic| magic.behaviour)
    }

    /// A number with this behaviour; for [`Behaviour::Friendly`] an ordinary one.
    #[must_use]
    pub fn number(self) -> &'static str {
        MAGIC_NUMBERS
            .iter()
            .find(|magic| magic.behaviour == self)
            .map_or("+12125551234", |magic| magic.number)
    }

    /// Whether the contact replies to messages.
    pub(super) fn replies(self) -> bool {
        !matches!(
            self,
            Self::Silent
                | Self::Undeliverable
                | Self::SendingFailed
                | Self::Unconfirmed
                | Self::Vanished
        )
    }
}

/// A keyword from a contact that Telnyx acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    /// Blocks all further messages to the contact.
    Stop,
    /// Lifts the block.
    Start,
    /// Requests help.
    Help,
}

impl Keyword {
    /// A keyword is the whole text, in upper or lower case.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        match text.trim().to_ascii_uppercase().as_str() {
            "STOP" | "STOPALL" | "STOP ALL" | "UNSUBSCRIBE" | "CANCEL" | "END" | "QUIT" => {
                Some(Self::Stop)
            }
            "START" | "UNSTOP" => Some(Self::Start),
            "HELP" => Some(Self::Help),
            _ => None,
        }
    }

    /// The value of `autoresponse_type`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "STOP",
            Self::Start => "START",
            Self::Help => "HELP",
        }
    }
}

/// The reply that a text asks for.
fn requested_reply(text: &str) -> Option<&str> {
    let (head, rest) = text.split_at_checked(PLEASE_SAY.len())?;
    let rest = rest.trim();
    (head.eq_ignore_ascii_case(PLEASE_SAY) && !rest.is_empty()).then_some(rest)
}

/// Whether a text makes the contact say START, in which case it reaches a blocked contact.
pub(super) fn asks_for_start(text: &str) -> bool {
    requested_reply(text).and_then(Keyword::from_text) == Some(Keyword::Start)
}

/// Whether a text makes the contact send a picture.
pub(super) fn asks_for_picture(text: &str) -> bool {
    text.trim().trim_end_matches(['.', '!']).eq_ignore_ascii_case(PLEASE_SEND_A_PICTURE)
}

/// The contact's reply to a text with `files` attached files.
pub(super) fn reply(text: &str, files: usize) -> String {
    if let Some(reply) = requested_reply(text) {
        return reply.to_owned();
    }
    if asks_for_picture(text) {
        return "Here it is".to_owned();
    }
    if text.is_empty() {
        return format!("You sent {files} {}", if files == 1 { "file" } else { "files" });
    }
    let repeated: String = text.chars().take(ECHO_LENGTH).collect();
    let dots = if repeated.len() < text.len() { "..." } else { "" };
    storable(&format!("You said: {repeated}{dots}")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{PhoneNumber, Segments};
    use proptest::prelude::*;

    #[test]
    fn magic_numbers_are_distinct_and_fictional() {
        for (at, magic) in MAGIC_NUMBERS.iter().enumerate() {
            assert_eq!(Behaviour::for_number(magic.number), magic.behaviour);
            assert_eq!(magic.behaviour.number(), magic.number);
            assert!(magic.number.starts_with("+120255501"), "{}", magic.number);
            assert!(PhoneNumber::parse(magic.number).is_ok());
            let others = &MAGIC_NUMBERS[at + 1..];
            assert!(others.iter().all(|o| o.number != magic.number && o.name != magic.name));
        }
        assert_eq!(Behaviour::for_number(Behaviour::Friendly.number()), Behaviour::Friendly);
        assert_eq!(Behaviour::for_number(OWN_NUMBER), Behaviour::Friendly);
    }

    #[test]
    fn a_contact_echoes_or_says_what_it_is_asked_to() {
        assert_eq!(reply("Hello", 0), "You said: Hello");
        assert_eq!(reply("Please say STOP", 0), "STOP");
        assert_eq!(reply("please say ", 0), "You said: please say ");
        assert_eq!(reply("", 1), "You sent 1 file");
        assert_eq!(reply("", 2), "You sent 2 files");
        assert_eq!(reply("Please send a picture.", 0), "Here it is");
        assert!(asks_for_picture(" please send a picture") && !asks_for_picture("send a picture"));
        assert!(asks_for_start("please say unstop") && !asks_for_start("start"));
    }

    #[test]
    fn keywords_are_whole_texts() {
        assert_eq!(Keyword::from_text(" stop all "), Some(Keyword::Stop));
        assert_eq!(Keyword::from_text("UnStop"), Some(Keyword::Start));
        assert_eq!(Keyword::from_text("help"), Some(Keyword::Help));
        assert_eq!(Keyword::from_text("stop it"), None);
    }

    proptest! {
        #[test]
        fn an_echo_has_few_segments(text in ".{1,3000}") {
            let echo = reply(&text, 0);
            // A requested reply is not shortened.
            prop_assert!(requested_reply(&text).is_some() || Segments::for_text(&echo).segments <= 4);
        }
    }
}
