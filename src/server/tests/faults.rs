//! A panic in convo: its caller gets no response, everyone else is served, the log says where.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use warp::Filter;

use super::*;
use crate::error::Code;
use crate::logging;

/// The message of the panic, which could quote a text.
const PANIC: &str = "the words of a contact";
const LOG: &str = "CONVO_LOG";

/// A server one of whose routes panics, with its log on standard error.
#[tokio::test]
#[ignore = "the tests below run it, each in a process of its own"]
async fn a_server_with_a_panic() {
    #[expect(clippy::disallowed_methods, reason = "what the test that runs this one asks for")]
    let level = std::env::var(LOG).expect("a level");
    let log = logging::start_server(Some(&level)).expect("a log");
    let panics = warp::path("panic").then(async || -> warp::reply::Response { panic!("{PANIC}") });
    let health = warp::path("health").map(|| warp::reply::Response::new("well".into()));
    let routes = panics.or(health).unify().recover(response::recover).unify().boxed();
    let mut connections = Connections::new(routes, Limits::default(), Arc::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let ask = async |path: &str| {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\n{LINES}x-request-id: Mine\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("a request");
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        let _ = ended.expect("in time");
        String::from_utf8(answer).expect("text")
    };
    let told = async { (ask("/panic").await, ask("/health").await) };
    let (cut, health) = connections.accept(listener, told).await;
    assert_eq!(cut, "");
    assert!(health.ends_with("well"), "{health}");
    let send = tokio::spawn(async { panic!("{PANIC}") }).await;
    let error = send::failed_midway(&send.expect_err("a panic"));
    assert_eq!(error.code(), Code::OutcomeUnknown);
    assert!(!error.to_string().contains(PANIC), "{error}");
    // Flushes it.
    drop(log);
}

/// What that server logs at a level, line by line.
fn logged(level: &str) -> Vec<Value> {
    let program = std::env::current_exe().expect("this test");
    let name = "server::tests::faults::a_server_with_a_panic";
    let mut command = Command::new(program);
    command.args([name, "--exact", "--ignored", "--nocapture"]).env(LOG, level);
    let done = command.stdin(Stdio::null()).output().expect("it runs");
    let log = String::from_utf8(done.stderr).expect("text");
    assert!(done.status.success(), "{}\n{log}", String::from_utf8_lossy(&done.stdout));
    log.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn find<'a>(log: &'a [Value], message: &str) -> &'a Value {
    let found = log.iter().find(|line| line["message"] == message);
    found.unwrap_or_else(|| panic!("no {message:?} in {log:?}"))
}

#[test]
fn a_panic_in_a_request_is_logged_by_its_location_and_not_its_message() {
    let log = logged("info");
    let panic = find(&log, "a task panicked");
    assert_eq!((&panic["level"], &panic["span"]["id"]), (&json!("ERROR"), &json!("Mine")));
    let location = panic["location"].as_str().expect("a location");
    assert!(location.starts_with(&format!("{}:", file!())), "{location}");
    let request = find(&log, "request");
    assert_eq!((&request["cut"], request.get("status")), (&json!("a panic"), None));
    assert_eq!(request["span"]["id"], "Mine");
    let next = log.iter().filter(|line| line["message"] == "request").nth(1).expect("another");
    assert_eq!((&next["status"], next.get("cut")), (&json!(200), None), "{next}");
    assert_eq!(find(&log, "a send ended without an outcome")["panicked"], true);
    for line in &log {
        assert!(!line.to_string().contains(PANIC), "{line}");
    }
}

#[test]
fn the_message_of_a_panic_is_logged_at_debug() {
    let log = logged("debug");
    assert_eq!(find(&log, "panic message")["panic"], PANIC);
}
