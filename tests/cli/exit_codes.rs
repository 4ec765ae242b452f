//! The exit codes of the contract, each reached as a user reaches it.

use std::fs::OpenOptions;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::{
    CONTACT, Done, FakeServer, Home, Reply, Running, Server, closed_address, execute,
};

/// A home that could send, if Telnyx were where it says.
fn configured() -> Home {
    Home::new()
        .set("TELNYX_API_KEY", "KEY")
        .set("TELNYX_PHONE_NUMBER", "+15551234567")
        .set("TELNYX_BASE_URL", "http://127.0.0.1:9/v2")
}

/// Asserts that a command fails in both ways of telling it, and leaves nothing behind.
#[track_caller]
fn refused(home: &Home, args: &[&str], exit: i32, code: &str, expected: &str) {
    let before = home.files();
    let done = home.run(args).exits(exit).reports(expected);
    assert_eq!((done.out.as_str(), home.files()), ("", before), "{args:?}");
    let done = home.run(&[args, &["--json"]].concat()).exits(exit);
    let error = done.error();
    assert_eq!((error["code"].as_str(), error["exit"].as_i64()), (Some(code), Some(exit.into())));
    assert!(error["message"].as_str().is_some_and(|message| message.contains(expected)), "{error}");
}

async fn change(home: &Home, sql: &str) {
    let url = format!("sqlite:{}", home.file("conversations.db").display());
    execute(&url, sql).await;
}

#[test]
fn an_empty_database_exits_with_0() {
    let home = Home::new();
    home.run(&["migrate"]).exits(0);
    assert_eq!(home.run(&["list"]).silent().out, "");
    assert_eq!(home.run(&["list", "--json"]).silent().out.trim_end(), "[]");
    for args in [["--help"], ["--version"]] {
        assert!(home.run(&args).silent().out.starts_with("convo ") || args == ["--help"]);
    }
}

#[test]
fn wrong_arguments_exit_with_2_and_create_nothing() {
    let home = configured();
    for (args, code, expected) in [
        (&["send", "2125551234", "Hi"][..], "invalid_number", "has no country code"),
        (&["send", "+1212555123x", "Hi"], "invalid_number", "not a phone number"),
        (&["send", CONTACT, ""], "invalid_request", "the message is empty"),
        (&["send", CONTACT], "invalid_request", "the message is empty"),
        (&["send", CONTACT, &"x".repeat(1_531)], "message_too_long", "more than 10 segments"),
        (&["send", CONTACT, "Hi", "--idempotency-key", "a b"], "invalid_request", "idempotency"),
        (&["show", CONTACT, "--limit", "none"], "invalid_request", "--limit"),
        (&["show"], "invalid_request", "CONTACT|ID"),
    ] {
        refused(&home, args, 2, code, expected);
    }
    home.run(&["sned", CONTACT]).exits(2).reports("hint: ");
    home.run(&[] as &[&str]).exits(2);
    let server = ["--server", "http://127.0.0.1:1"];
    for args in [[&["serve"][..], &server].concat(), [&server[..], &["migrate"]].concat()] {
        home.run(&args).exits(2).reports("does not accept --server");
    }
    assert_eq!(home.files(), [""; 0]);
}

#[test]
fn an_invalid_text_on_standard_input_exits_with_2() {
    let home = configured();
    let send = ["send", CONTACT];
    home.pipe(b"caf\xe9\n", &send).exits(2).reports("not valid UTF-8");
    home.pipe("\n", &send).exits(2).reports("the message is empty");
    home.pipe(vec![b'x'; 2_000_000], &send).exits(2).reports("longer than any message");
    home.pipe("a\0b", &send).exits(2).reports("NUL");
    home.script(r#"convo send +12125551234 $'caf\xe9'"#).exits(2);
    home.script("convo send +12125551234 <&-").exits(2).reports("the message is empty");
    assert_eq!(home.files(), [""; 0]);
}

#[test]
fn send_does_not_wait_for_a_text_at_a_terminal() {
    let home = configured();
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&terminal).expect("granted");
    unlockpt(&terminal).expect("unlocked");
    let name = ptsname(&terminal, Vec::new()).expect("a name");
    let stdin = OpenOptions::new().read(true).write(true).open(name.to_str().expect("a path"));
    let stdin = stdin.expect("the other end");
    for json in [false, true] {
        let mut command = home.command(&["send", CONTACT]);
        if json {
            command.arg("--json");
        }
        command.stdin(Stdio::from(stdin.try_clone().expect("again")));
        let done = Running::start(command, None).wait().exits(2);
        assert!(done.err.contains("there is no text to send"), "{}", done.err);
    }
}

