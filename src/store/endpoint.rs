//! What the database knows of the webhook's endpoint: the key that its servers share, the newest event,
//! and which public key verified events of its type.

use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};

use super::connect::Store;
use super::db_error::OrTell;
use super::entity::event::USUAL_TYPE;
use super::entity::{event, meta as rows};
use super::job::Settlement;
use super::meta;
use super::transaction::WriteTransaction;
use crate::domain::Timestamp;
use crate::error::Error;

/// The newest event, by Telnyx's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LastEvent {
    pub event_type: String,
    pub received_at: Timestamp,
}

/// That webhooks of a type were verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VerifiedType {
    /// The public key, in base64.
    pub public_key: String,
    /// When this was noted: at most an hour before the last of them.
    pub at: Timestamp,
}

impl Store {
    /// The key that only the servers of this database know; `None` if none has run yet.
    pub(crate) async fn endpoint_key(&self) -> Result<Option<String>, Error> {
        self.fact(meta::ENDPOINT_KEY).await
    }

    /// The same; if nothing is stored yet, stores `proposed`, unless another server was faster.
    pub(crate) async fn make_endpoint_key(&self, proposed: String) -> Result<String, Error> {
        self.writer()?.settle(MakeKey(proposed)).await
    }

    /// Notes which key verified a webhook of a type.
    pub(crate) async fn note_verified(
        &self,
        event_type: &str,
        verified: VerifiedType,
    ) -> Result<(), Error> {
        let key = format!("{}{event_type}", meta::VERIFIED);
        let value = format!("{} {}", verified.at.as_micros(), verified.public_key);
        self.writer()?.settle(NoteVerified { key, value }).await
    }

    /// Which key verified the last webhooks of a type; `None` if there was none, or if servers of
    /// earlier releases received them.
    pub(crate) async fn verified(&self, event_type: &str) -> Result<Option<VerifiedType>, Error> {
        let value = self.fact(&format!("{}{event_type}", meta::VERIFIED)).await?;
        Ok(value.and_then(|value| {
            let (at, public_key) = value.split_once(' ')?;
            let at = Timestamp::from_micros(at.parse().ok()?);
            Some(VerifiedType { public_key: public_key.to_owned(), at })
        }))
    }

    /// The newest event; `None` if there is none.
    pub(crate) async fn last_event(&self) -> Result<Option<LastEvent>, Error> {
        let found: Option<(Option<String>, i64)> = event::Entity::find()
            .select_only()
            .column(event::Column::EventType)
            .column(event::Column::ReceivedAt)
            .order_by_desc(event::Column::OccurredAt)
            .limit(1)
            .into_tuple()
            .one(&self.reader)
            .await
            .or_tell()?;
        Ok(found.map(|(event_type, received_at)| LastEvent {
            event_type: event_type.unwrap_or_else(|| USUAL_TYPE.to_owned()),
            received_at: Timestamp::from_micros(received_at),
        }))
    }
}

#[derive(Debug)]
struct MakeKey(String);

impl Settlement for MakeKey {
    type Output = String;

    async fn write(&self, db: &WriteTransaction) -> Result<String, DbErr> {
        let row = rows::ActiveModel {
            key: Set(meta::ENDPOINT_KEY.to_owned()),
            value: Set(self.0.clone()),
        };
        let kept = OnConflict::column(rows::Column::Key).do_nothing().to_owned();
        rows::Entity::insert(row).on_conflict(kept).exec_without_returning(db).await?;
        let query = rows::Entity::find().filter(rows::Column::Key.eq(meta::ENDPOINT_KEY));
        let row = query.one(db).await?;
        Ok(row.map(|row| row.value).unwrap_or_default())
    }
}

#[derive(Debug)]
struct NoteVerified {
    key: String,
    value: String,
}

impl Settlement for NoteVerified {
    type Output = ();

    async fn write(&self, db: &WriteTransaction) -> Result<(), DbErr> {
        meta::set(db, &self.key, &self.value).await
    }
}
