//! `convo doctor`: all is well, and each way in which it is not.

use std::os::unix::fs::PermissionsExt;

use convo::sandbox::OWN_NUMBER;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::on_both_databases;
use crate::support::{
    CONTACT, Done, FakeServer, Home, Manner, Nginx, Receiver, Reply, Server, Signer, TestDatabase,
    World, closed_address, execute, inbound, raw, wait_for, wait_until,
};

/// Every check, in order.
const CHECKS: [&str; 21] = [
    "settings",
    "settings_files",
    "database",
    "schema",
    "durability",
    "integrity",
    "disk",
    "file_modes",
    "api_key",
    "numbers",
    "profile",
    "webhook_url",
    "webhook_version",
    "public_key",
    "clock",
    "last_event",
    "last_sync",
    "forwarding",
    "server",
    "server_version",
    "unit",
];

/// What a run of doctor found.
struct Findings {
    done: Done,
    all: Vec<Value>,
}

impl Findings {
    #[track_caller]
    fn of(home: &Home, args: &[&str]) -> Self {
        let done = home.run(&[&["doctor", "--json"], args].concat());
        let all = done.json().as_array().expect("an array").clone();
        Self { done, all }
    }

    #[track_caller]
    fn get(&self, check: &str) -> &Value {
        let found = self.all.iter().find(|finding| finding["check"] == check);
        found.unwrap_or_else(|| panic!("{check}: {:#?}", self.all))
    }

    /// Asserts how a check ended and what was seen; what is not well says what to do.
    #[track_caller]
    fn has(&self, check: &str, verdict: &str, seen: &str) -> &Self {
        let found = self.get(check);
        assert_eq!(found["verdict"], verdict, "{found:#}");
        assert!(
            found["seen"].as_str().is_some_and(|text| text.contains(seen)),
            "{seen}: {found:#}"
        );
        let is_wrong = matches!(verdict, "warning" | "failure");
        assert_eq!(
            found["mend"].as_str().is_some_and(|mend| !mend.is_empty()),
            is_wrong,
            "{found:#}"
        );
        assert_eq!(found["code"].is_string(), verdict == "failure", "{found:#}");
        self
    }

    #[track_caller]
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.done.code, code, "{:#?}\n{}", self.all, self.done.err);
        self
    }

    /// Asserts that nothing is wrong.
    #[track_caller]
    fn all_green(&self) {
        let wrong: Vec<_> = self
            .all
            .iter()
            .filter(|finding| finding["verdict"] != "ok" && finding["verdict"] != "skipped")
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!((self.done.code, self.done.err.as_str()), (0, ""));
    }
}

/// A world whose number is the simulated account's, and whose server is where the settings say.
async fn world(db: TestDatabase) -> World {
    let mut world = World::with(db, |home| home.set("TELNYX_PHONE_NUMBER", OWN_NUMBER)).await;
    let listen = world.server.address.to_string();
    world.home = with(&world.home, "CONVO_LISTEN", &listen);
    world
}

/// Another user with one more variable.
fn with(home: &Home, name: &str, value: &str) -> Home {
    home.without(name).set(name, value)
}

