//! The database of the program that convo grew from.

use serde_json::Value;

use crate::on_both_databases;
use crate::support::{Done, Home, OWN, Running, Server, TestDatabase, connect, execute, query_one};

/// Its tables as SQLAlchemy makes them, with what can be in them.
const SEED: &str = "
CREATE TABLE conversations (id VARCHAR(36) NOT NULL, contact_number VARCHAR(20) NOT NULL,
    last_message_at {time}, created_at {time}, message_count INTEGER, PRIMARY KEY (id));
CREATE UNIQUE INDEX ix_conversations_contact_number ON conversations (contact_number);
CREATE TABLE messages (id VARCHAR(36) NOT NULL, conversation_id VARCHAR(36) NOT NULL,
    direction VARCHAR(10) NOT NULL, from_number VARCHAR(20), to_number VARCHAR(20), body TEXT,
    status VARCHAR(20), created_at {time}, telnyx_message_id VARCHAR(64), PRIMARY KEY (id),
    FOREIGN KEY(conversation_id) REFERENCES conversations (id));
INSERT INTO conversations VALUES
    ('b2c3d4e5-6f70-4819-a2b3-c4d5e6f70819', '+12125551234', '2026-06-18 14:30:00.000001',
     '2026-06-18 14:00:00.000000', 77),
    ('seven', '+442079460958', '2026-06-19 10:00:00', '2026-06-19 10:00:00', 1),
    ('C2C3D4E5-6F70-4819-A2B3-C4D5E6F70819', '12125550199', NULL, NULL, NULL);
INSERT INTO messages VALUES
    ('8f1c5e2a-3b4d-4f6a-9c8e-1d2f3a4b5c6d', 'b2c3d4e5-6f70-4819-a2b3-c4d5e6f70819', 'inbound',
     '+12125551234', '+15551234567', 'Hi, is anyone there? 😀', 'received',
     '2026-06-18 14:29:00.000000', 'msg-f5d7a7e0-1234-5678'),
    ('9f1c5e2a-3b4d-4f6a-9c8e-1d2f3a4b5c6d', 'b2c3d4e5-6f70-4819-a2b3-c4d5e6f70819', 'inbound',
     '+12125551234', '+15551234567', 'Hi, is anyone there? 😀', 'received',
     '2026-06-18 14:29:07.000000', 'msg-f5d7a7e0-1234-5678'),
    ('af1c5e2a-3b4d-4f6a-9c8e-1d2f3a4b5c6d', 'b2c3d4e5-6f70-4819-a2b3-c4d5e6f70819', 'outbound',
     '+15551234567', '12125551234', 'Yes', 'queued', '2026-06-18 14:30:00.000001',
     '40317ec4-8a1b-4c3d-9e2f-0123456789ab'),
    ('odd', 'seven', 'outbound', NULL, '+442079460958', NULL, 'whatever', '2026-06-19 10:00:00', NULL),
    ('sideways', 'seven', 'sideways', NULL, NULL, NULL, NULL, NULL, NULL);
";

async fn seed(db: &TestDatabase) {
    let is_file = db.url.starts_with("sqlite");
    if is_file && !db.file().exists() {
        std::fs::write(db.file(), "").expect("a file");
    }
    let time = if is_file { "DATETIME" } else { "TIMESTAMP" };
    execute(&db.url, &SEED.replace("{time}", time)).await;
}

fn import(home: &Home, from: &TestDatabase, args: &[&str]) -> Done {
    let args = [&["import", &from.url], args].concat();
    Running::start(home.command_without_password(&args), None).wait()
}

