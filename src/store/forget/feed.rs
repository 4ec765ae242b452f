//! Blanking the entries of the feed that are about a contact. Their positions stay: whoever has seen one of
//! them goes on from there.

use std::collections::HashSet;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::error::Error;
use crate::store::Store;
use crate::store::db_error::OrTell;
use crate::store::entity::feed::{Column as C, Entity as Feed, kind};
use crate::store::entity::message;
use crate::store::job::Settlement;
use crate::store::transaction::WriteTransaction;

/// How many entries are looked at together.
const LOOK: u64 = 2_000;
/// How many ids of messages are read at once.
const IDS: u64 = 10_000;

/// Some entries of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FeedPageAbout {
    /// The position of the last entry that was looked at.
    pub(crate) last: i64,
    /// The positions of those that are about the contact.
    pub(crate) about: Vec<i64>,
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

    /// The next entries after a position; `None` at the end.
    pub(crate) async fn feed_about(
        &self,
        contact: &str,
        messages: &HashSet<Uuid>,
        after: i64,
    ) -> Result<Option<FeedPageAbout>, Error> {
        let rows: Vec<(i64, Option<Uuid>, Option<String>)> = Feed::find()
            .select_only()
            .columns([C::Position, C::MessageId, C::Contact])
            .filter(C::Position.gt(after))
            .order_by_asc(C::Position)
            .limit(LOOK)
            .into_tuple()
            .all(&self.reader)
            .await
            .or_tell()?;
        let Some((last, ..)) = rows.last().cloned() else { return Ok(None) };
        let is_about = |message: &Option<Uuid>, of: &Option<String>| {
            message.is_some_and(|id| messages.contains(&id)) || of.as_deref() == Some(contact)
        };
        let about = rows.iter().filter(|(_, message, of)| is_about(message, of));
        let about = about.map(|(position, ..)| *position).collect();
        Ok(Some(FeedPageAbout { last, about }))
    }

    /// Blanks some entries.
    pub(crate) async fn blank_feed(&self, positions: Vec<i64>) -> Result<u64, Error> {
        if positions.is_empty() {
            return Ok(0);
        }
        self.writer()?.settle(Blank { positions }).await
    }
}

#[derive(Debug)]
struct Blank {
    positions: Vec<i64>,
}

impl Settlement for Blank {
    type Output = u64;

    async fn write(&self, db: &WriteTransaction) -> Result<u64, DbErr> {
        let blanked = Feed::update_many()
            .filter(C::Position.is_in(self.positions.iter().copied()))
            .col_expr(C::Kind, Expr::val(kind::NOTHING))
            .col_expr(C::StatusRank, Expr::val(None::<i16>))
            .col_expr(C::MessageId, Expr::val(None::<Uuid>))
            .col_expr(C::Replaces, Expr::val(None::<Uuid>))
            .col_expr(C::Contact, Expr::val(None::<String>))
            .exec(db)
            .await?;
        Ok(blanked.rows_affected)
    }
}
