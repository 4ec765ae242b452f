//! A fault of convo itself: who asked gets no answer, everybody else is served, the log says where.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use warp::Filter;

use super::*;
use crate::config::{Config, Flags, Source};
use crate::error::Code;
use crate::logging;

/// The words of the fault, which might quote a message.
const WORDS: &str = "the words of a contact";
const LOG: &str = "CONVO_LOG";

/// A server, with its log on standard error, that falls over one of its routes.
#[tokio::test]
#[ignore = "the tests below run it, each in a process of its own"]
async fn a_server_with_a_fault() {
    #[expect(clippy::disallowed_methods, reason = "what the test that runs this one asks for")]
    let level = std::env::var(LOG).expect("a level");
    let source = Source::of(&[(LOG, level.as_str())], Path::new("/"));
    let config = Config::resolve(&Flags::default(), &source).expect("a configuration");
    let log = logging::start_server(&config).expect("a log");
    let falls = warp::path("fault").then(async || -> warp::reply::Response { panic!("{WORDS}") });
    let health = warp::path("health").map(|| warp::reply::Response::new("well".into()));
    let routes = falls.or(health).unify().recover(reply::recover).unify().boxed();
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
    let told = async { (ask("/fault").await, ask("/health").await) };
    let (fault, health) = connections.accept(listener, told).await;
    assert_eq!(fault, "");
    assert!(health.ends_with("well"), "{health}");
    let send = tokio::spawn(async { panic!("{WORDS}") }).await;
    let error = send::failed_midway(&send.expect_err("a fault"));
    assert_eq!(error.code(), Code::OutcomeUnknown);
    assert!(!error.to_string().contains(WORDS), "{error}");
    // What waits is written.
    drop(log);
}

/// What that server logs at a level, line by line.
fn logged(level: &str) -> Vec<Value> {
    let program = std::env::current_exe().expect("this test");
    let name = "server::tests::faults::a_server_with_a_fault";
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
fn a_fault_in_a_request_is_told_by_its_place_and_not_its_words() {
    let log = logged("info");
    let fault = find(&log, "a fault of convo ended a task");
    assert_eq!((&fault["level"], &fault["span"]["id"]), (&json!("ERROR"), &json!("Mine")));
    let place = fault["place"].as_str().expect("a place");
    assert!(place.starts_with(&format!("{}:", file!())), "{place}");
    let request = find(&log, "request");
    assert_eq!((&request["cut"], request.get("status")), (&json!("a fault of convo"), None));
    assert_eq!(request["span"]["id"], "Mine");
    let next = log.iter().filter(|line| line["message"] == "request").nth(1).expect("another");
    assert_eq!((&next["status"], next.get("cut")), (&json!(200), None), "{next}");
    assert_eq!(find(&log, "a send ended without an outcome")["fault"], true);
    for line in &log {
        assert!(!line.to_string().contains(WORDS), "{line}");
    }
}

#[test]
fn the_words_of_a_fault_are_told_to_whoever_asks() {
    let log = logged("debug");
    assert_eq!(find(&log, "what the fault said")["words"], WORDS);
}
