//! Reading everything for an export, page by page: in the order of keys, so that memory is flat and no
//! cursor is held open.

mod rows;

use std::collections::{HashMap, HashSet};

use sea_orm::sea_query::{Expr, ExprTrait, SimpleExpr};
use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, JoinType, QueryFilter, QueryOrder, QuerySelect, RelationTrait,
    Value,
};
use uuid::Uuid;

use super::Store;
use super::db_error::OrTell;
use super::entity::{
    TelnyxId, conversation, delivery_report, event, merged_message, message, micros, opt_out,
};
use super::weight::PAGE_BYTES;
use crate::domain::export::{
    EXPORT_VERSION, ExportEnd, ExportHeader, ExportedConversation, ExportedOptOut, MergedMessage,
};
use crate::domain::{Direction, ExportFilter, ExportLine, Timestamp};
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

    /// The next few conversations with their messages, or the beginning of a long one. They are in the order
    /// of their ids, which is the same in every database.
    async fn export_conversations(
        &self,
        filter: &ExportFilter,
        contact: Option<&str>,
        after: Option<Uuid>,
    ) -> Result<StagePage, DbErr> {
        use conversation::Column as C;
        let mut query = conversation::Entity::find();
        if let Some(after) = after {
            query = query.filter(C::Id.gt(after));
        }
        if let Some(contact) = contact {
            query = query.filter(C::ContactNumber.eq(contact));
        }
        let rows = query.order_by_asc(C::Id).limit(ROWS).all(&self.reader).await?;
        let Some(last) = rows.last() else { return Ok((Vec::new(), ExportStage::Merged(None))) };
        let last = last.id;
        let is_active = |row: &conversation::Model| {
            filter.since.is_none_or(|since| row.last_message_at >= micros(since))
        };
        let mut room = ROWS;
        let mut group: Vec<conversation::Model> = Vec::new();
        for row in rows.into_iter().filter(is_active) {
            let count = row.message_count.unsigned_abs();
            if count > room {
                let Some(before) = group.last().map(|row| row.id) else {
                    let place = ThreadPlace { conversation: row, is_begun: false, after: None };
                    return self.export_thread(filter, contact, place).await;
                };
                return self.export_group(filter, group, before).await;
            }
            room -= count;
            group.push(row);
        }
        self.export_group(filter, group, last).await
    }

    /// Some short conversations with all their messages; of long messages, fewer conversations. `last` is the
    /// id after which the next ones are.
    async fn export_group(
        &self,
        filter: &ExportFilter,
        mut group: Vec<conversation::Model>,
        mut last: Uuid,
    ) -> Result<StagePage, DbErr> {
        let (rows, is_all) = loop {
            let keys = group.iter().map(|row| row.key);
            let of_group = message::Column::ConversationKey.is_in(keys);
            let (rows, is_all) = self.export_messages(filter, of_group).await?;
            if is_all || group.len() < 2 {
                break (rows, is_all);
            }
            group.truncate(group.len() / 2);
            last = group.last().map_or(last, |row| row.id);
        };
        let mut reports = self.reports_on(&rows).await?;
        let mut of: HashMap<i64, Vec<message::Model>> = HashMap::new();
        for row in rows {
            of.entry(row.conversation_key).or_default().push(row);
        }
        let mut next = ExportStage::Conversations(Some(last));
        let always = filter.since.is_none() && filter.until.is_none();
        let mut lines = Vec::new();
        for conversation in group {
            let messages = of.remove(&conversation.key).unwrap_or_default();
            let after = messages.last().map(|row| (row.created_at, row.id));
            if always || after.is_some() {
                lines.push(conversation_line(&conversation));
            }
            for row in messages {
                lines.push(message_line(row, &conversation, &mut reports)?);
            }
            if !is_all {
                let is_begun = always || after.is_some();
                next = ExportStage::Thread(Box::new(ThreadPlace { conversation, is_begun, after }));
            }
        }
        Ok((lines, next))
    }

    /// The next messages of one conversation.
    async fn export_thread(
        &self,
        filter: &ExportFilter,
        contact: Option<&str>,
        place: ThreadPlace,
    ) -> Result<StagePage, DbErr> {
        use message::Column as C;
        let ThreadPlace { conversation, is_begun, mut after } = place;
        let mut condition = C::ConversationKey.eq(conversation.key);
        if let Some((at, id)) = after {
            let later = C::CreatedAt.eq(at).and(C::Id.gt(id)).or(C::CreatedAt.gt(at));
            condition = condition.and(C::CreatedAt.gte(at)).and(later);
        }
        let (rows, is_all) = self.export_messages(filter, condition).await?;
        let mut reports = self.reports_on(&rows).await?;
        let mut lines = Vec::new();
        let always = filter.since.is_none() && filter.until.is_none();
        let begins = !is_begun && (always || !rows.is_empty());
        if begins {
            lines.push(conversation_line(&conversation));
        }
        for row in rows {
            after = Some((row.created_at, row.id));
            lines.push(message_line(row, &conversation, &mut reports)?);
        }
        let next = match (is_all, contact) {
            (true, Some(_)) => ExportStage::Merged(None),
            (true, None) => ExportStage::Conversations(Some(conversation.id)),
            (false, _) => {
                let is_begun = is_begun || begins;
                ExportStage::Thread(Box::new(ThreadPlace { conversation, is_begun, after }))
            }
        };
        Ok((lines, next))
    }

    /// Messages in the order of their conversations and times, as many as fit on a page; and whether that
    /// is all of them.
    async fn export_messages(
        &self,
        filter: &ExportFilter,
        condition: SimpleExpr,
    ) -> Result<(Vec<message::Model>, bool), DbErr> {
        use message::Column as C;
        let mut query = message::Entity::find().filter(condition);
        if let Some(since) = filter.since {
            query = query.filter(C::CreatedAt.gte(micros(since)));
        }
        if let Some(until) = filter.until {
            query = query.filter(C::CreatedAt.lt(micros(until)));
        }
        let query = query.order_by_asc(C::ConversationKey).order_by_asc(C::CreatedAt);
        rows::messages(&self.reader, query.order_by_asc(C::Id), ROWS).await
    }

    /// The reports on some messages, those of each message at the end of the map's list for its id.
    async fn reports_on(&self, rows: &[message::Model]) -> Result<rows::Reports, DbErr> {
        use delivery_report::Column as C;
        let outbound = message::direction(Direction::Outbound);
        let sent = rows.iter().filter(|row| row.direction == outbound);
        let ids: Vec<_> = sent.filter_map(|row| row.telnyx_message_id.clone()).collect();
        if ids.is_empty() {
            return Ok(rows::Reports::new());
        }
        let found = delivery_report::Entity::find()
            .filter(C::TelnyxMessageId.is_in(ids))
            .order_by_asc(C::OccurredAt)
            .order_by_asc(C::StatusRank)
            .order_by_asc(C::EventId)
            .order_by_asc(C::Recipient)
            .all(&self.reader)
            .await?;
        let mut reports = rows::Reports::new();
        for row in found {
            reports.entry(row.telnyx_message_id.clone()).or_default().push(rows::report(row));
        }
        Ok(reports)
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

    /// Reports on messages that are not there, among all reports.
    async fn export_reports(
        &self,
        after: Option<(TelnyxId, TelnyxId, String)>,
    ) -> Result<StagePage, DbErr> {
        use delivery_report::Column as C;
        let mut query = delivery_report::Entity::find();
        if let Some((message, event, recipient)) = after {
            let key = [C::TelnyxMessageId, C::EventId, C::Recipient].map(ColumnTrait::into_expr);
            let after: [Value; 3] = [message.into(), event.into(), recipient.into()];
            query = query.filter(Expr::tuple(key).gt(Expr::tuple(after.map(Expr::value))));
        }
        let query = query.order_by_asc(C::TelnyxMessageId).order_by_asc(C::EventId);
        let rows = query.order_by_asc(C::Recipient).limit(ROWS).all(&self.reader).await?;
        let next = match rows.last() {
            Some(last) => ExportStage::Reports(Some((
                last.telnyx_message_id.clone(),
                last.event_id.clone(),
                last.recipient.clone(),
            ))),
            None => ExportStage::Events(i64::MIN, None),
        };
        let ids = rows.iter().map(|row| row.telnyx_message_id.clone());
        let known: Vec<TelnyxId> = message::Entity::find()
            .select_only()
            .column(message::Column::TelnyxMessageId)
            .filter(message::Column::TelnyxMessageId.is_in(ids))
            .filter(message::Column::Direction.eq(message::direction(Direction::Outbound)))
            .into_tuple()
            .all(&self.reader)
            .await?;
        let known: HashSet<_> = known.into_iter().collect();
        let unknown = rows.into_iter().filter(|row| !known.contains(&row.telnyx_message_id));
        Ok((unknown.map(|row| ExportLine::Report(Box::new(rows::report(row)))).collect(), next))
    }

    /// Raw events in the order of their times. One without a time has 0, and comes first.
    async fn export_events(
        &self,
        filter: &ExportFilter,
        contact: Option<&str>,
        at: i64,
        id: Option<TelnyxId>,
    ) -> Result<StagePage, DbErr> {
        use event::Column as C;
        let later = match id {
            Some(id) => C::OccurredAt.eq(at).and(C::Id.gt(id)).or(C::OccurredAt.gt(at)),
            None => C::OccurredAt.gt(at),
        };
        let rows = event::Entity::find()
            .filter(C::OccurredAt.gte(at))
            .filter(later)
            .order_by_asc(C::OccurredAt)
            .order_by_asc(C::Id)
            .limit(rows::EVENTS)
            .all(&self.reader)
            .await?;
        let Some(last) = rows.last() else { return Ok((Vec::new(), ExportStage::End)) };
        let mut next = ExportStage::Events(last.occurred_at, Some(last.id.clone()));
        if let Some(since) = filter.since.map(micros).filter(|since| *since > last.occurred_at) {
            // Nothing between here and there is wanted.
            next = ExportStage::Events(since - 1, None);
        }
        if filter.until.is_some_and(|until| last.occurred_at >= micros(until)) {
            next = ExportStage::End;
        }
        let (mut lines, mut bytes) = (Vec::new(), 0);
        for row in rows {
            let place = ExportStage::Events(row.occurred_at, Some(row.id.clone()));
            let Some(event) = rows::event(row) else { continue };
            let at = event.occurred_at.unwrap_or(event.received_at);
            if !filter.covers(at) || !contact.is_none_or(|contact| rows::names(&event, contact)) {
                continue;
            }
            bytes += event.body.0.len() as u64;
            lines.push(ExportLine::Event(event));
            if bytes > PAGE_BYTES {
                next = place;
                break;
            }
        }
        Ok((lines, next))
    }
}

fn conversation_line(row: &conversation::Model) -> ExportLine {
    ExportLine::Conversation(ExportedConversation {
        id: row.id,
        contact_number: row.contact_number.clone(),
        message_count: row.message_count.unsigned_abs(),
        last_message_at: Timestamp::from_micros(row.last_message_at),
        created_at: Timestamp::from_micros(row.created_at),
    })
}

fn message_line(
    row: message::Model,
    conversation: &conversation::Model,
    reports: &mut rows::Reports,
) -> Result<ExportLine, DbErr> {
    let of = row
        .telnyx_message_id
        .as_ref()
        .filter(|_| row.direction == message::direction(Direction::Outbound));
    let reports = of.and_then(|id| reports.remove(id)).unwrap_or_default();
    rows::message(row, conversation, reports).map(|message| ExportLine::Message(Box::new(message)))
}
