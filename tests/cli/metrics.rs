//! `/metrics`: what it counts, who may see it, and that it answers while the database is away.

use std::collections::BTreeMap;

use convo::sandbox::Behaviour;

use crate::harness::{CONTACT, DEADLINE, Home, Server, Signer, World, inbound, seconds, until};
use crate::on_both_databases;
use crate::support::cluster::Cluster;
use crate::support::exposition::{Family, parse, value};
use crate::support::{TestDatabase, example};

const TOKEN: &str = "t0ken-of-the-metrics";

/// The metrics of a server whose token is [`TOKEN`].
async fn scrape(server: &Server) -> BTreeMap<String, Family> {
    let lines =
        format!("host: localhost\r\nconnection: close\r\nauthorization: Bearer {TOKEN}\r\n");
    let answer = server.raw(format!("GET /metrics HTTP/1.1\r\n{lines}\r\n")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(answer.header("content-type"), Some(kind));
    parse(&answer.body)
}

async fn what_happens_is_counted(db: TestDatabase) {
    let world =
        World::with(db, |home| home.set("CONVO_API_TOKEN", TOKEN).set("CONVO_SEND_TIMEOUT", "2"))
            .await;
    let (server, signer) = (&world.server, &world.signer);
    let at_start = scrape(server).await;
    assert!(!at_start.contains_key("convo_webhook_last_accepted_timestamp_seconds"));

    let hello = inbound("e1", "m1", CONTACT, "Hello");
    assert_eq!(signer.post(server, &hello).await, "stored");
    assert_eq!(signer.post(server, &hello).await, "duplicate");
    assert_eq!(signer.post(server, r#"{"data":{"event_type":"x","id":"e2"}}"#).await, "ignored");
    assert_eq!(signer.try_post(server.address, b"{}".to_vec()).await.map(|a| a.0), Some(400));
    assert_eq!(server.post("/webhooks/sms", "", &hello).await.status, 401);
    let (time, signature) = Signer::new(7).sign(seconds() - 600, hello.as_bytes());
    let old = format!("telnyx-timestamp: {time}\r\ntelnyx-signature-ed25519: {signature}\r\n");
    assert_eq!(server.post("/webhooks/sms", &old, &hello).await.status, 401);

    let path = |to: &str| format!("/conversations/{to}/send");
    let token = format!("authorization: Bearer {TOKEN}\r\nidempotency-key: k1\r\n");
    let good = Behaviour::Friendly.number();
    assert_eq!(server.post(&path(good), &token, r#"{"message":"Hi"}"#).await.status, 201);
    assert_eq!(server.post(&path(good), &token, r#"{"message":"Hi"}"#).await.status, 201);
    let token = format!("authorization: Bearer {TOKEN}\r\n");
    let lost = Behaviour::Vanished.number();
    assert_eq!(server.post(&path(lost), &token, r#"{"message":"Hi"}"#).await.status, 202);
    let refused = Behaviour::Refused.number();
    assert_eq!(server.post(&path(refused), &token, r#"{"message":"Hi"}"#).await.status, 422);
    assert_eq!(server.post(&path("123"), &token, r#"{"message":"Hi"}"#).await.status, 400);
    assert_eq!(server.post(&path(good), "", r#"{"message":"Hi"}"#).await.status, 401);
    let wrong = "authorization: Bearer wrong\r\n";
    assert_eq!(server.post(&path(good), wrong, r#"{"message":"Hi"}"#).await.status, 401);
    signer.post(server, example("finalized_failed")).await;

    let mut told = scrape(server).await;
    let since = std::time::Instant::now();
    // The reports about the good one, and its answer, come by themselves.
    while value(&told, "convo_status_reports_total", &[("status", "delivered")]) < 1.0 {
        assert!(since.elapsed() < DEADLINE, "no report was counted");
        told = scrape(server).await;
    }
    let is = |name: &str, labels: &[(&str, &str)], expected: f64| {
        assert_eq!(value(&told, name, labels), expected, "{name} {labels:?}");
    };
    for (outcome, count) in
        [("duplicate", 1.0), ("ignored", 1.0), ("invalid", 1.0), ("refused", 2.0)]
    {
        is("convo_webhooks_total", &[("outcome", outcome)], count);
    }
    assert!(value(&told, "convo_webhooks_total", &[("outcome", "stored")]) >= 1.0);
    assert!(value(&told, "convo_webhooks_total", &[("outcome", "updated")]) >= 2.0);
    is("convo_webhooks_refused_total", &[("reason", "missing_header")], 1.0);
    is("convo_webhooks_refused_total", &[("reason", "stale")], 1.0);
    is("convo_status_reports_total", &[("status", "delivery_failed")], 1.0);
    for outcome in ["accepted", "unknown", "repeated", "telnyx_refused", "invalid_number"] {
        is("convo_sends_total", &[("outcome", outcome)], 1.0);
    }
    is("convo_telnyx_requests_total", &[("request", "send"), ("outcome", "accepted")], 1.0);
    for (reason, count) in [("no_token", 1.0), ("wrong_token", 1.0), ("signature", 2.0)] {
        is("convo_http_unauthorized_total", &[("reason", reason)], count);
    }
    is("convo_errors_total", &[("code", "invalid_signature")], 2.0);
    is("convo_errors_total", &[("code", "unauthorized")], 2.0);
    let sends = ("route", "/conversations/{number}/send");
    is("convo_http_requests_total", &[sends, ("method", "POST"), ("status", "2xx")], 3.0);
    is("convo_http_requests_total", &[sends, ("status", "4xx")], 4.0);
    is("convo_unsettled_messages", &[("status", "unknown")], 1.0);
    is("convo_unsettled_messages", &[("status", "pending")], 0.0);
    is("convo_unsettled_oldest_age_seconds", &[("status", "pending")], 0.0);
    let age = value(&told, "convo_unsettled_oldest_age_seconds", &[("status", "unknown")]);
    assert!(age > 1.0 && age < 600.0, "{age}");
    let last = value(&told, "convo_webhook_last_accepted_timestamp_seconds", &[]);
    assert!((seconds() as f64 - last).abs() < 120.0, "{last}");
    assert!(value(&told, "convo_writer_commit_duration_seconds", &[]) > 0.0);
    is("convo_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
}

on_both_databases!(what_happens_is_counted);

/// They tell how much is written, so they are for whoever may read.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_counted_and_told() {
    let home = Home::new().set("CONVO_API_TOKEN", TOKEN);
    let server = Server::start(&home);
    for broken in ["GET /\u{0} HTTP/1.1\r\n\r\n", "\u{16}\u{3}\u{1} no TLS here\r\n\r\n"] {
        assert_eq!(server.raw(broken).await.status, 400, "{broken:?}");
    }
    server.logs("what came was no HTTP request");
    let labels = [("route", "none"), ("method", "other"), ("status", "4xx")];
    let mut told = scrape(&server).await;
    while value(&told, "convo_http_requests_total", &labels) < 2.0 {
        told = scrape(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_for_those_who_may_read() {
    let server = Server::start(&Home::new().set("CONVO_API_TOKEN", TOKEN));
    assert_eq!(server.get("/metrics").await.told(), (401, "unauthorized".into()));
    let open = Server::start(&Home::new());
    assert_eq!(open.get("/metrics").await.status, 200);
    let stranger = "GET /metrics HTTP/1.1\r\nhost: example.com\r\nconnection: close\r\n\r\n";
    assert_eq!(open.raw(stranger).await.told(), (403, "forbidden".into()));
}

/// Whatever callers make up, the number of series stays small.
#[tokio::test(flavor = "multi_thread")]
async fn callers_add_no_series() {
    let server = Server::start(&Home::new().set("CONVO_API_TOKEN", TOKEN));
    server.raw("BREW /first HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    server.get("/conversations/+12125550000").await;
    let count = |told: &BTreeMap<String, Family>| told["convo_http_requests_total"].samples.len();
    let before = scrape(&server).await;
    for n in 0..50 {
        let line = format!("BREW{n} /nowhere/{n} HTTP/1.1\r\nhost: localhost\r\n");
        server.raw(format!("{line}connection: close\r\n\r\n")).await;
        server.get(&format!("/conversations/+121255500{n:02}")).await;
    }
    let after = scrape(&server).await;
    // The scrape before is a series of its own by now.
    assert!(count(&after) <= count(&before) + 1, "{:?}", after["convo_http_requests_total"]);
    let odd = [("method", "other"), ("route", "none"), ("status", "4xx")];
    assert_eq!(value(&after, "convo_http_requests_total", &odd), 51.0);
}

/// While the database is away everything but its own part is told, at once.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_answer_while_the_database_is_away() {
    let cluster = Cluster::start();
    let home = Home::new().set("CONVO_API_TOKEN", TOKEN).set("DATABASE_URL", cluster.url());
    let server = Server::start(&home);
    assert!(scrape(&server).await.contains_key("convo_unsettled_messages"));
    cluster.kill();
    let since = std::time::Instant::now();
    loop {
        let asked = std::time::Instant::now();
        let told = scrape(&server).await;
        assert!(asked.elapsed().as_secs() < 2, "{:?}", asked.elapsed());
        if !told.contains_key("convo_unsettled_messages") {
            assert!(!told.contains_key("convo_unsettled_oldest_age_seconds"));
            assert!(told.contains_key("convo_webhooks_total"));
            break;
        }
        assert!(since.elapsed() < DEADLINE, "a database that is away tells nothing");
    }
    let expected = [("database", false), ("schema", false), ("writer", true)];
    let is_so = |checks: &[serde_json::Value], (name, ok): (&str, bool)| {
        let check = checks.iter().find(|check| check["name"] == name).expect(name);
        check["ok"] == ok
    };
    // A process of the database that survived its master answers for a moment yet.
    let mut checks = ready(&server).await;
    while !expected.into_iter().all(|one| is_so(&checks, one)) {
        assert!(since.elapsed() < DEADLINE, "{checks:?}");
        checks = ready(&server).await;
    }
    let restarted = tokio::task::spawn_blocking(move || {
        cluster.restart();
        cluster
    });
    let _cluster = restarted.await.expect("no panic");
    let mut told = scrape(&server).await;
    while !told.contains_key("convo_unsettled_messages") {
        assert!(since.elapsed() < DEADLINE * 3, "it is not told again");
        told = scrape(&server).await;
    }
    let failures = value(&told, "convo_database_errors_total", &[("class", "unavailable")]);
    assert!(failures >= 1.0, "{failures}");
}

/// A database that hangs holds up no metrics, however often they are asked for, nor the API.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_do_not_wait_for_a_database_that_hangs() {
    use sea_orm::{ConnectionTrait, Database, TransactionTrait};

    let db = TestDatabase::postgres().await;
    let home = Home::new().set("CONVO_API_TOKEN", TOKEN).set("DATABASE_URL", &db.url);
    let server = Server::start(&home);
    let other = Database::connect(&db.url).await.expect("it answers");
    let lock = other.begin().await.expect("a transaction");
    lock.execute_unprepared("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE").await.expect("locked");
    for _ in 0..8 {
        let asked = std::time::Instant::now();
        assert!(!scrape(&server).await.contains_key("convo_unsettled_messages"));
        assert!(asked.elapsed().as_secs() < 5, "{:?}", asked.elapsed());
    }
    let checks = ready(&server).await;
    let database = checks.iter().find(|check| check["name"] == "database").expect("named");
    assert_eq!(database["ok"], true, "there are connections left: {database}");
    lock.rollback().await.expect("unlocked");
    let since = std::time::Instant::now();
    while !scrape(&server).await.contains_key("convo_unsettled_messages") {
        assert!(since.elapsed() < DEADLINE, "it is not told again");
    }
}

/// The checks of a server that is not ready, each named and soon told.
async fn ready(server: &Server) -> Vec<serde_json::Value> {
    let lines =
        format!("host: localhost\r\nconnection: close\r\nauthorization: Bearer {TOKEN}\r\n");
    let asked = std::time::Instant::now();
    let answer = server.raw(format!("GET /health/ready HTTP/1.1\r\n{lines}\r\n")).await;
    assert!(asked.elapsed().as_secs() < 4, "{:?}", asked.elapsed());
    assert_eq!(answer.status, 503, "{}", answer.body);
    answer.json()["checks"].as_array().expect("checks").clone()
}

/// A log that nobody reads stops no request; what is lost of it is counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_stops_no_request() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let home = Home::new().set("CONVO_API_TOKEN", TOKEN);
    let mut child = home
        .command(&["serve", "--listen", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut log = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains("\"listening\"") {
        line.clear();
        assert!(log.read_line(&mut line).expect("text") > 0, "it ended");
    }
    let address = line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split('"').next());
    let url = format!("http://127.0.0.1:{}", address.expect("an address"));
    // From here on nobody reads.
    convo::tls::install();
    let client = reqwest::Client::builder().no_proxy().timeout(DEADLINE).tls_certs_only([]);
    let client = client.build().expect("a client");
    let dropped = async || {
        let asked = client.get(format!("{url}/metrics")).bearer_auth(TOKEN).send().await;
        let told = parse(&asked.expect("an answer").text().await.expect("text"));
        value(&told, "convo_log_lines_dropped_total", &[])
    };
    let since = std::time::Instant::now();
    while dropped().await < 1.0 {
        assert!(since.elapsed() < DEADLINE * 4, "no line was lost");
        let asked = (0..500).map(|_| client.get(format!("{url}/health")).send());
        for answer in futures_util::future::join_all(asked).await {
            assert!(answer.expect("every request is answered").status().is_success());
        }
    }
    // Nor does it keep the server from its end.
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.expect("a pid"), rustix::process::Signal::TERM)
        .expect("sent");
    let status = until("it ends", || child.try_wait().expect("a child"));
    assert!(status.success(), "{status}");
}
