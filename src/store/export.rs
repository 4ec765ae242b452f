//! Reading everything for an export, page by page: in the order of keys, so that memory is flat and no
//! cursor is held open.

mod events;
mod rows;
mod threads;

use std::collections::HashSet;

use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, JoinType, QueryFilter, QueryOrder, QuerySelect, RelationTrait,
};
use uuid::Uuid;

use super::Store;
use super::db_error::OrTell;
use super::entity::{TelnyxId, conversation, merged_message, message, opt_out};
use crate::domain::export::{
    EXPORT_VERSION, ExportEnd, ExportHeader, ExportedOptOut, MergedMessage,
};
use crate::domain::{ExportFilter, ExportLine, Timestamp};
use crate::error::Error;
use crate::store::Mode;

/// The most rows in a page.
const ROWS: u64 = 500;

/// A part of an export.
#[derive(Debug)]
pub(crate) struct ExportPage {
    pub(crate) lines: Vec<ExportLine>,
    /// Where the next part begins; `None` if this was the last.
    pub(crate) next: Option<ExportPosition>,
}

/// A place in an export.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExportPosition {
    stage: ExportStage,
    /// The number of lines before it.
    lines: u64,
}

#[derive(Clone, Debug, Default)]
enum ExportStage {
    #[default]
    Begin,
    /// After the opt-out of a contact.
    OptOuts(Option<String>),
    /// After the conversation with an id.
    Conversations(Option<Uuid>),
    /// In a conversation, after a message.
    Thread(Box<ThreadPlace>),
    Merged(Option<Uuid>),
    /// Reports that no message has.
    Reports(Option<(TelnyxId, TelnyxId, String)>),
    /// After the event with a time and an id.
    Events(i64, Option<TelnyxId>),
    End,
}

#[derive(Clone, Debug)]
struct ThreadPlace {
    conversation: conversation::Model,
    /// Whether its own line is written.
    is_begun: bool,
    after: Option<(i64, Uuid)>,
}

type StagePage = (Vec<ExportLine>, ExportStage);

impl Store {
    /// The part of an export at a position. `contact` is the contact of the filter as it is stored.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn export(
        &self,
        filter: &ExportFilter,
        contact: Option<&str>,
        at: ExportPosition,
    ) -> Result<ExportPage, Error> {
        let ExportPosition { stage, mut lines } = at;
        let (found, stage) = self.export_stage(filter, contact, stage, lines).await.or_tell()?;
        lines += found.len() as u64;
        let is_end = matches!(found.last(), Some(ExportLine::End(_)));
        Ok(ExportPage { lines: found, next: (!is_end).then_some(ExportPosition { stage, lines }) })
    }

    async fn export_stage(
        &self,
        filter: &ExportFilter,
        contact: Option<&str>,
        stage: ExportStage,
        lines: u64,
    ) -> Result<StagePage, DbErr> {
        let is_whole = contact.is_none() && filter.since.is_none() && filter.until.is_none();
        match stage {
            ExportStage::Begin => {
                let sandbox = self.mode == Mode::Sandbox;
                let header = ExportHeader { version: EXPORT_VERSION, sandbox };
                Ok((vec![ExportLine::ConvoExport(header)], ExportStage::OptOuts(None)))
            }
            ExportStage::OptOuts(after) => self.export_opt_outs(contact, after).await,
            ExportStage::Conversations(after) => {
                self.export_conversations(filter, contact, after).await
            }
            ExportStage::Thread(place) => self.export_thread(filter, contact, *place).await,
            ExportStage::Merged(after) => self.export_merged(filter, contact, after).await,
            ExportStage::Reports(after) if is_whole => self.export_reports(after).await,
            ExportStage::Reports(_) => Ok((Vec::new(), ExportStage::Events(i64::MIN, None))),
            ExportStage::Events(at, id) if filter.raw => {
                self.export_events(filter, contact, at, id).await
            }
            ExportStage::Events(..) | ExportStage::End => {
                Ok((vec![ExportLine::End(ExportEnd { lines })], ExportStage::End))
            }
        }
    }

    async fn export_opt_outs(
        &self,
        contact: Option<&str>,
        after: Option<String>,
    ) -> Result<StagePage, DbErr> {
        use opt_out::Column as C;
        let mut query = opt_out::Entity::find().order_by_asc(C::ContactNumber).limit(ROWS);
        if let Some(contact) = contact {
            query = query.filter(C::ContactNumber.eq(contact));
        }
        if let Some(after) = after {
            query = query.filter(C::ContactNumber.gt(after));
        }
        let rows = query.all(&self.reader).await?;
        let next = match rows.last() {
            Some(last) => ExportStage::OptOuts(Some(last.contact_number.clone())),
            None => ExportStage::Conversations(None),
        };
        let line = |row: opt_out::Model| {
            ExportLine::OptOut(ExportedOptOut {
                contact_number: row.contact_number,
                opted_out_at: row.opted_out_at.map(Timestamp::from_micros),
                number: row.opted_out_number,
                profile: row.opted_out_profile,
                decided_at: row.decided_at.map(Timestamp::from_micros),
            })
        };
        Ok((rows.into_iter().map(line).collect(), next))
    }

    /// Messages that were merged into others, of those that the filter covers.
    async fn export_merged(
        &self,
        filter: &ExportFilter,
        contact: Option<&str>,
        after: Option<Uuid>,
    ) -> Result<StagePage, DbErr> {
        use merged_message::Column as C;
        let mut query = merged_message::Entity::find();
        if let Some(after) = after {
            query = query.filter(C::Id.gt(after));
        }
        let rows = query.order_by_asc(C::Id).limit(ROWS).all(&self.reader).await?;
        let next = match rows.last() {
            Some(last) => ExportStage::Merged(Some(last.id)),
            None => ExportStage::Reports(None),
        };
        let is_whole = contact.is_none() && filter.since.is_none() && filter.until.is_none();
        let covered = if is_whole || rows.is_empty() {
            None
        } else {
            Some(self.covered(filter, contact, rows.iter().map(|row| row.survivor_id)).await?)
        };
        let rows = rows.into_iter().filter(|row| {
            covered.as_ref().is_none_or(|covered| covered.contains(&row.survivor_id))
        });
        let line = |row: merged_message::Model| {
            ExportLine::Merged(MergedMessage { id: row.id, survivor_id: row.survivor_id })
        };
        Ok((rows.map(line).collect(), next))
    }

    /// Which of some messages the filter covers.
    async fn covered(
        &self,
        filter: &ExportFilter,
        contact: Option<&str>,
        ids: impl Iterator<Item = Uuid>,
    ) -> Result<HashSet<Uuid>, DbErr> {
        let mut query = message::Entity::find()
            .select_only()
            .column(message::Column::Id)
            .column(message::Column::CreatedAt)
            .filter(message::Column::Id.is_in(ids));
        if let Some(contact) = contact {
            query = query
                .join(JoinType::InnerJoin, message::Relation::Conversation.def())
                .filter(conversation::Column::ContactNumber.eq(contact));
        }
        let found: Vec<(Uuid, i64)> = query.into_tuple().all(&self.reader).await?;
        let is_covered = |(_, at): &(Uuid, i64)| filter.covers(Timestamp::from_micros(*at));
        Ok(found.into_iter().filter(is_covered).map(|(id, _)| id).collect())
    }
}
