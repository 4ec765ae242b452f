//! The tables as SeaORM entities. Times are microseconds since the epoch.

pub(super) mod batch;
pub(super) mod batch_row;
pub mod contact_name;
pub mod conversation;
pub mod delivery_report;
pub mod event;
pub mod feed;
pub(super) mod forgotten;
pub mod forward;
pub mod forward_range;
pub mod idempotency_key;
pub mod media;
pub mod media_garbage;
pub mod media_progress;
pub mod merged_message;
pub mod message;
pub mod meta;
pub mod opt_out;
pub mod search_place;
pub mod sync_source;
mod telnyx_id;

pub use telnyx_id::TelnyxId;

use crate::domain::Timestamp;

/// Parses a JSON text column; `None` if it is invalid.
pub(super) fn from_json<T: serde::de::DeserializeOwned>(column: Option<&str>) -> Option<T> {
    serde_json::from_str(column?).ok()
}

/// A value for a JSON text column.
pub(super) fn to_json<T: serde::Serialize>(value: &T) -> Option<String> {
    serde_json::to_string(value).ok()
}

/// A list for a JSON text column: NULL if it is empty, as most are.
pub(super) fn list_to_json<T: serde::Serialize>(list: &[T]) -> Option<String> {
    if list.is_empty() { None } else { to_json(&list) }
}

pub(super) fn micros(time: Timestamp) -> i64 {
    time.as_micros()
}
