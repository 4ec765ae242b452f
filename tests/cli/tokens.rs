//! Tokens of the REST API: their forms, their scopes, and what guessing one comes to.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::Digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::harness::{CONTACT, Home, LINES, Server, World, until};
use crate::support::TestDatabase;

const READER: &str = "reader-0123456789";
const SENDER: &str = "sender-0123456789";
const BOTH: &str = "all-of-it-0123456789";

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

async fn get(server: &Server, path: &str, token: &str) -> u16 {
    let lines = bearer(token);
    server.raw(format!("GET {path} HTTP/1.1\r\n{LINES}{lines}\r\n")).await.status
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
        for path in ["/conversations", "/health/ready", "/openapi.json"] {
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
    // An entry is not its token, and a comment is none.
    for guess in [format!("shop:read:{READER}"), "# the shop's page".to_owned()] {
        assert_eq!(get(&server, "/conversations", &guess).await, 401, "{guess}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_with_the_wrong_scope_is_told_what_it_lacks() {
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
        let done = done.exits(4).tells(&format!("lacks the scope '{scope}'"));
        assert!(done.out.is_empty() && done.err.contains("hint: "), "{}", done.err);
    }
    assert_eq!(world.offers(), 1);
    let plain = Home::new().set("CONVO_SERVER", &url).set("CONVO_API_TOKEN", "wrong-0123456789");
    plain.run(&["list"]).exits(4).tells("the API token is wrong");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_which_token_did_what() {
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
            until(&format!("{name:?} {route} {status}"), || {
                server.log().lines().any(is_told).then_some(())
            });
        }
    }
    let log = server.log();
    assert!(!log.contains(READER) && !log.contains(BOTH) && !log.contains("wrong"), "{log}");
}

#[test]
fn a_setting_with_a_slip_does_not_start_a_server() {
    for (value, told) in [
        ("good-0123456789abc,web:reed:s3cr3t", "entry 2 has no scopes"),
        ("web:s3cr3t", "entry 1 has a colon"),
        ("s3cr3t,s3cr3t", "entry 2 repeats"),
        ("s3cr3t s3cr3t", "entry 1 has characters no header takes"),
        (" , ", "there is no token in it"),
    ] {
        let home = Home::new().set("CONVO_API_TOKEN", value);
        for args in
            [&["serve", "--listen", "127.0.0.1:0"][..], &["list", "--server", "http://localhost:1"]]
        {
            let done = home.run(args).exits(4).tells(&format!("CONVO_API_TOKEN: {told}"));
            assert!(!done.err.contains("s3cr3t"), "{}", done.err);
        }
        assert_eq!(home.files(), [""; 0]);
    }
    let home = Home::new().set("CONVO_API_TOKEN_FILE", "tokens");
    home.write("tokens", "# all are gone\n");
    home.run(&["serve", "--listen", "127.0.0.1:0"]).exits(4).tells("there is no token in it");
}

#[test]
fn a_token_that_can_be_guessed_is_not_for_strangers() {
    let home = Home::new().set("CONVO_API_TOKEN", format!("{BOTH},web:read:s3cr3t"));
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let done = home.run(&["serve", "--listen", listen]).exits(4);
        let done = done.tells("the API token 'web' is so short that strangers");
        assert!(!done.err.contains("s3cr3t"), "{}", done.err);
    }
    let server = Server::start(&home);
    server.logs("so short that it can be guessed");
    assert!(server.log().contains("web") && !server.log().contains("s3cr3t"), "{}", server.log());
    let strong = Home::new().set("CONVO_API_TOKEN", BOTH);
    let server = Server::with(&strong, &["serve", "--listen", "0.0.0.0:0"]);
    assert!(!server.log().contains("guessed"), "{}", server.log());
}

/// Asks with a token from an address of this machine.
async fn from(server: &Server, address: &str, token: &str) -> (u16, Option<String>) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(format!("{address}:0").parse().expect("an address")).expect("bound");
    let mut stream = socket.connect(server.address).await.expect("a connection");
    let lines = format!("{LINES}{}x-forwarded-for: 192.0.2.{token}\r\n", bearer(token));
    let request = format!("GET /openapi.json HTTP/1.1\r\n{lines}\r\n");
    stream.write_all(request.as_bytes()).await.expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let answer = answer.to_ascii_lowercase();
    let retry = answer.lines().find_map(|line| line.strip_prefix("retry-after: "));
    (answer[9..12].parse().expect("a status"), retry.map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slow_and_locks_nobody_out() {
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
    server.logs("too many wrong API tokens");
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
