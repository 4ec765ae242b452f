//! Sends that were left open are settled: by a server, by `convo sync`, or by `convo retry`.

use convo::domain::Status;
use convo::error::Code;
use convo::threading::{Conversations, Policy, Settled};
use uuid::Uuid;

use super::fixture::{
    abandoned, age, conversations, detail, impatient, only_message, opt, policy, report, send,
    settle, settle_at, start_send, status,
};
use crate::on_both_databases;
use crate::support::{
    FakeServer, REFUSED, Reply, TestDatabase, base_url, closed_address, open_sending, receive,
};

/// A send whose caller was told that the outcome is unknown.
async fn unknown(conversations: &Conversations, words: &str) -> Uuid {
    let sent = send(conversations, words, None).await.expect("an unknown outcome");
    assert!(sent.is_open());
    sent.message.id
}

/// A process dies during a send without a key: its message becomes unknown, not before its time is
/// over, and is not offered again by itself.
async fn an_abandoned_send_without_a_key_becomes_unknown(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Silence, Reply::Accept]).await;
    let conversations = conversations(&db, &telnyx).await;
    let id = abandoned(&conversations, &telnyx, "Hi", None).await;
    let now = convo::clock::now();
    assert!(settle_at(&conversations, now).await.is_empty(), "it may still be under way");
    assert_eq!(status(&conversations, id).await, Status::Pending);
    assert_eq!(settle(&conversations).await, [Settled { id, status: Status::Unknown }]);
    assert!(settle(&conversations).await.is_empty(), "nothing is left to do");
    assert_eq!(telnyx.offers().len(), 1);
}

/// A process dies during a send with a key: the message is offered once more, as the same request.
async fn an_abandoned_send_with_a_key_is_offered_once_more(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Silence, Reply::Accept]).await;
    let conversations = conversations(&db, &telnyx).await;
    let id = abandoned(&conversations, &telnyx, "Hi", Some("own")).await;
    assert_eq!(settle(&conversations).await, [Settled { id, status: Status::Queued }]);
    let offers = telnyx.offers();
    assert_eq!((offers.len(), &offers[0]), (2, &offers[1]), "the same key, the same bytes");
    assert!(settle(&conversations).await.is_empty());
    let repeated = send(&conversations, "Hi", Some("own")).await.expect("sent");
    assert_eq!((repeated.message.id, repeated.message.status), (id, Status::Queued));
    assert_eq!(telnyx.offers().len(), 2, "the key is bound");
}

/// The caller was told that the outcome is unknown. The message is offered once more; a refusal then
/// proves nothing, and there is no third offer.
async fn an_unknown_send_is_offered_once_more_and_never_fails(db: TestDatabase) {
    for reply in [Reply::Status(422, REFUSED), Reply::Status(401, REFUSED), Reply::Reset] {
        let telnyx = FakeServer::replying(&[Reply::Status(500, "")]).await;
        let conversations = impatient(&db, &telnyx, 900).await;
        let id = unknown(&conversations, &format!("{reply:?}")).await;
        let before = telnyx.offers().len();
        telnyx.now_replying(std::slice::from_ref(&reply));
        for _ in 0..3 {
            assert!(settle(&conversations).await.is_empty(), "{reply:?}");
        }
        assert_eq!(telnyx.offers().len(), before + 1, "{reply:?}");
        let left = detail(&conversations, id).await;
        assert_eq!((left.status, left.error), (Status::Unknown, None), "{reply:?}");
        telnyx.assert_one_key_per_text();
    }
}

