//! The tables as SeaORM sees them; their meaning is told in the migration that makes them.

pub mod conversation;
pub mod delivery_report;
pub mod event;
pub mod idempotency_key;
pub mod message;
pub mod meta;

use sea_orm::prelude::TextUuid;
use uuid::Uuid;

use crate::domain::Timestamp;

/// A JSON text column, read; what cannot be read is absent.
pub(super) fn from_json<T: serde::de::DeserializeOwned>(column: Option<&str>) -> Option<T> {
    serde_json::from_str(column?).ok()
}

/// A value for a JSON text column.
pub(super) fn to_json<T: serde::Serialize>(value: &T) -> Option<String> {
    serde_json::to_string(value).ok()
}

/// A list for a JSON text column: null when it is empty, as most are.
pub(super) fn list_to_json<T: serde::Serialize>(list: &[T]) -> Option<String> {
    if list.is_empty() { None } else { to_json(&list) }
}

pub(super) fn id(id: Uuid) -> TextUuid {
    TextUuid(id)
}

pub(super) fn micros(time: Timestamp) -> i64 {
    time.as_micros()
}
