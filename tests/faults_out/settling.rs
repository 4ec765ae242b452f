//! What is left open is settled, by a server, by `convo settle`, or on a person's word.

use convo::domain::Status;
use convo::error::Code;
use convo::threading::{Policy, Settled, Threads};
use uuid::Uuid;

use crate::bench::{
    age, detail, only_message, policy, receive, report, say, send, soon, status, threads,
};
use crate::on_both_databases;
use crate::support::TestDatabase;
use crate::telnyx::{Does, REFUSED, Telnyx, nobody};

/// Begins a send and gives it up while Telnyx is silent, as a dying process does: the row stays
/// behind as it was stored. Returns the message's id.
async fn abandoned(threads: &Threads, telnyx: &Telnyx, words: &str, key: Option<&str>) -> Uuid {
    let before = telnyx.offers().len();
    let (threads, words, key) = (threads.clone(), words.to_owned(), key.map(str::to_owned));
    let sending = tokio::spawn(async move { send(&threads, &words, key.as_deref()).await });
    telnyx.was_offered(before + 1).await;
    sending.abort();
    let _ = sending.await;
    telnyx.offers()[before].key.parse().expect("the key is the message's id")
}

/// A send whose caller was told that nobody knows.
async fn unknown(threads: &Threads, words: &str) -> Uuid {
    let sent = send(threads, words, None).await.expect("nobody knows");
    assert!(sent.is_open());
    sent.message.id
}

async fn settle(threads: &Threads) -> Vec<Settled> {
    threads.settle(soon()).await.expect("settled")
}

/// A process dies in mid-send that had told nobody anything: its message becomes unknown, once its
/// time is over and not before, and is not sent by itself.
async fn what_nobody_counts_on_becomes_unknown_and_is_not_sent(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Silence, Does::Accept]).await;
    let threads = threads(&db, &telnyx.base_url(), policy()).await;
    let id = abandoned(&threads, &telnyx, "Hi", None).await;
    let now = convo::clock::now();
    assert!(threads.settle(now).await.expect("settled").is_empty(), "it may be under way still");
    assert_eq!(status(&threads, id).await, Status::Pending);
    assert_eq!(settle(&threads).await, [Settled { id, status: Status::Unknown }]);
    assert!(settle(&threads).await.is_empty(), "nothing is left to do");
    assert_eq!(telnyx.offers().len(), 1);
}

/// A process dies in mid-send whose caller gave a key: the message is offered once more, as the
/// very request it was.
async fn what_has_a_key_is_offered_once_more(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Silence, Does::Accept]).await;
    let threads = threads(&db, &telnyx.base_url(), policy()).await;
    let id = abandoned(&threads, &telnyx, "Hi", Some("own")).await;
    assert_eq!(settle(&threads).await, [Settled { id, status: Status::Queued }]);
    let offers = telnyx.offers();
    assert_eq!((offers.len(), &offers[0]), (2, &offers[1]), "the same key, the same bytes");
    assert!(settle(&threads).await.is_empty());
    let repeated = send(&threads, "Hi", Some("own")).await.expect("sent");
    assert_eq!((repeated.message.id, repeated.message.status), (id, Status::Queued));
    assert_eq!(telnyx.offers().len(), 2, "the key is bound");
}

/// The caller was told that nobody knows. Once more it is offered; a refusal then proves nothing,
/// and there is no third time.
async fn what_was_told_to_be_unknown_is_offered_once_more_and_never_failed(db: TestDatabase) {
    for does in [Does::Answer(422, REFUSED), Does::Answer(401, REFUSED), Does::ResetAfter] {
        let telnyx = Telnyx::that(&[Does::Answer(500, "")]).await;
        let policy = Policy { timeout: std::time::Duration::from_millis(900), ..policy() };
        let threads = threads(&db, &telnyx.base_url(), policy).await;
        let id = unknown(&threads, &format!("{does:?}")).await;
        let before = telnyx.offers().len();
        telnyx.now(std::slice::from_ref(&does));
        for _ in 0..3 {
            assert!(settle(&threads).await.is_empty(), "{does:?}");
        }
        assert_eq!(telnyx.offers().len(), before + 1, "{does:?}");
        let left = detail(&threads, id).await;
        assert_eq!((left.status, left.error), (Status::Unknown, None), "{does:?}");
        telnyx.assert_one_key_per_text();
    }
}

