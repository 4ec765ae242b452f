//! `convo copy`: everything, once, and nothing that changes meanwhile.

use std::os::unix::fs::FileExt;

use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseConnection};
use serde_json::Value;

use crate::support::{
    CONTACT, Done, Home, Running, Server, Signer, TestDatabase, World, connect, eventually_some,
    execute, inbound, query_one, wait_until,
};

const TABLES: [&str; 18] = [
    "conversations",
    "messages",
    "delivery_reports",
    "events",
    "idempotency_keys",
    "opt_outs",
    "merged_messages",
    "forwards",
    "forward_ranges",
    "sync_sources",
    "media",
    "media_progress",
    "media_garbage",
    "forgotten",
    "contact_names",
    "batches",
    "batch_rows",
    "feed",
];

/// A SQLite database in which there is something of everything.
async fn full() -> (World, String) {
    let world = World::start(TestDatabase::sqlite()).await;
    let id = world.home.run(&["send", CONTACT, "Hällo 😀\n\t\\", "--idempotency-key", "k"]);
    let id = id.exits(0).id().to_owned();
    world.wait_for_message(CONTACT, &id, "delivered");
    world.home.run(&["send", "+12025550110", "nobody knows"]);
    let strange = "\u{0} \u{feff} \u{202e}'; DROP TABLE messages; --";
    let body = inbound("strange", "strange", "+12125550001", strange);
    assert_eq!(world.signer.post(&world.server, body).await, "stored");
    world.home.run(&["send", "+12125550002", "please say STOP"]).exits(0);
    world.wait_for_thread("+12125550002", |thread| !thread["opted_out_at"].is_null());
    world.wait_until_counted();
    let url = world.db.url.clone();
    let merged = "INSERT INTO merged_messages VALUES (randomblob(16), randomblob(16))";
    execute(&url, merged).await;
    execute(&url, "INSERT INTO forgotten VALUES (randomblob(32), 7, NULL, NULL)").await;
    for row in [
        "INSERT INTO forwards (name, position, nonce, paused, attempts, created_at, last_error) \
         VALUES ('crm', 7, -1, 1, 2, 3, 'answered 410')",
        "INSERT INTO forward_ranges (id, name, state, attempts, after_position, after_nonce, \
         until_position, from_at, until_at) VALUES (randomblob(16), 'crm', 0, 0, 1, 2, 3, 4, 5)",
        "INSERT INTO sync_sources (name, until, pass, error) VALUES ('records', 7, '{}', 'busy')",
        "INSERT INTO media (message_id, number, state, attempts, created_at, content_size, hash) \
         VALUES (randomblob(16), 1, 1, 2, 3, 4, randomblob(32))",
        "INSERT INTO media_progress (id, position, nonce, walked) VALUES (1, 2, -3, 0)",
        "INSERT INTO media_garbage (hash) VALUES (randomblob(32))",
        "INSERT INTO batches (id, content, row_count, created_at) VALUES ('may', randomblob(16), 2, 3)",
        "INSERT INTO batch_rows (batch_id, row, message_id, content, created_at) \
         VALUES ('may', randomblob(16), randomblob(16), randomblob(16), 4)",
        "INSERT INTO contact_names (contact_number, name, folded_name, named_at) \
         VALUES ('+12125551234', 'Ada', 'ada', 7)",
    ] {
        execute(&url, row).await;
    }
    (world, url)
}

/// Events in great number, as a stranger to convo could have stored them, in one statement.
async fn fill(db: &DatabaseConnection, events: u32) {
    db.execute_unprepared(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {events}) \
         INSERT INTO events (id, event_type, occurred_at, received_at, dictionary, body) \
         SELECT CAST('filled-' || i AS BLOB), 'test', i, i, 0, randomblob(200) FROM n"
    ))
    .await
    .expect("filled");
}

async fn one(db: &DatabaseConnection, sql: &str) -> String {
    query_one::<Option<String>>(db, sql).await.unwrap_or_default()
}

/// The secondary indices of a database, which are created after the rows.
async fn indices(db: &DatabaseConnection) -> String {
    let sqlite = "SELECT group_concat(sql, '; ') FROM \
                  (SELECT sql FROM sqlite_master WHERE type = 'index' ORDER BY name)";
    let postgres = "SELECT string_agg(indexdef, '; ' ORDER BY indexname) FROM pg_indexes \
                    WHERE schemaname = current_schema()";
    let is_sqlite = db.get_database_backend() == DatabaseBackend::Sqlite;
    one(db, if is_sqlite { sqlite } else { postgres }).await
}

