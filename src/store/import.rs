//! Storing what an import brings, a batch a transaction. What is there already stays as it is, except that
//! a status can rise. Nothing of it is in the feed: it happened long ago.

mod plan;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use uuid::Uuid;

use super::Store;
use super::connect::Purpose;
use super::db_error::OrTell;
use super::job::Settlement;
use super::media;
use super::mode::Mode;
use super::raw_event::RawEvent;
use super::search;
use super::transaction::WriteTransaction;
use super::write_session::WriteSession;
use super::writer::Writer;
use crate::domain::export::{
    ExportedConversation, ExportedEvent, ExportedMessage, ExportedOptOut, ExportedReport,
    MergedMessage,
};
use crate::domain::{ExportLine, Timestamp};
use crate::error::Error;
use sea_orm::DbErr;

/// The most lines in a batch, and the most bytes.
const LINES: usize = 500;
const BYTES: usize = 2 << 20;

/// Lines that are stored together.
#[derive(Debug, Default)]
pub(crate) struct ImportBatch {
    opt_outs: Vec<ExportedOptOut>,
    conversations: Vec<ExportedConversation>,
    messages: Vec<ExportedMessage>,
    reports: Vec<ExportedReport>,
    merged: Vec<MergedMessage>,
    events: Vec<PackedEvent>,
    lines: usize,
    bytes: usize,
    /// Whether nothing is kept, so that a conversation may be created for every batch.
    is_rehearsal: bool,
}

/// An event, compressed before it waits for the writer.
#[derive(Debug)]
struct PackedEvent {
    id: String,
    event_type: String,
    occurred_at: Option<Timestamp>,
    received_at: Timestamp,
    body: RawEvent,
}

/// How many rows of a kind an import has stored, and how many were there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ImportCount {
    pub(crate) new: u64,
    pub(crate) known: u64,
}

/// What an import has stored, by the types of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ImportCounts {
    pub(crate) conversations: ImportCount,
    pub(crate) messages: ImportCount,
    pub(crate) reports: ImportCount,
    pub(crate) opt_outs: ImportCount,
    pub(crate) merged: ImportCount,
    pub(crate) events: ImportCount,
}

impl ImportCount {
    /// Of `all` rows, `new` were stored.
    fn of(all: usize, new: u64) -> Self {
        Self { new, known: (all as u64).saturating_sub(new) }
    }

    fn add(&mut self, other: Self) {
        self.new += other.new;
        self.known += other.known;
    }
}

impl ImportCounts {
    /// Adds the counts of another batch.
    pub(crate) fn add(&mut self, other: Self) {
        self.conversations.add(other.conversations);
        self.messages.add(other.messages);
        self.reports.add(other.reports);
        self.opt_outs.add(other.opt_outs);
        self.merged.add(other.merged);
        self.events.add(other.events);
    }

    /// Each count with the type of its lines.
    pub(crate) fn by_type(&self) -> [(&'static str, ImportCount); 6] {
        [
            ("conversations", self.conversations),
            ("messages", self.messages),
            ("reports", self.reports),
            ("opt_outs", self.opt_outs),
            ("merged", self.merged),
            ("events", self.events),
        ]
    }
}

impl ImportBatch {
    /// Adds a line of so many bytes. The first and the last of an export store nothing.
    pub(crate) fn push(&mut self, line: ExportLine, bytes: usize) {
        self.lines += 1;
        self.bytes += bytes;
        match line {
            ExportLine::OptOut(row) => self.opt_outs.push(row),
            ExportLine::Conversation(row) => self.conversations.push(row),
            ExportLine::Message(row) => self.messages.push(*row),
            ExportLine::Report(row) => self.reports.push(*row),
            ExportLine::Merged(row) => self.merged.push(row),
            ExportLine::Event(row) => self.events.push(PackedEvent::new(row)),
            ExportLine::ConvoExport(_) | ExportLine::End(_) => {}
        }
    }