#[test]
fn an_unknown_contact_exits_with_3() {
    let home = Home::new();
    home.run(&["migrate"]).exits(0);
    for contact in ["+19995550000", "0000000000", "ACME", "01a20685-7f6b-7790-99a8-f178d4040dda"] {
        refused(&home, &["show", contact], 3, "conversation_not_found", "Conversation not found");
        // Perhaps it was meant, but for its country code.
        home.run(&["show", "1 (212) 555-1234"]).exits(3).reports("for example +12125551234");
    }
}

#[test]
fn a_missing_database_exits_with_4_and_reading_creates_none() {
    let home = Home::new();
    for args in [&["list"][..], &["show", CONTACT], &["send", CONTACT, "Hi", "--dry-run"]] {
        refused(&home, args, 4, "database_not_ready", "there is no database at");
    }
    for args in [&["list"][..], &["send", CONTACT, "Hi"]] {
        let sandbox = [&["--sandbox"], args].concat();
        let expected = if args.len() == 1 { "there is no database at" } else { "" };
        home.run(&sandbox).exits(4).reports(expected);
    }
    let home =
        Home::new().set("DATABASE_URL", "sqlite:///nowhere/c.db").set("TELNYX_API_KEY", "KEY");
    refused(&home, &["list"], 4, "database_not_ready", "there is no database at");
    home.run(&["send", CONTACT, "Hi"]).exits(4).reports("cannot create a database at");
}

