//! The one place that looks at the clock.

use crate::domain::Timestamp;

/// This instant.
#[must_use]
pub fn now() -> Timestamp {
    chrono::Utc::now().into()
}
