//! Making the sums of a block.

use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::rows::{COLUMNS, CountedMessage, Sums};
use super::{BLOCK, execute, query, totals};
use crate::domain::stats::{Sum, SumKey};
use crate::error::Error;
use crate::store::Store;
use crate::store::db_error::OrTell;
use crate::store::job::Settlement;
use crate::store::sql::{BulkInsert, run_all};
use crate::store::transaction::WriteTransaction;
use crate::store::writer::Writer;

/// How many rows are inserted at once.
const ROWS: usize = 500;

/// A block with its sums as its messages were at one moment.
#[derive(Debug)]
pub(crate) struct DirtyBlock {
    start: Uuid,
    revision: i64,
    sums: Sums,
    /// Where the block is divided because it has too many messages.
    rest: Option<Uuid>,
}

impl Store {
    /// The next block whose sums have to be made anew, newest first, with its new sums.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn dirty_block(&self) -> Result<Option<DirtyBlock>, Error> {
        self.read_dirty_block().await.or_tell()
    }

    /// Whether the sums of a block have to be made anew.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn has_dirty_block(&self) -> Result<bool, Error> {
        next_dirty(&self.reader).await.map(|block| block.is_some()).or_tell()
    }

    async fn read_dirty_block(&self) -> Result<Option<DirtyBlock>, DbErr> {
        // The revision first: a change after this is told by another one.
        let Some((start, revision)) = next_dirty(&self.reader).await? else { return Ok(None) };
        let sql = "SELECT start FROM stats_blocks WHERE start > $1 ORDER BY start LIMIT 1";
        let next = query(&self.reader, sql, [start.into()]).await?;
        let end = next.first().map(|row| row.try_get_by_index::<Uuid>(0)).transpose()?;
        let (before, values) = match end {
            Some(end) => ("AND m.id < $2 ", vec![start.into(), end.into()]),
            None => ("", vec![start.into()]),
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM messages AS m WHERE m.id >= $1 {before}\
             ORDER BY m.id LIMIT {}",
            BLOCK + 1
        );
        let rows = query(&self.reader, sql, values).await?;
        let (mut sums, mut rest) = (Sums::new(), None);
        for (place, row) in rows.iter().enumerate() {
            let message = CountedMessage::read(row)?;
            if place == BLOCK {
                rest = Some(message.id);
            } else {
                message.add_to(&mut sums);
            }
        }
        Ok(Some(DirtyBlock { start, revision, sums, rest }))
    }
}

async fn next_dirty(db: &impl ConnectionTrait) -> Result<Option<(Uuid, i64)>, DbErr> {
    let sql =
        "SELECT start, revision FROM stats_blocks WHERE dirty = 1 ORDER BY start DESC LIMIT 1";
    let rows = query(db, sql, []).await?;
    let read =
        |row: &sea_orm::QueryResult| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?));
    rows.first().map(read).transpose()
}

impl Writer {
    /// Replaces the sums of a block, unless it was marked or its sums were replaced since it was read.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn replace_sums(&self, block: DirtyBlock) -> Result<(), Error> {
        self.settle(block).await
    }
}

impl Settlement for DirtyBlock {
    type Output = ();

    async fn write(&self, db: &WriteTransaction) -> Result<(), DbErr> {
        let sql = "UPDATE stats_blocks SET revision = revision + 1, dirty = 0 \
                   WHERE start = $1 AND revision = $2";
        if execute(db, sql, [self.start.into(), self.revision.into()]).await? == 0 {
            return Ok(());
        }
        if let Some(rest) = self.rest {
            let sql = "INSERT INTO stats_blocks (start, revision, dirty) VALUES ($1, 0, 1)";
            execute(db, sql, [rest.into()]).await?;
        }
        totals::add(db, self.start, &self.sums).await?;
        execute(db, "DELETE FROM stats_sums WHERE block = $1", [self.start.into()]).await?;
        let rows: Vec<_> = self.sums.iter().collect();
        for rows in rows.chunks(ROWS) {
            let rows: Vec<_> = rows.iter().map(|(key, sum)| self.row(key, sum)).collect();
            run_all(db, vec![BulkInsert::new("stats_sums", &SUM_COLUMNS, rows)]).await?;
        }
        Ok(())
    }
}

/// The columns of a sum, and the block that it belongs to.
const SUM_COLUMNS: [&str; totals::COLUMNS.len() + 1] = {
    let mut columns = ["block"; totals::COLUMNS.len() + 1];
    let mut n = 0;
    while n < totals::COLUMNS.len() {
        columns[n] = totals::COLUMNS[n];
        n += 1;
    }
    columns
};

impl DirtyBlock {
    fn row(&self, key: &SumKey, sum: &Sum) -> [Value; SUM_COLUMNS.len()] {
        let mut values = totals::row(key, &sum.title, totals::figures(sum)).into_iter();
        // The block comes last.
        SUM_COLUMNS.map(|_| values.next().unwrap_or_else(|| self.start.into()))
    }
}
