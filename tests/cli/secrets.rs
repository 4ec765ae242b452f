//! Secrets, texts and numbers: never in a log at `info`, never in an error, never in `--help`.

use convo::sandbox::Behaviour;
use serde_json::Value;

use crate::on_both_databases;
use crate::support::{
    CONTACT, Event, Home, OWN, Server, TestDatabase, World, bearer, example, examples, execute,
    inbound,
};

const KEY: &str = "KEYsecret0123456789";
const TOKEN: &str = "t0ken-very-secret";
const GUESS: &str = "n0t-quite-the-token";
const TEXT: &str = "the-eagle-has-landed";

/// Asserts that a log tells nothing that it must not: of a number not even the part that is
/// dialled within its area, however it is written before that.
#[track_caller]
fn is_discreet<S: AsRef<str>>(log: &str, contacts: &[S]) {
    for secret in [KEY, TOKEN, GUESS, TEXT, "eagle", "landed"] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    for contact in contacts.iter().map(AsRef::as_ref) {
        let local = &contact[contact.len().saturating_sub(7)..];
        assert!(!log.contains(local), "{contact} is in the log:\n{log}");
    }
}

/// Every text and number of an event, and what else of it is somebody's own.
fn private(event: &Value, into: &mut Vec<String>) {
    match event {
        Value::Array(all) => all.iter().for_each(|event| private(event, into)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| match value {
            Value::String(text) if ["text", "phone_number", "url"].contains(&name.as_str()) => {
                // Two letters are everywhere.
                into.extend((text.len() > 6).then(|| text.clone()));
            }
            value => private(value, into),
        }),
        _ => {}
    }
}

async fn a_full_run_logs_no_secret(db: TestDatabase) {
    let world = World::with(db, |home| {
        home.set("TELNYX_API_KEY", KEY)
            .set("CONVO_API_TOKEN", TOKEN)
            .set("CONVO_SEND_TIMEOUT", "2")
            .set("CONVO_LOG", "info")
    })
    .await;
    let url = world.server.url();
    let (mut contacts, mut said) = (vec![CONTACT.to_owned(), OWN.to_owned()], String::new());
    for behaviour in [
        Behaviour::Friendly,
        Behaviour::Refused,
        Behaviour::OptedOut,
        Behaviour::Unauthorized,
        Behaviour::ServerErrorOnce,
        Behaviour::Undeliverable,
        Behaviour::Vanished,
        Behaviour::Doubled,
    ] {
        let to = behaviour.number();
        contacts.push(to.to_owned());
        for server in [&[][..], &["--server", &url]] {
            let args = [&["send", to, TEXT, "--json"], server].concat();
            let done = world.home.run(&args);
            // What is told to the user about the user's own message is no log.
            said.extend(done.err.lines().filter(|line| !line.starts_with('{')).map(str::to_owned));
        }
    }
    let stop = Event::inbound("e-s", "m-s", CONTACT, TEXT).autoresponse("STOP");
    world.signer.post(&world.server, stop.to_string()).await;
    for name in examples() {
        let event = example(&name);
        private(&serde_json::from_slice(&event).expect("JSON"), &mut contacts);
        world.signer.try_post(world.server.address, event).await.expect("an answer");
    }
    let odd = inbound("e-\\u0000", "m\\u0000", CONTACT, TEXT);
    world.signer.post(&world.server, odd).await;
    let token = bearer(TOKEN);
    let area = CONTACT.trim_start_matches("+1");
    for (path, body) in [
        (format!("/conversations/{CONTACT}/send"), format!("{{\"message\":\"{TEXT}\"}}")),
        (format!("/conversations/%2B1{area}/send"), format!("{{\"message\":\"{TEXT}\"}}")),
        (format!("/conversations/%2B1{area}?before={TEXT}"), "{}".to_owned()),
        (format!("/conversations?after={CONTACT}&{TEXT}"), "{}".to_owned()),
        (format!("/messages/{area}/retry?force={TEXT}"), "{}".to_owned()),
        (format!("/{TEXT}/{CONTACT}"), "{}".to_owned()),
        (format!("/conversations/{CONTACT}/send"), format!("{{\"mess\":\"{TEXT}\"")),
        ("/conversations/123/send".to_owned(), "{}".to_owned()),
        ("/webhooks/sms".to_owned(), format!("{{\"text\":\"{TEXT}\"}}")),
    ] {
        world.server.post(&path, &token, &body).await;
        let guess = format!("{}x-request-id: {CONTACT}\r\n", bearer(GUESS));
        world.server.post(&path, &guess, &body).await;
        world.server.get_with(&path, &token).await;
        world.server.get(&path).await;
    }
    world.home.run(&["show", CONTACT, "--server", &url]).silent();
    for args in [&["show", CONTACT][..], &["list"], &["sync"], &["retry", area], &["show", area]] {
        said.push_str(&world.home.run(args).err.replace(area, ""));
    }
    let log = world.server.log();
    is_discreet(&log, &contacts);
    is_discreet(&said, &contacts);
    for route in ["/conversations/{number}/send", "/messages/{id}/retry", "none"] {
        assert!(log.contains(&format!("\"route\":\"{route}\"")), "{route} was asked:\n{log}");
    }
    assert!(log.contains("WARN"), "there was something to say");
}

