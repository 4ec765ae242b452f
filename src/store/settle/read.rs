//! Finding what has to be settled, with the indexes made for it.

use sea_orm::sea_query::{Expr, ExprTrait, Query, SimpleExpr};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::write::open;
use crate::domain::{Message, PhoneNumber, Status, Timestamp};
use crate::error::Error;
use crate::store::RawEvent;
use crate::store::connect::Store;
use crate::store::db_error::OrTell;
use crate::store::entity::{TelnyxId, conversation, delivery_report, event, message, micros};
use crate::store::model::Offer;
use crate::store::sql::{is_unset, qualified};

/// An outbound message as it stands, with its request to Telnyx.
#[derive(Clone, Debug)]
pub(crate) struct Unsettled {
    pub(crate) message: Message,
    /// `None` if another program sent it.
    pub(crate) offer: Option<Offer>,
    /// The latest end of its last attempt, or of its last look-up.
    pub(crate) until: Option<Timestamp>,
    /// When its contact opted out, and of which of our numbers.
    pub(crate) opted_out: Option<(Timestamp, Option<PhoneNumber>)>,
}

/// An event whose report waits for its message.
#[derive(Clone, Debug)]
pub(crate) struct WaitingEvent {
    pub(crate) id: String,
    /// Since when it waits.
    pub(crate) since: Timestamp,
    /// When it was received, and its body; `None` if it is no longer stored.
    pub(crate) event: Option<(Timestamp, Vec<u8>)>,
}

/// Which messages to look up at Telnyx.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StaleQuery<'a> {
    /// The API that they were sent through.
    pub(crate) base_url: &'a str,
    /// Open messages whose attempt ended before this.
    pub(crate) open_before: Timestamp,
    /// Messages in transit that were last looked up before this.
    pub(crate) in_transit_before: Timestamp,
    /// Only messages created after this: Telnyx does not keep older ones.
    pub(crate) created_after: Timestamp,
    /// Whether messages of other programs are looked up, too.
    pub(crate) foreign: bool,
    pub(crate) limit: u64,
}

impl Store {
    /// Whether an attempt that ended before a time has no outcome.
    pub(crate) async fn has_overdue_attempt(&self, before: Timestamp) -> Result<bool, Error> {
        use message::Column as C;
        let found = message::Entity::find()
            .select_only()
            .column(C::Id)
            .filter(open())
            .filter(C::StatusRank.eq(Status::Pending.rank()))
            .filter(C::AttemptUntil.lt(micros(before)))
            .limit(1)
            .into_tuple::<Uuid>()
            .one(&self.reader)
            .await;
        Ok(found.or_tell()?.is_some())
    }

    /// Messages that settling may offer once more: created after a time, with a last attempt that ended
    /// before another, to contacts that have not opted out.
    pub(crate) async fn repeatable(
        &self,
        base_url: &str,
        created_after: Timestamp,
        over_before: Timestamp,
        limit: u64,
    ) -> Result<Vec<Unsettled>, Error> {
        use message::Column as C;
        let not_opted_out = Query::select()
            .column(conversation::Column::Key)
            .from(conversation::Entity)
            .and_where(qualified(conversation::Column::Key).eq(qualified(C::ConversationKey)))
            .and_where(conversation::Column::OptedOutAt.is_null())
            .to_owned();
        let rows = message::Entity::find()
            .filter(open())
            .filter(C::StatusRank.eq(Status::Unknown.rank()))
            .filter(C::AttemptUntil.lt(micros(over_before)))
            .filter(C::RepeatsLeft.gt(0))
            .filter(is_unset(C::TelnyxMessageId))
            .filter(C::CreatedAt.gt(micros(created_after)))
            .filter(C::BaseUrl.eq(base_url))
            .filter(Expr::exists(not_opted_out))
            .order_by_asc(C::AttemptUntil)
            .limit(limit)
            .find_also_related(conversation::Entity)
            .all(&self.reader)
            .await
            .or_tell()?;
        all_unsettled(rows)
    }

    /// Messages that Telnyx has accepted, whose status is not final and has not changed for a while.
    pub(crate) async fn stale(&self, query: StaleQuery<'_>) -> Result<Vec<Unsettled>, Error> {
        use message::Column as C;
        let in_transit = C::StatusRank
            .gt(Status::Unknown.rank())
            .and(C::StatusRank.lt(Status::DeliveryUnconfirmed.rank()))
            // A scheduled message has no news before its time.
            .and(C::SendAt.is_null().or(C::SendAt.lt(micros(query.in_transit_before))));
        let mut found = self.stale_in(open(), query.open_before, query).await?;
        found.extend(self.stale_in(in_transit, query.in_transit_before, query).await?);
        found.truncate(usize::try_from(query.limit).unwrap_or(usize::MAX));
        all_unsettled(found)
    }

