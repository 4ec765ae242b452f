//! The REST API through the running program.

use std::collections::HashSet;

use serde_json::Value;

use crate::on_both_databases;
use crate::support::{
    CONTACT, FakeServer, Home, OWN, Reply, Server, TestDatabase, World, example, inbound, is_id,
};

/// The five calls of the program that convo grew from, as printed there.
async fn the_first_five_calls_work_as_printed(db: TestDatabase) {
    let world = World::start(db).await;
    let script = format!(
        r#"set -e; at={url}
        curl -sS -X POST $at/conversations/{CONTACT}/send -H "Content-Type: application/json" \
            -d '{{"message": "Hello from Telnyx!"}}'; echo
        curl -sS $at/conversations; echo
        curl -sS $at/conversations/$(convo list --format ids); echo
        curl -sS -X POST $at/webhooks/sms -d '{{}}'; echo
        curl -sS $at/health"#,
        url = world.server.url().replace("127.0.0.1", "localhost")
    );
    let done = world.home.script(&script).silent();
    let answers: Vec<Value> =
        done.out.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let [sent, list, thread, refused, health] = &answers[..] else { panic!("{answers:?}") };
    assert!(is_id(sent["id"].as_str().expect("an id")), "{sent}");
    for (field, value) in
        [("direction", "outbound"), ("from", OWN), ("to", CONTACT), ("body", "Hello from Telnyx!")]
    {
        assert_eq!(sent[field], value, "{sent}");
    }
    let at = sent["created_at"].as_str().expect("a time");
    assert!(at.len() == 27 && at.ends_with('Z'), "{at}");
    assert_eq!(list[0]["contact_number"], CONTACT);
    assert_eq!((&thread["id"], &sent["conversation_id"]), (&list[0]["id"], &list[0]["id"]));
    assert_eq!(thread["messages"][0]["id"], sent["id"]);
    assert_eq!(refused["error"], "invalid signature");
    assert_eq!(health, &serde_json::json!({"status": "ok"}));
}

/// Follows `Link` to the end.
async fn walk(server: &Server, limit: usize) -> Vec<Value> {
    let (mut all, mut path) = (Vec::new(), format!("/conversations?limit={limit}"));
    loop {
        let page = server.get(&path).await;
        assert_eq!(page.status, 200);
        let rows = page.json().as_array().expect("an array").clone();
        assert!(rows.len() <= limit);
        all.extend(rows);
        let Some(next) = page.next(&path) else { return all };
        path = next;
    }
}

async fn pages_and_streams_return_every_conversation(db: TestDatabase) {
    const THREADS: usize = 3_100;
    let world = World::start(db).await;
    for first in (0..THREADS).step_by(50) {
        let posts = (first..(first + 50).min(THREADS)).map(|n| {
            let body = inbound(&format!("e{n}"), &format!("m{n}"), &format!("+1212{n:07}"), "Hi");
            world.signer.post(&world.server, body)
        });
        futures_util::future::join_all(posts).await;
    }
    let whole = world.server.get("/conversations").await;
    let whole = whole.json().as_array().expect("an array").clone();
    assert_eq!(whole.len(), THREADS);
    let ids: HashSet<_> = whole.iter().map(|thread| thread["id"].to_string()).collect();
    assert_eq!(ids.len(), THREADS);
    for limit in [1_000, 700] {
        assert_eq!(walk(&world.server, limit).await, whole);
    }
    let listed = world.home.run(&["list", "--format", "ids"]).silent().out;
    let there = ["list", "--format", "ids", "--server", &world.server.url()];
    assert_eq!(world.home.run(&there).silent().out, listed);
    let expected = whole.iter().map(|thread| thread["id"].as_str().expect("an id"));
    assert!(listed.lines().eq(expected));
    // A thread that becomes active while the pages are read moves before the first of them.
    let first = world.server.get("/conversations?limit=2").await;
    let last = whole[THREADS - 1]["contact_number"].as_str().expect("a number");
    world.signer.post(&world.server, inbound("e-new", "m-new", last, "Again")).await;
    let next = first.next("/conversations").expect("more");
    let next = world.server.get(&next).await.json();
    assert_eq!((&next[0], &next[1]), (&whole[2], &whole[3]));
}

