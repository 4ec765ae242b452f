//! Blanking the entries of the feed that are about a contact. Their positions stay: whoever has seen one of
//! them goes on from there.

use std::collections::HashSet;

use sea_orm::sea_query::{Expr, ExprTrait, Order, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

use crate::error::Error;
use crate::store::Store;
use crate::store::db_error::OrTell;
use crate::store::entity::feed::{Column as C, Entity as Feed, kind};
use crate::store::entity::message;
use crate::store::feed::{blanked, message_ids};
use crate::store::job::Settlement;
use crate::store::sql;
use crate::store::transaction::WriteTransaction;

/// How many rows are looked at together.
const LOOK: u64 = 500;
/// How many ids of messages are read at once.
const IDS: u64 = 10_000;

/// Some rows of the feed.
#[derive(Clone, Debug)]
pub(crate) struct FeedPageAbout {
    /// The position of the last row that was looked at.
    pub(crate) last: i64,
    /// How many entries are about the contact.
    pub(crate) count: u64,
    blanks: Blank,
}

impl Store {
    /// The ids of all messages of a conversation.
    ///
    /// # Errors
    /// `database_unavailable`, like the other methods here.
    pub(crate) async fn message_ids(&self, conversation: i64) -> Result<HashSet<Uuid>, Error> {
        use message::Column as M;
        let mut ids = HashSet::new();
        let mut after: Option<(i64, Uuid)> = None;
        loop {
            let mut query = message::Entity::find()
                .select_only()
                .columns([M::CreatedAt, M::Id])
                .filter(M::ConversationKey.eq(conversation));
            if let Some((at, id)) = after {
                let later = M::CreatedAt.gt(at).or(M::CreatedAt.eq(at).and(M::Id.gt(id)));
                query = query.filter(M::CreatedAt.gte(at)).filter(later);
            }
            let page: Vec<(i64, Uuid)> = query
                .order_by_asc(M::CreatedAt)
                .order_by_asc(M::Id)
                .limit(IDS)
                .into_tuple()
                .all(&self.reader)
                .await
                .or_tell()?;
            let Some(last) = page.last().copied() else { return Ok(ids) };
            after = Some(last);
            ids.extend(page.into_iter().map(|(_, id)| id));
        }
    }

    /// The next rows after a position; `None` at the end.
    pub(crate) async fn feed_about(
        &self,
        contact: &str,
        messages: &HashSet<Uuid>,
        after: i64,
    ) -> Result<Option<FeedPageAbout>, Error> {
        let rows: Vec<(i64, Option<Vec<u8>>, Option<String>)> = Feed::find()
            .select_only()
            .columns([C::Position, C::MessageIds, C::Contact])
            .filter(C::Position.gt(after))
            .order_by_asc(C::Position)
            .limit(LOOK)
            .into_tuple()
            .all(&self.reader)
            .await
            .or_tell()?;
        let Some(last) = rows.last().map(|(position, ..)| *position) else { return Ok(None) };
        let (mut count, mut blanks) = (0, Blank::default());
        for (position, ids, of) in rows {
            let ids = ids.as_deref().map(message_ids).into_iter().flatten().flatten();
            let about: Vec<Uuid> = ids.filter(|id| messages.contains(id)).collect();
            if of.as_deref() == Some(contact) {
                count += 1;
            } else if about.is_empty() {
                continue;
            }
            count += about.len() as u64;
            blanks.rows.push(position);
            blanks.messages.extend(about);
        }
        Ok(Some(FeedPageAbout { last, count, blanks }))
    }

    /// Blanks the entries that are about the contact.
    pub(crate) async fn blank_feed(&self, page: FeedPageAbout) -> Result<(), Error> {
        if page.blanks.rows.is_empty() {
            return Ok(());
        }
        self.writer()?.settle(page.blanks).await
    }
}

/// Rows to blank: all of a row, or if it has entries about several messages, those about some.
#[derive(Clone, Debug, Default)]
struct Blank {
    rows: Vec<i64>,
    messages: HashSet<Uuid>,
}

impl Settlement for Blank {
    type Output = ();

    async fn write(&self, db: &WriteTransaction) -> Result<(), DbErr> {
        // Read again: another command may have blanked other entries of them.
        let mut query = Query::select();
        query.columns([C::Position, C::MessageIds]).from(Feed);
        query.and_where(C::Position.is_in(self.rows.iter().copied()));
        query.order_by(C::Position, Order::Asc);
        sql::lock_rows(&mut query, db);
        for row in db.query_all(&query).await? {
            let (position, ids): (i64, Option<Vec<u8>>) =
                (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let ids = ids.map(|ids| blanked(ids, |id| self.messages.contains(&id)));
            blank(db, position, ids).await?;
        }
        Ok(())
    }
}

/// Leaves of a row what keeps the positions of its entries, and the messages of entries about others.
async fn blank(db: &impl ConnectionTrait, row: i64, ids: Option<Vec<u8>>) -> Result<(), DbErr> {
    let is_all = ids.as_deref().is_none_or(|ids| message_ids(ids).all(|id| id.is_none()));
    let mut update = Feed::update_many().filter(C::Position.eq(row));
    if is_all {
        update = update
            .col_expr(C::Kind, Expr::val(kind::NOTHING))
            .col_expr(C::StatusRank, Expr::val(None::<i16>))
            .col_expr(C::Replaces, Expr::val(None::<Uuid>))
            .col_expr(C::Contact, Expr::val(None::<String>));
    }
    update.col_expr(C::MessageIds, Expr::val(ids)).exec(db).await.map(drop)
}