#[test]
fn a_missing_setting_exits_with_4_and_is_named() {
    let home = Home::new();
    refused(&home, &["send", CONTACT, "Hi"], 4, "not_configured", "TELNYX_API_KEY is not set");
    refused(&home, &["list"], 4, "database_not_ready", "there is no database at");
    home.run(&["migrate"]).exits(0);
    refused(&home, &["send", CONTACT, "Hi"], 4, "not_configured", "TELNYX_API_KEY is not set");
    let home = home.set("TELNYX_API_KEY", "KEY");
    let expected = "TELNYX_PHONE_NUMBER is not set";
    refused(&home, &["send", CONTACT, "Hi"], 4, "not_configured", expected);
    for (name, value) in [
        ("TELNYX_API_KEY", "two words"),
        ("TELNYX_PHONE_NUMBER", "5551234567"),
        ("TELNYX_BASE_URL", "http://telnyx.example/v2"),
        ("DATABASE_URL", "mysql://u:hunter2@h/d"),
        ("CONVO_SERVER", "http://convo.example"),
        ("CONVO_SERVER", "nonsense"),
        ("CONVO_SEND_TIMEOUT", "99"),
        ("CONVO_LOG", "=="),
        ("CONVO_LOG", "warning"),
    ] {
        let home = configured().set(name, value);
        let done = home.run(&["send", CONTACT, "Hi"]).exits(4).reports("");
        let named = done.err.contains(name) || name == "CONVO_SERVER" || name == "DATABASE_URL";
        assert!(named && !done.err.contains("hunter2"), "{name}: {}", done.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsuitable_database_exits_with_4() {
    let home = configured();
    home.run(&["migrate"]).exits(0);
    let all: [&[&str]; 3] = [&["list"], &["show", CONTACT], &["send", CONTACT, "Hi"]];
    let future = "INSERT INTO seaql_migrations VALUES ('m20990101_000001_future', 0)";
    change(&home, future).await;
    change(&home, "INSERT INTO meta VALUES ('needs', 'm20990101_000001_future')").await;
    for args in all {
        refused(&home, args, 4, "database_not_ready", "newer version of convo");
    }
    change(&home, "DELETE FROM seaql_migrations").await;
    for args in all {
        refused(&home, args, 4, "database_not_ready", "out of date");
    }
    let home = configured();
    home.write("conversations.db", "These are my recipes.\n".repeat(500));
    for args in all {
        refused(&home, args, 4, "database_not_ready", "not an SQLite database");
    }
    home.run(&["migrate"]).exits(4).reports("not an SQLite database");
    home.run(&["serve", "--listen", "127.0.0.1:0"]).exits(4).reports("not an SQLite database");
    let home = configured();
    home.run(&["migrate"]).exits(0);
    let mut file = std::fs::read(home.file("conversations.db")).expect("a file");
    // Its header stays, and nothing behind it.
    file[100..].fill(0x5A);
    home.write("conversations.db", file);
    for args in all {
        home.run(args).exits(4).reports("malformed");
    }
    home.run(&["--sandbox", "list"]).exits(4).reports("convo serve --sandbox");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_program_is_not_changed() {
    let home = configured();
    let url = format!("sqlite:{}?mode=rwc", home.file("conversations.db").display());
    execute(&url, "CREATE TABLE recipes (name)").await;
    let before = std::fs::read(home.file("conversations.db")).expect("the file");
    let all: [&[&str]; 5] = [
        &["list"],
        &["show", CONTACT],
        &["send", CONTACT, "Hi"],
        &["migrate"],
        &["serve", "--listen", "127.0.0.1:0"],
    ];
    for args in all {
        home.run(args).exits(4).reports("belongs to another program");
        assert_eq!(std::fs::read(home.file("conversations.db")).expect("the file"), before);
    }
}

#[test]
fn sandbox_and_real_commands_refuse_each_others_database() {
    let home = configured();
    home.run(&["--sandbox", "migrate"]).exits(0);
    home.run(&["migrate"]).exits(0);
    std::fs::rename(home.file("conversations.db"), home.file("real.db")).expect("renamed");
    std::fs::rename(home.file("sandbox.db"), home.file("conversations.db")).expect("renamed");
    std::fs::rename(home.file("real.db"), home.file("sandbox.db")).expect("renamed");
    let real: [&[&str]; 5] = [
        &["list"],
        &["show", CONTACT],
        &["send", CONTACT, "Hi"],
        &["migrate"],
        &["serve", "--listen", "127.0.0.1:0"],
    ];
    for args in real {
        home.run(args).exits(4).reports("this is a sandbox database");
        let play = [&["--sandbox"], args].concat();
        home.run(&play).exits(4).reports("this is a real database");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_exits_with_4() {
    let home = Home::new().set("CONVO_API_TOKEN", "first-token, second-token");
    let server = Server::start(&home);
    let url = server.url();
    let ask = |token: &str, args: &[&str]| -> Done {
        let caller = Home::new().set("CONVO_SERVER", &url).set("CONVO_API_TOKEN", token);
        caller.run(args)
    };
    for args in [&["list"][..], &["show", CONTACT], &["send", CONTACT, "Hi"]] {
        ask("", args).exits(4).reports("CONVO_API_TOKEN");
        let wrong = ask("wrong-token", &[args, &["--json"]].concat()).exits(4);
        assert_eq!(wrong.error()["code"], "unauthorized");
        assert!(!wrong.err.contains("wrong-token"), "{}", wrong.err);
    }
    ask("second-token", &["list"]).silent();
    ask("first-token,other", &["list"]).silent();
    let page = FakeServer::replying(&[Reply::Status(200, "<html>")]).await;
    let other = Home::new().set("CONVO_SERVER", page.url());
    other.run(&["list"]).exits(4).reports("is not a convo server");
}

#[test]
fn an_unreachable_server_or_database_exits_with_5() {
    let url = format!("http://{}", closed_address());
    let home = Home::new().set("CONVO_SERVER", &url);
    for args in [&["list"][..], &["show", CONTACT], &["send", CONTACT, "Hi"]] {
        refused(&home, args, 5, "server_unreachable", &url);
    }
    let away = Home::new().set("DATABASE_URL", url.replace("http:", "postgres:") + "/convo");
    refused(&away, &["list"], 5, "database_unavailable", "cannot open the database");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_answer_exits_with_5_for_reading_and_9_for_a_send() {
    let half = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n[";
    for answer in [half, ""] {
        let broken = FakeServer::replying(&[Reply::Raw(answer.to_owned())]).await;
        let home = Home::new().set("CONVO_SERVER", broken.url());
        home.run(&["list"]).exits(5).reports("sent an incomplete response");
        let sent =
            home.run(&["send", CONTACT, "Hi"]).exits(9).reports("the message may have been sent");
        let key = sent.err.trim_end().rsplit("--idempotency-key ").next().expect("a key");
        let newest = broken.requests().pop().expect("a request");
        assert_eq!(newest.header("idempotency-key"), Some(key), "{newest:?}");
    }
}