    /// Leaves out what is about contacts that were forgotten, from before that, as `is_gone` tells; `parties`
    /// names those whom an event may be about.
    pub(crate) fn leave_out(
        &mut self,
        is_gone: impl Fn(&str, Timestamp) -> bool,
        parties: impl Fn(&[u8]) -> BTreeSet<String>,
    ) {
        self.messages.retain(|row| !is_gone(&row.contact_number, row.created_at));
        self.conversations.retain(|row| !is_gone(&row.contact_number, row.created_at));
        self.reports.retain(|row| !is_gone(&row.recipient, row.occurred_at));
        self.opt_outs.retain(|row| {
            let at = row.decided_at.or(row.opted_out_at);
            !at.is_some_and(|at| is_gone(&row.contact_number, at))
        });
        self.events.retain(|event| {
            let Some(body) = event.body.clone().restore() else { return true };
            !parties(&body).iter().any(|party| is_gone(party, event.received_at))
        });
    }

    /// Whether it should be stored now.
    pub(crate) fn is_full(&self) -> bool {
        self.lines >= LINES || self.bytes >= BYTES
    }

    /// Whether there is nothing to store.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// What it would store in an empty database.
    pub(crate) fn counts(&self) -> ImportCounts {
        let all = |count: usize| ImportCount::of(count, count as u64);
        let reports = self.messages.iter().map(|message| message.reports.len()).sum::<usize>();
        ImportCounts {
            conversations: all(self.conversations.len()),
            messages: all(self.messages.len()),
            reports: all(self.reports.len() + reports),
            opt_outs: all(self.opt_outs.len()),
            merged: all(self.merged.len()),
            events: all(self.events.len()),
        }
    }

    fn conversations_by_contact(&self) -> BTreeMap<&str, plan::WantedConversation<'_>> {
        let mut wanted = BTreeMap::new();
        for message in &self.messages {
            wanted
                .entry(message.contact_number.as_str())
                .or_insert_with(|| plan::WantedConversation::of(message))
                .add(message);
        }
        for row in &self.conversations {
            let new = || plan::WantedConversation { id: row.id, line: None, first: row.created_at };
            wanted.entry(row.contact_number.as_str()).or_insert_with(new).line = Some(row);
        }
        wanted
    }

    fn ids(&self) -> impl Iterator<Item = Uuid> {
        self.messages.iter().map(|message| message.id)
    }
}

impl PackedEvent {
    fn new(event: ExportedEvent) -> Self {
        Self {
            id: event.id,
            event_type: event.event_type,
            occurred_at: event.occurred_at,
            received_at: event.received_at,
            body: RawEvent::compress(&event.body.0),
        }
    }
}

impl Settlement for ImportBatch {
    type Output = ImportCounts;

    async fn write(&self, db: &WriteTransaction) -> Result<ImportCounts, DbErr> {
        let plan = plan::Plan::new(db, self).await?;
        let counts = write::write(db, self, &plan).await?;
        search::add_later(db, plan.new_messages()).await?;
        db.recount(plan.changed_messages());
        if self.messages.iter().any(|message| !message.media.is_empty()) {
            media::walk_again(db).await?;
        }
        Ok(counts)
    }
}

impl Writer {
    /// Stores a batch of an import in one transaction.
    ///
    /// # Errors
    /// `database_unavailable`, or `internal` if a row cannot be stored; then nothing of the batch is.
    pub(crate) async fn import(&self, batch: ImportBatch) -> Result<ImportCounts, Error> {
        self.settle(batch).await
    }
}

impl Store {
    /// Opens the database that an import goes into: a missing file is created.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) async fn open_for_import(
        location: &super::Location,
        mode: Mode,
    ) -> Result<Self, Error> {
        Self::open(location, mode, Purpose::Write).await
    }

    /// What a batch of an import would store. The transaction is undone.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn rehearse(&self, mut batch: ImportBatch) -> Result<ImportCounts, Error> {
        batch.is_rehearsal = true;
        let rehearsed = async {
            let session = WriteSession::open(self.reader.pool()?).await?;
            let counts = async {
                let txn = WriteTransaction::begin(&session).await?;
                let counts = batch.write(&txn).await;
                txn.rollback().await?;
                counts
            };
            let counts = counts.await;
            session.release().await;
            counts
        };
        rehearsed.await.or_tell()
    }
}