fn copy(home: &Home, from: &str, to: &str) -> Done {
    home.copy(&[from, to])
}

/// The checksums that a copy told.
fn checksums(done: &Done) -> Vec<(String, u64, String)> {
    let fields = |line: &str| {
        let fields: Vec<_> = line.split('\t').map(str::to_owned).collect();
        let [table, rows, sha256] = fields.try_into().expect("three fields");
        (table, rows.parse().expect("a number"), sha256)
    };
    done.out.lines().map(fields).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_to_postgresql_and_back_is_identical() {
    let (world, from) = full().await;
    let shown = |home: &Home, url: &str| {
        let run = |args: &[&str]| home.run_with(&[("DATABASE_URL", url)], args).silent().out;
        let list = run(&["list", "--json"]);
        list + &run(&["show", CONTACT, "--history", "--json"])
    };
    let before = shown(&world.home, &from);
    let there = TestDatabase::postgres().await;
    let done = copy(&world.home, &from, &there.url).exits(0);
    assert!(done.err.contains("is now read-only"), "{}", done.err);
    assert!(!done.err.contains("password"), "no bar where nobody watches: {}", done.err);
    let first = checksums(&done);
    assert_eq!(first.iter().map(|(table, ..)| table.as_str()).collect::<Vec<_>>(), TABLES);
    assert!(first.iter().all(|(_, rows, _)| *rows > 0), "{first:?}");
    assert_eq!(shown(&world.home, &there.url), before);
    // Back again, and with the program's own word for it as JSON.
    let back = TestDatabase::sqlite();
    let done = world.home.copy(&["--json", &there.url, &back.url]).silent();
    let json = done.json();
    let sums = |json: &Value| {
        let tables = json["tables"].as_array().expect("tables").clone();
        tables
            .into_iter()
            .map(|table| table["sha256"].as_str().expect("a checksum").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(sums(&json), first.iter().map(|(.., sha256)| sha256.as_str()).collect::<Vec<_>>());
    assert_eq!(shown(&world.home, &back.url), before);
    let copied = indices(&connect(&back.url).await).await;
    assert!(copied.contains("idx_messages_thread"), "{copied}");
    assert_eq!(indices(&connect(&from).await).await, copied);
    for table in TABLES {
        let columns = "SELECT group_concat('quote(' || name || ')', ' || ') FROM \
                       pragma_table_info('TABLE')";
        let (old, new) = (connect(&from).await, connect(&back.url).await);
        let columns = one(&old, &columns.replace("TABLE", table)).await;
        let sql = format!(
            "SELECT group_concat(c, '|') FROM (SELECT {columns} c FROM {table} \
                           ORDER BY 1)"
        );
        assert_eq!(one(&old, &sql).await, one(&new, &sql).await, "{table}");
    }
}

/// From the first moment on nobody writes to the source: not the server that runs, not a command,
/// not a stranger. It can be read, and given back.
#[tokio::test(flavor = "multi_thread")]
async fn the_source_is_read_only_after_a_copy() {
    for from in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let world = World::start(from).await;
        let from = world.db.url.clone();
        let id = world.home.run(&["send", CONTACT, "Hi"]).exits(0).id().to_owned();
        world.wait_for_message(CONTACT, &id, "delivered");
        let to = TestDatabase::sqlite();
        copy(&world.home, &from, &to.url).exits(0);
        let body = inbound("late", "late", CONTACT, "Too late");
        let posted = world.signer.try_post(world.server.address, &body).await;
        let (status, answer) = posted.expect("an answer");
        assert_eq!((status, &answer["code"]), (503, &"database_unavailable".into()), "{answer}");
        world.server.wait_for_log("this database is read-only: convo copy");
        let ready = world.server.get("/health/ready").await;
        assert_eq!(ready.status, 503);
        assert!(
            ready.body.contains("the database is read-only because of a copy"),
            "{}",
            ready.body
        );
        let offers = world.offers();
        for args in [&["send", CONTACT, "Hi"][..], &["sync"], &["migrate"]] {
            world.home.run(args).exits(4).reports("was copied to");
        }
        let serve = ["serve", "--listen", "127.0.0.1:0"];
        world.home.run_with(&[("CONVO_LOG", "error")], &serve).exits(4).reports("was copied to");
        assert_eq!(world.offers(), offers, "nothing was sent");
        world.home.run(&["list"]).silent();
        assert_eq!(world.server.get("/conversations").await.status, 200);
        let stranger = connect(&from).await;
        for sql in ["UPDATE messages SET body = 'x'", "DELETE FROM events"] {
            let refused = stranger.execute_unprepared(sql).await.expect_err("it is held");
            assert!(refused.to_string().contains("this database is read-only"), "{refused}");
        }
        // Saying it again changes nothing; giving it back does.
        let again = copy(&world.home, &from, &to.url).exits(0);
        assert_eq!(row_counts(&again), row_counts(&copy(&world.home, &from, &to.url)));
        let other = TestDatabase::sqlite();
        copy(&world.home, &from, &other.url).exits(4).reports("was copied to");
        let released = world.home.copy(&["--release", &from]).exits(0);
        assert!(released.err.contains("is writable again"), "{}", released.err);
        assert_eq!(world.signer.post(&world.server, body).await, "stored");
        let released = world.home.copy(&["--release", &from]).exits(0);
        assert!(released.err.contains("was not read-only"), "{}", released.err);
    }
}

fn row_counts(done: &Done) -> Vec<u64> {
    checksums(done).into_iter().map(|(_, rows, _)| rows).collect()
}

/// SIGKILL at many moments: the same command goes on, and the whole is there once. Until then
/// nobody opens the half of it, and the source stays held.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_copy_resumes() {
    let from = TestDatabase::sqlite();
    let home = Home::new().with_database(&from);
    home.run(&["migrate"]).exits(0);
    let db = connect(&from.url).await;
    fill(&db, 60_000).await;
    let to = TestDatabase::postgres().await;
    home.run_with(&[("DATABASE_URL", &to.url)], &["migrate"]).exits(0);
    let target = connect(&to.url).await;
    let before = indices(&target).await;
    let mut last = 0;
    for round in 1.. {
        let running = Running::start(home.copy_command(&[&from.url, &to.url]), None);
        // Some more pages each time.
        let grown = eventually_some("another page", async || {
            let count: i64 = query_one(&target, "SELECT count(*) FROM events").await;
            (count > last).then_some(count)
        })
        .await;
        running.signal(rustix::process::Signal::KILL);
        running.wait();
        last = grown;
        if round == 3 {
            break;
        }
    }
    assert!(last < 60_000, "it was over before it was killed");
    assert!(!indices(&target).await.contains("idx_messages_thread"), "they come after the rows");
    home.run_with(&[("DATABASE_URL", &to.url)], &["list"]).exits(4).reports("unfinished copy");
    let held = db.execute_unprepared("DELETE FROM events").await;
    assert!(held.expect_err("held").to_string().contains("this database is read-only"));
    let done = copy(&home, &from.url, &to.url).exits(0);
    assert_eq!(checksums(&done)[3].1, 60_000);
    assert_eq!(query_one::<i64>(&target, "SELECT count(*) FROM events").await, 60_000);
    assert_eq!(indices(&target).await, before);
}

/// An SQLite file whose system crashed before all of it was on the disk is not taken for a copy.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_unfinished_copy_is_refused() {
    let (from, to) = (TestDatabase::sqlite(), TestDatabase::sqlite());
    let home = Home::new().with_database(&from);
    home.run(&["migrate"]).exits(0);
    fill(&connect(&from.url).await, 2_500).await;
    copy(&home, &from.url, &to.url).exits(0);
    let target = connect(&to.url).await;
    // As if it had been interrupted before the end.
    for (url, key) in [(&from.url, "held"), (&to.url, "copy")] {
        let unfinished =
            format!("UPDATE meta SET value = json_set(value, '$.done', NULL) WHERE key = '{key}'");
        connect(url).await.execute_unprepared(&unfinished).await.expect("altered");
    }
    let aside = "INSERT INTO meta (key, value) VALUES ('copy_indices', '{}')";
    target.execute_unprepared(aside).await.expect("altered");
    copy(&home, &from.url, &to.url).exits(0);
    let kept = "SELECT count(*) FROM meta WHERE key = 'copy_indices'";
    assert_eq!(query_one::<i64>(&target, kept).await, 0);
    let reopened = "UPDATE meta SET value = json_set(value, '$.done', NULL) WHERE key = 'copy'";
    for sql in [reopened, aside] {
        target.execute_unprepared(sql).await.expect("altered");
    }
    let root = "SELECT rootpage FROM sqlite_master WHERE name = 'idx_reports_waiting'";
    let root: i64 = query_one(&target, root).await;
    target.close().await.expect("closed");
    let file = std::fs::OpenOptions::new().write(true).open(to.file()).expect("the file");
    file.write_all_at(&[0xff; 8], (root as u64 - 1) * 4_096).expect("damaged");
    let unfinished = "UPDATE meta SET value = json_set(value, '$.done', NULL) WHERE key = 'held'";
    connect(&from.url).await.execute_unprepared(unfinished).await.expect("altered");
    copy(&home, &from.url, &to.url).exits(6).reports("the unfinished copy is damaged");
}

