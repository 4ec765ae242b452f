//! The one place that looks at the clock.

use crate::domain::Timestamp;

/// This instant.
#[expect(clippy::disallowed_methods, reason = "this is the one place that looks at the clock")]
#[must_use]
pub fn now() -> Timestamp {
    chrono::Utc::now().into()
}
