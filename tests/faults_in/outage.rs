//! The database goes away, fills up, or may not be written.

use std::process::Command;
use std::time::Duration;

use convo::sandbox::SigningKey;
use serde_json::Value;

use crate::load::{Server, assert_kept, client, post, post_until, repost, serve, times};
use crate::support::TestDatabase;
use crate::support::cluster::Cluster;

/// PostgreSQL itself is killed in mid-load and started again. The server answers 503 meanwhile,
/// recovers by itself, and has lost nothing that it acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_postgresql_loses_nothing() {
    let cluster = Cluster::start();
    let key = SigningKey::from_seed(&[4; 32]);
    let server = Server::start(serve(&cluster.url()), &key);
    let (mut acknowledged, mut open) = (Vec::new(), Vec::new());
    let mut cluster = Some(cluster);
    for round in 0..times(1) {
        let running = cluster.take().expect("one at a time");
        let first = round * 1_000_000;
        let before = post_until(server.address, &key, first, |t| t.acknowledged.len() > 300).await;
        running.kill();
        let down = post_until(server.address, &key, first + 100_000, |t| t.refused.len() >= 16);
        let down = down.await;
        let client = client();
        let health = client.get(format!("http://{}/health", server.address)).send().await;
        assert!(health.expect("the process answers").status().is_success());
        let restarted = tokio::task::spawn_blocking(move || {
            running.restart();
            running
        });
        let running = restarted.await.expect("no panic");
        let first = first + 200_000;
        let after = post_until(server.address, &key, first, |t| t.acknowledged.len() > 100).await;
        for tally in [&before, &down, &after] {
            assert!(tally.lost.is_empty(), "the server always answers");
            acknowledged.extend(&tally.acknowledged);
            open.extend(&tally.refused);
        }
        repost(server.address, &key, &open).await;
        acknowledged.append(&mut open);
        assert_kept(&running.url(), &acknowledged).await;
        cluster = Some(running);
    }
}

/// Everything of a webhook can be written, and then the commit fails: it is not acknowledged.
async fn a_failed_commit_is_not_acknowledged(db: TestDatabase, fail: &str, heal: &str) {
    use sea_orm::{ConnectionTrait, Database};

    let key = SigningKey::from_seed(&[16; 32]);
    let server = Server::start(serve(&db.url), &key);
    repost(server.address, &key, &[1]).await;
    let admin = Database::connect(db.url.replace(":///", "://")).await.expect("it opens");
    admin.execute_unprepared(fail).await.expect("set");
    // Of a small batch and of a large one.
    for count in [1, 32] {
        let client = client();
        let posts = (0..count).map(|n| post(&client, server.address, &key, 2 + n));
        let told = futures_util::future::join_all(posts).await;
        assert!(told.iter().all(|status| matches!(status, Some(500 | 503))), "{told:?}");
    }
    admin.execute_unprepared(heal).await.expect("healed");
    repost(server.address, &key, &[2]).await;
    server.kill();
    assert_kept(&db.url, &[1, 2]).await;
}

/// PostgreSQL looks at what is deferred when it commits.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_commit_of_postgresql_is_not_acknowledged() {
    let fail = "
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'no commit'; END $$;
        CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION refuse();";
    let db = TestDatabase::postgres().await;
    a_failed_commit_is_not_acknowledged(db, fail, "DROP TRIGGER refuse ON events").await;
}

/// So does SQLite.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_commit_of_sqlite_is_not_acknowledged() {
    let fail = "
        CREATE TABLE nobody (id INTEGER PRIMARY KEY);
        CREATE TABLE refused (id INTEGER REFERENCES nobody DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER refuse AFTER INSERT ON events BEGIN INSERT INTO refused VALUES (1); END;";
    let db = TestDatabase::sqlite();
    a_failed_commit_is_not_acknowledged(db, fail, "DROP TRIGGER refuse").await;
}

/// The disk is full for the database's files: here a limit on the size of any file the server may
/// write. It answers 503, says why, and what it acknowledged stays readable.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_loses_nothing() {
    let db = TestDatabase::sqlite();
    let key = SigningKey::from_seed(&[5; 32]);
    // 4,000 blocks of 1,024 bytes: room for more than 50 commits of one webhook each. The signal
    // of a write beyond it is ignored; the write fails.
    let mut command = Command::new("bash");
    command.args(["-c", "trap '' XFSZ; ulimit -f 4000; exec \"$0\" serve"]);
    command.arg(env!("CARGO_BIN_EXE_convo")).env_clear().env("DATABASE_URL", &db.url);
    let server = Server::start(command, &key);
    let tally = post_until(server.address, &key, 0, |t| t.refused.len() >= 32).await;
    assert!(tally.lost.is_empty(), "the server always answers");
    assert!(tally.acknowledged.len() > 50, "{}", tally.acknowledged.len());
    assert!(server.says("the database failed"), "{}", server.log.lock().expect("no panic"));
    server.kill();
    assert_kept(&db.url, &tally.acknowledged).await;
    // With room again, everything that was refused is taken.
    let server = Server::start(serve(&db.url), &key);
    repost(server.address, &key, &tally.refused).await;
    server.kill();
    let all: Vec<_> = tally.acknowledged.into_iter().chain(tally.refused).collect();
    assert_kept(&db.url, &all).await;
}

