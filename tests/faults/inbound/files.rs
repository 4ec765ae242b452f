//! The files of a SQLite database are removed, replaced or truncated under a running server.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use sea_orm::ConnectionTrait;
use serde_json::Value;

use super::load::{Tally, assert_kept, home, post, post_until, repost, signer};
use crate::support::{
    CONTACT, FakeServer, Home, Reply, Server, Signer, TestDatabase, connect, eventually,
    eventually_some, query_one,
};

const WAL_MARK: &str = "write-ahead log";

struct Setting {
    db: TestDatabase,
    signer: Signer,
    home: Home,
    server: Server,
}

impl Setting {
    /// A server that has acknowledged the webhooks 0 to 15 and perhaps more.
    async fn new() -> (Self, Tally) {
        let db = TestDatabase::sqlite();
        let signer = signer(3);
        let home = home(&db.url, &signer);
        let server = Server::start(&home);
        let tally = post_until(server.address, &signer, 0, |t| t.acknowledged.len() >= 16).await;
        (Self { db, signer, home, server }, tally)
    }

    /// Why commits fail, as readiness says it; `None` while it has nothing against them.
    async fn objection(&self) -> Option<String> {
        commit_objection(&self.server).await
    }

    /// Posts webhooks, all of which must be refused, and finds the reason in the log and in the
    /// readiness.
    async fn assert_refused(&self, first: usize, reason: &str) -> Vec<usize> {
        let tally =
            post_until(self.server.address, &self.signer, first, |t| t.refused.len() >= 32).await;
        assert_eq!((tally.acknowledged, tally.lost), (vec![], vec![]), "answered into nothing");
        assert!(self.objection().await.is_some_and(|told| told.contains(reason)));
        self.server.wait_for_log(reason);
        tally.refused
    }

    async fn post(&self, n: usize) -> Option<u16> {
        post(&self.signer, self.server.address, n).await
    }
}

/// The database's file, or one beside it.
fn file(db: &TestDatabase, suffix: &str) -> PathBuf {
    let mut path = db.file().into_os_string();
    path.push(suffix);
    path.into()
}

