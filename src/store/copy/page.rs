//! A page of rows: each of their cells is read once, for the digest and for the target.

use sea_orm::{DbErr, QueryResult};

use super::driver::Cell;
use super::table::CopyTable;

#[derive(Debug, Default)]
pub(super) struct RowPage {
    pub(super) rows: Vec<QueryResult>,
    /// The places in the table of the columns that the rows have; all others are NULL in all of them.
    pub(super) columns: Vec<usize>,
}

impl RowPage {
    /// The cells of a row that were read, each with the place of its column.
    pub(super) fn cells<'r>(
        &self,
        table: &CopyTable,
        row: &'r QueryResult,
    ) -> impl Iterator<Item = Result<(usize, Cell<'r>), DbErr>> {
        let columns = self.columns.iter().enumerate();
        columns.map(|(place, column)| {
            Ok((*column, Cell::read(row, place, table.columns()[*column].cell_type)?))
        })
    }
}