/// The same command twice at once: the second skips what the first has written meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_may_make_one_copy() {
    let from = TestDatabase::sqlite();
    let home = Home::new().with_database(&from);
    home.run(&["migrate"]).exits(0);
    fill(&connect(&from.url).await, 30_000).await;
    for to in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        home.run_with(&[("DATABASE_URL", &to.url)], &["migrate"]).exits(0);
        let target = connect(&to.url).await;
        let first = Running::start(home.copy_command(&[&from.url, &to.url]), None);
        eventually_some("a page", async || {
            let count: i64 = query_one(&target, "SELECT count(*) FROM events").await;
            (count > 0).then_some(())
        })
        .await;
        let second = copy(&home, &from.url, &to.url).exits(0);
        assert_eq!(checksums(&first.wait().exits(0)), checksums(&second));
        assert_eq!(checksums(&second)[3].1, 30_000);
        home.copy(&["--release", &from.url]).exits(0);
    }
}

/// Events of a megabyte, which are copied few at a time.
#[tokio::test(flavor = "multi_thread")]
async fn large_rows_are_copied_in_small_pages() {
    let from = TestDatabase::sqlite();
    let home = Home::new().with_database(&from);
    home.run(&["migrate"]).exits(0);
    let source = connect(&from.url).await;
    fill(&source, 3_000).await;
    let grow = "UPDATE events SET body = randomblob(1000000) WHERE occurred_at % 200 = 1";
    source.execute_unprepared(grow).await.expect("grown");
    let (there, back) = (TestDatabase::postgres().await, TestDatabase::sqlite());
    let first = copy(&home, &from.url, &there.url).exits(0);
    assert_eq!(checksums(&first)[3].1, 3_000);
    assert_eq!(checksums(&copy(&home, &there.url, &back.url).exits(0)), checksums(&first));
}

