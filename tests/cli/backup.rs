//! `convo backup` and `convo restore`: everything of one moment, while others write; into an empty place.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sea_orm::ConnectionTrait;
use serde_json::Value;

use crate::on_both_databases;
use crate::support::{
    CONTACT, Done, Home, Manner, OWN, Receiver, Server, Signer, TestDatabase, World, connect,
    execute, inbound, query_one, wait_until,
};

/// All that a database shows.
fn shown(home: &Home, url: &str) -> String {
    let run = |args: &[&str]| home.run_with(&[("DATABASE_URL", url)], args).silent().out;
    let mut all = run(&["list", "--json"]);
    for contact in run(&["list", "--format", "ids"]).lines() {
        all += &run(&["show", contact, "--history", "--json"]);
    }
    all
}

fn restore(home: &Home, file: &str, to: &str) -> Done {
    home.run_with(&[("DATABASE_URL", to)], &["restore", file, "--json"])
}

fn url(home: &Home, name: &str) -> String {
    format!("sqlite:///{}", home.file(name).display())
}

/// Webhooks arrive without a pause while the backup is made. It has an unbroken beginning of them, with
/// everything that was answered before it began; the database it is restored to shows the same as the
/// database did at that moment, and counts right.
async fn a_backup_under_load_has_everything_of_one_moment(db: TestDatabase) {
    let world = World::start(db).await;
    let sent = world.home.run(&["send", CONTACT, "Hi 😀\n\t"]).exits(0).id().to_owned();
    world.wait_for_message(CONTACT, &sent, "delivered");
    world.wait_until_counted();
    let is_done = Arc::new(AtomicBool::new(false));
    let before = 150;
    let text = |n: usize| {
        inbound(&format!("e{n}"), &format!("m{n}"), "+13125550001", &format!("Text {n}"))
    };
    for n in 0..before {
        assert_eq!(world.signer.post(&world.server, text(n)).await, "stored");
    }
    let address = world.server.address;
    let writer = tokio::spawn({
        // The key of the world's own signer.
        let (signer, is_done) = (Signer::new(7), Arc::clone(&is_done));
        async move {
            let mut n = before;
            while !is_done.load(Ordering::SeqCst) {
                assert_eq!(signer.post_to(address, text(n)).await, "stored");
                n += 1;
            }
            n
        }
    });
    let made = world.home.run(&["backup", "b.db", "--json"]).exits(0).json();
    is_done.store(true, Ordering::SeqCst);
    let after = writer.await.expect("all are stored");
    let mode = world.home.file("b.db").metadata().expect("a backup").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(made["rows"].as_u64() > Some(2 * before as u64), "{made}");
    let file = url(&world.home, "b.db");
    let count =
        "SELECT count(*) FROM messages WHERE direction = 0 AND from_number = '+13125550001'";
    let kept =
        usize::try_from(query_one::<i64>(&connect(&file).await, count).await).expect("a count");
    assert!((before..=after).contains(&kept), "{before} <= {kept} <= {after}");
    let first = "SELECT count(DISTINCT body) FROM messages WHERE from_number = '+13125550001'";
    assert_eq!(query_one::<i64>(&connect(&file).await, first).await, kept as i64);
    // It can be read, but not be written to.
    let backed_up = shown(&world.home, &file);
    let with = [("DATABASE_URL", file.as_str())];
    for args in [&["send", CONTACT, "Hi"][..], &["migrate"], &["sync", "--no-fetch"]] {
        world.home.run_with(&with, args).exits(4).reports("this database is a backup");
    }
    for to in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let restored = restore(&world.home, "b.db", &to.url).exits(0).json();
        let sums = |json: &Value| -> Vec<Value> {
            let tables = json["tables"].as_array().expect("tables").iter();
            let old = |table: &&Value| {
                !["feed", "forward_ranges", "media_progress"]
                    .contains(&table["table"].as_str().unwrap_or_default())
            };
            tables.filter(old).cloned().collect()
        };
        assert_eq!(sums(&restored), sums(&made));
        assert_eq!(restored["backup_at"], made["at"]);
        assert_eq!(shown(&world.home, &to.url), backed_up);
        let with = [("DATABASE_URL", to.url.as_str())];
        world.home.run_with(&with, &["send", "+12125550077", "goes on"]).exits(0);
        // Never over anything.
        let again = world.home.run_with(&with, &["restore", "b.db"]);
        again.exits(4).reports("already contains other data");
    }
}