on_both_databases!(a_full_run_logs_no_secret);

/// Play is logged no more freely.
#[test]
fn the_log_of_a_sandbox_contains_no_number() {
    let home = Home::new();
    let server = Server::start_with(&home, &["serve", "--sandbox", "--listen", "127.0.0.1:0"]);
    let url = server.url();
    for behaviour in [Behaviour::Friendly, Behaviour::Refused, Behaviour::Doubled] {
        home.run(&["send", behaviour.number(), TEXT, "--server", &url]);
    }
    server.wait_for_log("/webhooks/sms");
    let contacts = [Behaviour::Friendly, Behaviour::Refused, Behaviour::Doubled];
    is_discreet(&server.log(), &contacts.map(Behaviour::number));
}

/// An outcome that cannot be recorded is logged, for it is the last trace of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_failing_database_contains_no_secret() {
    let world = World::with(TestDatabase::sqlite(), |home| {
        home.set("TELNYX_API_KEY", KEY).set("CONVO_LOG", "info")
    })
    .await;
    let stopped = Behaviour::OptedOut.number();
    let path = format!("/conversations/{stopped}/send");
    // The row can be made, its outcome cannot be written.
    let trigger = "CREATE TRIGGER broken BEFORE UPDATE OF status_rank ON messages \
                   BEGIN INSERT INTO meta VALUES ('broken', NULL); END";
    execute(&world.db.url, trigger).await;
    let body = format!("{{\"message\":\"{TEXT}\"}}");
    let answer = world.server.post(&path, "", &body).await;
    assert_eq!(answer.status_and_code(), (500, "internal".into()), "{}", answer.body);
    assert!(!answer.body.contains("meta"), "{}", answer.body);
    world.server.wait_for_log("could not be recorded");
    is_discreet(&world.server.log(), &[stopped, OWN]);
    let done = world.home.run(&["send", stopped, TEXT]).exits(1);
    is_discreet(&done.err, &[stopped, OWN]);
}

#[test]
fn help_and_errors_show_no_secret() {
    let home = Home::new()
        .set("TELNYX_API_KEY", KEY)
        .set("CONVO_API_TOKEN", TOKEN)
        .set("DATABASE_URL", format!("postgres://u:{KEY}@127.0.0.1:1/{TEXT}"));
    for args in
        [&["--help"][..], &["send", "--help"], &["serve", "--help"], &["list"], &["migrate"]]
    {
        let done = home.run(args);
        assert!(!done.out.contains(KEY) && !done.err.contains(KEY), "{args:?}: {}", done.err);
        assert!(!done.out.contains(TOKEN) && !done.err.contains(TOKEN), "{args:?}");
    }
    let home = Home::new().set("CONVO_API_TOKEN", TOKEN);
    let server = Server::start(&home);
    let cmdline = std::fs::read(format!("/proc/{}/cmdline", server.id())).expect("its arguments");
    assert!(!String::from_utf8_lossy(&cmdline).contains(TOKEN));
}
