//! Rows together with what the database knows of them, read and asked for in pieces.

use super::recipients::Recipients;
use super::rows::{BadRow, BatchLine, RowReader};
use crate::backend::Backend;
use crate::domain::{
    BatchCheck, BatchId, BatchRow, BatchRowQuery, BatchRowState, BatchRows, Status,
};
use crate::error::{Code, Error};

/// How many rows are asked for at once, and how many bytes of text: a server limits the body.
const PIECE: usize = 500;
const PIECE_BYTES: usize = 256 * 1024;

/// A row, and what is to be done with it.
#[derive(Clone, Debug)]
pub(super) struct CheckedRow {
    pub(super) row: BatchLine,
    /// `None` for a repeat of another row of the file.
    pub(super) known: Option<BatchRow>,
}

impl CheckedRow {
    /// Whether it is to be sent, or its earlier send is to be brought to its end.
    pub(super) fn is_to_do(&self) -> bool {
        self.known.as_ref().is_some_and(|known| match known.state {
            BatchRowState::New => true,
            BatchRowState::Sent => known.status.is_some_and(Status::is_open),
            BatchRowState::Double | BatchRowState::OptedOut => false,
        })
    }
}

/// Some rows of the file, in their order.
#[derive(Debug, Default)]
pub(super) struct RowPiece {
    pub(super) rows: Vec<BatchLine>,
    pub(super) bad: Vec<BadRow>,
}

impl RowPiece {
    /// Reads the next rows, without those that `keep` leaves out; `None` at the end of the file.
    ///
    /// # Errors
    /// The file cannot be read, or a name cannot be looked up.
    pub(super) async fn read(
        reader: &mut RowReader<'_>,
        recipients: &mut Recipients<'_>,
        mut keep: impl FnMut(&BatchLine) -> bool,
    ) -> Result<Option<Self>, Error> {
        let (mut piece, mut bytes) = (Self::default(), 0);
        while piece.rows.len() + piece.bad.len() < PIECE && bytes < PIECE_BYTES {
            let row = match reader.next()? {
                None if piece.rows.is_empty() && piece.bad.is_empty() => return Ok(None),
                None => break,
                Some(Ok(row)) => recipients.address(row, reader).await?,
                Some(Err(row)) => Err(row),
            };
            match row {
                Ok(row) if keep(&row) => {
                    bytes += row.draft.text().len();
                    piece.rows.push(row);
                }
                Ok(_) => {}
                Err(row) => piece.bad.push(row),
            }
        }
        Ok(Some(piece))
    }
}

/// Asks what is known of some rows.
///
/// # Errors
/// The database or the server cannot be reached.
pub(super) async fn check(
    rows: &[BatchLine],
    id: &BatchId,
    backend: &Backend,
) -> Result<(Vec<CheckedRow>, BatchCheck), Error> {
    let query = rows.iter().filter(|row| !row.is_repeated).map(|row| BatchRowQuery {
        row: row.place,
        to: row.draft.to().to_string(),
        message: row.draft.text().to_owned(),
    });
    let query = BatchRows { rows: query.collect() };
    let check = backend.check_batch(id, &query).await?;
    if check.rows.len() != query.rows.len() {
        return Err(Error::new(Code::ServerMismatch, "the server did not answer for every row"));
    }
    let mut known = check.rows.iter().cloned();
    let checked = rows.iter().map(|row| {
        let known = if row.is_repeated { None } else { known.next() };
        CheckedRow { row: row.clone(), known }
    });
    let checked = checked.collect();
    Ok((checked, check))
}
