//! What a sync keeps: how far each source has been read at Telnyx; and which of what Telnyx lists is
//! known, with one query a page.

use std::collections::HashSet;

use sea_orm::sea_query::OnConflict;
use sea_orm::{DbErr, EntityTrait, Set};
use serde::{Deserialize, Serialize};

use super::connect::Store;
use super::db_error::OrTell;
use super::entity::sync_source::{ActiveModel, Column, Entity, Model};
use super::entity::{TelnyxId, micros};
use super::job::Settlement;
use super::lease::Lease;
use super::model::OptOutChange;
use super::transaction::WriteTransaction;
use super::writer::Writer;
use super::{forget, messages, opt_outs, sql};
use crate::domain::{Direction, PhoneNumber, SyncSource, Timestamp};
use crate::error::Error;

/// How far a source has been read. Times are Telnyx's, unless they say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceProgress {
    pub(crate) source: SyncSource,
    /// Everything that Telnyx listed up to then is here.
    pub(crate) until: Option<Timestamp>,
    /// When the last seven days were last read as a whole.
    pub(crate) swept_at: Option<Timestamp>,
    /// A pass that is not complete.
    pub(crate) pass: Option<SyncPass>,
    /// When a pass was last completed, by convo's clock.
    pub(crate) succeeded_at: Option<Timestamp>,
    /// Why the last pass failed, and when by convo's clock; `None` if it did not.
    pub(crate) failure: Option<(String, Timestamp)>,
}

/// A pass through what a source lists, slice of time by slice of time, page by page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SyncPass {
    /// Where it began.
    pub(crate) from: Timestamp,
    /// The beginning of the present slice.
    pub(crate) slice: Timestamp,
    /// The next page of the slice, from 1.
    pub(crate) page: u64,
    /// When the first page of the slice was read.
    pub(crate) asked_at: Option<Timestamp>,
    /// Whether it reads the last seven days as a whole.
    pub(crate) is_sweep: bool,
}

impl SourceProgress {
    /// A source that was never read.
    pub(crate) fn new(source: SyncSource) -> Self {
        Self { source, until: None, swept_at: None, pass: None, succeeded_at: None, failure: None }
    }

    fn from_model(source: SyncSource, row: Model) -> Self {
        let time = |micros: Option<i64>| micros.map(Timestamp::from_micros);
        Self {
            source,
            until: time(row.until),
            swept_at: time(row.swept_at),
            // One of a newer version is begun again.
            pass: row.pass.and_then(|pass| serde_json::from_str(&pass).ok()),
            succeeded_at: time(row.succeeded_at),
            failure: row.error.zip(time(row.error_at)),
        }
    }

    fn row(&self) -> ActiveModel {
        let (error, error_at) = self.failure.clone().unzip();
        ActiveModel {
            name: Set(self.source.as_str().to_owned()),
            until: Set(self.until.map(micros)),
            swept_at: Set(self.swept_at.map(micros)),
            pass: Set(self.pass.and_then(|pass| serde_json::to_string(&pass).ok())),
            succeeded_at: Set(self.succeeded_at.map(micros)),
            error: Set(error),
            error_at: Set(error_at.map(micros)),
        }
    }
}

impl Store {
    /// How far every source has been read.
    pub(crate) async fn sync_progress(&self) -> Result<[SourceProgress; 4], Error> {
        let rows = Entity::find().all(&self.reader).await.or_tell()?;
        Ok(SyncSource::ALL.map(|source| {
            let row = rows.iter().find(|row| row.name == source.as_str());
            row.map_or_else(
                || SourceProgress::new(source),
                |row| SourceProgress::from_model(source, row.clone()),
            )
        }))
    }

    /// Which of some messages of a direction are known, by Telnyx's ids.
    pub(crate) async fn known_messages(
        &self,
        direction: Direction,
        ids: impl Iterator<Item = &str>,
    ) -> Result<HashSet<String>, Error> {
        messages::existing(&self.reader, direction, ids).await.or_tell()
    }

    /// The places of those events that are stored, given by time and id.
    pub(crate) async fn known_events(
        &self,
        keys: impl Iterator<Item = (Option<Timestamp>, &str)>,
    ) -> Result<HashSet<usize>, Error> {
        let keys = keys.map(|(at, id)| [at.map_or(0, micros).into(), TelnyxId::new(id).into()]);
        let condition = "events WHERE occurred_at = v.column2 AND id = v.column3";
        sql::existing(&self.reader, condition, keys).await.or_tell()
    }

    /// The places of those opt-outs for which this or a later decision of the contact is recorded.
    pub(crate) async fn known_opt_outs(
        &self,
        keys: impl Iterator<Item = (&PhoneNumber, Option<Timestamp>)>,
    ) -> Result<HashSet<usize>, Error> {
        let keys =
            keys.map(|(contact, at)| [contact.as_str().into(), at.map_or(i64::MAX, micros).into()]);
        let condition = "opt_outs WHERE contact_number = v.column2 AND decided_at >= v.column3";
        sql::existing(&self.reader, condition, keys).await.or_tell()
    }
}

impl Writer {
    /// Records how far a source has been read, under the lease of the sync. Returns whether the lease is
    /// still held; if not, nothing was recorded.
    ///
    /// # Errors
    /// `database_unavailable`, like the other methods here.
    pub(crate) async fn save_sync(
        &self,
        lease: Lease,
        progress: SourceProgress,
    ) -> Result<bool, Error> {
        self.settle(SaveSync { lease, progress }).await
    }

    /// Records opt-outs that Telnyx lists, unless a later decision of the contact is known.
    pub(crate) async fn recover_opt_outs(
        &self,
        opt_outs: Vec<(PhoneNumber, OptOutChange)>,
    ) -> Result<(), Error> {
        self.settle(RecoverOptOuts(opt_outs)).await
    }
}

#[derive(Debug)]
struct SaveSync {
    lease: Lease,
    progress: SourceProgress,
}

impl Settlement for SaveSync {
    type Output = bool;

    async fn write(&self, db: &WriteTransaction) -> Result<bool, DbErr> {
        if !self.lease.hold(db).await? {
            return Ok(false);
        }
        let newest = OnConflict::column(Column::Name)
            .update_columns([
                Column::Until,
                Column::SweptAt,
                Column::Pass,
                Column::SucceededAt,
                Column::Error,
                Column::ErrorAt,
            ])
            .to_owned();
        let insert = Entity::insert(self.progress.row()).on_conflict(newest);
        insert.exec_without_returning(db).await.map(|_| true)
    }
}

#[derive(Debug)]
struct RecoverOptOuts(Vec<(PhoneNumber, OptOutChange)>);

impl Settlement for RecoverOptOuts {
    type Output = ();

    async fn write(&self, db: &WriteTransaction) -> Result<(), DbErr> {
        // An error ends the transaction, and this with it.
        db.set_recovering(true);
        for (contact, change) in &self.0 {
            let contact = contact.as_str();
            // The mark of a contact that was forgotten has the opt-out; its number is not stored again.
            let forgotten_at = forget::find(db, contact).await?.map(|mark| mark.forgotten_at);
            let decided_at = change.decided_at.map(micros);
            if forgotten_at.is_none_or(|at| decided_at.is_none_or(|decided_at| decided_at > at)) {
                opt_outs::decide(db, contact, change).await?;
            }
        }
        db.set_recovering(false);
        Ok(())
    }
}
