//! SQLite files: whose they are, who can read them, and what is in the way of making one.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{PermissionsExt, chown};

use rustix::process::geteuid;

use crate::support::{CONTACT, FakeServer, Home, Reply, Server};

/// A home with a database, and everything a send needs.
async fn sender() -> (Home, FakeServer) {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let home = Home::new().sending_to(&telnyx.base_url());
    (home, telnyx)
}

fn set_mode(home: &Home, name: &str, mode: u32) {
    set_permissions(home.file(name), Permissions::from_mode(mode)).expect("changed");
}

const ALL: [&[&str]; 4] =
    [&["list"], &["send", CONTACT, "Hi"], &["migrate"], &["serve", "--listen", "127.0.0.1:0"]];

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_others_can_read_is_refused() {
    let (home, telnyx) = sender().await;
    home.run(&["migrate"]).exits(0);
    for mode in [0o644, 0o660, 0o666, 0o604, 0o620] {
        set_mode(&home, "conversations.db", mode);
        for args in ALL {
            let done = home.run(args).exits(4).reports("is accessible to other users");
            assert!(done.err.contains("chmod 600 "), "{}", done.err);
        }
        let copy = ["copy", "sqlite:///conversations.db", "sqlite:///copy.db"];
        home.run(&copy).exits(4).reports("is accessible to other users");
    }
    set_mode(&home, "conversations.db", 0o600);
    home.run(&["send", CONTACT, "Hi"]).exits(0);
    for side in ["conversations.db-wal", "conversations.db-shm", "conversations.db-journal"] {
        home.write(side, "");
        set_mode(&home, side, 0o666);
        home.run(&["list"]).exits(4).reports(&format!("{side} is accessible to other users"));
        std::fs::remove_file(home.file(side)).expect("removed");
    }
    assert_eq!(telnyx.requests().len(), 1);
    // One that somebody made in advance.
    let (home, _telnyx) = sender().await;
    home.write("conversations.db", "");
    set_mode(&home, "conversations.db", 0o666);
    home.run(&["send", CONTACT, "Hi"]).exits(4).reports("is accessible to other users");
    // Another program's file is not ours to complain about.
    home.write("conversations.db", "no database at all ".repeat(100));
    set_mode(&home, "conversations.db", 0o644);
    home.run(&["list"]).exits(4).reports("is not an SQLite database");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_users_database_is_refused() {
    if !geteuid().is_root() {
        println!("not tested without root: a database that belongs to another user");
        return;
    }
    let (home, _telnyx) = sender().await;
    home.run(&["migrate"]).exits(0);
    home.run(&["send", CONTACT, "Hi"]).exits(0);
    chown(home.file("conversations.db"), Some(65_534), None).expect("given away");
    home.run(&["list"]).silent();
    // Everybody may enter, so that only the owner of the files is in the way.
    set_permissions(home.path(), Permissions::from_mode(0o777)).expect("opened");
    let as_other = |script: &str| {
        let bin = home.path().join("convo");
        let convo = std::path::Path::new(env!("CARGO_BIN_EXE_convo"));
        if !bin.exists() {
            std::fs::copy(convo, &bin).expect("a program that others can run");
        }
        home.script(&format!("PATH=$PWD:$PATH; setpriv --reuid 65533 --clear-groups {script}"))
    };
    as_other("convo list").exits(4).reports("belongs to another user");
    chown(home.file("conversations.db"), Some(65_533), None).expect("given away");
    as_other("convo list").silent();
    std::os::unix::fs::symlink("conversations.db", home.file("link.db")).expect("a link");
    as_other("env DATABASE_URL=sqlite:///link.db convo list").silent();
    home.script("chown -h 65534 link.db").exits(0);
    as_other("env DATABASE_URL=sqlite:///link.db convo list")
        .exits(4)
        .reports("symbolic link owned by another user");
    home.write("conversations.db-wal", "");
    chown(home.file("conversations.db-wal"), Some(65_534), None).expect("given away");
    as_other("convo list").exits(4).reports("conversations.db-wal belongs to another user");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_regular_file_is_refused_at_once() {
    let (home, _telnyx) = sender().await;
    home.script("mkfifo fifo && mkdir directory").exits(0);
    for (name, what) in
        [("fifo", "is a named pipe"), ("directory", "is a directory"), ("/dev/zero", "is a device")]
    {
        let url = format!("sqlite:///{name}");
        for args in ALL {
            home.run_with(&[("DATABASE_URL", &url)], args).exits(4).reports(what);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_says_which_database_it_makes() {
    let (home, _telnyx) = sender().await;
    let first = home.run(&["send", CONTACT, "Hi"]).exits(0);
    let path = home.path().canonicalize().expect("a path").join("conversations.db");
    let said = format!("created a new database: {}\n", path.display());
    assert!(first.err.ends_with(&said), "{}", first.err);
    let second = home.run(&["send", CONTACT, "Hi"]).exits(0);
    assert!(!second.err.contains("new database"), "{}", second.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_not_utf_8_is_named() {
    let (home, _telnyx) = sender().await;
    home.script("mkdir $'caf\\xe9' && cd $'caf\\xe9' && convo send +12125551234 Hi")
        .exits(4)
        .reports("is not valid UTF-8");
    home.script("cd $'caf\\xe9' && DATABASE_URL=sqlite:///$HOME/c.db convo send +12125551234 Hi")
        .exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_working_directory_matters_only_to_relative_paths() {
    let (home, _telnyx) = sender().await;
    let gone = "mkdir -p gone && cd gone && rmdir ../gone";
    home.script(&format!("{gone} && DATABASE_URL=sqlite:///$HOME/c.db convo send {CONTACT} Hi"))
        .exits(0);
    home.script(&format!("{gone} && convo list")).exits(4).reports("no longer exists");
    home.script(&format!("{gone} && convo openapi > /dev/null")).silent();
    let server = Server::start(&home);
    home.script(&format!("{gone} && convo list --server {}", server.url())).silent();
}

/// The disk is a small one of its own, which only root can make.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_worth_another_try() {
    let (home, telnyx) = sender().await;
    let can = home.script("unshare -m true");
    if can.code != 0 {
        println!("not tested: a full disk needs a mount of its own");
        return;
    }
    for size in ["4k", "40k"] {
        for command in ["convo send +12125551234 Hi", "convo migrate", "convo serve"] {
            let script = format!(
                "unshare -m sh -c 'mkdir -p disk && mount -t tmpfs -o size={size} none disk && \
                 head -c {size} /dev/zero > disk/filler 2>/dev/null; cd disk && {command}'"
            );
            let done = home.script(&script).exits(5).reports("");
            assert!(
                done.err.contains("hint: free some space on the database's disk"),
                "{}",
                done.err
            );
        }
    }
    assert_eq!(telnyx.requests().len(), 0);
}
