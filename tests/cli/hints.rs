//! An error that Telnyx names comes with a hint that helps, wherever it is shown.

use serde_json::{Value, json};

use crate::support::{CONTACT, FakeServer, Home, Reply, Server, TestDatabase, World, example};

const TOKEN: &str = "CONVO_API_TOKEN";

/// Telnyx's answer with an error.
fn refusal(code: &str, title: &str) -> Reply {
    let body = json!({"errors": [{"code": code, "title": title}]}).to_string();
    let head = format!("content-type: application/json\r\ncontent-length: {}", body.len());
    Reply::Raw(format!("HTTP/1.1 400 Bad Request\r\n{head}\r\nconnection: close\r\n\r\n{body}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_send_says_what_to_do() {
    for (code, title, exit, expected) in [
        ("40310", "Invalid 'to' address", 6, "check the number: it may be a landline"),
        ("40008", "Undeliverable", 6, "try sending it again later"),
        ("40010", "Not 10DLC registered", 6, "(10DLC)"),
        ("40333", "Spend limit reached", 6, "spend limit"),
        ("20012", "Account inactive", 6, "add funds"),
        ("40300", "Number not assigned to the profile", 6, "messaging profile"),
        ("40300", "Blocked due to STOP message", 7, "until the contact sends START"),
    ] {
        let telnyx = FakeServer::replying(&[refusal(code, title)]).await;
        let home = Home::new().sending_to(&telnyx.base_url()).set("CONVO_SEND_TIMEOUT", "2");
        let server = Server::start(&home);
        let despite = ["send", CONTACT, "Hi", "--despite-opt-out"];
        for remote in [&[][..], &["--server", &server.url()]] {
            let done = home.run(&[&despite, remote].concat()).exits(exit);
            let hint = done.err.lines().find_map(|line| line.strip_prefix("hint: "));
            assert!(hint.is_some_and(|hint| hint.contains(expected)), "{code}: {}", done.err);
            let error = home.run(&[&despite, remote, &["--json"]].concat()).exits(exit).error();
            assert_eq!(error["hint"].as_str(), hint, "{code}");
        }
        let body = r#"{"message":"Hi","despite_opt_out":true}"#;
        let answer = server.post(&format!("/conversations/{CONTACT}/send"), "", body).await;
        let hint = answer.json()["hint"].as_str().map(str::to_owned);
        assert!(hint.is_some_and(|hint| hint.contains(expected)), "{code}: {}", answer.body);
        assert_eq!(answer.json()["telnyx_code"], code);
    }
}

/// A code that Telnyx does not document gets no hint that might be wrong.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_code_has_no_hint() {
    let telnyx = FakeServer::replying(&[refusal("49999", "Something new")]).await;
    let home = Home::new().sending_to(&telnyx.base_url()).set("CONVO_SEND_TIMEOUT", "2");
    let error = home.run(&["send", CONTACT, "Hi", "--json"]).exits(6).error();
    assert_eq!(error["hint"], Value::Null);
}

/// A failure that a report brought is explained in the conversation.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_message_says_what_to_do() {
    let world = World::start(TestDatabase::sqlite()).await;
    world.signer.post(&world.server, example("finalized_failed")).await;
    let contact = "+13125550001";
    let thread = world.home.run(&["show", contact, "--json"]).silent().json();
    assert_eq!(thread["messages"][0]["error"]["code"], "40008");
    let shown = world.home.run(&["show", contact, "--format", "table"]).silent().out;
    assert!(shown.contains("hint: try sending it again later"), "{shown}");
}

/// Whoever pastes a command means the same conversations as before.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_in_a_hint_asks_the_same_server() {
    let world = World::with(TestDatabase::sqlite(), |home| home.set(TOKEN, "s3cret")).await;
    world.home.run(&["send", CONTACT, "Hello"]).exits(0);
    let url = world.server.url();
    // A machine with a database of its own.
    let elsewhere = Home::new().set(TOKEN, "s3cret");
    elsewhere.run(&["migrate"]).exits(0);
    let named = format!("`convo --server {url} list` shows");
    for args in [&["show", "nobody", "--server", &url][..], &["--server", &url, "show", "nobody"]] {
        let done = elsewhere.run(args).exits(3).reports(&named);
        assert!(!done.err.contains("s3cret"), "{}", done.err);
        let error = elsewhere.run(&[args, &["--json"]].concat()).exits(3).error();
        assert!(error["hint"].as_str().is_some_and(|hint| hint.contains(&named)), "{error}");
        let command = done.err.split('`').nth(1).expect("a command");
        assert!(elsewhere.script(command).silent().out.contains(CONTACT), "{command}");
    }
    elsewhere.run(&["show", "nobody"]).exits(3).reports("`convo list` shows");
    elsewhere.run(&["show", "nobody", "--local"]).exits(3).reports("`convo --local list` shows");
    let asked = elsewhere.set("CONVO_SERVER", &url);
    asked.run(&["show", "nobody"]).exits(3).reports("`convo list` shows");
}
