//! The feed in the database: appending the changes of a transaction, reading from a position, waiting
//! for more, and removing what is too old.

mod append;
mod entries;
pub(super) mod read;
mod trim;
pub(crate) mod wake;

use uuid::Uuid;

use super::entity::feed::kind;
use crate::domain::Status;

pub(super) use append::{append, append_expression, append_under_lock};
pub(super) use entries::{
    ENTRIES_IN_ROW, FeedEntries, FeedEntry, blanked, entries_after, message_ids,
};

/// A change that a transaction makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FeedChange {
    /// A new message.
    Message(Uuid),
    /// An outbound message has another status.
    Status {
        message: Uuid,
        status: Status,
        /// A message that turned out to be this one.
        replaces: Option<Uuid>,
    },
    /// A contact has opted out, or in again.
    OptOut { contact: String, opted_out: bool },
    /// A conversation was removed.
    Removed { conversation: Uuid },
}

impl FeedChange {
    /// The message that it is about.
    fn message(&self) -> Option<Uuid> {
        match self {
            Self::Message(message) | Self::Status { message, .. } => Some(*message),
            Self::OptOut { .. } | Self::Removed { .. } => None,
        }
    }

    /// The value of the column `kind`.
    fn kind(&self) -> i16 {
        match self {
            Self::Message(_) => kind::MESSAGE,
            Self::Status { .. } => kind::STATUS,
            Self::OptOut { opted_out: true, .. } => kind::OPTED_OUT,
            Self::OptOut { opted_out: false, .. } => kind::OPTED_IN,
            Self::Removed { .. } => kind::REMOVED,
        }
    }
}

/// A change as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordedChange {
    pub(super) change: FeedChange,
    /// Whether a sync has brought it.
    pub(super) recovered: bool,
}

impl RecordedChange {
    /// The value of the column `kind`.
    fn kind(&self) -> i16 {
        self.change.kind() + if self.recovered { kind::RECOVERED } else { 0 }
    }
}

/// Of several statuses of a message within one transaction only the last is ever seen; and none of a
/// message that is new.
pub(super) fn without_repeats(changes: Vec<RecordedChange>) -> Vec<RecordedChange> {
    if !changes.iter().any(|one| matches!(one.change, FeedChange::Status { .. })) {
        return changes;
    }
    let is_seen = |(place, one): (usize, &RecordedChange)| {
        let FeedChange::Status { message, replaces: None, .. } = &one.change else { return true };
        let new = FeedChange::Message(*message);
        let is_new = changes.iter().any(|one| one.change == new);
        let later = &changes[place + 1..];
        !is_new && !later.iter().any(|later| later.change.message() == Some(*message))
    };
    let seen: Vec<_> = changes.iter().enumerate().map(is_seen).collect();
    changes.into_iter().zip(seen).filter_map(|(change, seen)| seen.then_some(change)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_status_in_a_transaction_is_seen() {
        let [one, other] = [1, 2].map(Uuid::from_u128);
        let status = |message, status, replaces| FeedChange::Status { message, status, replaces };
        let merged = status(one, Status::Sent, Some(other));
        let last = status(one, Status::Delivered, None);
        let changes = vec![
            FeedChange::Message(other),
            status(other, Status::Sent, None),
            status(one, Status::Queued, None),
            merged.clone(),
            status(one, Status::Sent, None),
            last.clone(),
        ];
        let recorded = |change| RecordedChange { change, recovered: false };
        let changes = changes.into_iter().map(recorded).collect();
        let seen = [FeedChange::Message(other), merged, last].map(recorded);
        assert_eq!(without_repeats(changes), seen);
    }
}