/// Telnyx is unreachable, or limits the rate, when a message is offered once more: that does not count
/// as an offer, and it is tried again while the text is fresh.
async fn an_offer_that_did_not_reach_telnyx_does_not_count(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Silence]).await;
    let conversations = conversations(&db, &telnyx).await;
    let id = abandoned(&conversations, &telnyx, "Hi", Some("own")).await;
    telnyx.now_replying(&[Reply::RateLimit(1)]);
    assert_eq!(settle(&conversations).await, [Settled { id, status: Status::Unknown }]);
    telnyx.stop().await;
    age(&db, 60).await;
    assert!(settle(&conversations).await.is_empty());
    let telnyx = FakeServer::in_place_of(telnyx.address, &[Reply::Accept]).await;
    assert!(
        settle_at(&conversations, convo::clock::now()).await.is_empty(),
        "it waits before the next attempt"
    );
    age(&db, 60).await;
    assert_eq!(settle(&conversations).await, [Settled { id, status: Status::Queued }]);
    assert_eq!(telnyx.offers().len(), 1);
}

/// A text does not go out by itself when it is no longer fresh, when settling is switched off, when it
/// was offered to another API, or when the contact has sent STOP since.
async fn a_send_that_must_not_go_out_late_stays_unknown(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Silence, Reply::Accept]).await;
    let usual = conversations(&db, &telnyx).await;
    let id = abandoned(&usual, &telnyx, "Hi", Some("own")).await;
    let elsewhere = FakeServer::replying(&[Reply::Accept]).await;
    let other = conversations(&db, &elsewhere).await;
    assert_eq!(settle(&other).await, [Settled { id, status: Status::Unknown }]);
    assert!(elsewhere.offers().is_empty(), "it was offered to another API");
    let never = Policy { settle_window: std::time::Duration::ZERO, ..policy() };
    let never = open_sending(&db.url, &telnyx.base_url(), never).await;
    assert!(settle(&never).await.is_empty());
    receive(&usual, opt("e1", "STOP")).await;
    assert!(settle(&usual).await.is_empty());
    let refused = usual.retry(id, false).await.expect_err("the contact sent STOP");
    assert_eq!(refused.code(), Code::OptedOut);
    receive(&usual, opt("e2", "START")).await;
    let later = convo::clock::now().plus_seconds(601);
    assert!(settle_at(&usual, later).await.is_empty(), "stale");
    assert_eq!(telnyx.offers().len(), 1);
    assert_eq!(settle(&usual).await, [Settled { id, status: Status::Queued }]);
    assert_eq!(telnyx.offers().len(), 2);
}

/// Several servers settle at once: every message is offered by one of them, once.
async fn several_servers_settle_each_message_once(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Silence]).await;
    let one = conversations(&db, &telnyx).await;
    let mut ids = Vec::new();
    for n in 0..12 {
        let (words, key) = (format!("text {n}"), format!("key-{n}"));
        ids.push(abandoned(&one, &telnyx, &words, Some(&key)).await);
    }
    telnyx.now_replying(&[Reply::Accept]);
    let mut servers = Vec::new();
    for _ in 0..4 {
        servers.push(conversations(&db, &telnyx).await);
    }
    let rounds = servers.iter().map(|server| {
        let server = server.clone();
        tokio::spawn(async move { settle(&server).await })
    });
    for round in rounds.collect::<Vec<_>>() {
        round.await.expect("no panic");
    }
    // A round is limited in size, and leaves out what another server has claimed.
    settle(&one).await;
    assert_eq!(telnyx.offers().len(), 24, "each once by its sender, once by a server");
    assert_eq!(telnyx.keys().len(), 12);
    for id in ids {
        assert_eq!(status(&one, id).await, Status::Queued);
    }
}

/// A sender is so slow that a server takes it for dead and offers its message once more. When the
/// sender is then refused, that proves nothing about the other offer: the outcome is unknown.
async fn a_slow_refusal_does_not_fail_what_another_process_has_offered(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::HoldStatus(422, REFUSED), Reply::Reset]).await;
    let conversations = conversations(&db, &telnyx).await;
    let sending = start_send(&conversations, "Hi", Some("own"));
    telnyx.wait_for_offers(1).await;
    let id: Uuid = telnyx.offers()[0].key.parse().expect("an id");
    assert_eq!(settle(&conversations).await, [Settled { id, status: Status::Unknown }]);
    assert_eq!(telnyx.offers().len(), 2);
    telnyx.release();
    let sent = sending.await.expect("no panic").expect("an unknown outcome");
    assert_eq!((sent.message.id, sent.message.status), (id, Status::Unknown));
    let repeat = send(&conversations, "Hi", Some("own")).await.expect("an unknown outcome");
    assert_eq!(repeat.message.id, id, "the key stays bound");
    telnyx.assert_one_key_per_text();
}

