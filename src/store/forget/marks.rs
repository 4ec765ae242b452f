//! Setting, listing and importing marks.

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::mark::{MarkKey, from_hex, key, to_hex};
use crate::domain::{ForgottenMark, ForgottenMarks, Status, Timestamp};
use crate::error::Error;
use crate::store::Store;
use crate::store::db_error::OrTell;
use crate::store::entity::{contact_name, conversation, forgotten, message, micros, opt_out};
use crate::store::job::Settlement;
use crate::store::meta::{self, FORGET_KEY};
use crate::store::sql;
use crate::store::transaction::WriteTransaction;

/// Sets a contact's mark, unless a message to it is undecided.
#[derive(Debug)]
pub(crate) struct BeginForget {
    pub(crate) contact: String,
    /// `None` only to look.
    pub(crate) at: Option<Timestamp>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// Nothing is stored about the contact.
    Unknown,
    /// So many of its messages are pending, unknown or scheduled.
    Undecided(u64),
    /// What is to be removed.
    Known { conversation: Option<(i64, Uuid)>, opted_out: bool, named: bool },
}

impl Store {
    /// Begins to forget a contact.
    ///
    /// # Errors
    /// `database_unavailable`, like the other methods here.
    pub(crate) async fn begin_forget(&self, begin: BeginForget) -> Result<Begun, Error> {
        self.writer()?.settle(begin).await
    }

    /// The same for one that is only to be looked at.
    pub(crate) async fn look_before_forget(&self, contact: &str) -> Result<Begun, Error> {
        look(&self.reader, contact).await.map(|(begun, _)| begun).or_tell()
    }

    /// All marks, with their key.
    pub(crate) async fn forgotten_marks(&self) -> Result<ForgottenMarks, Error> {
        let key = key(&self.reader).await.or_tell()?.map(|key| key.to_hex());
        let rows = forgotten::Entity::find().order_by_asc(forgotten::Column::Mark);
        let rows = rows.all(&self.reader).await.or_tell()?;
        let mark = |row: forgotten::Model| ForgottenMark {
            mark: to_hex(&row.mark),
            forgotten_at: Timestamp::from_micros(row.forgotten_at),
            opted_out_at: row.opted_out_at.map(Timestamp::from_micros),
        };
        Ok(ForgottenMarks { key, marks: rows.into_iter().map(mark).collect() })
    }
}

impl Settlement for BeginForget {
    type Output = Begun;

    async fn write(&self, db: &WriteTransaction) -> Result<Begun, DbErr> {
        let mut lock = Query::select();
        lock.column(conversation::Column::Key)
            .from(conversation::Entity)
            .and_where(conversation::Column::ContactNumber.eq(&self.contact));
        sql::lock_rows(&mut lock, db);
        db.query_one(&lock).await?;
        let (begun, opt_out) = look(db, &self.contact).await?;
        let (Begun::Known { .. }, Some(at)) = (&begun, self.at) else { return Ok(begun) };
        let key = match key(db).await? {
            Some(key) => key,
            None => {
                let key = MarkKey::random()?;
                meta::set(db, FORGET_KEY, &key.to_hex()).await?;
                key
            }
        };
        let opted_out = opt_out.as_ref().and_then(|row| row.opted_out_at);
        let row = forgotten::Model {
            mark: key.mark(&self.contact),
            forgotten_at: micros(at),
            opted_out_at: opted_out,
            decided_at: opt_out.as_ref().and_then(|row| row.decided_at),
        };
        // Without a later decision, what was known when it was forgotten before still holds.
        set_mark(db, row, opt_out.is_some()).await?;
        opt_out::Entity::delete_by_id(&self.contact).exec(db).await?;
        contact_name::Entity::delete_by_id(&self.contact).exec(db).await?;
        Ok(begun)
    }
}

/// Inserts a mark, or moves it to a later time.
async fn set_mark(
    db: &impl ConnectionTrait,
    row: forgotten::Model,
    with_opt_out: bool,
) -> Result<(), DbErr> {
    use forgotten::Column as C;
    let mut newer = OnConflict::column(C::Mark);
    newer.update_column(C::ForgottenAt);
    if with_opt_out {
        newer.update_columns([C::OptedOutAt, C::DecidedAt]);
    }
    newer.action_and_where(Expr::col((forgotten::Entity, C::ForgottenAt)).lte(row.forgotten_at));
    let insert = forgotten::Entity::insert(row.into_active_model()).on_conflict(newer);
    insert.exec_without_returning(db).await.map(drop)
}

/// What is stored about a contact.
async fn look(
    db: &impl ConnectionTrait,
    contact: &str,
) -> Result<(Begun, Option<opt_out::Model>), DbErr> {
    use message::Column as C;
    let conversation: Option<(i64, Uuid)> = conversation::Entity::find()
        .select_only()
        .columns([conversation::Column::Key, conversation::Column::Id])
        .filter(conversation::Column::ContactNumber.eq(contact))
        .into_tuple()
        .one(db)
        .await?;
    let opt_out = opt_out::Entity::find_by_id(contact).one(db).await?;
    let named = contact_name::Entity::find_by_id(contact).one(db).await?.is_some();
    let opted_out = opt_out.as_ref().is_some_and(|row| row.opted_out_at.is_some());
    let known = Begun::Known { conversation, opted_out, named };
    let Some((key, _)) = conversation else {
        let is_known = named || opt_out.is_some();
        return Ok((if is_known { known } else { Begun::Unknown }, opt_out));
    };
    let undecided = Status::UNDECIDED.map(Status::rank);
    let undecided = message::Entity::find()
        .filter(C::ConversationKey.eq(key))
        .filter(C::StatusRank.is_in(undecided))
        .count(db)
        .await?;
    if undecided > 0 {
        return Ok((Begun::Undecided(undecided), opt_out));
    }
    Ok((known, opt_out))
}

/// Stores marks that another database exported. Their key must be that of this one, if it has one.
pub(in crate::store) async fn import(
    db: &impl ConnectionTrait,
    marks: &ForgottenMarks,
) -> Result<Option<MarkKey>, DbErr> {
    let given = marks.key.as_deref().and_then(MarkKey::parse);
    let Some(given) = given else { return key(db).await };
    match key(db).await? {
        Some(own) if own != given => return Ok(None),
        Some(_) => {}
        None => meta::set(db, FORGET_KEY, &given.to_hex()).await?,
    }
    for mark in &marks.marks {
        let Some(bytes) = from_hex(&mark.mark) else { continue };
        let row = forgotten::Model {
            mark: bytes,
            forgotten_at: micros(mark.forgotten_at),
            opted_out_at: mark.opted_out_at.map(micros),
            decided_at: None,
        };
        set_mark(db, row, true).await?;
    }
    Ok(Some(given))
}
