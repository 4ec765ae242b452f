//! Settings: flags over environment over files, which secret may go where, and what a command needs.

use std::os::unix::fs::PermissionsExt;

use crate::support::{CONTACT, FakeServer, Home, OWN, Reply, Server, bearer};

async fn telnyx() -> FakeServer {
    FakeServer::replying(&[Reply::Accept]).await
}

/// The API key of the newest request, in lower case.
fn key(telnyx: &FakeServer) -> String {
    let newest = telnyx.requests().pop().expect("a request");
    let authorization = newest.header("authorization").expect("a key");
    authorization.trim_start_matches("bearer ").to_owned()
}

fn dotenv(telnyx: &FakeServer) -> String {
    format!(
        "# ours\nTELNYX_API_KEY=from-file\nTELNYX_PHONE_NUMBER=\"{OWN}\"\n\
         export TELNYX_BASE_URL={}\nDATABASE_URL=sqlite:///data/c.db\nLD_PRELOAD=/evil.so\n",
        telnyx.base_url()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn dotenv_is_found_in_parent_directories_and_anchors_paths() {
    let telnyx = telnyx().await;
    let home = Home::new();
    home.write(".env", dotenv(&telnyx));
    home.write("data/keep", "");
    home.write("deep/er/keep", "");
    for directory in [".", "deep", "deep/er"] {
        let script = format!("cd {directory} && convo send {CONTACT} Hi && convo list");
        home.script(&script).exits(0);
        assert_eq!(key(&telnyx), "from-file");
    }
    let shown = home.script(&format!("cd deep/er; convo show {CONTACT} --format ids")).silent();
    assert_eq!(shown.out.lines().count(), 3, "one database for all");
    assert!(home.file("data/c.db").is_file());
    assert!(!home.files().iter().any(|name| name.ends_with(".db")), "{:?}", home.files());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_overrides_dotenv_and_empty_means_unset() {
    let telnyx = telnyx().await;
    let home = Home::new().set("TELNYX_BASE_URL", telnyx.base_url());
    home.write(".env", dotenv(&telnyx).replace("/data/", "/"));
    home.script(&format!("TELNYX_API_KEY=from-env convo send {CONTACT} Hi")).exits(0);
    assert_eq!(key(&telnyx), "from-env");
    home.script(&format!("TELNYX_API_KEY= convo send {CONTACT} Hi")).exits(0);
    assert_eq!(key(&telnyx), "from-file");
    // A secret in a file: systemd's credentials, with a final line break.
    home.write("secret", "from-credential\n");
    home.script(&format!("TELNYX_API_KEY_FILE=secret convo send {CONTACT} Hi")).exits(0);
    assert_eq!(key(&telnyx), "from-credential");
    // A pipe, which can be read only once.
    let piped = format!("TELNYX_API_KEY_FILE=<(echo from-pipe) convo send {CONTACT} Hi");
    home.script(&piped).exits(0);
    assert_eq!(key(&telnyx), "from-pipe");
    home.script("DATABASE_URL=sqlite:other.db convo list").exits(4).reports("other.db");
    let server = Server::start(&home);
    let away = format!("CONVO_SERVER=http://127.0.0.1:9 convo list --server {}", server.url());
    assert_eq!(home.script(&away).silent().out.lines().count(), 1, "a flag wins");
}

/// The layers below `.env`: the user's file, by either way to it, and what is relative in it.
#[tokio::test(flavor = "multi_thread")]
async fn the_user_s_file_of_settings_is_the_next_layer() {
    let telnyx = telnyx().await;
    let home = Home::new();
    home.write("work/keep", "");
    for (variable, directory) in [("", ".config"), ("XDG_CONFIG_HOME=~/xdg ", "xdg")] {
        home.write(&format!("{directory}/convo/env"), dotenv(&telnyx).replace("/data/", "/"));
        let send = format!("cd work && {variable}convo send {CONTACT} Hi");
        home.script(&send).exits(0);
        assert_eq!(key(&telnyx), "from-file");
        assert!(home.file(&format!("{directory}/convo/c.db")).is_file());
        home.write("work/.env", "TELNYX_API_KEY=from-dotenv\n");
        home.script(&send).exits(0);
        assert_eq!(key(&telnyx), "from-dotenv");
        std::fs::remove_file(home.file("work/.env")).expect("removed");
    }
    assert_eq!(std::fs::read_dir(home.file("work")).expect("a directory").count(), 1);
}

#[test]
fn a_layer_that_cannot_be_read_stops_all_but_those_who_do_not_need_it() {
    let home = Home::new();
    home.run(&["migrate"]).exits(0);
    home.write(".config/convo/env/keep", "a directory where a file should be");
    home.run(&["list"]).exits(4).reports("it is a directory");
    home.run(&["migrate"]).exits(4).reports(".config/convo/env");
    home.run_with(&[("DATABASE_URL", "sqlite:///conversations.db")], &["list"]).silent();
    home.run(&["list", "--server", "http://127.0.0.1:9"]).exits(5);
    home.run(&["--sandbox", "list"]).exits(4).reports("there is no database");
    home.write(".env", "DATABASE_URL=sqlite:///conversations.db\n");
    home.run(&["list"]).silent();
    let shown = home.run(&["config"]).exits(0);
    assert!(shown.err.contains("convo: ignored: cannot use"), "{}", shown.err);
    std::fs::remove_file(home.file(".env")).expect("removed");
    let shown = home.run(&["config"]).exits(4).reports("it is a directory");
    assert!(shown.out.contains("CONVO_DRAIN\t0\tenvironment"), "what it can: {}", shown.out);
}

#[test]
fn a_command_of_the_database_alone_needs_local_when_a_server_is_set() {
    let home = Home::new().set("CONVO_SERVER", "http://127.0.0.1:9");
    home.write("old.db", "");
    for args in [
        &["migrate"][..],
        &["copy", "sqlite:///old.db", "sqlite:///new.db"],
        &["copy", "--release", "sqlite:///old.db"],
    ] {
        home.run(args).exits(2).reports("CONVO_SERVER is set (environment)");
    }
    assert_eq!(home.files(), ["old.db"], "nothing was done");
    home.run(&["migrate", "--local"]).exits(0);
    home.run(&["--local", "sync", "--no-fetch"]).silent();
    home.run(&["list", "--local"]).silent();
    home.run(&["list"]).exits(5);
    home.run(&["list", "--local", "--server", "http://127.0.0.1:9"]).exits(2).reports("--local");
    let server = Server::start(&home);
    home.run(&["list", "--server", &server.url()]).silent();
}

/// An address that came with a `.env` gets no secret from elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_not_sent_to_the_address_of_another_place() {
    let (telnyx, server) = (telnyx().await, telnyx().await);
    let home = Home::new().set("TELNYX_PHONE_NUMBER", OWN);
    home.write(
        "work/.env",
        format!("TELNYX_BASE_URL={}\nCONVO_SERVER={}\n", telnyx.base_url(), server.url()),
    );
    home.write("secret", "hunter2");
    for variable in ["TELNYX_API_KEY=hunter2", "TELNYX_API_KEY_FILE=~/secret"] {
        let send = format!("cd work && {variable} convo --local send {CONTACT} Hi");
        let done = home.script(&send).exits(4).reports("TELNYX_BASE_URL is from ");
        assert!(done.err.contains("TELNYX_API_KEY is from the environment"), "{}", done.err);
    }
    let list = "cd work && CONVO_API_TOKEN=hunter2 convo list";
    let done = home.script(list).exits(4).reports("CONVO_API_TOKEN is from the environment");
    assert!(!done.err.contains("hunter2"), "{}", done.err);
    assert_eq!((telnyx.requests().len(), server.requests().len()), (0, 0));
    home.write("work/own", "KEY");
    home.script(&format!(
        "cd work && echo TELNYX_API_KEY_FILE=own >> .env && convo send --local {CONTACT} Hi"
    ))
    .exits(0);
    assert_eq!(key(&telnyx), "key");
}

#[test]
fn each_setting_is_shown_with_its_source() {
    let home = Home::new().set("TELNYX_API_KEY", "hunter2").set("CONVO_API_TOKEN_FILE", "token");
    home.write("token", "hunter2");
    home.write(
        ".env",
        "TELNYX_PHONE_NUMBER=+15551234567\nDATABASE_URL=postgresql://u:hunter2@h/d\n",
    );
    let shown = home.run(&["config", "--server", "http://127.0.0.1:1"]).silent();
    let dotenv = home.path().canonicalize().expect("a path").join(".env");
    let token = home.path().canonicalize().expect("a path").join("token");
    for line in [
        "TELNYX_API_KEY\t********\tenvironment\t".to_owned(),
        format!("TELNYX_PHONE_NUMBER\t+15551234567\t{}\t", dotenv.display()),
        format!("DATABASE_URL\tpostgresql://u:********@h/d\t{}\t", dotenv.display()),
        format!("CONVO_API_TOKEN\t********\tenvironment\t{}", token.display()),
        "CONVO_SERVER\thttp://127.0.0.1:1\t--server\t".to_owned(),
        "CONVO_LISTEN\t127.0.0.1:5000\tdefault\t".to_owned(),
        "CONVO_LOG\t\tunset\t".to_owned(),
    ] {
        assert!(shown.out.lines().any(|shown| shown == line), "{line} in {}", shown.out);
    }
    let json = home.run(&["config", "--json"]).silent().json();
    let key = json.as_array().expect("an array").iter().find(|row| row["name"] == "TELNYX_API_KEY");
    assert_eq!(key.expect("a row")["source"], "environment");
    let sandbox = home.run(&["--sandbox", "config"]).silent();
    assert!(sandbox.out.contains("DATABASE_URL\tsqlite:///sandbox.db\tdefault"), "{}", sandbox.out);
    home.run_with(&[("CONVO_DRAIN", "x")], &["config"]).exits(4).reports("CONVO_DRAIN");
}

#[test]
fn a_wrong_setting_stops_only_what_needs_it() {
    let home = Home::new();
    home.run(&["migrate"]).exits(0);
    let home = home
        .set("TELNYX_API_KEY_FILE", "nowhere")
        .set("CONVO_API_TOKEN_FILE", "/dev/zero")
        .set("TELNYX_PUBLIC_KEY_FILE", "fifo")
        .set("CONVO_MAX_SENDS", "x");
    home.script("mkfifo fifo; convo list").silent();
    home.run(&["send", CONTACT, "Hi"]).exits(4).reports("TELNYX_API_KEY_FILE: cannot read");
    home.run(&["list", "--server", "http://127.0.0.1:9"]).exits(4).reports("it is a device");
    let home = home.without("TELNYX_API_KEY_FILE").without("CONVO_API_TOKEN_FILE");
    home.script("mkfifo fifo; convo serve").exits(4).reports("it is a named pipe");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_may_have_a_line_end_or_the_quotes_of_docker() {
    let telnyx = telnyx().await;
    for (key, number) in [
        ("KEY\n", OWN.to_owned()),
        ("\"KEY\"", format!("\"{OWN}\"")),
        ("'KEY'\n", format!(" {OWN}")),
    ] {
        let home = Home::new().set("TELNYX_API_KEY", key).set("TELNYX_PHONE_NUMBER", number).set(
            "TELNYX_BASE_URL",
            format!(" \"{}\"\n", telnyx.base_url().replace("http", "HTTP")),
        );
        home.run(&["send", CONTACT, "Hi"]).exits(0);
        assert_eq!(self::key(&telnyx), "key");
    }
    let home = Home::new().sending_to(&telnyx.base_url());
    let broken = [("TELNYX_API_KEY", "KE\nY")];
    home.run_with(&broken, &["send", CONTACT, "Hi"]).exits(4).reports("TELNYX_API_KEY");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_ignores_real_settings() {
    let telnyx = telnyx().await;
    let home = Home::new()
        .set("TELNYX_API_KEY", "real")
        .set("CONVO_SERVER", "http://127.0.0.1:9")
        .set("CONVO_API_TOKEN", "token")
        .set("HTTP_PROXY", "http://127.0.0.1:9")
        .set("http_proxy", "http://127.0.0.1:9");
    home.write(".env", dotenv(&telnyx));
    let server = Server::start_with(&home, &["serve", "--sandbox", "--listen", "127.0.0.1:0"]);
    let sent = home.run(&["--sandbox", "send", CONTACT, "Hi"]).exits(0);
    assert!(sent.err.contains("from +12025550100"), "{}", sent.err);
    let plan = home.run(&["--sandbox", "send", CONTACT, "Hi", "--dry-run", "--json"]).exits(0);
    assert_eq!(plan.json()["from"], "+12025550100");
    assert_eq!(server.get("/conversations").await.status, 401, "a token protects it, too");
    assert_eq!(server.get_with("/conversations", &bearer("token")).await.status, 200);
    assert_eq!(
        home.files(),
        [
            ".env",
            "sandbox.db",
            "sandbox.db-media",
            "sandbox.db-shm",
            "sandbox.db-wal",
            "sandbox.key"
        ]
    );
    home.run(&["--sandbox", "list", "--server", &server.url()]).exits(2).reports("--sandbox");
    assert_eq!(telnyx.requests().len(), 0, "nothing went to the real one");
}

#[test]
fn permissions_of_secret_files_are_not_checked() {
    let home = Home::new();
    let file = home.write("token", "a-token\n");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o400)).expect("read-only");
    let home = home.set("CONVO_API_TOKEN_FILE", "token");
    let server = Server::start(&home);
    home.run(&["list", "--server", &server.url()]).silent();
    Home::new().run(&["list", "--server", &server.url()]).exits(4).reports("CONVO_API_TOKEN");
    for (name, expected) in [("nowhere", "cannot read"), ("empty", "it is empty")] {
        let home = Home::new().set("TELNYX_API_KEY_FILE", name);
        home.write("empty", "\n");
        home.run(&["send", CONTACT, "Hi"]).exits(4).reports(expected);
    }
}