/// Telnyx is out of reach, or asks to slow down, when a message is offered once more: that was no
/// offer, and it is tried again while the text is fresh.
async fn an_offer_that_reached_nobody_does_not_count(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Silence]).await;
    let threads = threads(&db, &telnyx.base_url(), policy()).await;
    let id = abandoned(&threads, &telnyx, "Hi", Some("own")).await;
    telnyx.now(&[Does::SlowDown(1)]);
    assert_eq!(settle(&threads).await, [Settled { id, status: Status::Unknown }]);
    telnyx.leave().await;
    age(&db, 60).await;
    assert!(settle(&threads).await.is_empty());
    let telnyx = Telnyx::in_place_of(telnyx.address, &[Does::Accept]).await;
    assert!(threads.settle(convo::clock::now()).await.expect("settled").is_empty(), "a pause");
    age(&db, 60).await;
    assert_eq!(settle(&threads).await, [Settled { id, status: Status::Queued }]);
    assert_eq!(telnyx.offers().len(), 1);
}

/// A text that is no longer fresh does not go out by itself, nor any where that is switched off,
/// nor one that was offered elsewhere, nor one to a contact that has said STOP since.
async fn what_must_not_go_out_late_stays_unknown(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Silence, Does::Accept]).await;
    let usual = threads(&db, &telnyx.base_url(), policy()).await;
    let id = abandoned(&usual, &telnyx, "Hi", Some("own")).await;
    let elsewhere = Telnyx::that(&[Does::Accept]).await;
    let other = threads(&db, &elsewhere.base_url(), policy()).await;
    assert_eq!(settle(&other).await, [Settled { id, status: Status::Unknown }]);
    assert!(elsewhere.offers().is_empty(), "it was offered to another API");
    let never = Policy { settle_window: std::time::Duration::ZERO, ..policy() };
    let never = threads(&db, &telnyx.base_url(), never).await;
    assert!(settle(&never).await.is_empty());
    say(&usual, "e1", "STOP").await;
    assert!(settle(&usual).await.is_empty());
    let refused = usual.retry(id, false).await.expect_err("it said STOP");
    assert_eq!(refused.code(), Code::OptedOut);
    say(&usual, "e2", "START").await;
    let later = convo::clock::now().plus_seconds(601);
    assert!(usual.settle(later).await.expect("settled").is_empty(), "stale");
    assert_eq!(telnyx.offers().len(), 1);
    assert_eq!(settle(&usual).await, [Settled { id, status: Status::Queued }]);
    assert_eq!(telnyx.offers().len(), 2);
}

/// Several servers and persons settle at once: every message is offered by one of them, once.
async fn several_servers_never_settle_one_message_at_once(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Silence]).await;
    let one = threads(&db, &telnyx.base_url(), policy()).await;
    let mut ids = Vec::new();
    for n in 0..12 {
        let (words, key) = (format!("text {n}"), format!("key-{n}"));
        ids.push(abandoned(&one, &telnyx, &words, Some(&key)).await);
    }
    telnyx.now(&[Does::Accept]);
    let mut servers = Vec::new();
    for _ in 0..4 {
        servers.push(threads(&db, &telnyx.base_url(), policy()).await);
    }
    let rounds = servers.iter().map(|server| {
        let server = server.clone();
        tokio::spawn(async move { settle(&server).await })
    });
    for round in rounds.collect::<Vec<_>>() {
        round.await.expect("no panic");
    }
    // A round takes so many at most; what one server held is not the other's in this round.
    settle(&one).await;
    assert_eq!(telnyx.offers().len(), 24, "each once by its sender, once by a server");
    assert_eq!(telnyx.keys().len(), 12);
    for id in ids {
        assert_eq!(status(&one, id).await, Status::Queued);
    }
}

