//! What became of a webhook event.

use schemars::JsonSchema;
use serde::Serialize;

/// The outcome of a webhook event, as in the database, the response and the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventOutcome {
    /// A new message was stored.
    Stored,
    /// A delivery report was stored; it may have changed the status of its message.
    Updated,
    /// The event or its message was already stored; nothing changed.
    Duplicate,
    /// The raw event was stored; it changes nothing else.
    Ignored,
}

impl EventOutcome {
    /// All outcomes.
    pub const ALL: [Self; 4] = [Self::Stored, Self::Updated, Self::Duplicate, Self::Ignored];

    /// The word in the API and the metric.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Updated => "updated",
            Self::Duplicate => "duplicate",
            Self::Ignored => "ignored",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_and_the_metric_use_the_same_words() {
        for outcome in EventOutcome::ALL {
            let json = serde_json::to_value(outcome).expect("a unit variant serialises");
            assert_eq!(json, outcome.as_str());
        }
    }
}