/// Of one source there is one copy, and none of a source that was let go meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_has_one_copy_at_a_time() {
    let from = TestDatabase::sqlite();
    let home = Home::new().with_database(&from);
    home.run(&["migrate"]).exits(0);
    fill(&connect(&from.url).await, 60_000).await;
    let (to, another) = (TestDatabase::sqlite(), TestDatabase::sqlite());
    let running = Running::start(home.copy_command(&[&from.url, &to.url]), None);
    wait_until("the hold", || home.run(&["migrate"]).err.contains("is being copied to"));
    copy(&home, &from.url, &another.url).exits(4).reports("is being copied to");
    home.copy(&["--release", &from.url]).exits(0);
    running.wait().exits(6).reports("was released");
    home.run_with(&[("DATABASE_URL", &to.url)], &["list"]).exits(4).reports("unfinished copy");
    home.run(&["migrate"]).exits(0);
}

/// What somebody else puts into the copy, takes from it or changes in it is found out.
#[tokio::test(flavor = "multi_thread")]
async fn a_tampered_copy_is_detected() {
    let from = TestDatabase::sqlite();
    let home = Home::new().with_database(&from);
    home.run(&["migrate"]).exits(0);
    let source = connect(&from.url).await;
    fill(&source, 2_500).await;
    for (sql, expected) in [
        ("UPDATE events SET body = x'00' WHERE id = CAST('filled-7' AS BLOB)", "differ"),
        ("DELETE FROM events WHERE occurred_at = 1", "has 2500 rows, its copy 2499"),
        (
            "INSERT INTO events (id, event_type, occurred_at, received_at, dictionary, body) \
             VALUES (x'7a7a', 't', 9000, 1, 0, x'')",
            "has 2500 rows, its copy 2501",
        ),
    ] {
        let to = TestDatabase::sqlite();
        copy(&home, &from.url, &to.url).exits(0);
        // As if it had been killed before the end.
        for (url, key) in [(&from.url, "held"), (&to.url, "copy")] {
            let unfinished = format!(
                "UPDATE meta SET value = json_set(value, '$.done', NULL) WHERE key = '{key}'"
            );
            connect(url).await.execute_unprepared(&unfinished).await.expect("altered");
        }
        connect(&to.url).await.execute_unprepared(sql).await.expect("tampered");
        let done = copy(&home, &from.url, &to.url).exits(6).reports(expected);
        assert_eq!(done.out, "", "nothing is claimed");
        let failed = home.copy(&[&from.url, &to.url, "--json"]).exits(6);
        assert_eq!(failed.error()["code"], "copy_mismatch");
        home.copy(&["--release", &from.url]).exits(0);
    }
}