/// A sender is so slow that a server takes it for dead and offers its message once more. When then
/// the sender is refused, that proves nothing about the other offer: nobody knows, and its caller
/// is told so.
async fn a_slow_senders_refusal_does_not_fail_what_another_has_offered(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::HoldAnswer(422, REFUSED), Does::ResetAfter]).await;
    let threads = threads(&db, &telnyx.base_url(), policy()).await;
    let sending = tokio::spawn({
        let threads = threads.clone();
        async move { send(&threads, "Hi", Some("own")).await }
    });
    telnyx.was_offered(1).await;
    let id: Uuid = telnyx.offers()[0].key.parse().expect("an id");
    assert_eq!(settle(&threads).await, [Settled { id, status: Status::Unknown }]);
    assert_eq!(telnyx.offers().len(), 2);
    telnyx.let_go();
    let told = sending.await.expect("no panic").expect("nobody knows");
    assert_eq!((told.message.id, told.message.status), (id, Status::Unknown));
    let repeat = send(&threads, "Hi", Some("own")).await.expect("nobody knows");
    assert_eq!(repeat.message.id, id, "the key stays bound");
    telnyx.assert_one_key_per_text();
}

/// A slow sender is taken for dead, but nobody else has offered its message: its refusal is sure.
async fn a_slow_senders_refusal_is_sure_where_it_alone_has_offered(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::HoldAnswer(422, REFUSED)]).await;
    let threads = threads(&db, &telnyx.base_url(), policy()).await;
    let sending = tokio::spawn({
        let threads = threads.clone();
        async move { send(&threads, "Hi", None).await }
    });
    telnyx.was_offered(1).await;
    let id: Uuid = telnyx.offers()[0].key.parse().expect("an id");
    assert_eq!(settle(&threads).await, [Settled { id, status: Status::Unknown }]);
    telnyx.let_go();
    let error = sending.await.expect("no panic").expect_err("refused");
    assert_eq!(error.code(), Code::TelnyxRefused);
    assert_eq!(status(&threads, id).await, Status::SendingFailed);
}

/// A report tells what became of a message: then it is not offered again.
async fn a_report_settles_without_an_offer(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Silence]).await;
    let threads = threads(&db, &telnyx.base_url(), policy()).await;
    let id = abandoned(&threads, &telnyx, "Hi", Some("own")).await;
    receive(&threads, &report("e1", "m1", "sent", Some(id))).await;
    assert!(settle(&threads).await.is_empty());
    assert_eq!(status(&threads, id).await, Status::Sent);
    assert_eq!(telnyx.offers().len(), 1);
}

/// A report names a message of which it says nothing that moves it; of one on its way nothing was
/// heard for an hour. Telnyx is asked, and what it tells is in the history. It is not asked all the
/// time.
async fn telnyx_is_asked_about_what_it_has(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Silence]).await;
    let threads = threads(&db, &telnyx.base_url(), policy()).await;
    let id = abandoned(&threads, &telnyx, "Hi", None).await;
    receive(&threads, &report("e1", "m1", "new_word", Some(id))).await;
    assert_eq!(settle(&threads).await, [Settled { id, status: Status::Unknown }]);
    assert_eq!(telnyx.asked(), ["m1"], "it is asked, though it knows nothing");
    telnyx.knows("m1", "sent");
    age(&db, 600).await;
    assert_eq!(settle(&threads).await, [Settled { id, status: Status::Sent }]);
    telnyx.knows("m1", "delivered");
    for _ in 0..3 {
        assert!(settle(&threads).await.is_empty(), "a message on its way is left in peace");
    }
    assert_eq!(telnyx.asked().len(), 2);
    age(&db, 5_000).await;
    assert_eq!(settle(&threads).await, [Settled { id, status: Status::Delivered }]);
    let events: Vec<_> = detail(&threads, id)
        .await
        .history
        .into_iter()
        .flatten()
        .map(|report| report.event_id)
        .collect();
    assert_eq!(events.len(), 3);
    assert!(events.contains(&"get:m1:delivered".to_owned()), "{events:?}");
    assert_eq!(telnyx.offers().len(), 1, "asking offers nothing");
}

