//! The messages that the search index does not have yet.

use std::collections::HashMap;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::{IndexDocument, IndexPlace};
use crate::error::Error;
use crate::store::Store;
use crate::store::db_error::OrTell;
use crate::store::entity::feed::kind;
use crate::store::entity::message::{Column, Entity};
use crate::store::feed::{FeedEntries, FeedEntry, entries_after};

/// How many messages are added at once: few, since webhooks wait meanwhile.
const BATCH: u64 = 200;
/// How many bytes of texts are read at once, unless one text has more.
const BATCH_BYTES: i64 = 256 * 1024;

/// What is next to be added to the index.
#[derive(Debug)]
pub(crate) enum Pending {
    /// Some messages.
    Next(NextDocuments),
    /// Nothing.
    Nothing,
    /// The entry of the feed up to which the index has all messages is not there: it has to begin anew.
    PlaceLost,
}

/// Documents, and the place before and after they are added.
#[derive(Clone, Debug)]
pub(crate) struct NextDocuments {
    pub(super) from: IndexPlace,
    pub(super) to: IndexPlace,
    pub(super) documents: Vec<IndexDocument>,
    is_last: bool,
}

impl NextDocuments {
    /// Whether no message is missing: only the place has to move.
    pub(crate) fn is_nothing(&self) -> bool {
        self.documents.is_empty() && self.is_last
    }
}

type TextRow = (Uuid, i64, i64, Option<String>, String);

impl Store {
    /// What the feed has after a place.
    ///
    /// # Errors
    /// `database_unavailable`, like the other methods here.
    pub(crate) async fn pending_of_feed(&self, from: IndexPlace) -> Result<Pending, Error> {
        let found = entries_after(&self.reader, from.feed, BATCH).await.or_tell()?;
        let Some(FeedEntries { entries, has_more }) = found else { return Ok(Pending::PlaceLost) };
        // What a sync has brought is as new as any other message.
        let is_message = |of| kind::bare(of) == kind::MESSAGE;
        let new = |entry: &FeedEntry| entry.message_id.filter(|_| is_message(entry.kind));
        let ids: Vec<Uuid> = entries.iter().filter_map(new).collect();
        let fitting = self.fitting(ids).await.or_tell()?;
        let last = match fitting.left_out {
            None => entries.last(),
            Some(next) => {
                let end = entries.iter().position(|entry| new(entry) == Some(next));
                end.and_then(|end| end.checked_sub(1)).and_then(|end| entries.get(end))
            }
        };
        let Some(last) = last else { return Ok(Pending::Nothing) };
        let to = IndexPlace { feed: last.cursor, ..from };
        let is_last = !has_more && fitting.left_out.is_none();
        Ok(Pending::Next(NextDocuments {
            from,
            to,
            documents: fitting.documents().await?,
            is_last,
        }))
    }

    /// The messages that are older than the feed, before a place: from new to old.
    pub(crate) async fn pending_of_past(&self, from: IndexPlace) -> Result<Pending, Error> {
        let Some(before) = from.fill_before else { return Ok(Pending::Nothing) };
        let ids = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::Id.lt(before))
            .order_by_desc(Column::Id)
            .limit(BATCH)
            .into_tuple();
        let ids: Vec<Uuid> = ids.all(&self.reader).await.or_tell()?;
        let fitting = self.fitting(ids.clone()).await.or_tell()?;
        let taken = match fitting.left_out {
            Some(next) => ids.iter().position(|id| *id == next).unwrap_or(ids.len()),
            None => ids.len(),
        };
        let to = IndexPlace { fill_before: ids[..taken].last().copied(), ..from };
        let documents = fitting.documents().await?;
        Ok(Pending::Next(NextDocuments { from, to, documents, is_last: ids.is_empty() }))
    }

    /// The texts of as many of some messages as may be in memory together.
    async fn fitting(&self, ids: Vec<Uuid>) -> Result<FittingTexts, DbErr> {
        if ids.is_empty() {
            return Ok(FittingTexts { rows: Vec::new(), left_out: None });
        }
        let size = "CAST(octet_length(body) + coalesce(octet_length(subject), 0) AS bigint)";
        let sizes: Vec<(Uuid, i64)> = Entity::find()
            .select_only()
            .column(Column::Id)
            .expr(Expr::cust(size))
            .filter(Column::Id.is_in(ids.iter().copied()))
            .into_tuple()
            .all(&self.reader)
            .await?;
        let sizes: HashMap<Uuid, i64> = sizes.into_iter().collect();
        let mut sum = 0;
        let fits = |id: &&Uuid| {
            let is_first = sum == 0;
            sum += sizes.get(id).copied().unwrap_or_default() + 1;
            is_first || sum <= BATCH_BYTES
        };
        let fitting: Vec<Uuid> = ids.iter().take_while(fits).copied().collect();
        let left_out = ids.get(fitting.len()).copied();
        let rows = Entity::find()
            .select_only()
            .columns([Column::Id, Column::CreatedAt, Column::ConversationKey])
            .columns([Column::Subject, Column::Body])
            .filter(Column::Id.is_in(fitting))
            .into_tuple::<TextRow>()
            .all(&self.reader)
            .await?;
        Ok(FittingTexts { rows, left_out })
    }
}

/// Texts of messages, and the first message whose text was left out.
struct FittingTexts {
    rows: Vec<TextRow>,
    left_out: Option<Uuid>,
}

impl FittingTexts {
    /// Splits them into words, which takes a while if they are long, on another thread.
    async fn documents(self) -> Result<Vec<IndexDocument>, Error> {
        let split = move || {
            let rows = self.rows.iter();
            rows.map(|(id, at, key, subject, body)| {
                IndexDocument::new(*id, *at, *key, subject.as_deref(), body)
            })
            .collect()
        };
        tokio::task::spawn_blocking(split).await.map_err(|_| Error::internal())
    }
}
