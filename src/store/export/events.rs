//! Exporting what belongs to no thread: reports on unknown messages, and raw events.

use std::collections::HashSet;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Value};

use super::{ExportStage, ROWS, StagePage, rows};
use crate::domain::{Direction, ExportFilter, ExportLine};
use crate::store::Store;
use crate::store::entity::{TelnyxId, delivery_report, event, message, micros};
use crate::store::weight::PAGE_BYTES;

impl Store {
    /// Reports on messages that are not there, among all reports.
    pub(super) async fn export_reports(
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
    pub(super) async fn export_events(
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