/// A slow sender is taken for dead, but no other process has offered its message: its refusal counts.
async fn a_slow_refusal_fails_what_no_other_process_has_offered(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::HoldStatus(422, REFUSED)]).await;
    let conversations = conversations(&db, &telnyx).await;
    let sending = start_send(&conversations, "Hi", None);
    telnyx.wait_for_offers(1).await;
    let id: Uuid = telnyx.offers()[0].key.parse().expect("an id");
    assert_eq!(settle(&conversations).await, [Settled { id, status: Status::Unknown }]);
    telnyx.release();
    let error = sending.await.expect("no panic").expect_err("refused");
    assert_eq!(error.code(), Code::TelnyxRefused);
    assert_eq!(status(&conversations, id).await, Status::SendingFailed);
}

/// A report says what became of a message: then it is not offered again.
async fn a_report_settles_without_an_offer(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Silence]).await;
    let conversations = conversations(&db, &telnyx).await;
    let id = abandoned(&conversations, &telnyx, "Hi", Some("own")).await;
    receive(&conversations, report("e1", "m1", "sent", Some(id))).await;
    assert!(settle(&conversations).await.is_empty());
    assert_eq!(status(&conversations, id).await, Status::Sent);
    assert_eq!(telnyx.offers().len(), 1);
}

/// A report names a message without changing its status; about one on its way there was no report for
/// an hour. Telnyx is queried, and its answer is in the history. It is not queried all the time.
async fn telnyx_is_queried_about_messages_it_has(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Silence]).await;
    let conversations = conversations(&db, &telnyx).await;
    let id = abandoned(&conversations, &telnyx, "Hi", None).await;
    receive(&conversations, report("e1", "m1", "new_word", Some(id))).await;
    assert_eq!(settle(&conversations).await, [Settled { id, status: Status::Unknown }]);
    assert_eq!(telnyx.queried(), ["m1"], "it is queried, though it knows nothing");
    telnyx.knows("m1", "sent");
    age(&db, 600).await;
    assert_eq!(settle(&conversations).await, [Settled { id, status: Status::Sent }]);
    telnyx.knows("m1", "delivered");
    for _ in 0..3 {
        assert!(settle(&conversations).await.is_empty(), "a message on its way is left alone");
    }
    assert_eq!(telnyx.queried().len(), 2);
    age(&db, 5_000).await;
    assert_eq!(settle(&conversations).await, [Settled { id, status: Status::Delivered }]);
    let events: Vec<_> = detail(&conversations, id)
        .await
        .history
        .into_iter()
        .flatten()
        .map(|report| report.event_id)
        .collect();
    assert_eq!(events.len(), 3);
    assert!(events.contains(&"get:m1:delivered".to_owned()), "{events:?}");
    assert_eq!(telnyx.offers().len(), 1, "a query offers nothing");
}

/// `convo retry`: the same request goes out again, and only an acceptance settles it.
async fn a_retry_offers_the_same_request_again(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Silence, Reply::Status(422, REFUSED)]).await;
    let conversations = conversations(&db, &telnyx).await;
    let id = abandoned(&conversations, &telnyx, "Hi", None).await;
    let early = conversations.retry(id, true).await.expect_err("an attempt may be under way");
    assert_eq!((early.code(), early.exit_code()), (Code::NotRetryable, 2));
    age(&db, 60).await;
    let refused = conversations.retry(id, false).await.expect("an outcome");
    assert_eq!((refused.status, refused.error), (Status::Unknown, None));
    telnyx.now_replying(&[Reply::Status(500, ""), Reply::Accept]);
    let sent = conversations.retry(id, false).await.expect("an outcome");
    assert_eq!(sent.status, Status::Queued);
    assert_eq!(telnyx.keys().into_iter().collect::<Vec<_>>(), [id.to_string()]);
    let known = conversations.retry(id, true).await.expect_err("its outcome is known");
    assert_eq!((known.code(), known.http_status().as_u16()), (Code::NotRetryable, 409));
    let nothing = conversations.retry(Uuid::now_v7(), false).await.expect_err("no such message");
    assert_eq!(nothing.code(), Code::MessageNotFound);
    assert_eq!(only_message(&conversations).await.id, id);
}

