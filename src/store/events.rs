//! Events as they came.

use std::collections::HashSet;

use sea_orm::sea_query::{OnConflict, Query, SimpleExpr};
use sea_orm::{ConnectionTrait, DbErr};

use super::entity::{event, micros};
use super::row::NewEvent;

/// Keeps events, leaving out those whose ids are known. Returns the ids that were not.
pub(super) async fn insert<'a>(
    db: &impl ConnectionTrait,
    events: impl Iterator<Item = &'a NewEvent>,
) -> Result<HashSet<String>, DbErr> {
    use event::Column as C;
    let mut insert = Query::insert();
    insert
        .into_table(event::Entity)
        .columns([C::Id, C::EventType, C::OccurredAt, C::ReceivedAt, C::Body])
        .on_conflict(OnConflict::column(C::Id).do_nothing().to_owned())
        .returning_col(C::Id);
    for event in events {
        let row: [SimpleExpr; 5] = [
            event.id.clone().into(),
            event.event_type.clone().into(),
            event.occurred_at.map(micros).into(),
            micros(event.received_at).into(),
            event.body.to_vec().into(),
        ];
        insert.values(row).map_err(|error| DbErr::Custom(error.to_string()))?;
    }
    db.query_all(&insert).await?.iter().map(|row| row.try_get_by_index(0)).collect()
}
