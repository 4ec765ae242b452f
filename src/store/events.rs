//! Events as they came.

use std::collections::HashSet;

use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbErr};

use super::entity::micros;
use super::row::NewEvent;
use super::sql::{self, Rows};

/// Which of some events' ids are known.
pub(super) async fn known(
    db: &impl ConnectionTrait,
    ids: impl Iterator<Item = &str>,
) -> Result<HashSet<String>, DbErr> {
    sql::known(db, ("events", "id"), ids).await
}

/// Keeps events whose ids are not known, in the order of these.
pub(super) async fn insert<'a>(
    db: &impl ConnectionTrait,
    events: impl Iterator<Item = &'a NewEvent>,
) -> Result<(), DbErr> {
    Rows::new(events.map(cells))
        .insert(db, |rows| {
            format!(
                "INSERT INTO events (id, event_type, occurred_at, received_at, body) \
                 SELECT column1, column2, column3, column4, column5 FROM {rows} \
                 WHERE column1 IS NOT NULL ON CONFLICT (id) DO NOTHING"
            )
        })
        .await
}

fn cells(event: &NewEvent) -> [Value; 5] {
    [
        event.id.as_str().into(),
        event.event_type.as_str().into(),
        event.occurred_at.map(micros).into(),
        micros(event.received_at).into(),
        event.body.to_vec().into(),
    ]
}
