//! `.env`: how it may be written, and whose is believed.

use std::os::unix::fs::chown;

use rustix::process::geteuid;

use crate::support::{CONTACT, Home, Running, Server, wait_until};

#[test]
fn a_malformed_dotenv_is_reported_without_its_content() {
    let home = Home::new();
    home.write(".env", "TELNYX_API_KEY=hunter2 and more 'of it\n");
    let done = home.run(&["list"]).exits(4).reports(".env");
    assert!(!done.err.contains("hunter2"), "{}", done.err);
    home.write(".env", b"TELNYX_API_KEY=\xff\xfe\n");
    home.run(&["list"]).exits(4).reports(".env");
    let home = Home::new();
    home.write(".env/keep", "a directory of that name is not a settings file");
    home.run(&["list"]).exits(4).reports("there is no database at");
}

/// What other programs write into `.env`, and how they write it.
#[test]
fn a_dotenv_is_understood_or_named() {
    let url = "DATABASE_URL=sqlite:///c.db\n";
    let utf16 = format!("\u{feff}{url}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for text in [utf16, [b"# caf\xe9\nNAME=caf\xe9\n", url.as_bytes()].concat()] {
        let home = Home::new();
        home.write(".env", text);
        home.run(&["list"]).exits(4).reports("there is no database at");
        assert!(home.run(&["list"]).err.contains("c.db"));
    }
    let home = Home::new();
    home.script("mkfifo .env; convo list").exits(4).reports(".env: it is a pipe");
    home.script("rm .env; ln -s nowhere .env; convo list").exits(4).reports(".env: No such file");
    home.script("rm .env; ln -s .env .env; convo list").exits(4).reports(".env");
    home.script("rm .env; head -c 2000000 /dev/zero > .env; convo list").exits(4).reports("larger");
    home.script("rm .env; ln -s /dev/zero .env; convo list").exits(4).reports("it is a device");
}

#[test]
fn another_users_dotenv_is_refused() {
    if !geteuid().is_root() {
        println!("not tested without root: a .env that belongs to another user");
        return;
    }
    let home = Home::new();
    let file = home.write(".env", "CONVO_SERVER=http://127.0.0.1:9\n");
    chown(&file, Some(65_534), None).expect("given away");
    for args in [&["list"][..], &["send", CONTACT, "Hi"], &["serve"]] {
        home.run(args).exits(4).reports("belongs to another user");
    }
    // A sandbox ignores it anyway.
    home.run(&["--sandbox", "list"]).exits(4).reports("there is no database at");
    Server::start_with(&home, &["serve", "--sandbox", "--listen", "127.0.0.1:0"]);
    // Nor may another user choose which of our files it is.
    let own = Home::new();
    own.write("mine", "CONVO_SERVER=http://127.0.0.1:9\n");
    own.script("ln -s mine .env && convo list").exits(5);
    own.script("chown -h 65534 .env && convo list")
        .exits(4)
        .reports("symbolic link owned by another");
    own.script("ln -s .env hop && mkdir -p d && ln -s ../hop d/.env && cd d && convo list")
        .exits(4)
        .reports("symbolic link owned by another");
}

/// Somebody who replaces `.env` at any moment gets nothing in: the open file is what is checked.
#[test]
fn a_dotenv_that_is_replaced_meanwhile_is_not_believed() {
    if !geteuid().is_root() {
        println!("not tested without root: a .env that belongs to another user");
        return;
    }
    let home = Home::new();
    home.write("mine", "DATABASE_URL=sqlite:///mine.db\n");
    let theirs = home.write("theirs", "DATABASE_URL=sqlite:///theirs.db\n");
    chown(&theirs, Some(65_534), None).expect("given away");
    let swap =
        "while :; do ln -f mine new && mv -f new .env; ln -f theirs new && mv -f new .env; done";
    let _swapping = Running::start(home.shell(swap), None);
    wait_until("the first .env", || home.file(".env").exists());
    for _ in 0..60 {
        let done = home.run(&["list"]).exits(4);
        assert!(!done.err.contains("theirs.db"), "{}", done.err);
    }
}
