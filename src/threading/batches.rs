//! Batches: what is known of their rows before they are sent, and recording when they begin and end.

use super::Conversations;
use crate::clock;
use crate::domain::batch::MAX_CHECKED;
use crate::domain::{
    BatchCheck, BatchId, BatchInfo, BatchPlace, BatchRecord, BatchRow, BatchRowQuery,
    BatchRowState, BatchRows, Fingerprint, PhoneNumber,
};
use crate::error::{Code, Error};
use crate::store::batches::StoredRow;
use crate::store::model::NewBatchRow;

impl Conversations {
    /// What is known of a batch and of some of its rows.
    ///
    /// # Errors
    /// `invalid_number`, `invalid_request`; `database_unavailable`.
    pub async fn check_batch(&self, id: &BatchId, asked: &BatchRows) -> Result<BatchCheck, Error> {
        if asked.rows.len() > MAX_CHECKED {
            return Err(Error::invalid(format!("more than {MAX_CHECKED} rows in one request"))
                .hint("ask in several requests"));
        }
        let rows = asked.rows.iter().map(|row| new_row(id, row)).collect::<Result<Vec<_>, _>>()?;
        let checked = self.store.check_rows(id, &rows, clock::now()).await?;
        let mut answer = BatchCheck {
            batch: self.store.batch(id).await?,
            numbers: self.numbers.clone(),
            cost: self.store.segment_cost().await?,
            rows: Vec::with_capacity(rows.len()),
        };
        for ((to, _), checked) in rows.iter().zip(checked) {
            let mut row = row(checked);
            if row.state == BatchRowState::New && self.numbers.len() > 1 {
                row.from = self.store.last_written_to(to, &self.numbers).await?;
            }
            answer.rows.push(row);
        }
        Ok(answer)
    }

    /// Records that sending a batch has begun, or that nothing of it is left to be sent.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn record_batch(
        &self,
        id: &BatchId,
        record: &BatchRecord,
    ) -> Result<BatchInfo, Error> {
        self.store.record_batch(id.clone(), record.clone(), clock::now()).await
    }
}

fn new_row(id: &BatchId, row: &BatchRowQuery) -> Result<(PhoneNumber, NewBatchRow), Error> {
    let to = PhoneNumber::parse(&row.to)?;
    let content = Fingerprint::of_text(&to, &row.message);
    let place = BatchPlace { id: id.clone(), row: row.row };
    Ok((to, NewBatchRow { place, content }))
}

fn row(checked: StoredRow) -> BatchRow {
    let (state, message_id, status) = match checked {
        StoredRow::New => (BatchRowState::New, None, None),
        StoredRow::Sent(id, status) => (BatchRowState::Sent, Some(id), status),
        StoredRow::Double(id) => (BatchRowState::Double, Some(id), None),
        StoredRow::OptedOut => (BatchRowState::OptedOut, None, None),
    };
    BatchRow { state, message_id, status, from: None }
}

/// The error for a row whose text the contact has got from a batch a short while ago.
pub(super) fn double(message: uuid::Uuid) -> Error {
    let what =
        "a batch has sent the same text to the contact within the last 24 hours; nothing was sent";
    Error::new(Code::AlreadySent, what)
        .hint("send it by convo send if it is meant")
        .with(|extra| extra.message_id = Some(message))
}
