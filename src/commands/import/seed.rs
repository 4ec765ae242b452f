//! Reading the example program's database in batches.

use crate::error::Error;
use crate::output::escape;
use crate::store::Location;
use crate::store::import::ImportBatch;
use crate::store::seed::{SeedDatabase, SeedTable};

/// How many of the rows that were left out are named.
const NAMED: usize = 5;

pub(super) struct SeedSource {
    database: SeedDatabase,
    rows: u64,
    done: u64,
    /// The table that is read, after an id; `None` at the end.
    place: Option<(SeedTable, Option<String>)>,
    skipped: u64,
    /// The first of them.
    named: Vec<String>,
}

impl SeedSource {
    pub(super) async fn open(location: &Location) -> Result<Self, Error> {
        let database = SeedDatabase::open(location).await?;
        let size = database.size().await?;
        Ok(Self {
            database,
            rows: size.conversations + size.messages,
            done: 0,
            place: Some((SeedTable::Conversations, None)),
            skipped: 0,
            named: Vec::new(),
        })
    }

    pub(super) fn size(&self) -> u64 {
        self.rows
    }

    pub(super) fn position(&self) -> u64 {
        self.done
    }

    /// The next rows, first of the conversations.
    pub(super) async fn next(&mut self) -> Result<Option<ImportBatch>, Error> {
        while let Some((table, after)) = self.place.take() {
            let page = self.database.page(table, after.as_deref()).await?;
            self.done += page.rows;
            self.skipped += page.skipped.len() as u64;
            let room = NAMED.saturating_sub(self.named.len());
            self.named.extend(page.skipped.into_iter().take(room));
            self.place = match (page.last, table) {
                (Some(last), _) => Some((table, Some(last))),
                (None, SeedTable::Conversations) => Some((SeedTable::Messages, None)),
                (None, SeedTable::Messages) => None,
            };
            let mut batch = ImportBatch::default();
            page.lines.into_iter().for_each(|line| batch.push(line, 0));
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// What to say about rows that were left out.
    pub(super) fn skipped(&self) -> Option<String> {
        let names: Vec<_> = self.named.iter().map(|id| escape::line(id)).collect();
        let more = if self.skipped > names.len() as u64 { ", …" } else { "" };
        (self.skipped > 0).then(|| {
            format!(
                "left out {} rows without a contact or a direction: {}{more}",
                self.skipped,
                names.join(", ")
            )
        })
    }

    pub(super) async fn close(&self) {
        self.database.close().await;
    }
}
