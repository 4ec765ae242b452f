//! Finding what is to be settled, along the indices made for it.

use sea_orm::sea_query::{Expr, ExprTrait, Query, SimpleExpr};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::connect::Store;
use super::entity::{conversation, delivery_report, event, id, message, micros};
use super::failure::tell;
use super::row::Offer;
use super::settle::open;
use super::sql::{is_unset, own};
use crate::domain::{Message, PhoneNumber, Status, Timestamp};
use crate::error::Error;

/// A message of ours as it stands, with the request it was sent with.
#[derive(Clone, Debug)]
pub struct Unsettled {
    /// The message.
    pub message: Message,
    /// The request; `None` for one that convo did not send.
    pub offer: Option<Offer>,
    /// When its contact opted out, and to which own number it said so.
    pub opted_out: Option<(Timestamp, Option<PhoneNumber>)>,
}

/// An event whose report waits.
#[derive(Clone, Debug)]
pub struct WaitingEvent {
    /// Its id.
    pub id: String,
    /// Since when it waits.
    pub since: Timestamp,
    /// When it came, and its bytes; `None` when they are no longer kept.
    pub event: Option<(Timestamp, Vec<u8>)>,
}

/// Which messages to ask Telnyx about.
#[derive(Clone, Copy, Debug)]
pub struct Quiet<'a> {
    /// The API that knows them.
    pub base_url: &'a str,
    /// Those whose outcome is open, when their attempt was over before this.
    pub open_before: Timestamp,
    /// Those on their way, when nobody asked since this.
    pub under_way_before: Timestamp,
    /// Telnyx forgets older ones.
    pub created_after: Timestamp,
    /// How many at most.
    pub limit: u64,
}