/// The restored database begins a new feed: cursors of the old one have expired, forwarding leaves what is
/// old alone and goes on with what comes.
async fn a_restored_database_begins_a_new_feed(db: TestDatabase) {
    let receiver = Receiver::start(Manner::Answer(200));
    let signer = Signer::new(7);
    let home = Home::new()
        .with_database(&db)
        .accepting(&signer)
        .set("TELNYX_PHONE_NUMBER", OWN)
        .set("CONVO_FORWARD_URL", receiver.url())
        .set("CONVO_FORWARD_SECRET", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let server = Server::start(&home);
    let list = || home.run(&["forward", "list", "--json"]).silent().json();
    wait_until("forwarding to begin", || list()[0]["state"] != "waiting");
    let cursor = server.get("/events").await.json()["next"].as_str().expect("a cursor").to_owned();
    for n in 0..3 {
        let event = inbound(&format!("e{n}"), &format!("m{n}"), CONTACT, &format!("old {n}"));
        assert_eq!(signer.post(&server, event).await, "stored");
    }
    receiver.wait_for(Manner::Answer(200), 3);
    drop(server);
    home.run(&["backup", "b.db"]).exits(0);
    let to = TestDatabase::sqlite();
    restore(&home, "b.db", &to.url).exits(0);
    let home = home.with_database(&to);
    let server = Server::start(&home);
    let expired = server.get(&format!("/events?after={cursor}")).await;
    assert_eq!(expired.status_and_code(), (410, "cursor_expired".into()));
    let page = server.get("/events?since=2020-01-01T00:00:00Z").await.json();
    assert_eq!(page["events"], serde_json::json!([]), "nothing old is in the new feed");
    let event = inbound("e-new", "m-new", CONTACT, "new");
    assert_eq!(signer.post(&server, event).await, "stored");
    receiver.wait_for(Manner::Answer(200), 4);
    assert_eq!(receiver.texts(), ["old 0", "old 1", "old 2", "new"]);
}

on_both_databases! {
    a_backup_under_load_has_everything_of_one_moment,
    a_restored_database_begins_a_new_feed,
}

/// In a pipe, the backup is what is printed. Only an earlier backup is replaced, never the database or
/// another file; and nothing is left behind.
#[test]
fn only_an_earlier_backup_is_replaced() {
    let db = TestDatabase::sqlite();
    let home = Home::new().with_database(&db);
    home.run(&["backup", "b.db"]).exits(4).reports("there is no database");
    home.run(&["migrate"]).exits(0);
    home.run(&["backup", "b.db"]).exits(0);
    home.run(&["backup", "b.db"]).exits(0);
    home.write("other.txt", "precious");
    home.run(&["backup", "other.txt"]).exits(2).reports("is not a backup of convo");
    assert_eq!(std::fs::read_to_string(home.file("other.txt")).expect("a file"), "precious");
    let itself = db.file().display().to_string();
    home.run(&["backup", &itself]).exits(2).reports("is the database itself");
    home.run(&["backup", "nowhere/b.db"]).exits(4).reports("cannot write to");
    home.run(&["backup", "-", "--json"]).exits(2);
    home.script("umask 077; convo backup - >piped.db").exits(0);
    home.run(&["backup", "piped.db"]).exits(0);
    let left: Vec<_> = home.files().into_iter().filter(|name| name.contains("partial")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// What is no database of convo is not restored; and a database that was half restored cannot be opened, but
/// restored to the end.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_restore_resumes() {
    let db = TestDatabase::sqlite();
    let home = Home::new().with_database(&db);
    home.write("other.db", "no database at all");
    let to = url(&home, "to.db");
    assert_ne!(restore(&home, "other.db", &to).code, 0);
    let missing = restore(&home, "missing.db", &to).exits(4);
    assert_eq!(missing.error()["code"], "database_not_ready");
    home.run(&["migrate"]).exits(0);
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) \
                INSERT INTO events (id, event_type, occurred_at, received_at, dictionary, body) \
                SELECT CAST('filled-' || i AS BLOB), 'test', i, i, 0, randomblob(200) FROM n";
    execute(&db.url, fill).await;
    home.run(&["backup", "b.db"]).exits(0);
    restore(&home, "b.db", &to).exits(0);
    // As if it had been killed: with its record, and without some of its rows.
    let record = "INSERT INTO meta SELECT 'copy', json_object('id', json_extract(value, '$.id'), \
                  'other', 'b.db', 'since', '2026-01-01T00:00:00Z', 'done', null, 'kind', 'restore') \
                  FROM b.meta WHERE key = 'backup'";
    let file = home.file("b.db").display().to_string();
    let db = connect(&to).await;
    for sql in
        [&format!("ATTACH '{file}' AS b"), record, "DELETE FROM events WHERE occurred_at > 2500"]
    {
        db.execute_unprepared(sql).await.expect(sql);
    }
    db.close().await.expect("closed");
    let with = [("DATABASE_URL", to.as_str())];
    home.run_with(&with, &["list"]).exits(4).reports("not completely restored from");
    let restored = restore(&home, "b.db", &to).exits(0).json();
    let events =
        restored["tables"].as_array().expect("tables").iter().find(|t| t["table"] == "events");
    assert_eq!(events.expect("events")["rows"], 5000);
    home.run_with(&with, &["list"]).exits(0);
}

/// A backup that an earlier version made is brought up to date on the way; the file itself stays as it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_an_earlier_version_is_restored() {
    let db = TestDatabase::sqlite();
    let home = Home::new().with_database(&db);
    home.run(&["migrate"]).exits(0);
    let row = "INSERT INTO opt_outs (contact_number, opted_out_at) VALUES ('+12125551234', 1)";
    execute(&db.url, row).await;
    home.run(&["backup", "b.db"]).exits(0);
    let file = url(&home, "b.db");
    for sql in [
        "DROP TABLE forgotten",
        "DROP INDEX idx_idempotency_keys_age",
        "DROP INDEX idx_idempotency_keys_message",
        "DELETE FROM seaql_migrations WHERE version LIKE '%_lifecycle'",
    ] {
        execute(&file, sql).await;
    }
    let before = std::fs::read(home.file("b.db")).expect("a backup");
    let to = url(&home, "to.db");
    restore(&home, "b.db", &to).exits(0);
    let kept = "SELECT count(*) FROM opt_outs";
    assert_eq!(query_one::<i64>(&connect(&to).await, kept).await, 1);
    let marks = "SELECT count(*) FROM forgotten";
    assert_eq!(query_one::<i64>(&connect(&to).await, marks).await, 0);
    assert_eq!(std::fs::read(home.file("b.db")).expect("a backup"), before);
    assert!(!home.files().iter().any(|name| name.contains("partial")), "{:?}", home.files());
}