async fn a_conversation_is_found_by_any_name_and_read_in_windows(db: TestDatabase) {
    let world = World::start(db).await;
    for n in 0..9 {
        let body = inbound(&format!("e{n}"), &format!("m{n}"), CONTACT, &format!("{n}"));
        world.signer.post(&world.server, body).await;
    }
    let server = &world.server;
    let whole = server.get(&format!("/conversations/{CONTACT}")).await.json();
    let id = whole["id"].as_str().expect("an id").to_owned();
    let short = [id[28..].to_owned(), id[..20].to_owned()];
    let names = ["%2B12125551234", "%2b1%20(212)%20555-1234", &id, &short[0], &short[1]];
    for name in names {
        assert_eq!(server.get(&format!("/conversations/{name}")).await.json(), whole, "{name}");
    }
    let all = whole["messages"].as_array().expect("messages").clone();
    let ids: Vec<_> = all.iter().map(|m| m["id"].as_str().expect("an id").to_owned()).collect();
    let read = async |query: &str| {
        let answer = server.get(&format!("/conversations/{id}?{query}")).await;
        answer.json()["messages"].as_array().cloned().expect("messages")
    };
    assert_eq!(read("limit=4").await, all[5..]);
    assert_eq!(read(&format!("limit=4&before={}", ids[5])).await, all[1..5]);
    assert_eq!(read(&format!("limit=3&after={}", ids[2])).await, all[3..6]);
    assert_eq!(read(&format!("after={}", ids[6])).await, all[7..]);
    let nil = "00000000-0000-0000-0000-000000000000";
    assert_eq!(read(&format!("limit=2&after={nil}")).await, all[..2]);
    let stranger = server.get(&format!("/conversations/{id}?limit=2&before={nil}")).await;
    assert_eq!(stranger.status_and_code(), (404, "message_not_found".into()));
    for name in ["+19995550000", "nobody", "ffffffff", nil, "%20"] {
        let answer = server.get(&format!("/conversations/{name}")).await;
        assert_eq!(answer.status_and_code(), (404, "conversation_not_found".into()), "{name}");
        assert_eq!(answer.json()["error"], "Conversation not found");
    }
}

async fn a_message_shows_its_history(db: TestDatabase) {
    let world = World::start(db).await;
    for name in ["finalized_delivered", "message_sent", "finalized_failed"] {
        world.signer.post(&world.server, example(name)).await;
    }
    let thread = world.server.get("/conversations/+13125550001").await.json();
    let id = thread["messages"][0]["id"].as_str().expect("an id");
    let message = world.server.get(&format!("/messages/{id}")).await.json();
    assert_eq!((message["status"].as_str(), message["error"].is_null()), (Some("delivered"), true));
    assert_eq!(message["telnyx_message_id"], "ac012cbf-5e09-46af-a69a-7c0e2d90993c");
    let history = message["history"].as_array().expect("a history");
    let words: HashSet<_> = history.iter().map(|row| row["status"].as_str()).collect();
    assert_eq!(words, HashSet::from([Some("delivered"), Some("sent"), Some("delivery_failed")]));
    let failed = history.iter().find(|row| row["status"] == "delivery_failed").expect("a failure");
    assert_eq!(failed["error"]["code"], "40008");
    let nobody = world.server.get("/messages/01a20685-7f6b-7790-99a8-f178d4040dda").await;
    assert_eq!(nobody.status_and_code(), (404, "message_not_found".into()));
}

on_both_databases!(
    the_first_five_calls_work_as_printed,
    pages_and_streams_return_every_conversation,
    a_conversation_is_found_by_any_name_and_read_in_windows,
    a_message_shows_its_history,
);

