//! Exporting conversations with their messages.

use std::collections::HashMap;

use sea_orm::sea_query::{ExprTrait, SimpleExpr};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::{ExportStage, ROWS, StagePage, ThreadPlace, rows};
use crate::domain::export::ExportedConversation;
use crate::domain::{Direction, ExportFilter, ExportLine, Timestamp};
use crate::store::Store;
use crate::store::entity::{conversation, delivery_report, message, micros};

impl Store {
    /// The next few conversations with their messages, or the beginning of a long one. They are in the order
    /// of their ids, which is the same in every database.
    pub(super) async fn export_conversations(
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
    pub(super) async fn export_thread(
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
