//! `convo copy`: everything, once, and nothing that changes meanwhile.

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use serde_json::Value;

use crate::harness::{CONTACT, Done, Home, Running, Server, Signer, World, inbound, until};
use crate::support::TestDatabase;

const TABLES: [&str; 5] =
    ["conversations", "messages", "delivery_reports", "events", "idempotency_keys"];

async fn open(url: &str) -> DatabaseConnection {
    Database::connect(url.replace("sqlite:///", "sqlite:")).await.expect("it opens")
}

/// A SQLite database in which there is something of everything.
async fn full() -> (World, String) {
    let world = World::start(TestDatabase::sqlite()).await;
    let id = world.home.run(&["send", CONTACT, "Hällo 😀\n\t\\", "--idempotency-key", "k"]);
    let id = id.exits(0).id().to_owned();
    world.message(CONTACT, &id, "delivered");
    world.home.run(&["send", "+12025550110", "nobody knows"]);
    let strange = "\u{0} \u{feff} \u{202e}'; DROP TABLE messages; --";
    let body = inbound("strange", "strange", "+12125550001", strange);
    assert_eq!(world.signer.post(&world.server, body).await, "stored");
    world.is_counted();
    let url = world.db.url.clone();
    (world, url)
}

/// Events in great number, as a stranger to convo could have stored them, in one statement.
async fn fill(db: &DatabaseConnection, events: u32) {
    db.execute_unprepared(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {events}) \
         INSERT INTO events (id, event_type, received_at, body) \
         SELECT 'filled-' || i, 'test', i, randomblob(200) FROM n"
    ))
    .await
    .expect("filled");
}

async fn one(db: &DatabaseConnection, sql: &str) -> String {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await.expect("asked").expect("a row");
    row.try_get_by_index::<Option<String>>(0).expect("a text").unwrap_or_default()
}

fn copy(home: &Home, from: &str, to: &str) -> Done {
    home.run(&["copy", from, to])
}

