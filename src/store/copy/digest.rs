//! A digest that is equal for equal tables, whichever kind of database they are in: the number of rows,
//! and a checksum of all values of all rows in key order.

use futures_util::future::try_join;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use sha2::{Digest as _, Sha256};

use super::driver::Cell;
use super::table::CopyTable;

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
    /// What is to be hashed of one page: hashing many short pieces takes longer.
    bytes: Vec<u8>,
}

impl RowsDigest {
    pub(super) fn new(table: &CopyTable) -> Self {
        let mut bytes = Vec::new();
        table.columns().for_each(|column| sized(&mut bytes, column.as_bytes()));
        Self { hasher: Sha256::new(), rows: 0, bytes }
    }

    /// Adds the next page of rows.
    pub(super) fn add(&mut self, table: &CopyTable, page: &[QueryResult]) -> Result<(), DbErr> {
        for cell in page.iter().flat_map(|row| table.cells(row)) {
            add(&mut self.bytes, cell?);
        }
        self.hasher.update(&self.bytes);
        self.bytes.clear();
        self.rows += page.len() as u64;
        Ok(())
    }

    pub(super) fn finish(mut self) -> TableDigest {
        self.hasher.update(&self.bytes);
        let sha256 = self.hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        TableDigest { rows: self.rows, sha256 }
    }
}

/// Reads a whole table, page by page, and reports the number of rows of each page to `progress`. The
/// next page is read while one is hashed.
pub(super) async fn digest(
    db: &impl ConnectionTrait,
    table: &CopyTable,
    mut progress: impl FnMut(u64),
) -> Result<TableDigest, DbErr> {
    let mut digest = RowsDigest::new(table);
    let mut page = table.page(db, None).await?;
    while let Some(last) = page.last() {
        let end = table.key_of(last)?;
        let hashed = async { digest.add(table, &page) };
        let (next, ()) = try_join(table.page(db, Some(&end)), hashed).await?;
        progress(page.len() as u64);
        page = next;
    }
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