    async fn stale_in(
        &self,
        state: SimpleExpr,
        before: Timestamp,
        query: StaleQuery<'_>,
    ) -> Result<Vec<WithConversation>, Error> {
        use message::Column as C;
        let ours = C::BaseUrl.eq(query.base_url);
        let sender = if query.foreign { ours.or(C::BaseUrl.is_null()) } else { ours };
        message::Entity::find()
            .filter(state)
            .filter(C::AttemptUntil.lt(micros(before)))
            // No attempt ends before its message was created, so this limits the range of the index.
            .filter(C::AttemptUntil.gt(micros(query.created_after)))
            .filter(C::CreatedAt.gt(micros(query.created_after)))
            .filter(C::TelnyxMessageId.is_not_null())
            .filter(sender)
            .order_by_asc(C::AttemptUntil)
            .limit(query.limit)
            .find_also_related(conversation::Entity)
            .all(&self.reader)
            .await
            .or_tell()
    }

    /// A message with what is needed to offer it again.
    pub(crate) async fn unsettled(&self, message: Uuid) -> Result<Option<Unsettled>, Error> {
        let query = message::Entity::find_by_id(message).find_also_related(conversation::Entity);
        let found = query.one(&self.reader).await.or_tell()?;
        Ok(all_unsettled(found)?.pop())
    }

    /// The reports that have waited longest, with their events.
    pub(crate) async fn waiting(&self, limit: u64) -> Result<Vec<WaitingEvent>, Error> {
        self.find_waiting(limit).await.or_tell()
    }

    async fn find_waiting(&self, limit: u64) -> Result<Vec<WaitingEvent>, DbErr> {
        use delivery_report::Column as C;
        let rows: Vec<(TelnyxId, i64, i64)> = delivery_report::Entity::find()
            .select_only()
            .columns([C::EventId, C::OccurredAt, C::WaitingSince])
            .filter(C::WaitingSince.is_not_null())
            .order_by_asc(C::WaitingSince)
            .limit(limit)
            .into_tuple()
            .all(&self.reader)
            .await?;
        let mut waiting: Vec<WaitingEvent> = Vec::new();
        for (event_id, occurred_at, since) in rows {
            let id = event_id.clone().into_string();
            // An event about several recipients has several rows.
            if waiting.iter().any(|known| known.id == id) {
                continue;
            }
            // A report of an event without a time has the time at which it was received.
            let event = event::Entity::find()
                .filter(event::Column::OccurredAt.is_in([occurred_at, 0]))
                .filter(event::Column::Id.eq(event_id))
                .one(&self.reader)
                .await?;
            let event = event.and_then(|row| {
                let raw = RawEvent { dictionary: row.dictionary, bytes: row.body };
                Some((Timestamp::from_micros(row.received_at), raw.restore()?))
            });
            waiting.push(WaitingEvent { id, since: Timestamp::from_micros(since), event });
        }
        Ok(waiting)
    }
}

/// A message, and its conversation, which always exists.
type WithConversation = (message::Model, Option<conversation::Model>);

fn all_unsettled(
    found: impl IntoIterator<Item = WithConversation>,
) -> Result<Vec<Unsettled>, Error> {
    let complete = |(row, conversation): WithConversation| Some((row, conversation?));
    found.into_iter().filter_map(complete).map(|(row, of)| unsettled(row, of)).collect()
}

fn unsettled(
    mut row: message::Model,
    conversation: conversation::Model,
) -> Result<Unsettled, Error> {
    let until = row.attempt_until.map(Timestamp::from_micros);
    let request = row.request_body.take().zip(row.base_url.take()).zip(row.attempt_until);
    let offer = request.map(|((body, base_url), until)| Offer {
        body,
        base_url,
        until: Timestamp::from_micros(until),
        repeats_left: row.repeats_left,
    });
    let number = conversation.opted_out_number.map(PhoneNumber::from_stored);
    let opted_out = conversation.opted_out_at.map(|at| (Timestamp::from_micros(at), number));
    let message = row.into_domain(conversation.id).or_tell()?;
    Ok(Unsettled { message, offer, until, opted_out })
}
