//! Settings: flags over environment over `.env`, and whose `.env` is believed.

use std::os::unix::fs::{PermissionsExt, chown};

use rustix::process::geteuid;

use crate::harness::{CONTACT, Home, OWN, Server, StandIn};

async fn telnyx() -> StandIn {
    let accepted = r#"{"data":{"id":"{n}","to":[{"status":"queued"}]}}"#;
    StandIn::with("200 OK", "", accepted).await
}

/// The `Authorization` of the newest request, which the stand-in keeps in lower case.
fn key(telnyx: &StandIn) -> String {
    let (head, _) = telnyx.asked().pop().expect("a request");
    let line = head.lines().find_map(|line| line.strip_prefix("authorization: bearer "));
    line.expect("a key").to_owned()
}

fn dotenv(telnyx: &StandIn) -> String {
    format!(
        "# ours\nTELNYX_API_KEY=from-file\nTELNYX_PHONE_NUMBER=\"{OWN}\"\n\
         export TELNYX_BASE_URL={}\nDATABASE_URL=sqlite:///data/c.db\nLD_PRELOAD=/evil.so\n",
        telnyx.base_url
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn dotenv_is_found_upwards_and_paths_are_relative_to_it() {
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
async fn the_environment_wins_and_an_empty_variable_is_unset() {
    let telnyx = telnyx().await;
    let home = Home::new();
    home.write(".env", dotenv(&telnyx).replace("/data/", "/"));
    home.script(&format!("TELNYX_API_KEY=from-env convo send {CONTACT} Hi")).exits(0);
    assert_eq!(key(&telnyx), "from-env");
    home.script(&format!("TELNYX_API_KEY= convo send {CONTACT} Hi")).exits(0);
    assert_eq!(key(&telnyx), "from-file");
    // A secret in a file: systemd's credentials, with a final line break.
    home.write("secret", "from-credential\n");
    home.script(&format!("TELNYX_API_KEY_FILE=secret convo send {CONTACT} Hi")).exits(0);
    assert_eq!(key(&telnyx), "from-credential");
    home.script("DATABASE_URL=sqlite:other.db convo list").exits(4).tells("other.db");
    let server = Server::start(&home);
    let away = format!("CONVO_SERVER=http://127.0.0.1:9 convo list --server {}", server.url());
    assert_eq!(home.script(&away).silent().out.lines().count(), 1, "a flag wins");
    // serve, migrate and sandbox are not meant by it.
    home.script("CONVO_SERVER=http://127.0.0.1:9 convo migrate").exits(0);
}

#[test]
fn a_malformed_dotenv_is_told_without_its_content() {
    let home = Home::new();
    home.write(".env", "TELNYX_API_KEY=hunter2 and more 'of it\n");
    let done = home.run(&["list"]).exits(4).tells(".env");
    assert!(!done.err.contains("hunter2"), "{}", done.err);
    home.write(".env", b"TELNYX_API_KEY=\xff\xfe\n");
    home.run(&["list"]).exits(4).tells(".env");
    let home = Home::new();
    home.write(".env/keep", "a directory of that name is none of ours");
    home.run(&["list"]).exits(4).tells("there is no database at");
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
    for args in [&["list"][..], &["send", CONTACT, "Hi"], &["serve"], &["--sandbox", "list"]] {
        home.run(args).exits(4).tells("belongs to another user");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn play_ignores_the_real_settings_wherever_they_are() {
    let telnyx = telnyx().await;
    let home = Home::new()
        .set("TELNYX_API_KEY", "real")
        .set("CONVO_SERVER", "http://127.0.0.1:9")
        .set("CONVO_API_TOKEN", "token")
        .set("HTTP_PROXY", "http://127.0.0.1:9")
        .set("http_proxy", "http://127.0.0.1:9");
    home.write(".env", dotenv(&telnyx));
    let server = Server::with(&home, &["serve", "--sandbox", "--listen", "127.0.0.1:0"]);
    let sent = home.run(&["--sandbox", "send", CONTACT, "Hi"]).exits(0);
    assert!(sent.err.contains("from +12025550100"), "{}", sent.err);
    let plan = home.run(&["--sandbox", "send", CONTACT, "Hi", "--dry-run", "--json"]).exits(0);
    assert_eq!(plan.json()["from"], "+12025550100");
    assert_eq!(server.get("/conversations").await.status, 200, "no token is asked for");
    assert_eq!(home.files(), [".env", "sandbox.db", "sandbox.db-shm", "sandbox.db-wal"]);
    home.run(&["--sandbox", "list", "--server", &server.url()]).exits(2).tells("--sandbox");
    assert_eq!(telnyx.asked().len(), 0, "nothing went to the real one");
}

/// A proxy of the environment has no place between this machine and itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_not_asked_for_what_is_here() {
    let (telnyx, proxy) = (telnyx().await, telnyx().await);
    let through = proxy.base_url.trim_end_matches("/v2");
    let home = Home::new()
        .set("TELNYX_API_KEY", "KEY")
        .set("TELNYX_PHONE_NUMBER", OWN)
        .set("TELNYX_BASE_URL", &telnyx.base_url)
        .set("ALL_PROXY", through)
        .set("http_proxy", through);
    home.run(&["send", CONTACT, "Hi"]).exits(0);
    let server = Server::start(&home);
    home.run(&["list", "--server", &server.url()]).silent();
    assert_eq!((telnyx.asked().len(), proxy.asked().len()), (1, 0));
}

#[test]
fn rights_of_the_secrets_files_are_the_users_own_business() {
    let home = Home::new();
    let file = home.write("token", "a-token\n");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o400)).expect("read-only");
    let home = home.set("CONVO_API_TOKEN_FILE", "token");
    let server = Server::start(&home);
    home.run(&["list", "--server", &server.url()]).silent();
    Home::new().run(&["list", "--server", &server.url()]).exits(4).tells("CONVO_API_TOKEN");
    for (name, told) in [("nowhere", "cannot read"), ("empty", "it is empty")] {
        let home = Home::new().set("TELNYX_API_KEY_FILE", name);
        home.write("empty", "\n");
        home.run(&["send", CONTACT, "Hi"]).exits(4).tells(told);
    }
}
