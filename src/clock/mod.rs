//! The wall clock.

mod timestamp;

pub use timestamp::Timestamp;

/// The current time.
#[expect(clippy::disallowed_methods, reason = "the only place that reads the wall clock")]
#[must_use]
pub fn now() -> Timestamp {
    chrono::Utc::now().into()
}