/// Changes the simulated messaging profile.
async fn change_profile(world: &World, change: Value) {
    let base_url = world.telnyx.base_url();
    let address = base_url.trim_start_matches("http://").trim_end_matches("/v2");
    let lines = "authorization: Bearer KEY\r\n";
    let path = "/v2/messaging_profiles/5a5db0c5-0000-4000-8000-000000000001";
    let body = change.to_string();
    let text = format!(
        "PATCH {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{lines}content-length: \
         {}\r\n\r\n{body}",
        body.len()
    );
    let answer = raw(address.parse().expect("an address"), text).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

async fn all_is_well(db: TestDatabase) {
    let world = world(db).await;
    let findings = Findings::of(&world.home, &[]);
    let names: Vec<_> = findings.all.iter().map(|finding| finding["check"].clone()).collect();
    assert_eq!(names, CHECKS);
    findings.has("webhook_url", "ok", "leads to a server on this database");
    findings.has("public_key", "ok", "no webhook has arrived");
    findings.has("server_version", "ok", env!("CARGO_PKG_VERSION"));
    findings.all_green();
    // With an event, its key is known.
    world.home.run(&["send", CONTACT, "Hello"]).exits(0);
    wait_until("the key to be noted", || {
        let findings = Findings::of(&world.home, &[]);
        findings.get("public_key")["seen"]
            .as_str()
            .is_some_and(|seen| seen.starts_with("verified "))
    });
    let findings = Findings::of(&world.home, &[]);
    findings.has("last_event", "ok", "message.").all_green();
    // In a pipe: TAB-separated fields, one check a line.
    let done = world.home.run(&["doctor"]).silent();
    let lines: Vec<Vec<_>> = done.out.lines().map(|line| line.split('\t').collect()).collect();
    assert!(lines.iter().all(|fields| fields.len() == 4), "{}", done.out);
    assert_eq!(lines.iter().map(|fields| fields[0]).collect::<Vec<_>>(), CHECKS);
}

async fn the_webhook_url_must_lead_to_a_server_on_this_database(db: TestDatabase) {
    let world = world(db).await;
    let other_db = TestDatabase::sqlite();
    let other_home = Home::new().with_database(&other_db).accepting(&world.signer);
    let other = Server::start(&other_home);
    let redirecting = FakeServer::replying(&[Reply::Raw(
        "HTTP/1.1 302 Found\r\nlocation: https://x.example/\r\ncontent-length: 0\r\n\r\n"
            .to_owned(),
    )])
    .await;
    let lying = FakeServer::replying(&[Reply::Status(
        200,
        r#"{"version":"0.1.0","proof":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}"#,
    )])
    .await;
    let behind = FakeServer::replying(&[Reply::Status(502, "<html>")]).await;
    let away = format!("http://{}/webhooks/sms", closed_address());
    let path = |base: String| format!("{base}/webhooks/sms");
    for (url, seen, exit) in [
        (path(other.url()), "another database", 4),
        (format!("{}/nowhere", world.server.url()), "has no webhook there", 4),
        (path(redirecting.url()), "redirects", 4),
        (path(lying.url()), "does not lead to a server on this database", 4),
        (path(behind.url()), "a proxy that does not reach", 5),
        (away, "cannot be reached", 5),
    ] {
        change_profile(&world, json!({"webhook_url": url})).await;
        Findings::of(&world.home, &[]).exits(exit).has("webhook_url", "failure", seen);
    }
    change_profile(&world, json!({"webhook_url": null})).await;
    Findings::of(&world.home, &[]).exits(4).has("webhook_url", "failure", "has no webhook URL");
    // Through whatever stands between.
    let nginx = Nginx::before(world.server.address, "");
    let url = format!("http://{}/v1/webhooks/sms", nginx.address);
    change_profile(&world, json!({"webhook_url": url})).await;
    Findings::of(&world.home, &[]).all_green();
}

async fn other_faults_of_the_profile_are_told(db: TestDatabase) {
    let world = world(db).await;
    change_profile(&world, json!({"webhook_api_version": "1"})).await;
    Findings::of(&world.home, &[]).exits(4).has("webhook_version", "failure", "API version 1");
    change_profile(&world, json!({"webhook_api_version": "2", "enabled": false})).await;
    Findings::of(&world.home, &[]).exits(4).has("profile", "failure", "is disabled");
}

/// A stranger, who does not know the key of the database, learns nothing by asking.
async fn a_stranger_learns_nothing_by_the_question(db: TestDatabase) {
    let world = world(db).await;
    let other_db = TestDatabase::sqlite();
    let unkeyed = Server::start(&Home::new().with_database(&other_db));
    for server in [&world.server, &unkeyed] {
        let mut answers = Vec::new();
        for signature in [[7; 64], [0; 64]] {
            use base64::Engine;
            let signature = base64::engine::general_purpose::STANDARD.encode(signature);
            let lines = format!(
                "telnyx-timestamp: {}\r\ntelnyx-signature-ed25519: {signature}\r\n",
                crate::support::unix_seconds()
            );
            let answer = server.post("/webhooks/sms", &lines, "{}").await;
            answers.push((answer.status, answer.body));
        }
        let unsigned = server.post("/webhooks/sms", "", "{}").await;
        answers.push((unsigned.status, unsigned.body));
        assert_eq!(answers[0].0, 401);
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }
}

async fn a_server_without_a_public_key_still_answers_the_question(db: TestDatabase) {
    let world = world(db).await;
    let home = world.home.without("TELNYX_PUBLIC_KEY");
    let unkeyed = Server::start(&home);
    let url = format!("{}/webhooks/sms", unkeyed.url());
    change_profile(&world, json!({"webhook_url": url})).await;
    let findings = Findings::of(&home, &[]).exits(4);
    findings.has("webhook_url", "ok", "leads to a server on this database");
    findings.has("public_key", "failure", "TELNYX_PUBLIC_KEY is not set");
}

async fn the_public_key_must_be_the_one_that_verifies(db: TestDatabase) {
    let world = world(db).await;
    world.signer.post(&world.server, inbound("e1", "m1", CONTACT, "Hi")).await;
    let bad = with(&world.home, "TELNYX_PUBLIC_KEY", "AAAA");
    Findings::of(&bad, &[]).exits(4).has("public_key", "failure", "not an Ed25519 public key");
    let other = with(&world.home, "TELNYX_PUBLIC_KEY", &Signer::new(8).public_key());
    wait_until("the key to be noted", || {
        Findings::of(&other, &[]).get("public_key")["verdict"] == "failure"
    });
    let findings = Findings::of(&other, &[]).exits(4);
    findings.has("public_key", "failure", "message.received webhooks with another key");
    let mend = findings.get("public_key")["mend"].as_str().expect("a mend");
    assert!(mend.contains(&world.signer.public_key()), "{mend}");
    Findings::of(&with(&world.home, "TELNYX_PUBLIC_KEY", &world.signer.public_key()), &[]).has(
        "public_key",
        "ok",
        "verified message.received webhooks",
    );
}

async fn a_server_that_is_gone_or_another_is_told(db: TestDatabase) {
    let world = world(db).await;
    let other_db = TestDatabase::sqlite();
    let other = Home::new().with_database(&other_db).accepting(&world.signer);
    let other = Server::start(&other.sending_to(&world.telnyx.base_url()));
    let elsewhere = with(&world.home, "CONVO_LISTEN", &other.address.to_string());
    Findings::of(&elsewhere, &[]).exits(4).has("server", "failure", "another database");
    let nowhere = with(&world.home, "CONVO_LISTEN", &closed_address().to_string());
    Findings::of(&nowhere, &[]).has("server", "ok", "through the webhook URL").has(
        "server_version",
        "ok",
        env!("CARGO_PKG_VERSION"),
    );
    world.server.signal(Signal::KILL);
    wait_until("the server to be gone", || {
        Findings::of(&world.home, &[]).get("server")["verdict"] == "failure"
    });
    let findings = Findings::of(&world.home, &[]).exits(5);
    findings.has("server", "failure", "cannot be reached");
    findings.has("server_version", "skipped", "");
}

async fn a_database_that_cannot_be_used_is_told(db: TestDatabase) {
    let world = world(db).await;
    world.server.signal(Signal::KILL);
    execute(&world.db.url, "UPDATE meta SET value = 'sandbox' WHERE key = 'mode'").await;
    let findings = Findings::of(&world.home, &[]).exits(4);
    findings.has("database", "ok", "").has("schema", "failure", "sandbox database");
    findings.has("webhook_url", "skipped", "could not be opened");
    findings.has("last_event", "skipped", "").has("forwarding", "skipped", "");
}

on_both_databases!(
    all_is_well,
    the_webhook_url_must_lead_to_a_server_on_this_database,
    other_faults_of_the_profile_are_told,
    a_stranger_learns_nothing_by_the_question,
    a_server_without_a_public_key_still_answers_the_question,
    the_public_key_must_be_the_one_that_verifies,
    a_server_that_is_gone_or_another_is_told,
    a_database_that_cannot_be_used_is_told,
);

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_is_all_green() {
    let listen = closed_address().to_string();
    let home = Home::new().set("CONVO_LISTEN", &listen);
    let server = Server::start_with(&home, &["serve", "--sandbox"]);
    Findings::of(&home, &["--sandbox"]).all_green();
    home.run(&["send", "--sandbox", "--wait", CONTACT, "Hello"]).exits(0);
    let findings = Findings::of(&home, &["--sandbox"]);
    findings.has("last_event", "ok", "message.");
    findings.all_green();
    assert_eq!(server.stop(), 0);
    Findings::of(&home, &["--sandbox"]).exits(5).has("api_key", "failure", "cannot be reached");
}

#[test]
fn without_anything_it_says_what_to_do() {
    let home = Home::new();
    let findings = Findings::of(&home, &[]).exits(4);
    findings.has("settings", "ok", "CONVO_DRAIN").has(
        "database",
        "failure",
        "there is no database",
    );
    for check in ["schema", "durability", "integrity"] {
        findings.has(check, "skipped", "needs the database");
    }
    findings
        .has("api_key", "failure", "")
        .has("numbers", "skipped", "")
        .has("clock", "skipped", "");
    findings.has("public_key", "failure", "is not set").has("unit", "skipped", "not installed");
    let error: Value = serde_json::from_str(&findings.done.err).expect("one JSON object");
    assert_eq!(error["exit"], 4);
    assert_eq!(home.files(), [""; 0], "nothing was created");
    let bad = Home::new().set("CONVO_DRAIN", "soon");
    Findings::of(&bad, &[]).exits(4).has("settings", "failure", "CONVO_DRAIN");
}

#[test]
fn the_settings_are_named_with_their_source() {
    let home = Home::new().set("TELNYX_PHONE_NUMBER", OWN_NUMBER);
    home.write(".env", "TELNYX_API_KEY=secret-key\n");
    std::fs::set_permissions(home.file(".env"), PermissionsExt::from_mode(0o644)).expect("set");
    let findings = Findings::of(&home, &[]);
    findings.has("settings", "ok", "environment: TELNYX_PHONE_NUMBER");
    findings.has("settings", "ok", ".env: TELNYX_API_KEY");
    findings.has("settings_files", "warning", "other users can read secrets");
    assert!(!findings.done.out.contains("secret-key"));
    std::fs::set_permissions(home.file(".env"), PermissionsExt::from_mode(0o600)).expect("set");
    Findings::of(&home, &[]).has("settings_files", "ok", "only their owner");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_settings_of_sqlite_are_checked() {
    let home = Home::new();
    home.run(&["migrate"]).exits(0);
    let file = home.file("conversations.db");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).expect("set");
    let findings = Findings::of(&home, &[]).exits(4);
    findings.has("file_modes", "failure", "accessible to other users");
    findings.has("database", "skipped", "not opened");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("set");
    let url = format!("sqlite:///{}", file.display());
    execute(&url, "PRAGMA journal_mode = delete").await;
    let findings = Findings::of(&home, &[]).exits(4);
    findings.has("durability", "failure", "journal_mode=delete").has("file_modes", "ok", "");
    home.run(&["migrate"]).exits(0);
    let findings = Findings::of(&home, &[]);
    findings.has("durability", "ok", "wal").has("integrity", "ok", "no damage");
    findings.has("disk", "ok", "MiB free");
    // Damage in the middle of the file.
    let mut bytes = std::fs::read(&file).expect("the file");
    for page in (1..bytes.len() / 4096).step_by(2) {
        bytes[page * 4096..page * 4096 + 64].fill(0xff);
    }
    std::fs::write(&file, bytes).expect("written");
    let damaged = Findings::of(&home, &[]);
    let verdict = |check: &str| damaged.get(check)["verdict"] == "failure";
    assert!(verdict("integrity") || verdict("schema") || verdict("database"), "{:#?}", damaged.all);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_without_fsync_or_with_an_invalid_index_is_told() {
    let db = TestDatabase::postgres().await;
    let home = Home::new().with_database(&db);
    home.run(&["migrate"]).exits(0);
    let findings = Findings::of(&home, &[]);
    findings.has("durability", "ok", "fsync=on").has("integrity", "ok", "no invalid index");
    findings.has("disk", "skipped", "").has("file_modes", "skipped", "");
    execute(
        &db.url,
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = (SELECT indexrelid FROM pg_index \
         JOIN pg_class ON oid = indrelid WHERE relname = 'messages' AND NOT indisprimary LIMIT 1)",
    )
    .await;
    Findings::of(&home, &[]).exits(6).has("integrity", "failure", "1 indices are invalid");
}

/// Telnyx's answers, as a script.
async fn telnyx(answers: &[Reply]) -> (FakeServer, Home) {
    let telnyx = FakeServer::replying(answers).await;
    let home = Home::new().sending_to(&telnyx.base_url());
    (telnyx, home)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_telnyx_says_of_key_and_numbers_is_told() {
    for (answer, check, seen, exit) in [
        (Reply::Status(401, "{}"), "api_key", "does not accept the API key", 4),
        (
            Reply::Status(403, r#"{"errors":[{"code":"10010","title":"No","detail":"no right"}]}"#),
            "api_key",
            "no right",
            6,
        ),
        (Reply::Status(500, "<html>"), "api_key", "answered 500", 5),
        (Reply::Status(429, "{}"), "api_key", "rate limit", 5),
        (Reply::Status(200, "<html>"), "api_key", "not understood", 6),
        (Reply::Status(302, ""), "api_key", "answered 302", 6),
        (Reply::Status(200, r#"{"data":[]}"#), "numbers", "is not the account's", 4),
        (
            Reply::Status(
                200,
                r#"{"data":[{"phone_number":"+15551234567","messaging_profile_id":null}]}"#,
            ),
            "numbers",
            "not assigned to a messaging profile",
            4,
        ),
        (
            Reply::Status(
                200,
                r#"{"data":[{"phone_number":"+15551234567","messaging_profile_id":"p",
            "features":{"sms":null,"mms":null}}]}"#,
            ),
            "numbers",
            "cannot send or receive",
            4,
        ),
    ] {
        let (_telnyx, home) = telnyx(&[answer, Reply::Status(200, r#"{"data":{"id":"p"}}"#)]).await;
        let findings = Findings::of(&home, &[]);
        findings.has(check, "failure", seen);
        let code = findings.get(check)["code"].as_str().expect("a code").to_owned();
        // The database is missing, too, which is exit 4; only what is worse shows.
        assert_eq!(findings.done.code, if exit == 6 { 6 } else { 4 }, "{code}");
    }
    let away = Home::new().sending_to(&format!("http://{}/v2", closed_address()));
    Findings::of(&away, &[]).has("api_key", "failure", "cannot be reached");
    let (_telnyx, home) = telnyx(&[
        Reply::Status(
            200,
            r#"{"data":[{"phone_number":"+15551234567","messaging_profile_id":"p"}]}"#,
        ),
        Reply::Status(404, r#"{"errors":[{"code":"10005","title":"Resource not found"}]}"#),
    ])
    .await;
    Findings::of(&home, &[]).exits(6).has("profile", "failure", "Resource not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_told() {
    for (ahead, verdict) in
        [(-100, "warning"), (100, "warning"), (-600, "failure"), (600, "failure")]
    {
        let date = convo::clock::now().to_utc() - chrono::TimeDelta::seconds(ahead);
        let date = date.format("%a, %d %b %Y %H:%M:%S GMT");
        let body = r#"{"data":[]}"#;
        let answer = format!(
            "HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let (_telnyx, home) = telnyx(&[Reply::Raw(answer)]).await;
        let side = if ahead > 0 { "ahead of" } else { "behind" };
        Findings::of(&home, &[]).has("clock", verdict, side);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarding_that_fails_or_is_paused_is_told() {
    for (status, verdict, state) in [(500, "warning", "failing"), (410, "failure", "paused")] {
        let receiver = Receiver::start(Manner::Answer(status));
        let signer = Signer::new(7);
        let db = TestDatabase::sqlite();
        let home = Home::new()
            .with_database(&db)
            .accepting(&signer)
            .set("CONVO_FORWARD_URL", receiver.url())
            .set("CONVO_FORWARD_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let server = Server::start(&home);
        wait_until("forwarding to begin", || home.run(&["forward", "list"]).out.contains("active"));
        signer.post(&server, inbound("e", "m", CONTACT, "Hi")).await;
        let findings = wait_for("the failure", || {
            let findings = Findings::of(&home, &[]);
            (findings.get("forwarding")["verdict"] == verdict).then_some(findings)
        });
        findings.has("forwarding", verdict, state);
        execute(&db.url, "UPDATE feed SET at = at - 3600000000").await;
        if status == 500 {
            let findings = Findings::of(&home, &[]);
            findings.has("forwarding", "failure", "behind");
            assert_eq!(findings.get("forwarding")["code"], "server_unreachable");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_failed_or_is_long_ago_is_told() {
    let mut world = world(TestDatabase::sqlite()).await;
    world.home = with(&world.home, "CONVO_SYNC", "10m");
    world.home.run(&["sync"]).exits(0);
    Findings::of(&world.home, &[]).has("last_sync", "ok", "just now");
    world.server.signal(Signal::KILL);
    let long_ago = "UPDATE sync_sources SET succeeded_at = succeeded_at - 86400000000";
    execute(&world.db.url, long_ago).await;
    Findings::of(&world.home, &[]).has("last_sync", "warning", "");
    execute(&world.db.url, "UPDATE sync_sources SET error = 'refused', error_at = 1").await;
    Findings::of(&world.home, &[]).has("last_sync", "warning", "then it failed: refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_server_only_that_is_checked() {
    let world = world(TestDatabase::sqlite()).await;
    let url = world.server.url();
    let client = Home::new().set("CONVO_SERVER", &url);
    let findings = Findings::of(&client, &[]);
    findings.has("server", "ok", &url).has("api_token", "ok", "").has("database", "skipped", "");
    findings.has("server_version", "ok", "").all_green();
    let away = Home::new().set("CONVO_SERVER", format!("http://{}", closed_address()));
    Findings::of(&away, &[]).exits(5).has("server", "failure", "cannot be reached");
}

/// The settings name a receiver, and no server that runs forwards to it.
#[tokio::test(flavor = "multi_thread")]
async fn forwarding_that_is_behind_is_told() {
    let receiver = Receiver::start(Manner::Answer(200));
    let signer = Signer::new(7);
    let db = TestDatabase::sqlite();
    let plain = Home::new().with_database(&db).accepting(&signer);
    let home = with(&plain, "CONVO_FORWARD_URL", &receiver.url());
    let home = with(&home, "CONVO_FORWARD_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let server = Server::start(&home);
    wait_until("forwarding to begin", || home.run(&["forward", "list"]).out.contains("active"));
    server.kill();
    let server = Server::start(&plain);
    signer.post(&server, inbound("e", "m", CONTACT, "Hi")).await;
    Findings::of(&home, &[]).has("forwarding", "ok", "1 events");
    execute(&db.url, "UPDATE feed SET at = at - 3600000000").await;
    Findings::of(&home, &[]).has("forwarding", "warning", "is active, 1 events and 36");
}

/// A server that says that it is not ready, and one of another version.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_ready_or_of_another_version_is_told() {
    let answer = |status: &str, body: Value| {
        let body = body.to_string();
        let head = "content-type: application/json\r\nconnection: close\r\ncontent-length";
        Reply::Raw(format!("HTTP/1.1 {status}\r\n{head}: {}\r\n\r\n{body}", body.len()))
    };
    let list = || answer("200 OK", json!([]));
    let failed = json!([{"name": "database", "ok": false, "reason": "the database is locked"}]);
    let not_ready = json!({"status": "not ready", "checks": failed, "version": "9.8.7"});
    let alive = answer("200 OK", json!({"status": "ok"}));
    let script = [answer("503 Service Unavailable", not_ready), alive, list()];
    let server = FakeServer::replying(&script).await;
    let findings = Findings::of(&Home::new().set("CONVO_SERVER", server.url()), &[]).exits(5);
    findings.has("server", "failure", "is not ready: the database is locked");
    let ready = json!({"status": "ready", "version": "9.8.7"});
    let server = FakeServer::replying(&[answer("200 OK", ready), list()]).await;
    let findings = Findings::of(&Home::new().set("CONVO_SERVER", server.url()), &[]).exits(0);
    let seen = "the server has 9.8.7, this program ";
    findings.has("server", "ok", "ready").has("server_version", "warning", seen);
}

#[test]
fn an_installed_unit_is_compared_with_the_shipped_one() {
    let shipped = include_str!("../../systemd/convo.service");
    for (text, verdict, seen) in [
        (shipped.to_owned(), "ok", "is as shipped"),
        (shipped.replace("NoNewPrivileges=yes\n", ""), "warning", "without NoNewPrivileges=yes"),
        (format!("{shipped}Environment=A=b\n"), "warning", "with Environment=A=b"),
    ] {
        let home = Home::new();
        let unit = home.write("unit", format!("# /etc/systemd/system/convo.service\n{text}"));
        let fake = home.write("bin/systemctl", format!("#!/bin/sh\ncat {}\n", unit.display()));
        std::fs::set_permissions(&fake, PermissionsExt::from_mode(0o755)).expect("set");
        let path = format!("{}:/usr/bin:/bin", home.file("bin").display());
        let home = home.set("PATH", path);
        Findings::of(&home, &[]).has("unit", verdict, seen);
    }
}