/// The checksums that a copy told.
fn told(done: &Done) -> Vec<(String, u64, String)> {
    let fields = |line: &str| {
        let fields: Vec<_> = line.split('\t').map(str::to_owned).collect();
        let [table, rows, sha256] = fields.try_into().expect("three fields");
        (table, rows.parse().expect("a number"), sha256)
    };
    done.out.lines().map(fields).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn there_and_back_again_it_is_the_same() {
    let (world, from) = full().await;
    let shown = |home: &Home, url: &str| {
        let run = |args: &[&str]| {
            let mut command = home.command(args);
            command.env("DATABASE_URL", url);
            Running::start(command, None).wait().silent().out
        };
        let list = run(&["list", "--json"]);
        list + &run(&["show", CONTACT, "--history", "--json"])
    };
    let before = shown(&world.home, &from);
    let there = TestDatabase::postgres().await;
    let done = copy(&world.home, &from, &there.url).exits(0);
    assert!(done.err.contains("takes no more changes"), "{}", done.err);
    assert!(!done.err.contains("password"), "no bar where nobody watches: {}", done.err);
    let first = told(&done);
    assert_eq!(first.iter().map(|(table, ..)| table.as_str()).collect::<Vec<_>>(), TABLES);
    assert!(first.iter().all(|(_, rows, _)| *rows > 0), "{first:?}");
    assert_eq!(shown(&world.home, &there.url), before);
    // Back again, and with the program's own word for it as JSON.
    let back = TestDatabase::sqlite();
    let done = world.home.run(&["copy", "--json", &there.url, &back.url]).silent();
    let told = done.json();
    let sums = |told: &Value| {
        let tables = told["tables"].as_array().expect("tables").clone();
        tables
            .into_iter()
            .map(|table| table["sha256"].as_str().expect("a checksum").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(sums(&told), first.iter().map(|(.., sha256)| sha256.as_str()).collect::<Vec<_>>());
    assert_eq!(shown(&world.home, &back.url), before);
    for table in TABLES {
        let columns = "SELECT group_concat('quote(' || name || ')', ' || ') FROM \
                       pragma_table_info('TABLE')";
        let (old, new) = (open(&from).await, open(&back.url).await);
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
async fn the_source_takes_no_changes() {
    for from in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let world = World::start(from).await;
        let from = world.db.url.clone();
        let id = world.home.run(&["send", CONTACT, "Hi"]).exits(0).id().to_owned();
        world.message(CONTACT, &id, "delivered");
        let to = TestDatabase::sqlite();
        copy(&world.home, &from, &to.url).exits(0);
        let body = inbound("late", "late", CONTACT, "Too late");
        let posted = world.signer.try_post(world.server.address, body.clone().into()).await;
        let (status, told) = posted.expect("an answer");
        assert_eq!((status, &told["code"]), (503, &"database_unavailable".into()), "{told}");
        world.server.logs("held for a copy");
        let ready = world.server.get("/health/ready").await;
        assert_eq!(ready.status, 503);
        assert!(ready.body.contains("it is held for a copy"), "{}", ready.body);
        let offers = world.offers();
        for args in [&["send", CONTACT, "Hi"][..], &["settle"], &["migrate"]] {
            world.home.run(args).exits(4).tells("was copied to");
        }
        let mut serve = world.home.command(&["serve", "--listen", "127.0.0.1:0"]);
        serve.env("CONVO_LOG", "error");
        Running::start(serve, None).wait().exits(4).tells("was copied to");
        assert_eq!(world.offers(), offers, "nothing was sent");
        world.home.run(&["list"]).silent();
        assert_eq!(world.server.get("/conversations").await.status, 200);
        let stranger = open(&from).await;
        for sql in ["UPDATE messages SET body = 'x'", "DELETE FROM events"] {
            let refused = stranger.execute_unprepared(sql).await.expect_err("it is held");
            assert!(refused.to_string().contains("held for a copy"), "{refused}");
        }
        // Saying it again changes nothing; giving it back does.
        let again = copy(&world.home, &from, &to.url).exits(0);
        assert_eq!(told_rows(&again), told_rows(&copy(&world.home, &from, &to.url)));
        let other = TestDatabase::sqlite();
        copy(&world.home, &from, &other.url).exits(4).tells("was copied to");
        let released = world.home.run(&["copy", "--release", &from]).exits(0);
        assert!(released.err.contains("takes changes again"), "{}", released.err);
        assert_eq!(world.signer.post(&world.server, body).await, "stored");
        let released = world.home.run(&["copy", "--release", &from]).exits(0);
        assert!(released.err.contains("was not held"), "{}", released.err);
    }
}

fn told_rows(done: &Done) -> Vec<u64> {
    told(done).into_iter().map(|(_, rows, _)| rows).collect()
}

/// SIGKILL at many moments: the same command goes on, and the whole is there once. Until then
/// nobody opens the half of it, and the source stays held.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_copy_goes_on() {
    let from = TestDatabase::sqlite();
    let home = Home::new().set("DATABASE_URL", &from.url);
    home.run(&["migrate"]).exits(0);
    let db = open(&from.url).await;
    fill(&db, 60_000).await;
    let to = TestDatabase::postgres().await;
    let mut made = home.command(&["migrate"]);
    made.env("DATABASE_URL", &to.url);
    Running::start(made, None).wait().exits(0);
    let target = open(&to.url).await;
    let mut last = 0;
    for round in 1.. {
        let running = home.start(&["copy", &from.url, &to.url]);
        // Some more pages each time.
        let grown = until("a page", || {
            let count = "SELECT count(*)::text FROM events";
            let count = tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(one(&target, count))
            });
            let count: u32 = count.parse().expect("a number");
            (count > last).then_some(count)
        });
        running.signal(rustix::process::Signal::KILL);
        running.wait();
        last = grown;
        if round == 3 {
            break;
        }
    }
    assert!(last < 60_000, "it was over before it was killed");
    let mut list = home.command(&["list"]);
    list.env("DATABASE_URL", &to.url);
    Running::start(list, None).wait().exits(4).tells("is not finished");
    let held = db.execute_unprepared("DELETE FROM events").await;
    assert!(held.expect_err("held").to_string().contains("held for a copy"));
    let done = copy(&home, &from.url, &to.url).exits(0);
    assert_eq!(told(&done)[3].1, 60_000);
    assert_eq!(one(&target, "SELECT count(*)::text FROM events").await, "60000");
}

/// Of one source there is one copy, and none of a source that was let go meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_has_one_copy_and_keeps_still_for_it() {
    let from = TestDatabase::sqlite();
    let home = Home::new().set("DATABASE_URL", &from.url);
    home.run(&["migrate"]).exits(0);
    fill(&open(&from.url).await, 60_000).await;
    let (to, another) = (TestDatabase::sqlite(), TestDatabase::sqlite());
    let running = home.start(&["copy", &from.url, &to.url]);
    until("it is held", || {
        let done = home.run(&["migrate"]);
        done.err.contains("held for a copy").then_some(())
    });
    copy(&home, &from.url, &another.url).exits(4).tells("held for a copy to");
    home.run(&["copy", "--release", &from.url]).exits(0);
    running.wait().exits(6).tells("was given up");
    let mut list = home.command(&["list"]);
    list.env("DATABASE_URL", &to.url);
    Running::start(list, None).wait().exits(4).tells("is not finished");
    home.run(&["migrate"]).exits(0);
}

