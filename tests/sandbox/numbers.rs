//! Each magic number does what its line in the table says.

use std::time::{Duration, Instant};

use convo::sandbox::{Behaviour, MAGIC_NUMBERS};
use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{DEADLINE, Delivery, Play, answer, code, message};

/// Sends to a number that behaves like this.
async fn send(play: &Play, behaviour: Behaviour) -> (StatusCode, Value) {
    play.send(behaviour.number(), "Hello").await
}

/// What was told about the contact with this number, once an ordinary message sent afterwards has
/// lived its whole life.
async fn told_about(play: &Play, behaviour: Behaviour) -> Vec<Delivery> {
    let other = Behaviour::Friendly.number();
    let ours = |one: &Delivery, number: &str| {
        one.payload()["to"][0]["phone_number"] == number
            || one.payload()["from"]["phone_number"] == number
    };
    let before = play.receiver.so_far().iter().filter(|one| ours(one, other)).count();
    play.send(other, "Hello").await;
    play.receiver.matching(before + 3, |one| ours(one, other)).await;
    let all = play.receiver.so_far();
    all.into_iter().filter(|one| ours(one, behaviour.number())).collect()
}

/// Returns once the sandbox has been asked `count` times.
async fn asked(play: &Play, count: usize) {
    let enough = async {
        while play.sandbox.requests().len() < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, enough).await.expect("it is asked");
}

#[test]
fn every_magic_number_is_tested() {
    let source = include_str!("numbers.rs");
    for magic in MAGIC_NUMBERS {
        let name = format!("Behaviour::{:?}", magic.behaviour);
        assert!(source.contains(&name), "{name} is not tested");
    }
}

#[tokio::test]
async fn refusing_numbers_are_refused_with_telnyxs_code() {
    let play = Play::start().await;
    for (behaviour, status, expected) in [
        (Behaviour::Refused, StatusCode::UNPROCESSABLE_ENTITY, "40310"),
        (Behaviour::OptedOut, StatusCode::FORBIDDEN, "40300"),
        (Behaviour::Unauthorized, StatusCode::UNAUTHORIZED, "10009"),
    ] {
        let (got, body) = send(&play, behaviour).await;
        assert_eq!((got, code(&body)), (status, expected));
        assert!(told_about(&play, behaviour).await.is_empty());
    }
    let (_, body) = send(&play, Behaviour::OptedOut).await;
    let detail = body["errors"][0]["detail"].as_str().expect("a detail");
    assert!(detail.contains("block rule") && detail.contains(Behaviour::OptedOut.number()));
    assert!(body["errors"][0]["title"].as_str().expect("a title").contains("STOP"));
}

#[tokio::test]
async fn failing_numbers_are_accepted_and_fail_later() {
    for (behaviour, events, status, error) in [
        (Behaviour::Undeliverable, 2, "delivery_failed", Some("40008")),
        (Behaviour::SendingFailed, 1, "sending_failed", Some("40014")),
        (Behaviour::Unconfirmed, 2, "delivery_unconfirmed", None),
        (Behaviour::Silent, 2, "delivered", None),
    ] {
        let play = Play::start().await;
        assert_eq!(send(&play, behaviour).await.0, StatusCode::OK);
        play.receiver.first(events).await;
        let told = told_about(&play, behaviour).await;
        assert_eq!(told.len(), events, "{behaviour:?}");
        let last = &told[events - 1];
        assert_eq!((last.event(), last.status()), ("message.finalized", status));
        assert_eq!(last.payload()["errors"][0]["code"].as_str(), error);
        let unsent = behaviour == Behaviour::SendingFailed;
        assert_eq!(last.payload()["sent_at"].is_null(), unsent);
        assert_eq!(last.payload()["cost"].is_null(), unsent);
    }
}

