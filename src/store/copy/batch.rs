//! Writing pages of rows: they are put into the form that the target takes while the page before is
//! being written.

use std::collections::BTreeSet;
use std::sync::Arc;

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, Statement};

use super::digest::RowsDigest;
use super::driver::{Cell, CopyData, InsertData};
use super::in_transaction;
use super::page::RowPage;
use super::table::CopyTable;
use crate::store::db_error::is_duplicate;
use crate::store::reader::Reader;

/// The rows of an `INSERT`. The text of the statement is then always the same, and prepared once.
const INSERT_ROWS: usize = 500;
/// The rows of an `INSERT` into PostgreSQL, which takes 65,535 values.
const FALLBACK_ROWS: usize = 100;
/// The rows that are converted without a pause. In the pauses, the same thread goes on writing the pages
/// before and reading the ones after.
pub(super) const STRETCH: usize = 100;

/// Writes pages of one table.
#[derive(Debug)]
pub(super) struct TableWriter<'a> {
    table: &'a CopyTable,
    backend: DatabaseBackend,
    /// The places of the columns that any page so far had. An `INSERT` names all of them: with those of each
    /// page, there would be many statements, each of which takes memory once it is prepared.
    columns: BTreeSet<usize>,
}

/// A page in the form that the target takes.
#[derive(Debug)]
pub(super) enum Batch {
    Insert { rows: u64, statements: Vec<(Arc<str>, InsertData)> },
    Copy { page: RowPage, statement: String, data: CopyData },
}

impl<'a> TableWriter<'a> {
    pub(super) fn new(table: &'a CopyTable, target: &Reader) -> Self {
        let backend = target.get_database_backend();
        Self { table, backend, columns: BTreeSet::new() }
    }

    /// Converts a page, and adds it to the digest.
    pub(super) async fn batch(
        &mut self,
        page: RowPage,
        mut digest: Option<&mut RowsDigest>,
    ) -> Result<Batch, DbErr> {
        if self.backend == DatabaseBackend::Sqlite {
            return self.inserts(&page, digest).await;
        }
        let mut data = CopyData::new();
        for stretch in page.rows.chunks(STRETCH) {
            for row in stretch {
                data.row(page.columns.len());
                for cell in page.cells(self.table, row) {
                    let (column, cell) = cell?;
                    digest.iter_mut().for_each(|digest| digest.cell(column, cell));
                    data.cell(cell)?;
                }
                digest.iter_mut().for_each(|digest| digest.end_row());
            }
            tokio::task::yield_now().await;
        }
        let (name, columns) = (self.table.name, self.names(page.columns.iter()));
        let statement = format!("COPY {name} ({columns}) FROM STDIN (FORMAT binary)");
        Ok(Batch::Copy { page, statement, data })
    }

    async fn inserts(
        &mut self,
        page: &RowPage,
        mut digest: Option<&mut RowsDigest>,
    ) -> Result<Batch, DbErr> {
        self.columns.extend(&page.columns);
        let whole: Arc<str> = self.insert(INSERT_ROWS.min(page.rows.len())).into();
        let mut statements = Vec::new();
        for chunk in page.rows.chunks(INSERT_ROWS) {
            let mut data = InsertData::new(chunk.len() * self.columns.len());
            for stretch in chunk.chunks(STRETCH) {
                for row in stretch {
                    let mut columns = self.columns.iter();
                    for cell in page.cells(self.table, row) {
                        let (column, cell) = cell?;
                        digest.iter_mut().for_each(|digest| digest.cell(column, cell));
                        data.nulls(columns.by_ref().take_while(|place| **place != column).count())?;
                        data.cell(cell)?;
                    }
                    data.nulls(columns.count())?;
                    digest.iter_mut().for_each(|digest| digest.end_row());
                }
                tokio::task::yield_now().await;
            }
            let is_whole = chunk.len() == INSERT_ROWS.min(page.rows.len());
            let statement =
                if is_whole { Arc::clone(&whole) } else { self.insert(chunk.len()).into() };
            statements.push((statement, data));
        }
        Ok(Batch::Insert { rows: page.rows.len() as u64, statements })
    }

    fn insert(&self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns.len()].join(", "));
        insert(self.table, &self.names(self.columns.iter()), &vec![row.as_str(); rows].join(", "))
    }

    fn names<'p>(&self, places: impl Iterator<Item = &'p usize>) -> String {
        names(self.table, places)
    }

    /// Writes a batch in one transaction, skipping rows whose key exists. Returns how many it has.
    pub(super) async fn send(
        table: &CopyTable,
        batch: Batch,
        target: &Reader,
    ) -> Result<u64, DbErr> {
        let pool = target.pool()?;
        match batch {
            Batch::Insert { rows, statements } => {
                InsertData::send(statements, &pool).await.map(|()| rows)
            }
            Batch::Copy { page, statement, data } => {
                let rows = page.rows.len() as u64;
                match data.send(&pool, &statement).await {
                    // Another process is making the same copy.
                    Err(error) if is_duplicate(&error) => {
                        let skipping = async |txn: &_| insert_missing(txn, table, &page).await;
                        in_transaction(target, skipping).await.map(|()| rows)
                    }
                    done => done.map(|()| rows),
                }
            }
        }
    }
}

/// Inserts those rows of a page into PostgreSQL whose key does not exist.
async fn insert_missing(
    db: &impl ConnectionTrait,
    table: &CopyTable,
    page: &RowPage,
) -> Result<(), DbErr> {
    let columns = page.columns.len();
    for chunk in page.rows.chunks(FALLBACK_ROWS) {
        let mut values = Vec::with_capacity(chunk.len() * columns);
        for cell in chunk.iter().flat_map(|row| page.cells(table, row)) {
            values.push(Cell::into(cell?.1));
        }
        let row = |row: usize| {
            let row: Vec<_> = (1..=columns).map(|n| format!("${}", row * columns + n)).collect();
            format!("({})", row.join(", "))
        };
        let rows: Vec<_> = (0..chunk.len()).map(row).collect();
        let statement = insert(table, &names(table, page.columns.iter()), &rows.join(", "));
        let backend = db.get_database_backend();
        db.execute_raw(Statement::from_sql_and_values(backend, statement, values)).await?;
    }
    Ok(())
}

fn insert(table: &CopyTable, columns: &str, rows: &str) -> String {
    let (name, keys) = (table.name, table.keys.join(", "));
    format!("INSERT INTO {name} ({columns}) VALUES {rows} ON CONFLICT ({keys}) DO NOTHING")
}

/// The names of some columns, separated by commas.
fn names<'p>(table: &CopyTable, places: impl Iterator<Item = &'p usize>) -> String {
    places.map(|place| table.columns()[*place].name).collect::<Vec<_>>().join(", ")
}
