//! `convo setup`, on a real terminal.

use std::os::unix::fs::PermissionsExt;

use convo::sandbox::OWN_NUMBER;
use serde_json::Value;

use crate::support::{FakeServer, Home, Reply, Server, Signer, TestDatabase, Tmux, World};

const KEY: &str = "KEY0123456789abcdef";
const NOT_SHOWN: &str = "0123456789abcdef";

/// A home that knows where the simulated Telnyx is, and nothing else of it.
fn newcomer(base_url: &str) -> Home {
    Home::new().set("TELNYX_BASE_URL", base_url)
}

/// A screen on which setup has asked its first question.
#[track_caller]
fn enter(home: &Home) -> (Home, Tmux) {
    let screen = Home::new();
    let tmux = Tmux::start(&screen, 100, 50);
    tmux.enter(&home.command(&["setup"]));
    tmux.wait_for_row("the first question", |row| row.starts_with("   API key"));
    (screen, tmux)
}

#[track_caller]
fn answer(tmux: &Tmux, question: &str, text: &str) {
    tmux.wait_for_last(question);
    tmux.type_text(text);
    tmux.press("Enter");
}

/// Waits until doctor has told what it found, and setup has ended.
#[track_caller]
fn end(tmux: &Tmux) {
    tmux.wait_for_row("what doctor finds", |row| row.contains("server_version"));
    tmux.wait_for_exit();
}

fn settings(home: &Home) -> String {
    std::fs::read_to_string(home.file(".config/convo/env")).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_answers_three_questions_and_is_well() {
    let world = World::start(TestDatabase::sqlite()).await;
    let public_key = Signer::new(7).public_key();
    let home = newcomer(&world.telnyx.base_url())
        .with_database(&world.db)
        .set("CONVO_LISTEN", world.server.address.to_string());
    let (_screen, tmux) = enter(&home);
    answer(&tmux, "   API key:", KEY);
    tmux.wait_for_row("the verdict", |row| row.contains("Telnyx accepts it"));
    answer(&tmux, "   Public key:", "not a key");
    tmux.wait_for_row("what is wrong", |row| row.contains("is not an Ed25519 public key"));
    answer(&tmux, "   Public key:", &public_key);
    tmux.wait_for_row("the numbers", |row| row.contains(&format!("1  {OWN_NUMBER}")));
    answer(&tmux, "   Number:", "2");
    tmux.wait_for_row("what is wrong", |row| row.contains("Type one of the numbers"));
    assert_eq!(settings(&home), "", "nothing is written before all is answered");
    answer(&tmux, "   Number:", "1");
    tmux.wait_for_row("the file", |row| row.contains("Written to "));
    answer(&tmux, "URL of the server:", &world.server.url());
    end(&tmux);
    let shown = tmux.rows().join("\n");
    assert!(!shown.contains(NOT_SHOWN), "{shown}");
    let written = settings(&home);
    assert_eq!(
        written,
        format!(
            "TELNYX_API_KEY={KEY}\nTELNYX_PUBLIC_KEY={public_key}\nTELNYX_PHONE_NUMBER={OWN_NUMBER}\n"
        )
    );
    let mode = |path: &str| home.file(path).metadata().expect("it").permissions().mode() & 0o777;
    assert_eq!((mode(".config/convo/env"), mode(".config/convo")), (0o600, 0o700));
    home.run(&["config"]).exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_profile_is_changed_only_after_a_yes() {
    let world = World::start(TestDatabase::sqlite()).await;
    let other = Server::start(&Home::new().accepting(&world.signer));
    let home = newcomer(&world.telnyx.base_url()).with_database(&world.db);
    home.write(
        ".config/convo/env",
        format!(
            "# mine\nTELNYX_API_KEY={KEY}\nOTHER=kept\nTELNYX_PUBLIC_KEY={}\n\
             TELNYX_PHONE_NUMBER={OWN_NUMBER}\n",
            world.signer.public_key()
        ),
    );
    let before = settings(&home);
    let changes = || {
        let requests = world.telnyx.requests();
        requests.into_iter().filter(|request| request.method == "PATCH").collect::<Vec<_>>()
    };
    for yes in ["n", "y"] {
        assert_eq!(changes().len(), 0);
        let (_screen, tmux) = enter(&home);
        answer(&tmux, "   API key [Enter keeps the present one]:", "");
        answer(&tmux, "   Public key [Enter keeps the present one]:", "");
        answer(&tmux, "   Number [Enter keeps the present one]:", "");
        answer(&tmux, "URL of the server:", "nonsense");
        tmux.wait_for_row("what is wrong", |row| row.contains("That is not a URL"));
        answer(&tmux, "URL of the server:", &other.url());
        let url = format!("{}/webhooks/sms", other.url());
        answer(&tmux, &format!("Set the webhook URL of 'Sandbox' to {url}? [y/N]"), yes);
        end(&tmux);
    }
    let changes = changes();
    assert_eq!(changes.len(), 1);
    let body: Value = serde_json::from_slice(&changes[0].body).expect("JSON");
    assert_eq!(body["webhook_url"], format!("{}/webhooks/sms", other.url()));
    assert_eq!(body["webhook_api_version"], "2");
    assert_eq!(settings(&home), before, "nothing was answered anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_telnyx_refuses_is_asked_for_again() {
    let good = r#"{"data":[{"phone_number":"+12025550100","messaging_profile_id":null}]}"#;
    let telnyx = FakeServer::replying(&[Reply::Status(401, "{}"), Reply::Status(200, good)]).await;
    let home = newcomer(&telnyx.base_url());
    let (_screen, tmux) = enter(&home);
    answer(&tmux, "   API key:", "KEYwrong");
    tmux.wait_for_row("the verdict", |row| row.contains("does not accept the API key"));
    answer(&tmux, "   API key:", KEY);
    answer(&tmux, "   Public key:", &Signer::new(7).public_key());
    tmux.wait_for_row("the number", |row| row.contains("(not on a messaging profile)"));
    answer(&tmux, "   Number:", "+1 (202) 555-0100");
    end(&tmux);
    assert!(settings(&home).contains(KEY));
    assert!(!settings(&home).contains("KEYwrong"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_early_it_writes_nothing() {
    let telnyx = FakeServer::replying(&[Reply::Status(
        200,
        r#"{"data":[{"phone_number":"+12025550100"}]}"#,
    )])
    .await;
    let home = newcomer(&telnyx.base_url());
    let (_screen, tmux) = enter(&home);
    answer(&tmux, "   API key:", KEY);
    tmux.wait_for_last("   Public key:");
    tmux.press("C-c");
    assert_eq!(tmux.wait_for_exit(), "4");
    assert_eq!(settings(&home), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typed_key_does_not_go_to_an_address_of_a_dotenv() {
    let telnyx = FakeServer::replying(&[Reply::Status(200, "{}")]).await;
    let home = Home::new();
    home.write(".env", format!("TELNYX_BASE_URL={}\n", telnyx.base_url()));
    let (_screen, tmux) = enter(&home);
    answer(&tmux, "   API key:", KEY);
    tmux.wait_for_row("why not", |row| row.contains("TELNYX_API_KEY is from what was typed"));
    assert_eq!(tmux.wait_for_exit(), "4");
    assert!(telnyx.requests().is_empty());
}

#[test]
fn without_a_terminal_it_does_nothing() {
    let home = Home::new();
    home.run(&["setup"]).exits(2).reports("convo setup needs a terminal");
    home.pipe("KEY\n", &["setup"]).exits(2);
    assert_eq!(home.files(), [""; 0]);
}
