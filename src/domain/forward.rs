//! Forwarding: where it stands for each name, and when a failed delivery is attempted again.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Timestamp;

/// The pauses after the first failed attempts; after further ones the last of them.
const PAUSES: [u64; 5] = [5, 30, 120, 600, 3_600];
/// The longest pause that a receiver may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);
/// How long after the last success deliveries may fail before what is older than that is given up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3 * 24 * 3_600);
/// The longest name.
const MAX_NAME: usize = 64;

/// The pause before the next attempt, after so many failed ones. `asked` is what the receiver asked for:
/// it can make the pause longer, up to an hour.
pub(crate) fn pause_after(attempts: u32, asked: Option<Duration>) -> Duration {
    let step = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let pause = Duration::from_secs(PAUSES[step.min(PAUSES.len() - 1)]);
    pause.max(asked.unwrap_or_default().min(LONGEST_PAUSE))
}

/// Whether a text can be the name of a forwarding.
pub(crate) fn is_forward_name(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// What forwarding to a name is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForwardState {
    /// No server has begun yet.
    Waiting,
    /// Events are delivered as they happen.
    Active,
    /// The last attempt failed; it is repeated.
    Failing,
    /// The receiver answered 410: nothing is delivered until it is enabled.
    Paused,
}

impl ForwardState {
    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Active => "active",
            Self::Failing => "failing",
            Self::Paused => "paused",
        }
    }
}

/// Where forwarding to a name stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Forward {
    /// The name of the receiver.
    pub name: String,
    /// Its URL without the query; null if it is not configured here.
    pub url: Option<String>,
    /// What it is doing.
    pub state: ForwardState,
    /// How many entries of the feed follow the last one that was delivered.
    pub events_behind: u64,
    /// The age in seconds of the oldest of them.
    pub seconds_behind: u64,
    /// When an event was last delivered.
    pub last_success_at: Option<Timestamp>,
    /// Since when every attempt has failed.
    pub failing_since: Option<Timestamp>,
    /// How often the delivery of the next event has failed.
    pub attempts: u32,
    /// When it is attempted again.
    pub next_attempt_at: Option<Timestamp>,
    /// Why the last failed attempt failed.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<Timestamp>,
    /// When the feed no longer had its place, so that it began anew.
    pub restarted_at: Option<Timestamp>,
    /// What was given up and can be replayed.
    pub given_up: Vec<GivenUp>,
    /// How many entries of the feed are still to be replayed.
    pub replaying: u64,
}

/// Events that were given up together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GivenUp {
    /// When the first of them happened.
    pub from: Timestamp,
    /// When the last of them happened.
    pub until: Timestamp,
    /// How many entries of the feed these are.
    pub events: u64,
}

/// How the delivery of a test event ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForwardTest {
    /// The `webhook-id` of the test event.
    pub webhook_id: String,
    /// Whether the receiver accepted it.
    pub delivered: bool,
    /// The HTTP status of the receiver's answer; null without an answer.
    pub status: Option<u16>,
    /// Why the delivery failed.
    pub error: Option<String>,
}

/// What a replay will deliver again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForwardReplay {
    /// The name of the receiver.
    pub name: String,
    /// How many entries of the feed these are, before filters.
    pub events: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_an_hour() {
        let pauses = [1, 2, 3, 4, 5, 6, 7, 1_000, u32::MAX].map(|n| pause_after(n, None).as_secs());
        assert_eq!(pauses, [5, 30, 120, 600, 3_600, 3_600, 3_600, 3_600, 3_600]);
        let failures = (1..).map(|n| pause_after(n, None)).scan(Duration::ZERO, |sum, pause| {
            *sum += pause;
            Some(*sum)
        });
        let within = failures.take_while(|sum| *sum <= PATIENCE).count();
        assert_eq!(within, 75, "attempts within three days");
    }

    #[test]
    fn a_receiver_can_ask_for_a_longer_pause_but_not_for_a_shorter_or_endless_one() {
        let pause = |attempts, asked| pause_after(attempts, Some(Duration::from_secs(asked)));
        assert_eq!(pause(1, 60), Duration::from_secs(60));
        assert_eq!(pause(3, 1), Duration::from_secs(120));
        assert_eq!(pause(1, u64::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn names_are_plain_words() {
        for name in ["default", "crm-2", "A_b", &"x".repeat(64)] {
            assert!(is_forward_name(name), "{name}");
        }
        for name in ["", "a b", "a/b", "a=b", "é", "a:b", "\u{1b}", &"x".repeat(65)] {
            assert!(!is_forward_name(name), "{name}");
        }
    }
}