/// What somebody else puts into the copy, takes from it or changes in it is found out.
#[tokio::test(flavor = "multi_thread")]
async fn a_tampered_copy_is_found_out() {
    let from = TestDatabase::sqlite();
    let home = Home::new().set("DATABASE_URL", &from.url);
    home.run(&["migrate"]).exits(0);
    let source = open(&from.url).await;
    fill(&source, 2_500).await;
    for (sql, told) in [
        ("UPDATE events SET body = x'00' WHERE id = 'filled-7'", "are not the same"),
        ("DELETE FROM events WHERE id = 'filled-1'", "has 2500 rows, its copy 2499"),
        (
            "INSERT INTO events (id, event_type, received_at, body) VALUES ('zz', 't', 1, x'')",
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
            open(url).await.execute_unprepared(&unfinished).await.expect("altered");
        }
        open(&to.url).await.execute_unprepared(sql).await.expect("tampered");
        let done = copy(&home, &from.url, &to.url).exits(6).tells(told);
        assert_eq!(done.out, "", "nothing is claimed");
        let failed = home.run(&["copy", &from.url, &to.url, "--json"]).exits(6);
        assert_eq!(failed.error()["code"], "copy_mismatch");
        home.run(&["copy", "--release", &from.url]).exits(0);
    }
}

/// Nothing is overwritten, and nothing is copied that this program does not know whole.
#[tokio::test(flavor = "multi_thread")]
async fn only_what_fits_is_copied() {
    let (world, from) = full().await;
    let home = &world.home;
    let other = TestDatabase::sqlite();
    let signer = Signer::new(8);
    let used =
        Home::new().set("DATABASE_URL", &other.url).set("TELNYX_PUBLIC_KEY", signer.public_key());
    let server = Server::start(&used);
    signer.post(&server, inbound("e", "m", CONTACT, "Hi")).await;
    drop(server);
    copy(home, &from, &other.url).exits(4).tells("already holds something else");
    copy(home, &from, &from).exits(2).tells("the same one");
    std::os::unix::fs::symlink(world.db.file(), home.file("link.db")).expect("a link");
    let link = format!("sqlite:///{}", home.file("link.db").display());
    copy(home, &from, &link).exits(2).tells("the same one");
    let missing = format!("sqlite:///{}", home.file("missing.db").display());
    copy(home, &missing, &other.url).exits(4).tells("there is no database");
    copy(home, &from, "mysql://h/d").exits(4).tells("'mysql'");
    copy(home, &from, "postgres://u:hunter2@127.0.0.1:1/d").exits(5).tells("cannot open");
    home.run(&["copy", &from, &other.url, "--server", "http://127.0.0.1:1"]).exits(2);
    home.run(&["--sandbox", "copy", &from, &other.url]).exits(2);
    home.run(&["copy", "--release", &from, &other.url]).exits(2);
    // Not held by any of these.
    world.home.run(&["send", CONTACT, "Hi"]).exits(0);
    let db = open(&from).await;
    let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9', 1)";
    db.execute_unprepared(newer).await.expect("newer");
    let to = TestDatabase::sqlite();
    copy(home, &from, &to.url).exits(4).tells("newer convo");
    assert!(!to.file().exists(), "nothing was made");
}

/// The target is the one of DATABASE_URL when it is not named, so that no password is typed; a
/// sandbox stays one.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_need_not_be_typed() {
    let from = TestDatabase::sqlite();
    let to = TestDatabase::postgres().await;
    let home = Home::new();
    home.write("url", &to.url);
    let home = home.set("DATABASE_URL_FILE", "url");
    let mut made = home.command(&["migrate"]);
    made.env("DATABASE_URL", &from.url);
    Running::start(made, None).wait().exits(0);
    let sandbox = "UPDATE meta SET value = 'sandbox' WHERE key = 'mode'";
    open(&from.url).await.execute_unprepared(sandbox).await.expect("altered");
    home.run(&["copy", &from.url]).exits(0);
    home.run(&["list"]).exits(4).tells("this is a sandbox database");
}

/// Nothing is forgotten: the tables and columns that are copied are those that there are.
#[tokio::test(flavor = "multi_thread")]
async fn every_table_is_copied() {
    let db = TestDatabase::sqlite();
    Home::new().set("DATABASE_URL", &db.url).run(&["migrate"]).exits(0);
    let tables = "SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_master \
                  WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name)";
    let mut known = TABLES.to_vec();
    known.extend(["meta", "seaql_migrations"]);
    known.sort_unstable();
    assert_eq!(one(&open(&db.url).await, tables).await, known.join(" "));
}
