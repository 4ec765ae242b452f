//! The database goes away, fills up, or is read-only.

use std::time::{Duration, Instant};

use sea_orm::ConnectionTrait;
use serde_json::Value;

use super::load::{assert_kept, home, post, post_until, repost, signer};
use crate::support::{Cluster, Home, Server, TestDatabase, connect, query_one, times_longer};

/// PostgreSQL itself is killed under load and started again. The server answers 503 meanwhile,
/// recovers by itself, and has lost nothing that it acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_postgresql_loses_nothing() {
    let cluster = Cluster::start();
    let signer = signer(4);
    let home = home(&cluster.url(), &signer);
    let server = Server::start(&home);
    let (mut acknowledged, mut open) = (Vec::new(), Vec::new());
    for round in 0..times_longer() {
        let first = round * 1_000_000;
        let before =
            post_until(server.address, &signer, first, |t| t.acknowledged.len() > 300).await;
        cluster.kill();
        let down = post_until(server.address, &signer, first + 100_000, |t| t.refused.len() >= 16);
        let down = down.await;
        assert_eq!(server.get("/health").await.status, 200);
        tokio::task::block_in_place(|| cluster.restart());
        let first = first + 200_000;
        let after =
            post_until(server.address, &signer, first, |t| t.acknowledged.len() > 100).await;
        for tally in [&before, &down, &after] {
            assert!(tally.lost.is_empty(), "the server always answers");
            acknowledged.extend(&tally.acknowledged);
            open.extend(&tally.refused);
        }
        repost(server.address, &signer, &open).await;
        acknowledged.append(&mut open);
        assert_kept(&cluster.url(), &acknowledged).await;
    }
}

/// Everything of a webhook can be written, and then the commit fails: it is not acknowledged.
async fn assert_failed_commits_are_refused(db: TestDatabase, fail: &str, heal: &str) {
    let signer = signer(16);
    let home = home(&db.url, &signer);
    let server = Server::start(&home);
    repost(server.address, &signer, &[1]).await;
    let admin = connect(&db.url).await;
    admin.execute_unprepared(fail).await.expect("set");
    // Of a small batch and of a large one.
    for count in [1, 32] {
        let posts = (0..count).map(|n| post(&signer, server.address, 2 + n));
        let answers = futures_util::future::join_all(posts).await;
        assert!(answers.iter().all(|status| matches!(status, Some(500 | 503))), "{answers:?}");
    }
    admin.execute_unprepared(heal).await.expect("healed");
    repost(server.address, &signer, &[2]).await;
    server.kill();
    assert_kept(&db.url, &[1, 2]).await;
}

/// PostgreSQL checks deferred constraints when it commits.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_commit_of_postgresql_is_not_acknowledged() {
    let fail = "
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'no commit'; END $$;
        CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION refuse();";
    let db = TestDatabase::postgres().await;
    assert_failed_commits_are_refused(db, fail, "DROP TRIGGER refuse ON events").await;
}

/// So does SQLite.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_commit_of_sqlite_is_not_acknowledged() {
    let fail = "
        CREATE TABLE nobody (id INTEGER PRIMARY KEY);
        CREATE TABLE refused (id INTEGER REFERENCES nobody DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER refuse AFTER INSERT ON events BEGIN INSERT INTO refused VALUES (1); END;";
    let db = TestDatabase::sqlite();
    assert_failed_commits_are_refused(db, fail, "DROP TRIGGER refuse").await;
}

