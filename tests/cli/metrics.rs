//! `/metrics`: what it counts, who may see it, and that it answers while the database is away.

use std::collections::BTreeMap;

use convo::sandbox::Behaviour;

use crate::on_both_databases;
use crate::support::exposition::{Family, parse, value};
use crate::support::{
    CONTACT, Cluster, DEADLINE, Home, Server, TestDatabase, World, bearer, connect, eventually,
    eventually_some, example, inbound, local_client, signal, unix_seconds, wait_for,
};

const TOKEN: &str = "t0ken-of-the-metrics";

/// The metrics of a server whose token is [`TOKEN`].
async fn scrape(server: &Server) -> BTreeMap<String, Family> {
    let answer = server.get_with("/metrics", &bearer(TOKEN)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(answer.header("content-type"), Some(kind));
    parse(&answer.body)
}

async fn requests_sends_and_webhooks_are_counted(db: TestDatabase) {
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
    assert_eq!(signer.try_post(server.address, "{}").await.map(|a| a.0), Some(400));
    assert_eq!(server.post("/webhooks/sms", "", &hello).await.status, 401);
    let old = signer.lines_at(unix_seconds() - 600, &hello);
    assert_eq!(server.post("/webhooks/sms", &old, &hello).await.status, 401);

    let path = |to: &str| format!("/conversations/{to}/send");
    let token = bearer(TOKEN) + "idempotency-key: k1\r\n";
    let good = Behaviour::Friendly.number();
    assert_eq!(server.post(&path(good), &token, r#"{"message":"Hi"}"#).await.status, 201);
    assert_eq!(server.post(&path(good), &token, r#"{"message":"Hi"}"#).await.status, 201);
    let token = bearer(TOKEN);
    let lost = Behaviour::Vanished.number();
    assert_eq!(server.post(&path(lost), &token, r#"{"message":"Hi"}"#).await.status, 202);
    let refused = Behaviour::Refused.number();
    assert_eq!(server.post(&path(refused), &token, r#"{"message":"Hi"}"#).await.status, 422);
    assert_eq!(server.post(&path("12"), &token, r#"{"message":"Hi"}"#).await.status, 400);
    assert_eq!(server.post(&path(good), "", r#"{"message":"Hi"}"#).await.status, 401);
    let wrong = bearer("wrong");
    assert_eq!(server.post(&path(good), &wrong, r#"{"message":"Hi"}"#).await.status, 401);
    signer.post(server, example("finalized_failed")).await;

    // The reports about the good one, and its answer, come by themselves.
    let page = eventually_some("a report to be counted", async || {
        let page = scrape(server).await;
        let reports = value(&page, "convo_status_reports_total", &[("status", "delivered")]);
        (reports >= 1.0).then_some(page)
    })
    .await;
    let is = |name: &str, labels: &[(&str, &str)], expected: f64| {
        assert_eq!(value(&page, name, labels), expected, "{name} {labels:?}");
    };
    for (outcome, count) in
        [("duplicate", 1.0), ("ignored", 1.0), ("invalid", 1.0), ("refused", 2.0)]
    {
        is("convo_webhooks_total", &[("outcome", outcome)], count);
    }
    assert!(value(&page, "convo_webhooks_total", &[("outcome", "stored")]) >= 1.0);
    assert!(value(&page, "convo_webhooks_total", &[("outcome", "updated")]) >= 2.0);
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
    let age = value(&page, "convo_unsettled_oldest_age_seconds", &[("status", "unknown")]);
    assert!(age > 1.0 && age < 600.0, "{age}");
    let last = value(&page, "convo_webhook_last_accepted_timestamp_seconds", &[]);
    assert!((unix_seconds() as f64 - last).abs() < 120.0, "{last}");
    assert!(value(&page, "convo_writer_commit_duration_seconds", &[]) > 0.0);
    is("convo_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
}

on_both_databases!(requests_sends_and_webhooks_are_counted);

/// They tell how much is written, so they are for whoever may read.
#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_counted_and_logged() {
    let home = Home::new().set("CONVO_API_TOKEN", TOKEN);
    let server = Server::start(&home);
    for broken in ["GET /\u{0} HTTP/1.1\r\n\r\n", "\u{16}\u{3}\u{1} no TLS here\r\n\r\n"] {
        assert_eq!(server.raw(broken).await.status, 400, "{broken:?}");
    }
    server.wait_for_log("received something that is not an HTTP request");
    let labels = [("route", "none"), ("method", "other"), ("status", "4xx")];
    eventually("both to be counted", async || {
        value(&scrape(&server).await, "convo_http_requests_total", &labels) >= 2.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_require_the_scope_read() {
    let server = Server::start(&Home::new().set("CONVO_API_TOKEN", TOKEN));
    assert_eq!(server.get("/metrics").await.status_and_code(), (401, "unauthorized".into()));
    let open = Server::start(&Home::new());
    assert_eq!(open.get("/metrics").await.status, 200);
    let stranger = "GET /metrics HTTP/1.1\r\nhost: example.com\r\nconnection: close\r\n\r\n";
    assert_eq!(open.raw(stranger).await.status_and_code(), (403, "forbidden".into()));
}

/// Whatever callers make up, the number of series stays small.
#[tokio::test(flavor = "multi_thread")]
async fn callers_cannot_add_series() {
    let server = Server::start(&Home::new().set("CONVO_API_TOKEN", TOKEN));
    server.raw("BREW /first HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    server.get("/conversations/+12125550000").await;
    let count = |page: &BTreeMap<String, Family>| page["convo_http_requests_total"].samples.len();
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
async fn metrics_answer_while_the_database_is_down() {
    let cluster = Cluster::start();
    let home = Home::new().set("CONVO_API_TOKEN", TOKEN).set("DATABASE_URL", cluster.url());
    let server = Server::start(&home);
    assert!(scrape(&server).await.contains_key("convo_unsettled_messages"));
    cluster.kill();
    eventually("the outage to show", async || {
        let asked = std::time::Instant::now();
        let page = scrape(&server).await;
        assert!(asked.elapsed().as_secs() < 2, "{:?}", asked.elapsed());
        let is_away = !page.contains_key("convo_unsettled_messages");
        if is_away {
            assert!(!page.contains_key("convo_unsettled_oldest_age_seconds"));
            assert!(page.contains_key("convo_webhooks_total"));
        }
        is_away
    })
    .await;
    let expected = [("database", false), ("schema", false), ("writer", true)];
    let is_so = |checks: &[serde_json::Value], (name, ok): (&str, bool)| {
        let check = checks.iter().find(|check| check["name"] == name).expect(name);
        check["ok"] == ok
    };
    // A process of the database that survived its master answers for a moment yet.
    eventually("the checks to say so", async || {
        let checks = ready(&server).await;
        expected.into_iter().all(|one| is_so(&checks, one))
    })
    .await;
    let restarted = tokio::task::spawn_blocking(move || {
        cluster.restart();
        cluster
    });
    let _cluster = restarted.await.expect("no panic");
    let page = eventually_some("the database to be back", async || {
        let page = scrape(&server).await;
        page.contains_key("convo_unsettled_messages").then_some(page)
    })
    .await;
    let failures = value(&page, "convo_database_errors_total", &[("class", "unavailable")]);
    assert!(failures >= 1.0, "{failures}");
}

/// A database that hangs holds up no metrics, however often they are asked for, nor the API.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_do_not_wait_for_a_database_that_hangs() {
    use sea_orm::{ConnectionTrait, TransactionTrait};

    let db = TestDatabase::postgres().await;
    let home = Home::new().set("CONVO_API_TOKEN", TOKEN).with_database(&db);
    let server = Server::start(&home);
    let other = connect(&db.url).await;
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
    eventually("the database to be read again", async || {
        scrape(&server).await.contains_key("convo_unsettled_messages")
    })
    .await;
}

/// The checks of a server that is not ready, each named and soon told.
async fn ready(server: &Server) -> Vec<serde_json::Value> {
    let asked = std::time::Instant::now();
    let answer = server.get_with("/health/ready", &bearer(TOKEN)).await;
    assert!(asked.elapsed().as_secs() < 4, "{:?}", asked.elapsed());
    assert_eq!(answer.status, 503, "{}", answer.body);
    answer.json()["checks"].as_array().expect("checks").clone()
}

/// A log that nobody reads stops no request; what is lost of it is counted.
#[tokio::test(flavor = "multi_thread")]
async fn an_unread_log_does_not_block_requests() {
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
    let client = local_client(DEADLINE);
    let dropped = async || {
        let asked = client.get(format!("{url}/metrics")).bearer_auth(TOKEN).send().await;
        let page = parse(&asked.expect("an answer").text().await.expect("text"));
        value(&page, "convo_log_lines_dropped_total", &[])
    };
    eventually("lines to be dropped", async || {
        let asked =
            (0..500).map(|_| client.get(format!("{url}/openapi.json")).bearer_auth(TOKEN).send());
        for answer in futures_util::future::join_all(asked).await {
            assert!(answer.expect("every request is answered").status().is_success());
        }
        dropped().await >= 1.0
    })
    .await;
    // Nor does it keep the server from its end.
    signal(&child, rustix::process::Signal::TERM);
    let status = wait_for("the end", || child.try_wait().expect("a child"));
    assert!(status.success(), "{status}");
}
