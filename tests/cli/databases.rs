//! Databases: every form of their address, their rights, and several servers at the start.

use std::os::unix::fs::PermissionsExt;

use sea_orm::{ConnectionTrait, DatabaseBackend};

use crate::on_both_databases;
use crate::support::{
    CONTACT, Done, FakeServer, Home, Reply, Server, Signer, TestDatabase, connect, inbound,
    wait_until,
};

/// A home that sends to a stand-in which accepts all.
async fn sender() -> (Home, FakeServer) {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    (Home::new().sending_to(&telnyx.base_url()), telnyx)
}

fn with_url(home: &Home, url: &str, args: &[&str]) -> Done {
    home.run_with(&[("DATABASE_URL", url)], args)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_a_url_names_the_same_file() {
    let (home, _telnyx) = sender().await;
    std::fs::create_dir(home.file("sub")).expect("a directory");
    let absolute = format!("sqlite:///{}", home.file("c.db").display());
    let with_mode = format!("{absolute}?mode=rwc");
    assert!(absolute.starts_with("sqlite:////"));
    let forms = ["sqlite:///c.db", "sqlite:c.db", "sqlite://c.db", &absolute, &with_mode];
    let more = ["sqlite:///./c.db", "sqlite:///sub/../c.db", "sqlite:c.db?mode=rw"];
    for (sent, url) in forms.iter().chain(&more).enumerate() {
        with_url(&home, url, &["send", CONTACT, "Hi"]).exits(0);
        let shown = with_url(&home, url, &["show", CONTACT, "--format", "ids"]).silent();
        assert_eq!(shown.out.lines().count(), sent + 1, "{url}");
    }
    assert_eq!(home.files(), ["c.db", "sub"]);
    for (url, args) in [
        ("sqlite:///new.db?mode=rw", &["send", CONTACT, "Hi"][..]),
        ("sqlite:///new.db?mode=ro", &["list"]),
    ] {
        with_url(&home, url, args).exits(4).reports("there is no database at");
    }
    for url in ["mysql://h/d", "sqlite::memory:", "c.db", "sqlite:c.db?cache=shared", "oracle:x"] {
        let done = with_url(&home, url, &["list"]).exits(4);
        assert!(done.err.contains("DATABASE_URL") || done.err.contains(&url[..5]), "{}", done.err);
    }
    assert_eq!(home.files(), ["c.db", "sub"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_is_only_read() {
    let (home, telnyx) = sender().await;
    home.run(&["send", CONTACT, "Hi"]).exits(0);
    let url = "sqlite:///conversations.db?mode=ro";
    assert_eq!(with_url(&home, url, &["list"]).silent().out.lines().count(), 1);
    with_url(&home, url, &["show", CONTACT]).silent();
    let done = with_url(&home, url, &["send", CONTACT, "Hi"]).exits(4).reports("mode=ro");
    assert_eq!((done.out.as_str(), telnyx.requests().len()), ("", 1), "{}", done.err);
    with_url(&home, url, &["serve", "--listen", "127.0.0.1:0"]).exits(4).reports("mode=ro");
    with_url(&home, url, &["migrate"]).exits(4).reports("mode=ro");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_a_url_names_the_same_server() {
    let db = TestDatabase::postgres().await;
    let (home, _telnyx) = sender().await;
    let rest = db.url.split_once("://").expect("a URL").1;
    with_url(&home, &db.url, &["send", CONTACT, "Hi"]).exits(4).reports("convo migrate");
    with_url(&home, &db.url, &["migrate"]).exits(0);
    for (sent, scheme) in ["postgres", "postgresql", "postgresql+psycopg2"].iter().enumerate() {
        let url = format!("{scheme}://{rest}");
        with_url(&home, &url, &["send", CONTACT, "Hi"]).exits(0);
        let shown = with_url(&home, &url, &["show", CONTACT, "--format", "ids"]).silent();
        assert_eq!(shown.out.lines().count(), sent + 1, "{scheme}");
    }
    assert_eq!(home.files(), [""; 0]);
    let nowhere = db.url.replace("convo_", "no_such_convo_");
    let done = with_url(&home, &nowhere, &["list"]);
    assert!(matches!(done.code, 4 | 5) && done.err.contains("no_such_convo_"), "{}", done.err);
    let secret = "postgres://convo:hunter2@127.0.0.1:1/convo";
    let done = with_url(&home, secret, &["list"]).exits(5);
    assert!(!done.err.contains("hunter2"), "{}", done.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_private_to_their_owner() {
    let signer = Signer::new(7);
    for umask in ["022", "000", "077"] {
        let home = Home::new().accepting(&signer);
        let script = format!("umask {umask}; exec convo serve --listen 127.0.0.1:0");
        let server = Server::from_command(home.shell(&script));
        signer.post(&server, inbound("e", "m", CONTACT, "Hi")).await;
        let files = home.files();
        assert!(files.iter().any(|name| name.ends_with("-wal")), "{files:?}");
        for name in files {
            let mode = home.file(&name).metadata().expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name} under umask {umask}");
        }
    }
}

/// SQLite notes in the file's header that it is in WAL mode: 2, where a rollback journal is 1.
#[test]
fn a_file_is_in_wal_mode_from_the_beginning() {
    let home = Home::new();
    home.run(&["migrate"]).exits(0);
    assert_eq!(std::fs::read(home.file("conversations.db")).expect("a file")[18..20], [2, 2]);
    assert_eq!(home.files(), ["conversations.db"]);
}

/// After a burst of webhooks the idle server checkpoints SQLite's WAL: a copy of the file alone lacks
/// little, and no webhook has to wait for a checkpoint.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_server_checkpoints_the_wal() {
    let signer = Signer::new(7);
    let home = Home::new().accepting(&signer);
    let server = Server::start(&home);
    for n in 0..120 {
        let body = inbound(&format!("e{n}"), &format!("m{n}"), CONTACT, "Hi");
        assert_eq!(signer.post(&server, body).await, "stored");
    }
    wait_until("most messages to be in the file alone", || {
        std::fs::copy(home.file("conversations.db"), home.file("copy.db")).expect("a copy");
        // A copy taken during the checkpoint may be no valid database.
        let listed = with_url(&home, "sqlite:///copy.db", &["list", "--json"]);
        listed.code == 0 && listed.json()[0]["message_count"].as_u64() >= Some(100)
    });
}

/// Servers that start at the same moment on an empty database: all come up.
async fn several_servers_start_at_once(db: TestDatabase) {
    let signer = Signer::new(7);
    let home = Home::new().with_database(&db).accepting(&signer);
    let servers: Vec<_> = std::thread::scope(|scope| {
        let start = || scope.spawn(|| Server::start(&home));
        let starting: Vec<_> = (0..4).map(|_| start()).collect();
        starting.into_iter().map(|server| server.join().expect("it came up")).collect()
    });
    for (n, server) in servers.iter().enumerate() {
        let body = inbound(&format!("e{n}"), &format!("m{n}"), CONTACT, "Hi");
        assert_eq!(signer.post(server, body).await, "stored");
    }
    let thread = home.run(&["show", CONTACT, "--json"]).silent().json();
    assert_eq!(thread["message_count"], 4);
    for server in servers {
        assert_eq!(server.stop(), 0);
    }
    home.run(&["migrate"]).exits(0);
}

/// A database that another hand holds: webhooks wait or are told to come again, none is lost.
async fn a_foreign_lock_delays_webhooks_and_loses_none(db: TestDatabase) {
    let signer = Signer::new(7);
    let home = Home::new().with_database(&db).accepting(&signer);
    let server = Server::start(&home);
    let other = connect(&db.url).await;
    let lock = match other.get_database_backend() {
        DatabaseBackend::Sqlite => "BEGIN IMMEDIATE",
        _ => "BEGIN; LOCK TABLE conversations, messages, events IN ACCESS EXCLUSIVE MODE",
    };
    other.execute_unprepared(lock).await.expect("locked");
    let body = inbound("e1", "m1", CONTACT, "Hi");
    let since = std::time::Instant::now();
    let (status, answer) = signer.try_post(server.address, &body).await.expect("an answer");
    assert_eq!((status, &answer["code"]), (503, &"database_unavailable".into()));
    assert!(since.elapsed().as_secs_f32() < 2.0, "Telnyx waits two seconds");
    assert_eq!(server.get("/health").await.status, 200);
    other.execute_unprepared("ROLLBACK").await.expect("free again");
    // Telnyx comes again. The first one may have been at the database's door already.
    let word = signer.post(&server, body).await;
    assert!(matches!(word.as_str(), "stored" | "duplicate"), "{word}");
    assert_eq!(home.run(&["list"]).silent().out.lines().count(), 1);
}

on_both_databases!(several_servers_start_at_once, a_foreign_lock_delays_webhooks_and_loses_none);
