//! Batches: which rows were sent, and when. The row of a batch is written in the transaction that stores
//! its message, so that it is there if and only if the message is.

mod check;

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
};
use uuid::Uuid;

use super::db_error::OrTell;
use super::entity::{batch, batch_row, micros};
use super::job::Settlement;
use super::model::{NewBatchRow, NewSend};
use super::transaction::WriteTransaction;
use super::{Store, send_limits};
use crate::domain::{BatchId, BatchInfo, BatchRecord, Fingerprint, Timestamp};
use crate::error::Error;
pub(crate) use check::StoredRow;

/// The time within which the same text to the same contact is a double.
const DOUBLE_SECONDS: i64 = 24 * 3_600;

/// The message that a row was sent as.
pub(super) async fn sent(
    db: &impl ConnectionTrait,
    row: &NewBatchRow,
) -> Result<Option<Uuid>, DbErr> {
    let key = (row.place.id.as_str().to_owned(), row.place.row.as_bytes().to_vec());
    let found = batch_row::Entity::find_by_id(key).one(db).await?;
    Ok(found.map(|found| found.message_id))
}

/// The message that has told the contact the same within the last 24 hours, if a batch sent it. Two servers
/// that send it at the same time wait for each other.
pub(super) async fn double(
    db: &WriteTransaction,
    send: &NewSend,
    row: &NewBatchRow,
) -> Result<Option<Uuid>, DbErr> {
    use batch_row::Column as C;
    send_limits::lock_conversation(db, send.message.contact().as_str()).await?;
    let found = batch_row::Entity::find()
        .filter(C::Content.eq(row.content.as_bytes().to_vec()))
        .filter(C::CreatedAt.gt(double_since(send.message.created_at)))
        .order_by_desc(C::CreatedAt)
        .one(db)
        .await?;
    Ok(found.map(|found| found.message_id))
}

fn double_since(now: Timestamp) -> i64 {
    micros(now.plus_seconds(-DOUBLE_SECONDS))
}

/// Binds a row to a message. Whoever has the row's key is the only one to do so.
pub(super) async fn put(
    db: &impl ConnectionTrait,
    row: &NewBatchRow,
    message: Uuid,
    now: Timestamp,
) -> Result<(), DbErr> {
    let model = batch_row::Model {
        batch_id: row.place.id.as_str().to_owned(),
        row: row.place.row.as_bytes().to_vec(),
        message_id: message,
        content: row.content.as_bytes().to_vec(),
        created_at: micros(now),
    };
    batch_row::Entity::insert(model.into_active_model()).exec_without_returning(db).await.map(drop)
}

/// Removes the rows of messages that go, or that were certainly not sent.
pub(super) async fn remove(
    db: &impl ConnectionTrait,
    messages: impl IntoIterator<Item = Uuid>,
) -> Result<(), DbErr> {
    let of = batch_row::Column::MessageId.is_in(messages);
    batch_row::Entity::delete_many().filter(of).exec(db).await.map(drop)
}

impl Store {
    /// A batch.
    ///
    /// # Errors
    /// `database_unavailable`, like the other methods here.
    pub(crate) async fn batch(&self, id: &BatchId) -> Result<Option<BatchInfo>, Error> {
        find(&self.reader, id).await.or_tell()
    }

    /// Records a batch as begun or as finished.
    pub(crate) async fn record_batch(
        &self,
        id: BatchId,
        record: BatchRecord,
        at: Timestamp,
    ) -> Result<BatchInfo, Error> {
        self.writer()?.settle(RecordBatch { id, record, at }).await
    }
}

async fn find(db: &impl ConnectionTrait, id: &BatchId) -> Result<Option<BatchInfo>, DbErr> {
    let Some(row) = batch::Entity::find_by_id(id.as_str()).one(db).await? else { return Ok(None) };
    let content = Fingerprint::from_stored(&row.content)
        .ok_or_else(|| DbErr::Type("the fingerprint of a batch".to_owned()))?;
    Ok(Some(BatchInfo {
        id: id.clone(),
        content,
        rows: u64::try_from(row.row_count).unwrap_or_default(),
        created_at: Timestamp::from_micros(row.created_at),
        finished_at: row.finished_at.map(Timestamp::from_micros),
    }))
}

#[derive(Debug)]
struct RecordBatch {
    id: BatchId,
    record: BatchRecord,
    at: Timestamp,
}

impl Settlement for RecordBatch {
    type Output = BatchInfo;

    async fn write(&self, db: &WriteTransaction) -> Result<BatchInfo, DbErr> {
        use batch::Column as C;
        let row = batch::Model {
            id: self.id.as_str().to_owned(),
            content: self.record.content.as_bytes().to_vec(),
            row_count: i64::try_from(self.record.rows).unwrap_or(i64::MAX),
            created_at: micros(self.at),
            finished_at: self.record.finished.then_some(micros(self.at)),
        };
        let mut again = OnConflict::column(C::Id);
        again.update_columns([C::Content, C::RowCount, C::FinishedAt]);
        batch::Entity::insert(row.into_active_model())
            .on_conflict(again)
            .exec_without_returning(db)
            .await?;
        let missing = || DbErr::RecordNotFound("a batch that was just written".to_owned());
        find(db, &self.id).await?.ok_or_else(missing)
    }
}
