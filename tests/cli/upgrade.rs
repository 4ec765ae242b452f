//! Two releases at work on one database: the new one has changed the schema already.

use crate::on_both_databases;
use crate::support::{CONTACT, Home, Server, Signer, TestDatabase, execute, inbound};

/// What the next release's migration leaves behind: a column, an index, a table, its name.
const ADDED: [&str; 4] = [
    "ALTER TABLE messages ADD COLUMN mood text",
    "CREATE INDEX idx_messages_mood ON messages (mood)",
    "CREATE TABLE moods (id text PRIMARY KEY)",
    "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m20990101_000001_moods', 1)",
];

/// A running server of the old release works on, is ready, and another one starts; so do its
/// commands.
async fn an_older_release_works_with_an_extended_schema(db: TestDatabase) {
    let signer = Signer::new(7);
    let home = Home::new().with_database(&db).accepting(&signer);
    let server = Server::start(&home);
    signer.post(&server, inbound("e1", "m1", CONTACT, "Before")).await;
    for sql in ADDED {
        execute(&db.url, sql).await;
    }
    assert_eq!(signer.post(&server, inbound("e2", "m2", CONTACT, "After")).await, "stored");
    let ready = server.get("/health/ready").await.json();
    let schema = ready["checks"].as_array().expect("checks").iter();
    let schema = schema.filter(|check| check["name"] == "schema").collect::<Vec<_>>();
    assert_eq!(schema[0]["ok"], true, "{ready}");
    let another = Server::start(&home);
    assert_eq!(signer.post(&another, inbound("e3", "m3", CONTACT, "Again")).await, "stored");
    let shown = home.run(&["show", CONTACT, "--json"]).silent().json();
    assert_eq!(shown["message_count"], 3);
    home.run(&["migrate"]).exits(0);
}

/// A migration that the old release would not understand says so: whatever starts is refused, and
/// what runs is no longer ready.
async fn a_release_that_is_too_old_is_refused(db: TestDatabase) {
    let home = Home::new().with_database(&db);
    let server = Server::start(&home);
    for sql in ADDED {
        execute(&db.url, sql).await;
    }
    execute(&db.url, "INSERT INTO meta VALUES ('needs', 'm20990101_000001_moods')").await;
    let ready = server.get("/health/ready").await;
    assert_eq!(ready.status, 503);
    let reason = r#""schema","ok":false,"reason":"the schema is from a newer version of convo""#;
    assert!(ready.body.contains(reason), "{}", ready.body);
    for args in [&["list"][..], &["migrate"], &["serve", "--listen", "127.0.0.1:0"]] {
        home.run(args).exits(4).reports("requires a newer version of convo");
    }
    // One that this program has is nothing new to it.
    let known = "UPDATE meta SET value = 'm20261129_000003_schema' WHERE key = 'needs'";
    execute(&db.url, known).await;
    home.run(&["list"]).silent();
    execute(&db.url, "DELETE FROM seaql_migrations").await;
    let ready = server.get("/health/ready").await;
    let reason = r#""schema","ok":false,"reason":"the schema is out of date""#;
    assert!(ready.body.contains(reason), "{}", ready.body);
    let ours = "INSERT INTO seaql_migrations VALUES ('m20261129_000003_schema', 0)";
    execute(&db.url, ours).await;
    execute(&db.url, "ALTER TABLE meta RENAME TO lost").await;
    let ready = server.get("/health/ready").await;
    let reason = r#""schema","ok":false,"reason":"the database cannot be read""#;
    assert!(ready.body.contains(reason), "{}", ready.body);
}

/// Before the first release the schema was replaced, not migrated.
async fn a_database_of_a_development_version_is_refused(db: TestDatabase) {
    let home = Home::new().with_database(&db);
    home.run(&["migrate"]).exits(0);
    let earlier = "UPDATE seaql_migrations SET version = 'm20261123_000001_threads' \
               WHERE version = 'm20261129_000003_schema'";
    execute(&db.url, earlier).await;
    for args in [&["list"][..], &["migrate"], &["serve", "--listen", "127.0.0.1:0"]] {
        home.run(args).exits(4).reports("the schema of a development version of convo");
    }
}

on_both_databases!(
    an_older_release_works_with_an_extended_schema,
    a_release_that_is_too_old_is_refused,
    a_database_of_a_development_version_is_refused
);
