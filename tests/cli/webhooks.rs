//! Webhooks through the running program: believed by their signature, stored once.

use std::collections::BTreeMap;

use crate::on_both_databases;
use crate::support::{
    CONTACT, Home, LINES, Server, Signer, TestDatabase, World, example, inbound, unix_seconds,
    wait_until,
};

/// A server that believes one key and has nobody to send to.
fn receiver(db: &TestDatabase) -> (Home, Server, Signer) {
    let signer = Signer::new(7);
    let home = Home::new().with_database(db).accepting(&signer);
    let server = Server::start(&home);
    (home, server, signer)
}

async fn every_published_example_is_processed(db: TestDatabase) {
    let world = World::start(db).await;
    for (name, word) in [
        ("inbound_sms", "stored"),
        ("inbound_mms", "stored"),
        ("inbound_group_mms", "stored"),
        ("inbound_stop", "stored"),
        ("legacy_to_string", "stored"),
        ("inbound_whatsapp_text", "stored"),
        ("finalized_delivered", "updated"),
        ("message_sent", "updated"),
        ("finalized_failed", "updated"),
        ("finalized_sending_failed", "updated"),
    ] {
        assert_eq!(world.signer.post(&world.server, example(name)).await, word, "{name}");
        assert_eq!(world.signer.post(&world.server, example(name)).await, "duplicate", "{name}");
    }
    let thread = world.wait_for_thread("+13125550001", |_| true);
    assert!(!thread["opted_out_at"].is_null(), "it said STOP");
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for message in thread["messages"].as_array().expect("messages") {
        *ends.entry(message["status"].to_string()).or_default() += 1;
    }
    // The reports are of one message, and its delivery overtakes its failures.
    let expected = [("\"delivered\"", 1), ("\"received\"", 6)];
    let expected = expected.map(|(status, count)| (status.to_owned(), count));
    assert_eq!(ends.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(world.wait_until_counted(), 1);
    for (body, word) in [
        (r#"{"data":{"event_type":"message.link","id":"e1","payload":{}}}"#, "ignored"),
        (r#"{"data":{"record_type":"link_clicked","message_id":"m","url":"u"}}"#, "ignored"),
        (r#"{"data":{"event_type":"call.initiated","id":"e2"}}"#, "ignored"),
        (r#"{"data":{"event_type":"call.initiated","id":"e2"}}"#, "duplicate"),
    ] {
        assert_eq!(world.signer.post(&world.server, body).await, word, "{body}");
    }
}

async fn a_malformed_event_gets_400_and_stores_nothing(db: TestDatabase) {
    let (home, server, signer) = receiver(&db);
    for body in ["", "null", "[]", "{}", "{\"data\":[]}", "{\"data\":{}}", "\u{feff}{", "x"] {
        let answer = signer.try_post(server.address, body).await.expect("an answer");
        assert_eq!((answer.0, &answer.1["code"]), (400, &"invalid_request".into()), "{body}");
    }
    let answer = signer.try_post(server.address, b"{\"data\":\"\xff\"}").await;
    assert_eq!(answer.expect("an answer").0, 400);
    assert_eq!(home.run(&["list"]).silent().out, "");
}

on_both_databases!(
    every_published_example_is_processed,
    a_malformed_event_gets_400_and_stores_nothing,
    two_servers_store_sixty_four_copies_once,
);

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_must_be_present_valid_and_fresh() {
    let db = TestDatabase::sqlite();
    let (home, server, signer) = receiver(&db);
    let body = inbound("e1", "m1", CONTACT, "Hi");
    let now = unix_seconds();
    let signed = |signer: &Signer, seconds: i64, body: &str| {
        (format!("telnyx-timestamp: {seconds}\r\n"), signer.signature(seconds, body.as_bytes()))
    };
    let (time, good) = signed(&signer, now, &body);
    let named = |signature: &str| format!("telnyx-signature-ed25519: {signature}\r\n");
    let other = signed(&Signer::new(8), now, &body).1;
    let tampered = signed(&signer, now, &format!("{body} ")).1;
    let (old, old_signature) = signed(&signer, now - 600, &body);
    let (early, early_signature) = signed(&signer, now + 600, &body);
    let mut seen = std::collections::BTreeSet::new();
    for (lines, reason) in [
        (String::new(), "a signature header is missing"),
        (time.clone(), "a signature header is missing"),
        (named(&good), "a signature header is missing"),
        (format!("{time}{}", named("dGVzdA==")), "the signature does not match"),
        (format!("{time}{}", named("not-valid-base64!!!")), "the signature does not match"),
        (format!("{time}{}", named(&other)), "the signature does not match"),
        (format!("{time}{}", named(&tampered)), "the signature does not match"),
        (format!("telnyx-timestamp: x\r\n{}", named(&good)), "not a number of seconds"),
        (format!("{old}{}", named(&old_signature)), "check the clock (NTP)"),
        (format!("{early}{}", named(&early_signature)), "check the clock (NTP)"),
    ] {
        let before = server.log().len();
        let answer = server.post("/webhooks/sms", &lines, &body).await;
        assert_eq!(answer.status_and_code(), (401, "invalid_signature".into()), "{lines}");
        assert_eq!(answer.json()["error"], "invalid signature");
        // Whoever repeats it fills no log.
        if seen.insert(reason) {
            wait_until(reason, || server.log()[before..].contains(reason));
        }
    }
    assert_eq!(home.run(&["list"]).silent().out, "", "nothing unsigned is stored");
    let answer = server.post("/webhooks/sms", &signer.lines(&body), &body).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("stored")));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_public_key_every_webhook_is_refused_and_the_log_says_why() {
    let home = Home::new();
    let server = Server::start(&home);
    server.wait_for_log("TELNYX_PUBLIC_KEY is not set: every webhook is refused");
    let body = inbound("e1", "m1", CONTACT, "Hi");
    let before = server.log().len();
    let answer = Signer::new(7).try_post(server.address, body).await.expect("an answer");
    assert_eq!(answer.0, 401);
    wait_until("the log", || server.log()[before..].contains("TELNYX_PUBLIC_KEY"));
    for key in ["dGVzdA==", "not base64", "whsec_aaaaaaaaaa"] {
        let wrong = Home::new().set("TELNYX_PUBLIC_KEY", key);
        let done = wrong.run(&["serve", "--listen", "127.0.0.1:0"]).exits(4);
        assert!(done.err.contains("TELNYX_PUBLIC_KEY"), "{}", done.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_every_encoding_are_accepted_up_to_a_size() {
    let db = TestDatabase::sqlite();
    let (_home, server, signer) = receiver(&db);
    let signed = |body: &str| signer.lines(body).replace("-signature-ed", "-Signature-ED");
    let post = async |lines: &str, body: &str| server.post("/webhooks/sms", lines, body).await;
    let head = format!("POST /webhooks/sms HTTP/1.1\r\n{LINES}");
    let body = inbound("e1", "m1", CONTACT, "In chunks");
    let (first, second) = body.split_at(50);
    let chunks = format!(
        "transfer-encoding: chunked\r\n\r\n32\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        second.len()
    );
    let answer = server.raw(format!("{head}{}{chunks}", signed(&body))).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"stored"}"#));
    let answer = server.raw(format!("{head}{}\r\n", signed(""))).await;
    assert_eq!(
        answer.status_and_code(),
        (400, "invalid_request".into()),
        "no Content-Length is no body"
    );
    // Any content type: the signature is over the bytes, and they are JSON or not.
    let body = inbound("e2", "m2", CONTACT, "As text");
    let lines = format!("{}content-type: text/plain\r\n", signed(&body));
    assert_eq!(post(&lines, &body).await.status, 200);
    let largest = inbound("e3", "m3", CONTACT, &"x".repeat(1024 * 1024 - 1_000));
    assert_eq!(post(&signed(&largest), &largest).await.status, 200);
    let larger = " ".repeat(1024 * 1024 + 1);
    let answer = post(&signed(&larger), &larger).await;
    assert_eq!(answer.status_and_code(), (413, "payload_too_large".into()));
    // What says of itself that it is too large is not waited for, nor asked to go on.
    for (lines, length) in [("expect: 100-continue\r\n", (1 << 20) + 1), ("", 99_999_999)] {
        let head = format!("POST /webhooks/sms HTTP/1.1\r\nhost: x\r\n{lines}content-length: ");
        let answer = server.raw(format!("{head}{length}\r\n\r\n")).await;
        assert_eq!(answer.status_and_code(), (413, "payload_too_large".into()), "{length}");
    }
    let chunked = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{larger}", larger.len());
    let answer = server.raw(format!("{head}{}{chunked}\r\n0\r\n\r\n", signed(&larger))).await;
    assert_eq!(answer.status_and_code(), (413, "payload_too_large".into()));
}

async fn two_servers_store_sixty_four_copies_once(db: TestDatabase) {
    let (home, one, signer) = receiver(&db);
    let two = Server::start(&home);
    let same = inbound("same", "same", CONTACT, "Hi");
    let posts = (0..64).map(|copy| {
        let (to, signer, same) = (if copy % 2 == 0 { &one } else { &two }, &signer, &same);
        // The same event, the same message under another event, and another message.
        let other = inbound(&format!("e{copy}"), "same", CONTACT, "Hi");
        let own = inbound(&format!("o{copy}"), &format!("o{copy}"), CONTACT, "Hi");
        async move {
            let same = signer.post(to, same).await;
            (same, signer.post(to, other).await, signer.post(to, own).await)
        }
    });
    let words = futures_util::future::join_all(posts).await;
    let stored = |word: &String| usize::from(word == "stored");
    assert_eq!(words.iter().map(|(a, b, _)| stored(a) + stored(b)).sum::<usize>(), 1);
    assert!(words.iter().all(|(_, _, own)| own == "stored"));
    let thread = home.run(&["show", CONTACT, "--json"]).silent().json();
    assert_eq!(thread["message_count"], 65);
    assert_eq!(thread["messages"].as_array().map(Vec::len), Some(65));
}
