//! The simulated contacts: how each number behaves, and what a contact says.

use crate::domain::text::storable;

/// The number that the sandbox lends to whoever plays: the sender of a request that names only a
/// messaging profile, and a good value for `TELNYX_PHONE_NUMBER`.
pub const OWN_NUMBER: &str = "+12025550100";

/// What begins a text that makes the contact say the rest of it, word for word.
const PLEASE_SAY: &str = "please say ";
/// Characters of our text that an echo repeats: few enough for any alphabet.
const ECHO_LENGTH: usize = 100;

/// How a contact, or Telnyx on its behalf, behaves. Every number that is not magic is
/// [`Friendly`](Behaviour::Friendly).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Behaviour {
    /// Receives and answers.
    Friendly,
    /// Receives, never answers.
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
    /// The first request is answered 429 with `Retry-After`, its repeat is accepted.
    RateLimitedOnce,
    /// The first request is answered 500, its repeat is accepted.
    ServerErrorOnce,
    /// Accepted and delivered, but no request is ever answered.
    AnswerLost,
    /// Accepted and delivered; the first request is not answered, its repeat is.
    AnswerLostOnce,
    /// Accepted, never answered, and nothing is reported either.
    Vanished,
    /// Every webhook comes twice at once, and `message.finalized` before `message.sent`.
    Doubled,
    /// The answer takes several seconds, the reports even longer.
    Slow,
    /// The API key counts as wrong: 401.
    Unauthorized,
}

/// A number that makes the sandbox misbehave on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MagicNumber {
    /// A short name, for tables.
    pub name: &'static str,
    /// The number, from the range that is never assigned.
    pub number: &'static str,
    /// What it does.
    pub behaviour: Behaviour,
    /// The same for a reader, as a phrase without a final stop.
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

/// Every magic number. All others receive what they are sent and answer `You said: …`.
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
        "the first request is answered 429 with Retry-After: 1, its repeat is accepted",
    ),
    magic(
        "server error once",
        "+12025550107",
        Behaviour::ServerErrorOnce,
        "the first request is answered 500, its repeat is accepted",
    ),
    magic(
        "answer lost",
        "+12025550108",
        Behaviour::AnswerLost,
        "accepted and delivered, but no request is ever answered; only the webhooks tell",
    ),
    magic(
        "answer lost once",
        "+12025550109",
        Behaviour::AnswerLostOnce,
        "the same, but a repeat under the same idempotency key is answered",
    ),
    magic(
        "vanished",
        "+12025550110",
        Behaviour::Vanished,
        "accepted, never answered, and no webhook ever comes",
    ),
    magic(
        "doubled",
        "+12025550111",
        Behaviour::Doubled,
        "every webhook comes twice at once, message.finalized before message.sent",
    ),
    magic(
        "slow",
        "+12025550112",
        Behaviour::Slow,
        "answered after several seconds, the webhooks come even later",
    ),
    magic("silent", "+12025550113", Behaviour::Silent, "delivered, but the contact never answers"),
    magic(
        "unauthorized",
        "+12025550114",
        Behaviour::Unauthorized,
        "refused with 401, as if the API key were wrong",
    ),
];

impl Behaviour {
    /// How the contact with this number behaves.
    #[must_use]
    pub fn of(number: &str) -> Self {
        MAGIC_NUMBERS
            .iter()
            .find(|magic| magic.number == number)
            .map_or(Self::Friendly, |magic| magic.behaviour)
    }

    /// The number that behaves like this; an ordinary one for [`Behaviour::Friendly`].
    #[must_use]
    pub fn number(self) -> &'static str {
        MAGIC_NUMBERS
            .iter()
            .find(|magic| magic.behaviour == self)
            .map_or("+12125551234", |magic| magic.number)
    }

    /// Whether the contact answers what it receives.
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

/// What Telnyx itself does about a text from a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    /// Blocks all further messages to the contact.
    Stop,
    /// Lifts the block.
    Start,
    /// Answers with help.
    Help,
}

impl Keyword {
    /// The keyword that a whole text is, in any case.
    pub(super) fn of(text: &str) -> Option<Self> {
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

/// What a contact is asked to say word for word, if the text asks for that.
fn wish(text: &str) -> Option<&str> {
    let (head, rest) = text.split_at_checked(PLEASE_SAY.len())?;
    let rest = rest.trim();
    (head.eq_ignore_ascii_case(PLEASE_SAY) && !rest.is_empty()).then_some(rest)
}

/// Whether the text makes the contact lift its block, which is why it passes the block.
pub(super) fn asks_for_start(text: &str) -> bool {
    wish(text).and_then(Keyword::of) == Some(Keyword::Start)
}

/// The contact's answer to a text and some files.
pub(super) fn reply(text: &str, files: usize) -> String {
    if let Some(words) = wish(text) {
        return words.to_owned();
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
    fn every_magic_number_is_its_own_and_fictional() {
        for (at, magic) in MAGIC_NUMBERS.iter().enumerate() {
            assert_eq!(Behaviour::of(magic.number), magic.behaviour);
            assert_eq!(magic.behaviour.number(), magic.number);
            assert!(magic.number.starts_with("+120255501"), "{}", magic.number);
            assert!(PhoneNumber::parse(magic.number).is_ok());
            let others = &MAGIC_NUMBERS[at + 1..];
            assert!(others.iter().all(|o| o.number != magic.number && o.name != magic.name));
        }
        assert_eq!(Behaviour::of(Behaviour::Friendly.number()), Behaviour::Friendly);
        assert_eq!(Behaviour::of(OWN_NUMBER), Behaviour::Friendly);
    }

    #[test]
    fn a_contact_echoes_or_says_what_it_is_asked_to() {
        assert_eq!(reply("Hello", 0), "You said: Hello");
        assert_eq!(reply("Please say STOP", 0), "STOP");
        assert_eq!(reply("please say ", 0), "You said: please say ");
        assert_eq!(reply("", 1), "You sent 1 file");
        assert_eq!(reply("", 2), "You sent 2 files");
        assert!(asks_for_start("please say unstop") && !asks_for_start("start"));
    }

    #[test]
    fn keywords_are_whole_texts() {
        assert_eq!(Keyword::of(" stop all "), Some(Keyword::Stop));
        assert_eq!(Keyword::of("UnStop"), Some(Keyword::Start));
        assert_eq!(Keyword::of("help"), Some(Keyword::Help));
        assert_eq!(Keyword::of("stop it"), None);
    }

    proptest! {
        #[test]
        fn an_echo_always_fits(text in ".{1,3000}") {
            let echo = reply(&text, 0);
            // A wish is repeated as it is; everything else is cut.
            prop_assert!(wish(&text).is_some() || Segments::of(&echo).segments <= 4);
        }
    }
}
