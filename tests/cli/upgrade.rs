//! Two releases at work on one database: the new one has changed the schema already.

use sea_orm::{ConnectionTrait, Database};

use crate::harness::{CONTACT, Home, Running, Server, Signer, inbound};
use crate::on_both_databases;
use crate::support::TestDatabase;

async fn run(url: &str, sql: &str) {
    let db = Database::connect(url.replace("sqlite:///", "sqlite:")).await.expect("it opens");
    db.execute_unprepared(sql).await.expect(sql);
    db.close().await.expect("closed");
}

/// What the next release's migration leaves behind: a column, an index, a table, its name.
const ADDED: [&str; 4] = [
    "ALTER TABLE messages ADD COLUMN mood text",
    "CREATE INDEX idx_messages_mood ON messages (mood)",
    "CREATE TABLE moods (id text PRIMARY KEY)",
    "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m20990101_000001_moods', 1)",
];

/// A running server of the old release works on, is ready, and another one starts; so do its
/// commands.
async fn an_older_release_works_on_what_was_added(db: TestDatabase) {
    let signer = Signer::new(7);
    let home =
        Home::new().set("DATABASE_URL", &db.url).set("TELNYX_PUBLIC_KEY", signer.public_key());
    let server = Server::start(&home);
    signer.post(&server, inbound("e1", "m1", CONTACT, "Before")).await;
    for sql in ADDED {
        run(&db.url, sql).await;
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
    let home = Home::new().set("DATABASE_URL", &db.url);
    let server = Server::start(&home);
    for sql in ADDED {
        run(&db.url, sql).await;
    }
    run(&db.url, "INSERT INTO meta VALUES ('needs', 'm20990101_000001_moods')").await;
    let ready = server.get("/health/ready").await;
    assert_eq!(ready.status, 503);
    let reason = r#""schema","ok":false,"reason":"the schema is of a newer convo""#;
    assert!(ready.body.contains(reason), "{}", ready.body);
    for args in [&["list"][..], &["migrate"], &["serve", "--listen", "127.0.0.1:0"]] {
        let done = Running::start(home.command(args), None).wait().exits(4);
        done.tells("made by a newer convo");
    }
    // One that this program has is nothing new to it.
    let known = "UPDATE meta SET value = 'm20261123_000001_threads' WHERE key = 'needs'";
    run(&db.url, known).await;
    home.run(&["list"]).silent();
    run(&db.url, "DELETE FROM seaql_migrations WHERE version > 'm20261124'").await;
    let ready = server.get("/health/ready").await;
    let reason = r#""schema","ok":false,"reason":"the schema is out of date""#;
    assert!(ready.body.contains(reason), "{}", ready.body);
    run(&db.url, "ALTER TABLE meta RENAME TO lost").await;
    let ready = server.get("/health/ready").await;
    let reason = r#""schema","ok":false,"reason":"it cannot be read""#;
    assert!(ready.body.contains(reason), "{}", ready.body);
}

on_both_databases!(an_older_release_works_on_what_was_added, a_release_that_is_too_old_is_refused);