#[tokio::test(flavor = "multi_thread")]
async fn every_error_has_the_same_shape() {
    let world = World::start(TestDatabase::sqlite()).await;
    let server = &world.server;
    let send = format!("/conversations/{CONTACT}/send");
    for (path, status, code) in [
        ("/", 404, "not_found"),
        ("/conversations/a/b", 404, "not_found"),
        ("/webhooks/sms", 405, "method_not_allowed"),
        (&send, 405, "method_not_allowed"),
        ("/conversations?limit=0", 400, "invalid_request"),
        ("/conversations?limit=1001", 400, "invalid_request"),
        ("/conversations?after=1", 400, "invalid_request"),
        ("/conversations?frm=1", 400, "unknown_parameter"),
        ("/conversations/a%00b", 400, "invalid_request"),
        ("/conversations?before=%00", 400, "invalid_request"),
        ("/health%00", 400, "invalid_request"),
        ("/health?%00", 400, "invalid_request"),
        ("/health/ready?a=%00", 400, "invalid_request"),
        ("/nowhere/%00", 400, "invalid_request"),
        ("/conversations/%ff", 400, "invalid_request"),
        ("/messages/nonsense", 404, "message_not_found"),
    ] {
        assert_eq!(server.get(path).await.status_and_code(), (status, code.into()), "{path}");
    }
    let long = format!("{{\"message\":\"{}\"}}", "é漢".repeat(800));
    for (body, status, code) in [
        ("", 400, "invalid_request"),
        ("{", 400, "invalid_request"),
        ("[]", 400, "invalid_request"),
        ("{}", 400, "invalid_request"),
        (r#"{"message":"a\u0000b"}"#, 400, "invalid_request"),
        (r#"{"message":"Hi","form":"+1"}"#, 400, "invalid_request"),
        (r#"{"message":"Hi","from":"+"}"#, 400, "invalid_number"),
        (r#"{"message":"Hi","send_at":"2020-01-01T00:00:00Z"}"#, 400, "invalid_request"),
        (&long, 400, "message_too_long"),
    ] {
        let answer = server.post(&send, "", body).await;
        assert_eq!(answer.status_and_code(), (status, code.into()), "{body}");
    }
    let plus = server.post("/conversations/12125551234/send", "", r#"{"message":"Hi"}"#).await;
    assert_eq!(plus.status_and_code(), (400, "invalid_number".into()));
    assert!(plus.json()["hint"].as_str().is_some_and(|hint| hint.contains("+12125551234")));
    let large = format!("{{\"message\":\"{}\"}}", "x".repeat(1024 * 1024));
    assert_eq!(
        server.post(&send, "", &large).await.status_and_code(),
        (413, "payload_too_large".into())
    );
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    let answer = server.post(&send, form, "{}").await;
    assert_eq!(answer.status_and_code(), (415, "unsupported_media_type".into()));
    assert_eq!(world.offers(), 0);
    assert_eq!(server.get("/conversations").await.body, "[]");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_by_telnyx_keep_their_status() {
    use convo::sandbox::Behaviour;
    let world = World::with(TestDatabase::sqlite(), |home| home.set("CONVO_SEND_TIMEOUT", "2"));
    let world = world.await;
    for (behaviour, status, code) in [
        (Behaviour::Refused, 422, "telnyx_refused"),
        (Behaviour::OptedOut, 403, "opted_out"),
        (Behaviour::Unauthorized, 401, "invalid_api_key"),
    ] {
        let path = format!("/conversations/{}/send", behaviour.number());
        let answer = world.server.post(&path, "", r#"{"message":"Hi"}"#).await;
        assert_eq!(answer.status_and_code(), (status, code.into()));
        let body = answer.json();
        assert!(body["status_code"].is_u64() && is_id(body["message_id"].as_str().expect("an id")));
    }
    let lost = format!("/conversations/{}/send", Behaviour::Vanished.number());
    let answer = world.server.post(&lost, "", r#"{"message":"Hi"}"#).await;
    assert_eq!((answer.status, &answer.json()["status"]), (202, &"unknown".into()));
    let dry = format!("/conversations/{CONTACT}/send?dry_run=true");
    let offers = world.offers();
    let plan = world.server.post(&dry, "", r#"{"message":"Hi"}"#).await;
    assert_eq!((plan.status, &plan.json()["segments"]), (200, &1.into()));
    assert_eq!(world.offers(), offers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_that_certainly_failed_says_when_to_retry() {
    let busy = FakeServer::replying(&[Reply::RateLimit(7)]).await;
    for (base_url, status, code, retry) in [
        (busy.base_url().as_str(), 429, "rate_limited", Some("7")),
        ("http://127.0.0.1:9/v2", 503, "telnyx_unreachable", None),
    ] {
        let home = Home::new().sending_to(base_url).set("CONVO_SEND_TIMEOUT", "2");
        let server = Server::start(&home);
        let path = format!("/conversations/{CONTACT}/send");
        let answer = server.post(&path, "", r#"{"message":"Hi"}"#).await;
        assert_eq!(answer.status_and_code(), (status, code.into()));
        assert_eq!(answer.header("retry-after"), retry);
        let id = answer.json()["message_id"].as_str().expect("an id").to_owned();
        let row = server.get(&format!("/messages/{id}")).await.json();
        assert_eq!(row["status"], "sending_failed", "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_names_each_check() {
    let world = World::start(TestDatabase::sqlite()).await;
    let answer = world.server.get("/health/ready").await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &"ready".into()));
    let home = Home::new();
    let server = Server::start(&home);
    let answer = server.get("/health/ready").await;
    assert_eq!(answer.status, 503);
    for name in ["TELNYX_API_KEY", "TELNYX_PUBLIC_KEY", "TELNYX_PHONE_NUMBER"] {
        assert!(answer.body.contains(name), "{}", answer.body);
    }
}
