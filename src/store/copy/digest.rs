//! A digest that is equal for equal tables, whichever kind of database they are in: the number of rows,
//! and a checksum of all values of all rows in key order.

use futures_util::future::try_join;
use sea_orm::{ConnectionTrait, DbErr};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::batch::STRETCH;
use super::driver::Cell;
use super::page::RowPage;
use super::table::CopyTable;
use super::transfer::AHEAD;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableDigest {
    pub(super) rows: u64,
    pub(super) sha256: String,
}

/// The digest of the rows of a table so far.
#[derive(Debug)]
pub(super) struct RowsDigest {
    hasher: Sha256,
    rows: u64,
    /// What is to be hashed of some rows: hashing many short pieces takes longer.
    bytes: Vec<u8>,
    /// The number of columns, and of those of the current row that are in `bytes`.
    columns: usize,
    column: usize,
}

/// The bytes that are hashed at a time.
const BLOCK: usize = 64 * 1024;

impl RowsDigest {
    pub(super) fn new(table: &CopyTable) -> Self {
        let mut bytes = Vec::new();
        table.columns().iter().for_each(|column| sized(&mut bytes, column.name.as_bytes()));
        Self { hasher: Sha256::new(), rows: 0, bytes, columns: table.columns().len(), column: 0 }
    }

    /// Adds a cell of the current row, after all columns before it.
    pub(super) fn cell(&mut self, column: usize, cell: Cell<'_>) {
        self.nulls(column);
        add(&mut self.bytes, cell);
        self.column = column + 1;
    }

    /// Ends the current row.
    pub(super) fn end_row(&mut self) {
        self.nulls(self.columns);
        self.column = 0;
        self.rows += 1;
        if self.bytes.len() >= BLOCK {
            self.hasher.update(&self.bytes);
            self.bytes.clear();
        }
    }

    /// Adds NULL for the columns of the current row before a place.
    fn nulls(&mut self, place: usize) {
        self.bytes.resize(self.bytes.len() + place.saturating_sub(self.column), 0);
    }

    async fn page(&mut self, table: &CopyTable, page: &RowPage) -> Result<(), DbErr> {
        for stretch in page.rows.chunks(STRETCH) {
            for row in stretch {
                for cell in page.cells(table, row) {
                    let (column, cell) = cell?;
                    self.cell(column, cell);
                }
                self.end_row();
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> TableDigest {
        self.hasher.update(&self.bytes);
        let sha256 = self.hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        TableDigest { rows: self.rows, sha256 }
    }
}

/// Reads a whole table, page by page, and reports the number of rows of each page to `progress`. The
/// next pages are read while one is hashed.
pub(super) async fn digest(
    db: &impl ConnectionTrait,
    table: &CopyTable,
    mut progress: impl FnMut(u64),
) -> Result<TableDigest, DbErr> {
    let mut digest = RowsDigest::new(table);
    let (read, mut pages) = mpsc::channel(AHEAD);
    let hash = async {
        while let Some(page) = pages.recv().await {
            digest.page(table, &page).await?;
            progress(page.rows.len() as u64);
        }
        Ok(())
    };
    try_join(table.read(db, None, read), hash).await?;
    Ok(digest.finish())
}

/// Adds a value, encoded so that no two lists of values give the same bytes.
fn add(out: &mut Vec<u8>, cell: Cell<'_>) {
    match cell {
        Cell::Small(Some(value)) => number(out, value.into()),
        Cell::Integer(Some(value)) => number(out, value.into()),
        Cell::Big(Some(value)) => number(out, value),
        Cell::Text(Some(value)) => {
            out.push(2);
            sized(out, value.as_bytes());
        }
        Cell::Bytes(Some(value)) => {
            out.push(3);
            sized(out, value);
        }
        Cell::Uuid(Some(value)) => {
            out.push(4);
            out.extend_from_slice(value.as_bytes());
        }
        _ => out.push(0),
    }
}

fn number(out: &mut Vec<u8>, number: i64) {
    out.push(1);
    out.extend_from_slice(&number.to_be_bytes());
}

fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}
