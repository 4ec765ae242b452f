//! Removing media: with their messages, or by their age. Their content is then deleted from the store,
//! unless other messages have it, too.

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};
use uuid::Uuid;

use crate::domain::{MediaState, Timestamp};
use crate::error::Error;
use crate::store::entity::media::{Column as C, Entity as Media, state};
use crate::store::entity::{media_garbage, micros};
use crate::store::job::Settlement;
use crate::store::transaction::WriteTransaction;
use crate::store::writer::Writer;

/// How many media are removed at once: few, since webhooks wait meanwhile.
const STEP: u64 = 200;

/// Removes what is known of the media of some messages, within the transaction that removes those.
pub(in crate::store) async fn remove_media(
    db: &WriteTransaction,
    messages: &[Uuid],
) -> Result<(), DbErr> {
    if messages.is_empty() {
        return Ok(());
    }
    let of_these = C::MessageId.is_in(messages.iter().copied());
    let hashes: Vec<Vec<u8>> = Media::find()
        .select_only()
        .column(C::Hash)
        .filter(of_these.clone())
        .filter(C::Hash.is_not_null())
        .into_tuple()
        .all(db)
        .await?;
    discard(db, hashes).await?;
    Media::delete_many().filter(of_these).exec(db).await.map(drop)
}

/// Notes content to which nothing may refer any more.
pub(super) async fn discard(db: &WriteTransaction, mut hashes: Vec<Vec<u8>>) -> Result<(), DbErr> {
    hashes.sort();
    hashes.dedup();
    if hashes.is_empty() {
        return Ok(());
    }
    let rows = hashes.into_iter().map(|hash| media_garbage::ActiveModel { hash: Set(hash) });
    let known = OnConflict::column(media_garbage::Column::Hash).do_nothing().to_owned();
    let insert = media_garbage::Entity::insert_many(rows).on_conflict(known);
    insert.exec_without_returning(db).await.map(drop)
}

impl Writer {
    /// No longer keeps some of the media of messages from before a time, oldest first. Returns how many:
    /// 0 at the end.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn expire_media(&self, before: Timestamp) -> Result<u64, Error> {
        self.settle(ExpireMedia { before }).await
    }
}

#[derive(Debug)]
struct ExpireMedia {
    before: Timestamp,
}

impl Settlement for ExpireMedia {
    type Output = u64;

    async fn write(&self, db: &WriteTransaction) -> Result<u64, DbErr> {
        let old: Vec<(Uuid, i32, Vec<u8>)> = Media::find()
            .select_only()
            .columns([C::MessageId, C::Number, C::Hash])
            .filter(C::Hash.is_not_null())
            .filter(C::CreatedAt.lt(micros(self.before)))
            .order_by_asc(C::CreatedAt)
            .limit(STEP)
            .into_tuple()
            .all(db)
            .await?;
        for (message, number, _) in &old {
            Media::update_many()
                .filter(C::MessageId.eq(*message))
                .filter(C::Number.eq(*number))
                .col_expr(C::State, Expr::val(state(MediaState::Gone)))
                .col_expr(C::Hash, Expr::val(None::<Vec<u8>>))
                .exec(db)
                .await?;
        }
        let count = old.len() as u64;
        discard(db, old.into_iter().map(|(_, _, hash)| hash).collect()).await?;
        Ok(count)
    }
}