async fn commit_objection(server: &Server) -> Option<String> {
    let answer = server.get("/health/ready").await;
    let ready: Value = answer.json();
    let checks = ready["checks"].as_array().expect("checks").clone();
    let check = checks.into_iter().find(|check| check["name"] == "commits").expect("a check");
    assert_eq!(check["ok"] == false, answer.status == 503 && check["reason"].is_string());
    check["reason"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_into_a_removed_file() {
    let (setting, _) = Setting::new().await;
    assert_eq!(setting.objection().await, None);
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(file(&setting.db, suffix)).expect("removed");
    }
    // Also without any traffic.
    assert!(setting.objection().await.is_some_and(|told| told.contains("removed")));
    setting.assert_refused(100, "removed").await;
    assert_eq!(setting.server.get("/health").await.status, 200);
    assert_eq!(setting.server.stop(), 0);
    assert!(!setting.db.file().exists(), "nothing was made in its place");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_its_place_is_neither_written_nor_damaged() {
    let (setting, before) = Setting::new().await;
    let backup = setting.db.dir.path().join("backup.db");
    let db = connect(&setting.db.url).await;
    db.execute_unprepared(&format!("VACUUM INTO '{}'", backup.display())).await.expect("a backup");
    db.close().await.expect("closed");
    // SQLite makes it readable for all, which convo refuses.
    fs::set_permissions(&backup, Permissions::from_mode(0o600)).expect("permissions");
    // Enough that the database grows: its length is what tells the log of another file.
    let later: Vec<usize> = (50..95).collect();
    repost(setting.server.address, &setting.signer, &later).await;
    let kept = fs::read(&backup).expect("a file");
    // With the log of the open database beside it, as a careless restore leaves it.
    fs::rename(&backup, setting.db.file()).expect("replaced");
    let refused = setting.assert_refused(100, "replaced by another").await;
    assert_eq!(setting.server.stop(), 0);
    assert_eq!(fs::read(setting.db.file()).expect("a file"), kept, "it is as it was put there");
    for args in [&["list"][..], &["migrate"], &["serve", "--listen", "127.0.0.1:0"]] {
        setting.home.run(args).exits(4).reports("convo.db-wal does not belong to");
    }
    assert_eq!(fs::read(setting.db.file()).expect("a file"), kept, "it is as it was put there");
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(file(&setting.db, suffix)).expect("removed");
    }
    let server = Server::start(&setting.home);
    repost(server.address, &setting.signer, &refused).await;
    server.kill();
    assert_kept(&setting.db.url, &[before.acknowledged, refused].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_put_back_is_used_again() {
    let (setting, before) = Setting::new().await;
    let away = setting.db.dir.path().join("away.db");
    fs::rename(setting.db.file(), &away).expect("moved");
    let refused = setting.assert_refused(100, "removed").await;
    fs::rename(&away, setting.db.file()).expect("moved back");
    // Nobody posts meanwhile: the server finds out by itself.
    eventually("it to be ready", async || setting.objection().await.is_none()).await;
    let db = connect(&setting.db.url).await;
    let events: i64 = query_one(&db, "SELECT count(*) FROM events").await;
    // At most the transaction that was under way at that moment was committed.
    assert!(usize::try_from(events).expect("a count") <= before.acknowledged.len() + 16);
    repost(setting.server.address, &setting.signer, &refused).await;
    assert_eq!(setting.server.stop(), 0);
    assert_kept(&setting.db.url, &[before.acknowledged, refused].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_log_is_noticed_and_a_restart_keeps_all_of_it() {
    let (setting, before) = Setting::new().await;
    fs::remove_file(file(&setting.db, "-wal")).expect("removed");
    let refused = setting.assert_refused(100, WAL_MARK).await;
    assert_eq!(setting.server.stop(), 0);
    let server = Server::start(&setting.home);
    repost(server.address, &setting.signer, &refused).await;
    server.kill();
    assert_kept(&setting.db.url, &[before.acknowledged, refused].concat()).await;
}

/// The file is gone between the row of a send and its outcome: nobody is told that all is well.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_does_not_record_an_outcome_into_nothing() {
    let telnyx = FakeServer::replying(&[Reply::Hold]).await;
    let home = Home::new().sending_to(&telnyx.base_url());
    let sending = home.start(&["send", CONTACT, "Hi"]);
    telnyx.wait_for_offers(1).await;
    for name in home.files() {
        fs::remove_file(home.file(&name)).expect("removed");
    }
    telnyx.release();
    let done = tokio::task::spawn_blocking(|| sending.wait()).await.expect("no panic").exits(9);
    assert!(done.err.contains("could not be recorded"), "{}", done.err);
    assert!(done.err.contains("removed"), "{}", done.err);
    assert_eq!(home.files(), [""; 0], "nothing was made in its place");
}

/// Readiness knows that every commit fails, and that they succeed again, without any traffic.
#[tokio::test(flavor = "multi_thread")]
async fn readiness_follows_a_full_disk() {
    let db = TestDatabase::sqlite();
    let signer = signer(5);
    let home = home(&db.url, &signer);
    let limited = "trap '' XFSZ; ulimit -S -f 1000; exec convo serve --listen 127.0.0.1:0";
    let server = Server::from_command(home.shell(limited));
    assert_eq!(commit_objection(&server).await, None);
    let tally = post_until(server.address, &signer, 0, |t| t.refused.len() >= 32).await;
    let told = eventually_some("it to be told", async || commit_objection(&server).await).await;
    assert_eq!(told, "the last transaction failed");
    assert!(commit_objection(&server).await.is_some(), "it does not flap");
    let id = Pid::from_raw(server.id().try_into().expect("an id"));
    let unlimited = Rlimit { current: None, maximum: None };
    prlimit(id, Resource::Fsize, unlimited).expect("room");
    eventually("it to be ready", async || commit_objection(&server).await.is_none()).await;
    repost(server.address, &signer, &tally.refused).await;
    server.kill();
    assert_kept(&db.url, &[tally.acknowledged, tally.refused].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_knows_of_a_truncated_file() {
    let (setting, _) = Setting::new().await;
    // Into the file, and out of the log.
    let db = connect(&setting.db.url).await;
    db.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await.expect("a checkpoint");
    db.close().await.expect("closed");
    let opened = OpenOptions::new().write(true).open(setting.db.file()).expect("a file");
    opened.set_len(0).expect("truncated");
    assert_eq!(setting.post(100).await, Some(503));
    assert!(setting.objection().await.is_some());
    assert!(setting.objection().await.is_some(), "it does not flap");
}

/// A backup is restored over a database whose server was killed: made by SQLite, or a copy of the
/// file as it was after a checkpoint.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_another_file_is_noticed_beside_a_restored_one() {
    for by_sqlite in [true, false] {
        let (setting, _) = Setting::new().await;
        let backup = setting.db.dir.path().join("backup.db");
        let db = connect(&setting.db.url).await;
        if by_sqlite {
            let into = format!("VACUUM INTO '{}'", backup.display());
            db.execute_unprepared(&into).await.expect("a backup");
        } else {
            db.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await.expect("a checkpoint");
            fs::copy(setting.db.file(), &backup).expect("a backup");
            repost(setting.server.address, &setting.signer, &numbers(200, 80)).await;
            db.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await.expect("a checkpoint");
        }
        db.close().await.expect("closed");
        repost(setting.server.address, &setting.signer, &numbers(50, 40)).await;
        let away = tempfile::tempdir().expect("a directory");
        let (db, home) = (setting.db, setting.home);
        setting.server.kill();
        for name in ["convo.db", "convo.db-wal"] {
            fs::copy(db.dir.path().join(name), away.path().join(name)).expect("copied");
        }
        // File and log together are a database, wherever they are.
        let elsewhere = format!("sqlite:///{}", away.path().join("convo.db").display());
        let shown = home.run_with(&[("DATABASE_URL", &elsewhere)], &["list", "--json"]).silent();
        assert!(shown.json().as_array().is_some_and(|list| !list.is_empty()));
        fs::copy(&backup, db.file()).expect("restored");
        home.run(&["list"]).exits(4).reports("convo.db-wal does not belong to");
        assert_eq!(fs::read(db.file()).ok(), fs::read(&backup).ok(), "the backup is untouched");
    }
}

fn numbers(first: usize, count: usize) -> Vec<usize> {
    (first..first + count).collect()
}