/// Nothing is overwritten, and nothing is copied that this program does not know whole.
#[tokio::test(flavor = "multi_thread")]
async fn unsuitable_sources_and_targets_are_refused() {
    let (world, from) = full().await;
    let home = &world.home;
    let other = TestDatabase::sqlite();
    let signer = Signer::new(8);
    let used = Home::new().with_database(&other).accepting(&signer);
    let server = Server::start(&used);
    signer.post(&server, inbound("e", "m", CONTACT, "Hi")).await;
    drop(server);
    copy(home, &from, &other.url).exits(4).reports("already contains other data");
    copy(home, &from, &from).exits(2).reports("the same database");
    std::os::unix::fs::symlink(world.db.file(), home.file("link.db")).expect("a link");
    let link = format!("sqlite:///{}", home.file("link.db").display());
    copy(home, &from, &link).exits(2).reports("the same database");
    let missing = format!("sqlite:///{}", home.file("missing.db").display());
    copy(home, &missing, &other.url).exits(4).reports("there is no database");
    copy(home, &from, "mysql://h/d").exits(4).reports("'mysql'");
    copy(home, &from, "postgres://u:hunter2@127.0.0.1:1/d").exits(5).reports("cannot open");
    for url in ["postgres://u:hunter2@127.0.0.1:1/d", "postgres://127.0.0.1:1/d?password=hunter2"] {
        for args in [&["copy", &from, url][..], &["copy", url, &from], &["copy", "--release", url]]
        {
            let done = home.run(args).exits(2).reports("contains a password");
            assert!(!done.err.contains("hunter2"), "{}", done.err);
        }
    }
    home.run(&["copy", &from, &other.url, "--server", "http://127.0.0.1:1"]).exits(2);
    home.run(&["--sandbox", "copy", &from, &other.url]).exits(2);
    home.copy(&["--release", &from, &other.url]).exits(2);
    // Not held by any of these.
    world.home.run(&["send", CONTACT, "Hi"]).exits(0);
    let db = connect(&from).await;
    let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9', 1)";
    db.execute_unprepared(newer).await.expect("newer");
    let to = TestDatabase::sqlite();
    copy(home, &from, &to.url).exits(4).reports("newer version of convo");
    assert!(!to.file().exists(), "nothing was made");
}

/// The target is the one of DATABASE_URL when it is not named, so that no password is typed; a
/// sandbox stays one.
#[tokio::test(flavor = "multi_thread")]
async fn the_target_may_come_from_the_settings() {
    let from = TestDatabase::sqlite();
    let to = TestDatabase::postgres().await;
    let home = Home::new();
    home.write("url", &to.url);
    let home = home.set("DATABASE_URL_FILE", "url");
    home.run_with(&[("DATABASE_URL", &from.url)], &["migrate"]).exits(0);
    let sandbox = "UPDATE meta SET value = 'sandbox' WHERE key = 'mode'";
    connect(&from.url).await.execute_unprepared(sandbox).await.expect("altered");
    home.run(&["copy", &from.url]).exits(0);
    home.run(&["list"]).exits(4).reports("this is a sandbox database");
}

/// Nothing is forgotten: the tables and columns that are copied are those that there are.
#[tokio::test(flavor = "multi_thread")]
async fn every_table_is_copied() {
    let db = TestDatabase::sqlite();
    Home::new().with_database(&db).run(&["migrate"]).exits(0);
    let tables = "SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_master \
                  WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name)";
    let mut known = TABLES.to_vec();
    known.extend(["leases", "meta", "seaql_migrations"]);
    // The search index is made again.
    known.extend(["search_place", "search_rows", "search_words"]);
    known.extend(["search_words_config", "search_words_data", "search_words_docsize"]);
    known.push("search_words_idx");
    // So are the sums for statistics.
    known.extend(["stats_blocks", "stats_changes", "stats_place", "stats_sums", "stats_totals"]);
    known.sort_unstable();
    assert_eq!(one(&connect(&db.url).await, tables).await, known.join(" "));
}
