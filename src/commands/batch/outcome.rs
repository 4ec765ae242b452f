//! What became of a row: a line of the result file and of standard output.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::checked::CheckedRow;
use super::rows::BatchLine;
use crate::domain::{BatchRowState, Message, Status, verdict};
use crate::error::{Code, Error};
use crate::output::record::Record;

/// The status of a row that was not sent, and will be by another run.
pub(super) const NOT_SENT: &str = "not_sent";
/// That of a row whose text the contact has got already.
const DOUBLE: &str = "double";

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RowOutcome {
    /// Its line in the file.
    pub(super) row: u64,
    /// Its own key; empty without one.
    pub(super) key: String,
    pub(super) to: String,
    /// The id of the message; of a double, that of the message which said the same.
    pub(super) id: Option<Uuid>,
    /// The message's status, or why it was not sent: `double`, `opted_out`, `refused`, `not_sent`.
    pub(super) status: String,
    /// What is wrong.
    pub(super) error: Option<String>,
    /// The kind of failure that the row stands for, if it is one.
    #[serde(skip)]
    pub(super) code: Option<Code>,
}

impl RowOutcome {
    fn new(row: &BatchLine, id: Option<Uuid>, status: &str) -> Self {
        Self {
            row: row.line,
            key: row.key.clone(),
            to: row.draft.to().to_string(),
            id,
            status: status.to_owned(),
            error: None,
            code: None,
        }
    }

    /// That of a row with which there is nothing to be done; `None` for one that is to be sent.
    pub(super) fn settled(checked: &CheckedRow) -> Option<Self> {
        if checked.is_to_do() {
            return None;
        }
        let Some(known) = &checked.known else {
            let mut outcome = Self::new(&checked.row, None, DOUBLE);
            outcome.error = Some("another row of the file is the same".to_owned());
            return Some(outcome);
        };
        let id = known.message_id;
        Some(match known.state {
            BatchRowState::OptedOut => {
                let error = Error::new(Code::OptedOut, "the contact has opted out");
                Self::refused(&checked.row, &error)
            }
            BatchRowState::Double => {
                let mut outcome = Self::new(&checked.row, id, DOUBLE);
                outcome.error = Some("sent by a batch within the last 24 hours".to_owned());
                outcome
            }
            BatchRowState::Sent | BatchRowState::New => {
                let status = known.status.map_or("sent", Status::as_str);
                let mut outcome = Self::new(&checked.row, id, status);
                if known.status.is_some_and(Status::is_failure) {
                    outcome.code = Some(Code::TelnyxRefused);
                }
                outcome
            }
        })
    }

    /// That of a row that was sent, or may have been.
    pub(super) fn sent(row: &BatchLine, message: &Message) -> Self {
        let mut outcome = Self::new(row, Some(message.id), message.status.as_str());
        if let Err(error) = verdict(message) {
            outcome.code = Some(error.code());
            outcome.error = Some(error.to_string());
        }
        outcome
    }

    /// That of a row that was not sent, or of which nobody knows.
    pub(super) fn refused(row: &BatchLine, error: &Error) -> Self {
        let (status, code) = match error.code() {
            Code::AlreadySent => (DOUBLE, None),
            Code::OptedOut => ("opted_out", Some(Code::OptedOut)),
            Code::OutcomeUnknown => ("unknown", Some(Code::OutcomeUnknown)),
            code if matches!(code.exit_code(), 4 | 5) => (NOT_SENT, Some(code)),
            code => ("refused", Some(code)),
        };
        let mut outcome = Self::new(row, error.extra().message_id, status);
        outcome.error = Some(error.to_string());
        outcome.code = code;
        outcome
    }

    /// Whether another run has something to do with it.
    pub(super) fn is_left(&self) -> bool {
        matches!(self.exit(), 1 | 4 | 5 | 9)
    }

    /// The exit code that the row stands for.
    pub(super) fn exit(&self) -> u8 {
        self.code.map_or(0, Code::exit_code)
    }
}

/// How bad an exit code is: the worst row decides that of the command.
pub(super) fn badness(exit: u8) -> u8 {
    let order = [0, 7, 8, 6, 5, 4, 9];
    let place = order.iter().position(|code| *code == exit);
    // Anything else was not foreseen.
    place.and_then(|place| u8::try_from(place).ok()).unwrap_or(7)
}

impl Record for RowOutcome {
    const COLUMNS: &'static [&'static str] = &["row", "key", "to", "id", "status", "error"];
    const NUMBERS: &'static [&'static str] = &["row", "to"];

    fn id(&self) -> Option<Cow<'_, str>> {
        self.id.map(|id| id.to_string().into())
    }

    fn values(&self) -> Vec<Cow<'_, str>> {
        vec![
            self.row.to_string().into(),
            self.key.as_str().into(),
            self.to.as_str().into(),
            self.id.map(|id| id.to_string()).unwrap_or_default().into(),
            self.status.as_str().into(),
            self.error.as_deref().unwrap_or_default().into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_exit_code_is_the_contracts() {
        let mut codes = [0, 5, 7, 9, 8, 6, 4];
        codes.sort_by_key(|code| std::cmp::Reverse(badness(*code)));
        assert_eq!(codes, [9, 4, 5, 6, 8, 7, 0]);
        assert!(badness(1) > badness(9));
    }
}
