//! The views for people in a database shell.

use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};

use crate::on_both_databases;
use crate::support::{CONTACT, Event, TestDatabase, World, connect};

/// The view has what `convo show` prints.
async fn the_views_show_what_is_stored(db: TestDatabase) {
    let world = World::start(db).await;
    let usual = "40317ec4-8a1b-4c3d-9e2f-0123456789ab";
    for (event, message) in [("e1", usual), ("e2", "not a uuid")] {
        let event = Event::inbound(event, message, CONTACT, "Hi").to_string();
        assert_eq!(world.signer.post(&world.server, event).await, "stored");
    }
    let report = Event::report("e3", "sent elsewhere", CONTACT, "delivered").to_string();
    assert_eq!(world.signer.post(&world.server, report).await, "updated");
    let thread = world.home.run(&["show", CONTACT, "--json"]).exits(0).json();
    let db = connect(&world.db.url).await;
    let (backend, time) = match db.get_database_backend() {
        DatabaseBackend::Sqlite => (DatabaseBackend::Sqlite, "created_at"),
        other => (other, "to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS')"),
    };
    let sql = format!(
        "SELECT CAST(id AS text), CAST(conversation_id AS text), telnyx_message_id, direction, status, \
         {time}, contact_number FROM convo_messages ORDER BY created_at, id"
    );
    let rows = db.query_all_raw(Statement::from_string(backend, sql)).await.expect("rows");
    let messages = thread["messages"].as_array().expect("messages");
    assert_eq!((rows.len(), messages.len()), (3, 3));
    for (row, message) in rows.iter().zip(messages) {
        let text = |place| row.try_get_by_index::<String>(place).expect("text");
        for (place, field) in [
            (0, "id"),
            (1, "conversation_id"),
            (2, "telnyx_message_id"),
            (3, "direction"),
            (4, "status"),
        ] {
            assert_eq!(text(place), message[field], "{field}");
        }
        let created_at = message["created_at"].as_str().expect("a time");
        assert_eq!(text(5)[..19], created_at[..19].replace('T', " "));
        assert_eq!(text(6), CONTACT);
    }
    let sql = "SELECT CAST(id AS text) FROM convo_conversations";
    let row = db.query_one_raw(Statement::from_string(backend, sql)).await.expect("read");
    let id: String = row.expect("a row").try_get_by_index(0).expect("an id");
    assert_eq!(id, thread["id"]);
}

on_both_databases!(the_views_show_what_is_stored);

/// Otherwise `PRAGMA integrity_check` of the `sqlite3` of Debian 12 (3.40) reports NULLs where there are none.
#[tokio::test]
async fn a_clustered_table_with_more_than_its_key_does_not_end_with_it() {
    let world = World::start(TestDatabase::sqlite()).await;
    let db = connect(&world.db.url).await;
    let sql = "SELECT t.name, min(c.pk) = 0 AND (SELECT l.pk > 0 FROM pragma_table_info(t.name) AS l \
               ORDER BY l.cid DESC LIMIT 1) \
               FROM pragma_table_list AS t JOIN pragma_table_info(t.name) AS c \
               WHERE t.wr GROUP BY t.name";
    let statement = Statement::from_string(DatabaseBackend::Sqlite, sql);
    let tables = db.query_all_raw(statement).await.expect("tables");
    assert!(tables.len() > 10, "{} tables", tables.len());
    for table in tables {
        let name: String = table.try_get_by_index(0).expect("a name");
        let ends_with_key: bool = table.try_get_by_index(1).expect("a boolean");
        assert!(!ends_with_key, "{name}");
    }
}
