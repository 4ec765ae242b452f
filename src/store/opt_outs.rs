//! Contacts that have opted out. The latest STOP or START decides, by Telnyx's clock.

use sea_orm::sea_query::{Expr, ExprTrait, IntoIden, OnConflict, Query, SimpleExpr};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

use super::entity::{conversation, micros, opt_out};
use super::feed::FeedChange;
use super::model::OptOutChange;
use super::transaction::WriteTransaction;

/// A contact's opt-out as stored; `None` if it has not opted out, or has opted in again.
pub(super) async fn find(
    db: &impl ConnectionTrait,
    contact: &str,
) -> Result<Option<opt_out::Model>, DbErr> {
    let row = opt_out::Entity::find_by_id(contact).one(db).await?;
    Ok(row.filter(|row| row.opted_out_at.is_some()))
}

/// Records a STOP or START, as [`record`], and puts it into the feed if the contact's state is another then.
pub(super) async fn decide(
    db: &WriteTransaction,
    contact: &str,
    change: &OptOutChange,
) -> Result<(), DbErr> {
    let before = find(db, contact).await?;
    record(db, contact, change).await?;
    let after = find(db, contact).await?;
    if before.is_some() != after.is_some() {
        let (contact, opted_out) = (contact.to_owned(), after.is_some());
        db.record(FeedChange::OptOut { contact, opted_out });
    }
    Ok(())
}

/// Records a STOP or START, unless a later one is recorded already; a tie goes to START. Without
/// Telnyx's time on either side the one that arrives last decides. Returns whether it was recorded.
pub(super) async fn record(
    db: &WriteTransaction,
    contact: &str,
    change: &OptOutChange,
) -> Result<bool, DbErr> {
    use opt_out::Column as C;
    let opted_out_at = change.opted_out.then(|| micros(change.at()));
    let number = change.number.as_ref().filter(|_| change.opted_out);
    let row: [SimpleExpr; 5] = [
        contact.into(),
        opted_out_at.into(),
        number.map(|number| number.as_str().to_owned()).into(),
        change.profile.clone().filter(|_| change.opted_out).into(),
        change.decided_at.map(micros).into(),
    ];
    let known = |column: C| Expr::col((opt_out::Entity, column));
    let given = |column: C| Expr::col(("excluded".into_iden(), column));
    let is_later = known(C::DecidedAt)
        .is_null()
        .or(given(C::DecidedAt).is_null())
        .or(given(C::DecidedAt).gt(known(C::DecidedAt)))
        .or(given(C::DecidedAt).eq(known(C::DecidedAt)).and(given(C::OptedOutAt).is_null()));
    let mut newest = OnConflict::column(C::ContactNumber);
    newest
        .update_columns([C::OptedOutAt, C::OptedOutNumber, C::OptedOutProfile, C::DecidedAt])
        .action_and_where(is_later);
    let mut insert = Query::insert();
    insert
        .into_table(opt_out::Entity)
        .columns([
            C::ContactNumber,
            C::OptedOutAt,
            C::OptedOutNumber,
            C::OptedOutProfile,
            C::DecidedAt,
        ])
        .values(row)
        .map_err(|error| DbErr::Custom(error.to_string()))?
        .on_conflict(newest);
    let recorded = db.execute(&insert).await?.rows_affected() > 0;
    let stored = find(db, contact).await?;
    copy_to_conversation(db, contact, stored).await?;
    Ok(recorded)
}

async fn copy_to_conversation(
    db: &impl ConnectionTrait,
    contact: &str,
    stored: Option<opt_out::Model>,
) -> Result<(), DbErr> {
    let (at, number) =
        stored.map(|row| (row.opted_out_at, row.opted_out_number)).unwrap_or_default();
    conversation::Entity::update_many()
        .col_expr(conversation::Column::OptedOutAt, Expr::value(at))
        .col_expr(conversation::Column::OptedOutNumber, Expr::value(number))
        .filter(conversation::Column::ContactNumber.eq(contact))
        .exec(db)
        .await?;
    Ok(())
}
