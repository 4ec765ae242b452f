//! The statements that find candidates use the indices made for them.

use sea_orm::QueryResult;

use super::*;
use crate::domain::PhoneNumber;
use crate::store::{Location, Mode, Purpose, Store};

#[test]
fn the_partial_index_covers_every_status_below_delivered() {
    assert_eq!(Status::Delivered.rank(), 110);
}

#[test]
fn statuses_imply_a_direction() {
    let direction = |statuses: &[Status], direction| {
        let listing = Listing { statuses: statuses.to_vec(), direction, ..Listing::default() };
        Walk { listing: &listing, after: None, until: None }.direction()
    };
    use Direction::{Inbound, Outbound};
    assert_eq!(direction(&[], None), None);
    assert_eq!(direction(&[], Some(Outbound)), Some(Outbound));
    assert_eq!(direction(&[Status::Received], None), Some(Inbound));
    assert_eq!(direction(&[Status::Delivered, Status::Read], None), Some(Outbound));
    assert_eq!(direction(&[Status::Delivered, Status::Received], None), None);
    assert_eq!(direction(&[Status::Unknown], Some(Inbound)), Some(Inbound));
}
/// SQLite's plan for a statement.
async fn plan(store: &Store, statement: &impl StatementBuilder) -> String {
    let mut statement = DatabaseBackend::Sqlite.build(statement);
    statement.sql = format!("EXPLAIN QUERY PLAN {}", statement.sql);
    let rows = store.reader.query_all_raw(statement).await.expect("a plan");
    let step = |row: &QueryResult| row.try_get::<String>("", "detail").expect("a step");
    rows.iter().map(step).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn candidates_are_found_by_indices() {
    let dir = tempfile::tempdir().expect("a directory");
    let location = Location::parse("sqlite:c.db", dir.path()).expect("a location");
    let store = Store::open(&location, Mode::Real, Purpose::Serve).await.expect("a store");
    let end = Some(Cursor { at: Timestamp::from_micros(7), id: Uuid::nil(), until: None });
    for reverse in [false, true] {
        let listing = Listing {
            number: Some(PhoneNumber::from_stored("+15551234567".to_owned())),
            statuses: vec![Status::Unknown, Status::Queued],
            reverse,
            ..Listing::default()
        };
        let walk = Walk { listing: &listing, after: end, until: None };
        let by_route = plan(&store, &walk.by_route_up_to(end, 51)).await;
        let expected = "SEARCH conversations USING COVERING INDEX idx_conversations_activity";
        assert!(by_route.starts_with(expected) && !by_route.contains('\n'), "{by_route}");
        let by_status = plan(&store, &walk.by_status(51)).await;
        for expected in [
            "SEARCH messages USING COVERING INDEX idx_messages_undelivered (status_rank=?)",
            "SEARCH conversations USING INTEGER PRIMARY KEY (rowid=?)",
        ] {
            assert!(by_status.contains(expected), "{by_status}");
        }
    }
    store.close().await;
}
