//! Own idempotency keys: one key, one message, whoever asks and however often.

use convo::sandbox::Behaviour;

use crate::on_both_databases;
use crate::support::{CONTACT, Running, TestDatabase, World};

const SEND: &str = "/conversations/+12125551234/send";

async fn a_repeat_returns_the_message_as_it_stands(db: TestDatabase) {
    let world = World::start(db).await;
    let url = world.server.url();
    let send = ["send", CONTACT, "Hi", "--idempotency-key", "order:17"];
    let first = world.home.run(&send).exits(0);
    world.wait_for_message(CONTACT, first.id(), "delivered");
    let offers = world.offers();
    let remote = [&send[..], &["--server", &url]].concat();
    for args in [&send[..], &remote] {
        let again = world.home.run(args).exits(0);
        assert_eq!(again.id(), first.id());
        assert!(again.err.starts_with("delivered to"), "{}", again.err);
    }
    // The number is bound as understood, not as typed.
    let typed = ["send", "+1 (212) 555-1234", "Hi", "--idempotency-key", "order:17"];
    assert_eq!(world.home.run(&typed).exits(0).id(), first.id());
    for other in [
        ["send", CONTACT, "Hello", "--idempotency-key", "order:17"],
        ["send", "+12125559999", "Hi", "--idempotency-key", "order:17"],
    ] {
        let done = world.home.run(&other).exits(2).reports("belongs to another request");
        assert_eq!(done.out, "");
    }
    assert_eq!(world.offers(), offers, "no repeat was offered");
}

async fn the_api_echoes_the_key(db: TestDatabase) {
    let world = World::start(db).await;
    let key = "idempotency-key: a:B_c-1\r\n";
    let first = world.server.post(SEND, key, r#"{"message":"Hi"}"#).await;
    assert_eq!((first.status, first.header("idempotency-key")), (201, Some("a:b_c-1")));
    let id = first.json()["id"].clone();
    let again = world.server.post(SEND, key, r#"{ "message" : "Hi" }"#).await;
    assert_eq!((again.status, &again.json()["id"]), (201, &id));
    let other = world.server.post(SEND, key, r#"{"message":"Ho"}"#).await;
    assert_eq!(other.status_and_code(), (422, "idempotency_key_reused".into()));
    // Without a key the message's id is the key.
    let plain = world.server.post(SEND, "", r#"{"message":"Hi"}"#).await;
    let id = plain.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!((plain.status, plain.header("idempotency-key")), (201, Some(id.as_str())));
    let repeat = format!("idempotency-key: {id}\r\n");
    let again = world.server.post(SEND, &repeat, r#"{"message":"Hi"}"#).await;
    assert_eq!(again.json()["id"], id.as_str());
    // The command line finds the same message under the same key.
    let done = world.home.run(&["send", CONTACT, "Hi", "--idempotency-key", &id]).exits(0);
    assert_eq!((done.id(), world.offers()), (id.as_str(), 2));
}

async fn sixteen_concurrent_sends_make_one_message(db: TestDatabase) {
    let world = World::start(db).await;
    let url = world.server.url();
    let send = ["send", CONTACT, "Once", "--idempotency-key", "burst"];
    let start = |n: usize| {
        let remote = ["--server", &url];
        let args = [&send[..], if n.is_multiple_of(2) { &remote } else { &[] }].concat();
        world.home.start(&args)
    };
    let running: Vec<_> = (0..16).map(start).collect();
    let done: Vec<_> = running.into_iter().map(Running::wait).collect();
    for one in &done {
        assert_eq!((one.code, one.id()), (0, done[0].id()), "{one:?}");
    }
    let posts = (0..16)
        .map(|_| world.server.post(SEND, "idempotency-key: posted\r\n", r#"{"message":"Once"}"#));
    let answers = futures_util::future::join_all(posts).await;
    let id = answers[0].json()["id"].clone();
    for answer in &answers {
        assert_eq!((answer.status, &answer.json()["id"]), (201, &id), "{answer:?}");
    }
    assert_eq!(world.offers(), 2);
    world.wait_for_message(CONTACT, done[0].id(), "delivered");
    world.wait_until_counted();
}

async fn a_refusal_frees_a_key_and_a_lost_answer_binds_it(db: TestDatabase) {
    let world = World::with(db, |home| home.set("CONVO_SEND_TIMEOUT", "2")).await;
    let send = |to: &str, text: &str, key: &str| {
        world.home.run(&["send", to, text, "--idempotency-key", key])
    };
    let refused = Behaviour::Refused.number();
    let first = send(refused, "Hi", "k1").exits(6);
    let second = send(refused, "Hi", "k1").exits(6);
    assert_ne!(first.id(), second.id());
    let other = send(CONTACT, "Another", "k1").exits(0);
    world.wait_for_message(CONTACT, other.id(), "delivered");
    let lost = Behaviour::Vanished.number();
    let unknown = send(lost, "Hi", "k2").exits(9);
    let offers = world.offers();
    assert_eq!(send(lost, "Hi", "k2").exits(9).id(), unknown.id());
    send(lost, "Ho", "k2").exits(2);
    let lines = "idempotency-key: k2\r\n";
    let path = format!("/conversations/{lost}/send");
    let answer = world.server.post(&path, lines, r#"{"message":"Hi"}"#).await;
    assert_eq!((answer.status, &answer.json()["status"]), (202, &"unknown".into()));
    assert_eq!(world.offers(), offers);
    world.wait_until_counted();
}

on_both_databases!(
    a_repeat_returns_the_message_as_it_stands,
    the_api_echoes_the_key,
    sixteen_concurrent_sends_make_one_message,
    a_refusal_frees_a_key_and_a_lost_answer_binds_it,
);