/// A person retries: the same request goes out again, and only an acceptance settles it.
async fn a_person_may_offer_it_again(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Silence, Does::Answer(422, REFUSED)]).await;
    let threads = threads(&db, &telnyx.base_url(), policy()).await;
    let id = abandoned(&threads, &telnyx, "Hi", None).await;
    let early = threads.retry(id, true).await.expect_err("an attempt may be under way");
    assert_eq!((early.code(), early.exit_code()), (Code::NotRetryable, 2));
    age(&db, 60).await;
    let refused = threads.retry(id, false).await.expect("an outcome");
    assert_eq!((refused.status, refused.error), (Status::Unknown, None));
    telnyx.now(&[Does::Answer(500, ""), Does::Accept]);
    let sent = threads.retry(id, false).await.expect("an outcome");
    assert_eq!(sent.status, Status::Queued);
    assert_eq!(telnyx.keys().into_iter().collect::<Vec<_>>(), [id.to_string()]);
    let known = threads.retry(id, true).await.expect_err("its outcome is known");
    assert_eq!((known.code(), known.http_status().as_u16()), (Code::NotRetryable, 409));
    let nothing = threads.retry(Uuid::now_v7(), false).await.expect_err("no such message");
    assert_eq!(nothing.code(), Code::MessageNotFound);
    assert_eq!(only_message(&threads).await.id, id);
}

/// After a day Telnyx has forgotten the key: only force offers it then.
async fn after_a_day_only_force_retries(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Silence, Does::Accept]).await;
    let threads = threads(&db, &telnyx.base_url(), policy()).await;
    let id = abandoned(&threads, &telnyx, "Hi", Some("own")).await;
    age(&db, 24 * 3_600 - 1).await;
    let error = threads.retry(id, false).await.expect_err("it might be sent twice");
    assert_eq!(error.code(), Code::NotRetryable);
    assert!(error.hint_text().is_some_and(|hint| hint.contains("--force")));
    assert!(settle(&threads).await.is_empty());
    assert_eq!(telnyx.offers().len(), 1);
    let sent = threads.retry(id, true).await.expect("an outcome");
    assert_eq!(sent.status, Status::Queued);
    assert_eq!(telnyx.keys().len(), 1);
}

/// Several persons retry at once: one attempt is made, the others are told so. A server leaves it
/// alone, too.
async fn several_persons_do_not_retry_at_once(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Silence, Does::Hold]).await;
    let mut servers = Vec::new();
    for _ in 0..4 {
        servers.push(threads(&db, &telnyx.base_url(), policy()).await);
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
        assert_eq!(other.expect_err("another is at it").code(), Code::NotRetryable);
    }
    let now = convo::clock::now();
    assert!(servers[1].settle(now).await.expect("settled").is_empty());
    telnyx.let_go();
    let sent = retries.join_next().await.expect("a retry").expect("no panic");
    assert_eq!(sent.expect("an outcome").status, Status::Queued);
    assert_eq!(telnyx.offers().len(), 2);
}

/// What convo did not send, nobody can offer again.
async fn only_what_convo_sent_can_be_retried(db: TestDatabase) {
    let address = nobody().await;
    let threads = threads(&db, &crate::telnyx::base_url(address), policy()).await;
    receive(&threads, &report("e1", "m1", "sent", None)).await;
    let foreign = only_message(&threads).await;
    let error = threads.retry(foreign.id, true).await.expect_err("another program's");
    assert_eq!(error.code(), Code::NotRetryable);
}

on_both_databases!(
    what_nobody_counts_on_becomes_unknown_and_is_not_sent,
    what_has_a_key_is_offered_once_more,
    what_was_told_to_be_unknown_is_offered_once_more_and_never_failed,
    an_offer_that_reached_nobody_does_not_count,
    what_must_not_go_out_late_stays_unknown,
    several_servers_never_settle_one_message_at_once,
    a_slow_senders_refusal_does_not_fail_what_another_has_offered,
    a_slow_senders_refusal_is_sure_where_it_alone_has_offered,
    a_report_settles_without_an_offer,
    telnyx_is_asked_about_what_it_has,
    a_person_may_offer_it_again,
    after_a_day_only_force_retries,
    several_persons_do_not_retry_at_once,
    only_what_convo_sent_can_be_retried,
);
