//! Events as they came.

use std::collections::HashSet;

use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbErr};

use super::entity::micros;
use super::row::NewEvent;
use super::sql::{self, Insertion};

/// Which of some events' ids are known.
pub(super) async fn known(
    db: &impl ConnectionTrait,
    ids: impl Iterator<Item = &str>,
) -> Result<HashSet<String>, DbErr> {
    sql::known(db, ("events", "id"), ids).await
}

/// Keeps events whose ids are not known.
///
/// # Errors
/// Also when one of them is known all the same.
pub(super) async fn insert<'a>(
    db: &impl ConnectionTrait,
    events: impl Iterator<Item = &'a NewEvent>,
) -> Result<(), DbErr> {
    let rows = Insertion::new(
        "events (id, event_type, occurred_at, received_at, body) \
         SELECT column1, column2, column3, column4, column5",
        events.map(cells),
        "",
    );
    rows.run(db).await
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