/// The disk is full for the database's files: here a limit on the size of any file the server may
/// write. It answers 503, logs why, and what it acknowledged stays readable.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_reported_and_loses_nothing() {
    let db = TestDatabase::sqlite();
    let signer = signer(5);
    let home = home(&db.url, &signer);
    // 4,000 blocks of 1,024 bytes: room for more than 50 commits of one webhook each. The signal
    // of a write beyond it is ignored; the write fails.
    let limited = "trap '' XFSZ; ulimit -f 4000; exec convo serve --listen 127.0.0.1:0";
    let server = Server::from_command(home.shell(limited));
    let tally = post_until(server.address, &signer, 0, |t| t.refused.len() >= 32).await;
    assert!(tally.lost.is_empty(), "the server always answers");
    assert!(tally.acknowledged.len() > 50, "{}", tally.acknowledged.len());
    server.wait_for_log("a database operation failed");
    server.kill();
    assert_kept(&db.url, &tally.acknowledged).await;
    // With room again, everything that was refused is accepted.
    let server = Server::start(&home);
    repost(server.address, &signer, &tally.refused).await;
    server.kill();
    assert_kept(&db.url, &[tally.acknowledged, tally.refused].concat()).await;
}

/// Another process holds SQLite's write lock for longer than Telnyx waits: 503 in time, nothing
/// written for a sender that was asked to retry, and service as soon as the lock is free.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_answered_in_time_while_the_database_is_locked() {
    let db = TestDatabase::sqlite();
    let signer = signer(6);
    let home = home(&db.url, &signer);
    let server = Server::start(&home);
    let other = connect(&db.url).await;
    other.execute_unprepared("BEGIN IMMEDIATE").await.expect("the lock");
    let start = Instant::now();
    assert_eq!(post(&signer, server.address, 1).await, Some(503));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    other.execute_unprepared("ROLLBACK").await.expect("the lock is free");
    repost(server.address, &signer, &[2]).await;
    server.kill();
    assert_kept(&db.url, &[2]).await;
    let events: i64 = query_one(&other, "SELECT count(*) FROM events").await;
    assert_eq!(events, 1, "the webhook that was refused was not written");
}

/// A database that is read-only: the server refuses to start, and says why.
#[test]
fn a_read_only_database_is_refused_at_start() {
    let db = TestDatabase::sqlite();
    Home::new().with_database(&db).run(&["migrate"]).exits(0);
    let read_only = Home::new().set("DATABASE_URL", format!("{}?mode=ro", db.url));
    let served = read_only.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(matches!(served.code, 4 | 5), "{served:?}");
    assert!(served.err.contains("convo: ") && served.err.contains("mode=ro"), "{}", served.err);
    read_only.run(&["list"]).exits(0);
}

/// PostgreSQL is read-only for a while, as a standby before its promotion: 503, and service again
/// as soon as it can be written, without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_postgresql_is_reported_and_survived() {
    let db = TestDatabase::postgres().await;
    let signer = signer(7);
    let home = home(&db.url, &signer);
    let server = Server::start(&home);
    repost(server.address, &signer, &[1]).await;
    let admin = connect(&db.url).await;
    let name = db.url.rsplit('/').next().expect("a name").to_owned();
    // The setting applies to new sessions, so those of the server are ended.
    let end_others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                      WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let switch = async |value: &str| {
        let alter = format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}");
        admin.execute_unprepared("SET default_transaction_read_only = off").await.expect("set");
        admin.execute_unprepared(&alter).await.expect("altered");
        admin.execute_unprepared(end_others).await.expect("ended");
    };
    let is_writable = async || {
        let ready: Value = server.get("/health/ready").await.json();
        let checks = ready["checks"].as_array().expect("checks").clone();
        let check = checks.into_iter().find(|check| check["name"] == "changes").expect("a check");
        check["ok"].as_bool().expect("a boolean") || {
            assert_eq!(check["reason"], "the database is read-only");
            false
        }
    };
    assert!(is_writable().await);
    switch("on").await;
    assert!(!is_writable().await, "a load balancer goes elsewhere");
    let tally = post_until(server.address, &signer, 10, |t| t.refused.len() >= 32).await;
    assert!(tally.lost.is_empty(), "the server always answers");
    server.wait_for_log("read-only");
    switch("off").await;
    assert!(is_writable().await);
    repost(server.address, &signer, &tally.refused).await;
    server.kill();
    assert_kept(&db.url, &[vec![1], tally.acknowledged, tally.refused].concat()).await;
}