/// Another process holds SQLite's write lock for longer than Telnyx waits: 503 in time, nothing
/// written for a caller that was told to come again, and service as soon as the lock is free.
#[tokio::test(flavor = "multi_thread")]
async fn a_held_lock_is_waited_for_but_not_by_telnyx() {
    use sea_orm::{ConnectionTrait, Database};

    let db = TestDatabase::sqlite();
    let key = SigningKey::from_seed(&[6; 32]);
    let server = Server::start(serve(&db.url), &key);
    let path = db.url.trim_start_matches("sqlite:///");
    let other = Database::connect(format!("sqlite://{path}")).await.expect("it opens");
    other.execute_unprepared("BEGIN IMMEDIATE").await.expect("the lock");
    let client = client();
    let since = std::time::Instant::now();
    assert_eq!(post(&client, server.address, &key, 1).await, Some(503));
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    other.execute_unprepared("ROLLBACK").await.expect("the lock is free");
    repost(server.address, &key, &[2]).await;
    server.kill();
    assert_kept(&db.url, &[2]).await;
    let rows = other
        .query_all_raw(sea_orm::Statement::from_string(
            sea_orm::DatabaseBackend::Sqlite,
            "SELECT id FROM events",
        ))
        .await
        .expect("rows");
    assert_eq!(rows.len(), 1, "the job whose caller gave up was not written");
}

/// A database that may only be read: the server refuses to start, and says so.
#[test]
fn a_read_only_database_is_refused_at_start() {
    let db = TestDatabase::sqlite();
    let run = |words: &[&str], url: &str| {
        // Should it serve after all, the test ends all the same.
        let mut command = Command::new("timeout");
        command
            .args(["20", env!("CARGO_BIN_EXE_convo")])
            .args(words)
            .env_clear()
            .env("DATABASE_URL", url)
            .env("CONVO_LISTEN", "127.0.0.1:0");
        command.output().expect("it runs")
    };
    assert!(run(&["migrate"], &db.url).status.success());
    let read_only = format!("{}?mode=ro", db.url);
    let served = run(&["serve"], &read_only);
    assert!(matches!(served.status.code(), Some(4 | 5)), "{:?}", served.status);
    let said = String::from_utf8_lossy(&served.stderr).into_owned();
    assert!(said.contains("convo: ") && said.contains("mode=ro"), "{said}");
    assert!(run(&["list"], &read_only).status.success());
}

/// PostgreSQL may only be read for a while, as a standby before its promotion: 503, and service
/// again as soon as it may be written, without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_postgresql_is_told_and_outlived() {
    use sea_orm::{ConnectionTrait, Database};

    let db = TestDatabase::postgres().await;
    let key = SigningKey::from_seed(&[7; 32]);
    let server = Server::start(serve(&db.url), &key);
    repost(server.address, &key, &[1]).await;
    // One connection, for its settings are its own.
    let mut one = sea_orm::ConnectOptions::new(&db.url);
    one.max_connections(1);
    let admin = Database::connect(one).await.expect("it answers");
    let name = db.url.rsplit('/').next().expect("a name").to_owned();
    // It holds for new sessions, so those of the server are ended.
    let end_others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                      WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let switch = async |value: &str| {
        let alter = format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}");
        admin.execute_unprepared("SET default_transaction_read_only = off").await.expect("set");
        admin.execute_unprepared(&alter).await.expect("altered");
        admin.execute_unprepared(end_others).await.expect("ended");
    };
    let takes_changes = async || {
        let ready = client().get(format!("http://{}/health/ready", server.address)).send().await;
        let told = ready.expect("it answers").text().await.expect("a body");
        let told: Value = serde_json::from_str(&told).expect("JSON");
        let checks = told["checks"].as_array().expect("checks").clone();
        let check = checks.into_iter().find(|check| check["name"] == "changes").expect("a check");
        check["ok"].as_bool().expect("yes or no") || {
            assert_eq!(check["reason"], "it may only be read");
            false
        }
    };
    assert!(takes_changes().await);
    switch("on").await;
    assert!(!takes_changes().await, "whoever spreads the load sends it elsewhere");
    let tally = post_until(server.address, &key, 10, |t| t.refused.len() >= 32).await;
    assert!(tally.lost.is_empty(), "the server always answers");
    assert!(server.says("read-only"), "{}", server.log.lock().expect("no panic"));
    switch("off").await;
    assert!(takes_changes().await);
    repost(server.address, &key, &tally.refused).await;
    server.kill();
    let all: Vec<_> = [1].into_iter().chain(tally.acknowledged).chain(tally.refused).collect();
    assert_kept(&db.url, &all).await;
}
