//! Tokens of the REST API: their forms, their scopes, and what guessing one comes to.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::Digest;
use tokio::net::TcpSocket;

use crate::support::{
    CONTACT, Home, Server, TestDatabase, World, bearer, exchange, request, wait_until,
};

const READER: &str = "reader-0123456789";
const SENDER: &str = "sender-0123456789";
const BOTH: &str = "all-of-it-0123456789";

async fn get(server: &Server, path: &str, token: &str) -> u16 {
    server.get_with(path, &bearer(token)).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_lists_tokens_with_names_scopes_and_comments() {
    let home = Home::new().set("CONVO_API_TOKEN_FILE", "tokens");
    let tokens = format!(
        "# the shop's page\nshop:read:{READER}\n\n# while the old one is replaced\n\
         jobs:send:{SENDER}\njobs:send:{SENDER}-new\n{BOTH}\n"
    );
    home.write("tokens", tokens);
    let server = Server::start(&home);
    let send = format!("/conversations/{CONTACT}/send?dry_run=true");
    for (token, may_read, may_send) in [
        (READER.to_owned(), true, false),
        (SENDER.to_owned(), false, true),
        (format!("{SENDER}-new"), false, true),
        (BOTH.to_owned(), true, true),
    ] {
        for path in ["/conversations", "/metrics", "/openapi.json"] {
            let status = get(&server, path, &token).await;
            assert_ne!(status, 401);
            assert_eq!(status != 403, may_read, "{token} {path}: {status}");
        }
        for path in [send.as_str(), "/messages/01a20685-7f6b-7790-99a8-f178d4040dda/retry"] {
            let answer = server.post(path, &bearer(&token), r#"{"message":"Hi"}"#).await;
            assert_ne!(answer.status, 401);
            assert_eq!(answer.status != 403, may_send, "{token} {path}: {}", answer.body);
        }
    }
    // An entry is not its token, and a comment is not a token.
    for guess in [format!("shop:read:{READER}"), "# the shop's page".to_owned()] {
        assert_eq!(get(&server, "/conversations", &guess).await, 401, "{guess}");
    }
}

/// What monitoring may see with a token of its own, and what everyone may.
#[tokio::test(flavor = "multi_thread")]
async fn the_scope_metrics_is_for_metrics_and_the_details_of_readiness() {
    let monitor = "monitor-0123456789";
    let tokens = format!("m:metrics:{monitor},a:admin:{SENDER},r:read:{READER}");
    let home = Home::new().set("CONVO_API_TOKEN", tokens);
    let server = Server::start(&home);
    assert_eq!(get(&server, "/metrics", monitor).await, 200);
    for path in ["/conversations", "/messages/1", "/openapi.json"] {
        assert_eq!(get(&server, path, monitor).await, 403, "{path}");
    }
    let post = server.post("/messages/1/retry", &bearer(monitor), "{}").await;
    assert_eq!(post.status, 403, "{}", post.body);
    assert_eq!(get(&server, "/metrics", SENDER).await, 403);
    for (lines, has_details) in [
        (String::new(), false),
        (bearer(SENDER), false),
        (bearer(monitor), true),
        (bearer(READER), true),
    ] {
        let ready = server.get_with("/health/ready", &lines).await;
        assert_eq!((ready.status, &ready.json()["status"]), (503, &"not ready".into()));
        assert_eq!(ready.json().get("checks").is_some(), has_details, "{lines}");
    }
    assert_eq!(get(&server, "/health/ready", "wrong").await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_scope_is_named() {
    let entries = |first: &str, second: &str| format!("{first},{second}");
    let (reader, sender) = (format!("r:read:{READER}"), format!("s:send:{SENDER}"));
    let world = World::with(TestDatabase::sqlite(), |home| {
        home.set("CONVO_API_TOKEN", entries(&reader, &sender))
    });
    let world = world.await;
    let (url, send) = (world.server.url(), ["send", CONTACT, "Hi"]);
    let as_reader = Home::new().set("CONVO_SERVER", &url).set("CONVO_API_TOKEN", &reader);
    // A client sends the token of the first entry, and nothing else of it.
    let as_sender =
        Home::new().set("CONVO_SERVER", &url).set("CONVO_API_TOKEN", entries(&sender, &reader));
    as_sender.run(&send).exits(0);
    as_reader.run(&["list"]).silent();
    for (done, scope) in [
        (as_reader.run(&send), "send"),
        (as_reader.run(&["send", CONTACT, "Hi", "--dry-run"]), "send"),
        (as_sender.run(&["list"]), "read"),
        (as_sender.run(&["show", CONTACT]), "read"),
    ] {
        let done = done.exits(4).reports(&format!("lacks the scope '{scope}'"));
        assert!(done.out.is_empty() && done.err.contains("hint: "), "{}", done.err);
    }
    assert_eq!(world.offers(), 1);
    let plain = Home::new().set("CONVO_SERVER", &url).set("CONVO_API_TOKEN", "wrong-0123456789");
    plain.run(&["list"]).exits(4).reports("the API token is wrong");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_the_token_of_each_request() {
    let home = Home::new().set("CONVO_API_TOKEN", format!("shop:read:{READER},{BOTH}"));
    let server = Server::start(&home);
    let digits = sha2::Sha256::digest(BOTH)
        .iter()
        .take(4)
        .fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"));
    for (token, name) in [(READER, Some("shop")), (BOTH, Some(digits.as_str())), ("wrong", None)] {
        get(&server, "/conversations", token).await;
        server.post("/messages/1/retry", &bearer(token), "{}").await;
        let refused = if name == Some("shop") { 403 } else { 404 };
        for (route, status) in [("/conversations", 200), ("/messages/{id}/retry", refused)] {
            let status = if name.is_none() { 401 } else { status };
            let is_told = |line: &str| {
                let Ok(line) = serde_json::from_str::<Value>(line) else { return false };
                line["route"] == route && line["status"] == status && line["token"] == json!(name)
            };
            wait_until(&format!("{name:?} {route} {status}"), || server.log().lines().any(is_told));
        }
    }
    let log = server.log();
    assert!(!log.contains(READER) && !log.contains(BOTH) && !log.contains("wrong"), "{log}");
}

#[test]
fn a_malformed_token_setting_does_not_start_a_server() {
    for (value, expected) in [
        ("good-0123456789abc,web:reed:s3cr3t", "entry 2 has unknown scopes"),
        ("web:s3cr3t", "entry 1 has a colon"),
        ("s3cr3t,s3cr3t", "entry 2 repeats"),
        ("s3cr3t s3cr3t", "entry 1 has characters that a header cannot contain"),
        (" , ", "it contains no token"),
    ] {
        let home = Home::new().set("CONVO_API_TOKEN", value);
        for args in
            [&["serve", "--listen", "127.0.0.1:0"][..], &["list", "--server", "http://localhost:1"]]
        {
            let done = home.run(args).exits(4).reports(&format!("CONVO_API_TOKEN: {expected}"));
            assert!(!done.err.contains("s3cr3t"), "{}", done.err);
        }
        assert_eq!(home.files(), [""; 0]);
    }
    let home = Home::new().set("CONVO_API_TOKEN_FILE", "tokens");
    home.write("tokens", "# all are gone\n");
    home.run(&["serve", "--listen", "127.0.0.1:0"]).exits(4).reports("it contains no token");
}

#[test]
fn a_short_token_is_refused_on_public_addresses() {
    let home = Home::new().set("CONVO_API_TOKEN", format!("{BOTH},web:read:s3cr3t"));
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let done = home.run(&["serve", "--listen", listen]).exits(4);
        let done = done.reports("the API token 'web' is so short that anyone");
        assert!(!done.err.contains("s3cr3t"), "{}", done.err);
    }
    let server = Server::start(&home);
    server.wait_for_log("so short that it can be guessed");
    assert!(server.log().contains("web") && !server.log().contains("s3cr3t"), "{}", server.log());
    let strong = Home::new().set("CONVO_API_TOKEN", BOTH);
    let server = Server::start_with(&strong, &["serve", "--listen", "0.0.0.0:0"]);
    assert!(!server.log().contains("guessed"), "{}", server.log());
}

/// Asks with a token from an address of this machine.
async fn from(server: &Server, address: &str, token: &str) -> (u16, Option<String>) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(format!("{address}:0").parse().expect("an address")).expect("bound");
    let stream = socket.connect(server.address).await.expect("a connection");
    let lines = format!("{}x-forwarded-for: 192.0.2.{token}\r\n", bearer(token));
    let answer = exchange(stream, request("GET", "/openapi.json", &lines, "")).await;
    (answer.status, answer.header("retry-after").map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slowed_without_locking_anyone_out() {
    let home = Home::new().set("CONVO_API_TOKEN", BOTH);
    let server = Server::start(&home);
    let mut tries = 0;
    let refused = loop {
        let answer = from(&server, "127.0.0.2", &tries.to_string()).await;
        match answer.0 {
            401 => tries += 1,
            _ => break answer,
        }
        assert!(tries < 50, "nothing slows a guesser");
    };
    assert_eq!(refused.0, 429);
    let seconds: u64 = refused.1.expect("when to come again").parse().expect("seconds");
    assert!((1..=6).contains(&seconds), "{seconds}");
    server.wait_for_log("too many wrong API tokens");
    let since = Instant::now();
    let status = from(&server, "127.0.0.2", "guess").await.0;
    // One of these may have become fair on a machine that was slow enough.
    assert!(status == 401 || since.elapsed() >= Duration::from_millis(900), "it was not slowed");
    // The right token is let in from the same address, as behind a proxy, and from any other.
    for address in ["127.0.0.2", "127.0.0.3"] {
        assert_eq!(from(&server, address, BOTH).await.0, 200, "{address}");
    }
    assert_eq!(from(&server, "127.0.0.3", "guess").await.0, 401, "another address is not slowed");
    // Very many at once hold neither the server nor anybody with a right token.
    let crowd = (0..200).map(|n| from(&server, "127.0.0.2", if n % 2 == 0 { BOTH } else { "x" }));
    let answers = futures_util::future::join_all(crowd).await;
    let right = answers.iter().step_by(2).filter(|answer| answer.0 == 200).count();
    assert_eq!(right, 100, "every right token was let in");
    assert!(answers.iter().skip(1).step_by(2).all(|answer| [401, 429].contains(&answer.0)));
}