#[tokio::test]
async fn numbers_that_fail_once_accept_a_retry() {
    for (behaviour, status, expected, retry_after) in [
        (Behaviour::RateLimitedOnce, StatusCode::TOO_MANY_REQUESTS, "10011", Some("1")),
        (Behaviour::ServerErrorOnce, StatusCode::INTERNAL_SERVER_ERROR, "10007", None),
    ] {
        let play = Play::start().await;
        for key in [Some("k1"), Some("k2"), None] {
            let request = || play.post(key, message(behaviour.number(), "Hello")).send();
            let first = request().await.expect("an answer");
            let wait = first.headers().get("retry-after").map(|v| v.to_str().expect("ASCII"));
            assert_eq!(wait, retry_after);
            let (got, body) = answer(first).await;
            assert_eq!((got, code(&body)), (status, expected), "{key:?}");
            assert_eq!(request().await.expect("an answer").status(), StatusCode::OK);
        }
        play.receiver.matching(3, |one| one.event() == "message.finalized").await;
    }
}

#[tokio::test]
async fn a_lost_answer_is_followed_by_reports() {
    let play = Play::start().await;
    let request = || play.post(Some("k"), message(Behaviour::AnswerLost.number(), "Hello")).send();
    let (first, again) = (tokio::spawn(request()), tokio::spawn(request()));
    asked(&play, 2).await;
    let told = play.receiver.first(3).await;
    assert_eq!(told[1].status(), "delivered");
    let told = told_about(&play, Behaviour::AnswerLost).await;
    assert_eq!(told.len(), 3, "sent once, although asked twice");
    assert!(!first.is_finished() && !again.is_finished());
}

#[tokio::test]
async fn an_answer_lost_once_comes_with_the_retry() {
    let play = Play::start().await;
    let number = Behaviour::AnswerLostOnce.number();
    let request = || play.post(Some("k"), message(number, "Hello")).send();
    let first = tokio::spawn(request());
    let told = play.receiver.first(3).await;
    let (status, body) = answer(request().await.expect("an answer")).await;
    assert_eq!((status, &body["data"]["id"]), (StatusCode::OK, &told[0].payload()["id"]));
    assert!(!first.is_finished());
    assert_eq!(told_about(&play, Behaviour::AnswerLostOnce).await.len(), 3);
}

#[tokio::test]
async fn a_vanished_message_gets_neither_answer_nor_report() {
    let play = Play::start().await;
    let request = || play.post(Some("k"), message(Behaviour::Vanished.number(), "Hello")).send();
    let first = tokio::spawn(request());
    let again = tokio::spawn(request());
    asked(&play, 2).await;
    assert!(told_about(&play, Behaviour::Vanished).await.is_empty());
    assert!(!first.is_finished() && !again.is_finished());
}

#[tokio::test]
async fn doubled_events_come_twice_and_out_of_order() {
    let play = Play::start().await;
    send(&play, Behaviour::Doubled).await;
    let told = play.receiver.first(6).await;
    let seen: Vec<_> = told.iter().map(Delivery::event).collect();
    let pairs = ["message.finalized", "message.sent", "message.received"];
    assert_eq!(seen, pairs.map(|event| [event; 2]).concat());
    assert!(told.chunks(2).all(|pair| pair[0].body == pair[1].body));
    let time =
        |one: &Delivery| one.body["data"]["occurred_at"].as_str().expect("a time").to_owned();
    assert!(time(&told[2]) <= time(&told[0]), "sent happened first");
}

#[tokio::test]
async fn a_slow_number_takes_its_time() {
    let pause = Duration::from_millis(200);
    let play = Play::with(|options| options.pace.slow = pause).await;
    let start = Instant::now();
    let (status, body) = send(&play, Behaviour::Slow).await;
    assert!(start.elapsed() >= pause);
    assert_eq!((status, &body["data"]["to"][0]["status"]), (StatusCode::OK, &json!("queued")));
    play.receiver.first(3).await;
    assert!(start.elapsed() >= pause * 2);
}