async fn the_seed_is_taken_over(from: TestDatabase) {
    seed(&from).await;
    let home = Home::new();
    let rehearsed = import(&home, &from, &["--dry-run"]).exits(0);
    assert!(rehearsed.out.contains("conversations\t3\t0"), "{rehearsed:?}");
    assert!(home.files().iter().all(|name| !name.ends_with(".db")), "{:?}", home.files());
    let done = import(&home, &from, &[]).exits(0);
    assert!(done.out.contains("conversations\t3\t0\nmessages\t3\t1\n"), "{done:?}");
    assert!(done.err.contains("left out 1 rows") && done.err.contains("sideways"), "{}", done.err);
    let shown = home.run(&["show", "+12125551234", "--json"]).silent().json();
    assert_eq!(shown["id"], "b2c3d4e5-6f70-4819-a2b3-c4d5e6f70819");
    assert_eq!(shown["created_at"], "2026-06-18T14:00:00.000000Z");
    assert_eq!(shown["last_message_at"], "2026-06-18T14:30:00.000001Z");
    assert_eq!(shown["message_count"], 2, "counted anew, and a webhook that came twice is one");
    let messages = shown["messages"].as_array().expect("messages");
    let field = |at: usize, field: &str| messages[at][field].as_str().expect(field).to_owned();
    assert_eq!(field(0, "id"), "8f1c5e2a-3b4d-4f6a-9c8e-1d2f3a4b5c6d");
    assert_eq!(field(0, "body"), "Hi, is anyone there? 😀");
    assert_eq!(field(0, "telnyx_message_id"), "msg-f5d7a7e0-1234-5678");
    assert_eq!((field(1, "to"), field(1, "status")), ("+12125551234".into(), "queued".into()));
    home.run(&["show", "9f1c5e2a-3b4d-4f6a-9c8e-1d2f3a4b5c6d"]).exits(0);
    let odd = home.run(&["show", "+442079460958", "--json"]).silent().json();
    assert_eq!(odd["messages"][0]["status"], "unknown");
    let list: Value = home.run(&["list", "--json"]).silent().json();
    let threads = list.as_array().expect("conversations");
    let empty = threads.iter().find(|thread| thread["contact_number"] == "+12125550199");
    assert_eq!(empty.expect("it was kept")["id"], "c2c3d4e5-6f70-4819-a2b3-c4d5e6f70819");
    // Again: the same, and nothing new.
    let before = home.run(&["export"]).silent().out;
    let again = import(&home, &from, &[]).exits(0);
    assert!(again.out.contains("conversations\t0\t3\nmessages\t0\t4\n"), "{again:?}");
    assert_eq!(home.run(&["export"]).silent().out, before);
}

async fn a_server_that_meets_the_seed_says_what_to_do(db: TestDatabase) {
    let home = match db.url.starts_with("sqlite") {
        true => Home::new(),
        false => Home::new().with_database(&db),
    };
    let file = home.file("conversations.db");
    let there =
        TestDatabase { url: format!("sqlite:///{}", file.display()), ..TestDatabase::sqlite() };
    let is_file = db.url.starts_with("sqlite");
    let used = if is_file { &there } else { &db };
    if is_file {
        std::fs::write(&file, "").expect("a file");
    }
    seed(used).await;
    let bytes = is_file.then(|| std::fs::read(&file).expect("the file"));
    let modified =
        is_file.then(|| file.metadata().and_then(|file| file.modified()).expect("a time"));
    for args in [&["serve"][..], &["list"], &["migrate"], &["send", OWN, "Hi", "--from", OWN]] {
        let done = home.run_with(&[("TELNYX_API_KEY", "KEY")], args).exits(4);
        let counts = "with 3 conversations and 5 messages";
        assert!(done.err.contains(counts) && done.err.contains("convo import "), "{}", done.err);
        if is_file {
            let commands = "mv conversations.db seed.db && convo import seed.db";
            assert!(done.err.contains(commands), "{}", done.err);
        }
    }
    if is_file {
        assert_eq!(bytes, std::fs::read(&file).ok(), "untouched");
        assert_eq!(modified, file.metadata().and_then(|file| file.modified()).ok());
        assert_eq!(home.files(), ["conversations.db"]);
        home.script(
            "mv conversations.db seed.db && convo import seed.db && convo list --format ids",
        )
        .exits(0);
        Server::start(&home).stop();
    } else {
        let tables =
            "SELECT count(*) FROM pg_class WHERE relname IN ('events', 'seaql_migrations')";
        assert_eq!(query_one::<i64>(&connect(&db.url).await, tables).await, 0);
    }
}

on_both_databases!(the_seed_is_taken_over, a_server_that_meets_the_seed_says_what_to_do);