/// After a day Telnyx has forgotten the key: then only force offers the message.
async fn after_a_day_only_force_retries(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Silence, Reply::Accept]).await;
    let conversations = conversations(&db, &telnyx).await;
    let id = abandoned(&conversations, &telnyx, "Hi", Some("own")).await;
    age(&db, 24 * 3_600 - 1).await;
    let error = conversations.retry(id, false).await.expect_err("it might be sent twice");
    assert_eq!(error.code(), Code::NotRetryable);
    assert!(error.hint_text().is_some_and(|hint| hint.contains("--force")));
    assert!(settle(&conversations).await.is_empty());
    assert_eq!(telnyx.offers().len(), 1);
    let sent = conversations.retry(id, true).await.expect("an outcome");
    assert_eq!(sent.status, Status::Queued);
    assert_eq!(telnyx.keys().len(), 1);
}

/// Several retries at once: one attempt is made, the others are refused. A server leaves the message
/// alone, too.
async fn concurrent_retries_make_one_attempt(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Silence, Reply::Hold]).await;
    let mut servers = Vec::new();
    for _ in 0..4 {
        servers.push(conversations(&db, &telnyx).await);
    }
    let id = abandoned(&servers[0], &telnyx, "Hi", Some("own")).await;
    age(&db, 60).await;
    let mut retries = tokio::task::JoinSet::new();
    for n in 0..8 {
        let server = servers[n % 4].clone();
        retries.spawn(async move { server.retry(id, false).await });
    }
    for _ in 0..7 {
        let other = retries.join_next().await.expect("a retry").expect("no panic");
        assert_eq!(other.expect_err("another attempt is under way").code(), Code::NotRetryable);
    }
    let now = convo::clock::now();
    assert!(servers[1].settle(now).await.expect("settled").is_empty());
    telnyx.release();
    let sent = retries.join_next().await.expect("a retry").expect("no panic");
    assert_eq!(sent.expect("an outcome").status, Status::Queued);
    assert_eq!(telnyx.offers().len(), 2);
}

/// What convo did not send cannot be offered again.
async fn only_what_convo_sent_can_be_retried(db: TestDatabase) {
    let conversations = open_sending(&db.url, &base_url(closed_address()), policy()).await;
    receive(&conversations, report("e1", "m1", "sent", None)).await;
    let foreign = only_message(&conversations).await;
    let error = conversations.retry(foreign.id, true).await.expect_err("another program's");
    assert_eq!(error.code(), Code::NotRetryable);
}

on_both_databases!(
    an_abandoned_send_without_a_key_becomes_unknown,
    an_abandoned_send_with_a_key_is_offered_once_more,
    an_unknown_send_is_offered_once_more_and_never_fails,
    an_offer_that_did_not_reach_telnyx_does_not_count,
    a_send_that_must_not_go_out_late_stays_unknown,
    several_servers_settle_each_message_once,
    a_slow_refusal_does_not_fail_what_another_process_has_offered,
    a_slow_refusal_fails_what_no_other_process_has_offered,
    a_report_settles_without_an_offer,
    telnyx_is_queried_about_messages_it_has,
    a_retry_offers_the_same_request_again,
    after_a_day_only_force_retries,
    concurrent_retries_make_one_attempt,
    only_what_convo_sent_can_be_retried,
);