impl Store {
    /// Whether an attempt was over before an instant and has no outcome.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn has_lapsed(&self, before: Timestamp) -> Result<bool, Error> {
        use message::Column as C;
        let found = message::Entity::find()
            .select_only()
            .column(C::Id)
            .filter(open())
            .filter(C::StatusRank.eq(Status::Pending.rank()))
            .filter(C::AttemptUntil.lt(micros(before)))
            .limit(1)
            .into_tuple::<String>()
            .one(&self.reader)
            .await;
        Ok(found.map_err(|error| tell(&error))?.is_some())
    }

    /// Messages that convo may offer once more by itself: created after an instant, their last
    /// attempt over before another, their contact still willing.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn repeatable(
        &self,
        base_url: &str,
        created_after: Timestamp,
        before: Timestamp,
        limit: u64,
    ) -> Result<Vec<Unsettled>, Error> {
        use message::Column as C;
        let willing = Query::select()
            .column(conversation::Column::Id)
            .from(conversation::Entity)
            .and_where(own(conversation::Column::Id).eq(own(C::ConversationId)))
            .and_where(conversation::Column::OptedOutAt.is_null())
            .to_owned();
        let rows = message::Entity::find()
            .filter(open())
            .filter(C::StatusRank.eq(Status::Unknown.rank()))
            .filter(C::AttemptUntil.lt(micros(before)))
            .filter(C::RepeatsLeft.gt(0))
            .filter(is_unset(C::TelnyxMessageId))
            .filter(C::CreatedAt.gt(micros(created_after)))
            .filter(C::BaseUrl.eq(base_url))
            .filter(Expr::exists(willing))
            .order_by_asc(C::AttemptUntil)
            .limit(limit)
            .all(&self.reader)
            .await
            .map_err(|error| tell(&error))?;
        rows.into_iter().map(|row| unsettled(row, None)).collect()
    }

    /// Messages whose Telnyx id is known and whose end is not, and of which nothing was heard for
    /// a while.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn quiet(&self, which: Quiet<'_>) -> Result<Vec<Unsettled>, Error> {
        use message::Column as C;
        let on_their_way = C::StatusRank
            .gt(Status::Unknown.rank())
            .and(C::StatusRank.lt(Status::DeliveryUnconfirmed.rank()))
            // Where nothing is to be expected yet, nothing is asked.
            .and(C::SendAt.is_null().or(C::SendAt.lt(micros(which.under_way_before))));
        let mut found = self.quiet_among(open(), which.open_before, which).await?;
        found.extend(self.quiet_among(on_their_way, which.under_way_before, which).await?);
        found.truncate(usize::try_from(which.limit).unwrap_or(usize::MAX));
        found.into_iter().map(|row| unsettled(row, None)).collect()
    }

    async fn quiet_among(
        &self,
        state: SimpleExpr,
        before: Timestamp,
        which: Quiet<'_>,
    ) -> Result<Vec<message::Model>, Error> {
        use message::Column as C;
        message::Entity::find()
            .filter(state)
            .filter(C::AttemptUntil.lt(micros(before)))
            // An attempt never ends before its message is made: this bounds the walk.
            .filter(C::AttemptUntil.gt(micros(which.created_after)))
            .filter(C::CreatedAt.gt(micros(which.created_after)))
            .filter(C::TelnyxMessageId.is_not_null())
            .filter(C::BaseUrl.eq(which.base_url))
            .order_by_asc(C::AttemptUntil)
            .limit(which.limit)
            .all(&self.reader)
            .await
            .map_err(|error| tell(&error))
    }

    /// One message with what is needed to offer it again.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn unsettled(&self, message: Uuid) -> Result<Option<Unsettled>, Error> {
        let found = self.with_thread(message).await.map_err(|error| tell(&error))?;
        found.map(|(row, thread)| unsettled(row, thread)).transpose()
    }

    async fn with_thread(
        &self,
        message: Uuid,
    ) -> Result<Option<(message::Model, Option<conversation::Model>)>, DbErr> {
        let Some(row) = message::Entity::find_by_id(id(message)).one(&self.reader).await? else {
            return Ok(None);
        };
        let thread = conversation::Entity::find_by_id(row.conversation_id).one(&self.reader);
        let thread = thread.await?;
        Ok(Some((row, thread)))
    }

    /// The reports that wait longest, with the events that told them.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn waiting(&self, limit: u64) -> Result<Vec<WaitingEvent>, Error> {
        self.find_waiting(limit).await.map_err(|error| tell(&error))
    }

    async fn find_waiting(&self, limit: u64) -> Result<Vec<WaitingEvent>, DbErr> {
        use delivery_report::Column as C;
        let rows: Vec<(String, i64)> = delivery_report::Entity::find()
            .select_only()
            .column(C::EventId)
            .column(C::WaitingSince)
            .filter(C::WaitingSince.is_not_null())
            .order_by_asc(C::WaitingSince)
            .limit(limit)
            .into_tuple()
            .all(&self.reader)
            .await?;
        let mut waiting: Vec<WaitingEvent> = Vec::new();
        for (id, since) in rows {
            // One event about several recipients has several rows.
            if waiting.iter().any(|known| known.id == id) {
                continue;
            }
            let event = event::Entity::find_by_id(&id).one(&self.reader).await?;
            let event = event.map(|row| (Timestamp::from_micros(row.received_at), row.body));
            waiting.push(WaitingEvent { id, since: Timestamp::from_micros(since), event });
        }
        Ok(waiting)
    }
}

fn unsettled(
    mut row: message::Model,
    thread: Option<conversation::Model>,
) -> Result<Unsettled, Error> {
    let request = row.request_body.take().zip(row.base_url.take()).zip(row.attempt_until);
    let offer = request.map(|((body, base_url), until)| Offer {
        body,
        base_url,
        until: Timestamp::from_micros(until),
        repeats_left: row.repeats_left,
    });
    let opted_out = thread.and_then(|thread| {
        let number = thread.opted_out_number.map(PhoneNumber::from_stored);
        Some((Timestamp::from_micros(thread.opted_out_at?), number))
    });
    Ok(Unsettled { message: row.into_domain().map_err(|error| tell(&error))?, offer, opted_out })
}
