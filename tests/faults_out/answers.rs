//! One send, while Telnyx answers badly or not at all.

use std::time::{Duration, Instant};

use convo::domain::{SendRequest, Status};
use convo::error::Code;
use convo::threading::Policy;

use crate::bench::{
    CONTACT, Locked, detail, messages, only_message, policy, receive, report, send, soon, status,
    text, threads,
};
use crate::on_both_databases;
use crate::program::eventually;
use crate::support::TestDatabase;
use crate::telnyx::{Does, PATIENCE, REFUSED, Telnyx, base_url, nobody};

/// Whatever proves nothing.
const AMBIGUOUS: [Does; 7] = [
    Does::ResetAfter,
    Does::BreakOff,
    Does::Answer(408, ""),
    Does::Answer(409, REFUSED),
    Does::Answer(500, REFUSED),
    Does::Answer(200, "<html>hello</html>"),
    Does::Answer(403, "<html>a proxy's</html>"),
];

/// Telnyx cannot be reached, is too busy, or refuses: the send fails, surely and for good. The row
/// says so before the caller is told, it is never offered again, and the key is free.
async fn what_is_surely_not_sent_has_failed_and_frees_its_key(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Answer(422, REFUSED)]).await;
    let nobody = base_url(nobody().await);
    for (round, (base_url, does, code)) in [
        (nobody.as_str(), Does::Accept, Code::TelnyxUnreachable),
        (&telnyx.base_url(), Does::SlowDown(60), Code::RateLimited),
        (&telnyx.base_url(), Does::Answer(422, REFUSED), Code::TelnyxRefused),
        (&telnyx.base_url(), Does::Answer(401, REFUSED), Code::InvalidApiKey),
    ]
    .into_iter()
    .enumerate()
    {
        telnyx.now(&[does]);
        let key = format!("key-{round}");
        let policy = Policy { timeout: Duration::from_millis(1_500), ..policy() };
        let threads = threads(&db, base_url, policy).await;
        let error = send(&threads, &key, Some(&key)).await.expect_err("not sent");
        assert_eq!(error.code(), code, "{error}");
        let first = error.extra().message_id.expect("a row exists");
        assert_eq!(status(&threads, first).await, Status::SendingFailed);
        assert!(detail(&threads, first).await.error.is_some());
        let before = telnyx.offers().len();
        assert!(threads.settle(soon()).await.expect("settled").is_empty());
        let retried = threads.retry(first, true).await.expect_err("it has failed for good");
        assert_eq!(retried.code(), Code::NotRetryable);
        assert_eq!(telnyx.offers().len(), before, "it is never offered again");
        let again = send(&threads, &key, Some(&key)).await.expect_err("not sent either");
        assert_ne!(again.extra().message_id, Some(first), "the key was free");
    }
    telnyx.keys();
}

/// The first answer is lost, and then Telnyx refuses, is too busy, or is gone: nobody knows, and
/// it must not be called failed. One key, the same bytes, and within the promised time.
async fn after_a_lost_answer_nothing_but_an_acceptance_decides(db: TestDatabase) {
    let then = [Does::Answer(422, REFUSED), Does::Answer(401, REFUSED), Does::SlowDown(1)];
    let mut cases = Vec::new();
    for first in AMBIGUOUS {
        cases.extend(then.clone().map(|then| vec![first.clone(), then]));
        cases.push(vec![first]);
    }
    let mut running = tokio::task::JoinSet::new();
    for (n, script) in cases.into_iter().enumerate() {
        let telnyx = match script.len() {
            1 => Telnyx::that_leaves_after(&script).await,
            _ => Telnyx::that(&script).await,
        };
        let threads = threads(&db, &telnyx.base_url(), policy()).await;
        running.spawn(async move {
            let since = Instant::now();
            let sent = send(&threads, &format!("case {n}"), None).await.expect("nobody knows");
            assert!(since.elapsed() < Duration::from_secs(15), "{script:?}");
            assert_eq!(sent.message.status, Status::Unknown, "{script:?}");
            assert_eq!(sent.message.error, None, "{script:?}");
            assert!(telnyx.keys().len() <= 1, "{script:?}");
            telnyx.assert_one_key_per_text();
        });
        if running.len() >= 20 {
            running.join_next().await.expect("a case").expect("the case holds");
        }
    }
    while let Some(case) = running.join_next().await {
        case.expect("the case holds");
    }
}

/// The first answer is lost, the repeat is taken: it was sent, once.
async fn a_repeat_that_is_taken_settles_a_lost_answer(db: TestDatabase) {
    for first in AMBIGUOUS {
        let telnyx = Telnyx::that(&[first.clone(), Does::Accept]).await;
        let threads = threads(&db, &telnyx.base_url(), policy()).await;
        let sent = send(&threads, &format!("{first:?}"), None).await.expect("sent");
        assert_eq!(sent.message.status, Status::Queued, "{first:?}");
        let id = format!("telnyx-{}", sent.message.id);
        assert_eq!(sent.message.telnyx_message_id, Some(id), "{first:?}");
        assert_eq!(telnyx.keys().into_iter().next(), Some(sent.message.id.to_string()));
        telnyx.assert_one_key_per_text();
    }
}

/// The connection is reset before Telnyx has read anything. Whether a byte was written by then is a
/// matter of luck, so both ends are true; a repeat that is taken is sent.
async fn a_connection_reset_at_once_is_repeated(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::ResetBefore, Does::Accept]).await;
    let threads = threads(&db, &telnyx.base_url(), policy()).await;
    let sent = send(&threads, "one", None).await.expect("sent");
    assert_eq!(sent.message.status, Status::Queued);
    telnyx.now(&[Does::ResetBefore, Does::Answer(422, REFUSED)]);
    match send(&threads, "two", None).await {
        Ok(sent) => assert_eq!(sent.message.status, Status::Unknown),
        Err(error) => assert_eq!(error.code(), Code::TelnyxRefused),
    }
    telnyx.assert_one_key_per_text();
}

/// Telnyx takes the message and its answer comes after the call is over: the report settles it.
async fn an_answer_that_comes_too_late_is_made_up_for_by_the_report(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Hold]).await;
    let policy = Policy { timeout: Duration::from_millis(800), ..policy() };
    let threads = threads(&db, &telnyx.base_url(), policy).await;
    let sent = send(&threads, "Hi", None).await.expect("nobody knows");
    assert!(sent.is_open());
    telnyx.was_left(1).await;
    let id = sent.message.id;
    receive(&threads, &report("e1", "m1", "delivered", Some(id))).await;
    let settled = only_message(&threads).await;
    assert_eq!((settled.id, settled.status), (id, Status::Delivered));
    assert_eq!(settled.telnyx_message_id.as_deref(), Some("m1"));
    threads.settle(soon()).await.expect("settled");
    assert_eq!(telnyx.offers().len(), 1, "what is known is not offered again");
}

/// Repeating is switched off: Telnyx is asked exactly once, whatever happens, also later.
async fn without_repeats_it_is_offered_once(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Answer(500, "")]).await;
    let threads = threads(&db, &telnyx.base_url(), policy()).await;
    for key in [None, Some("own")] {
        let before = telnyx.offers().len();
        let request = SendRequest { no_retry: true, ..text(&format!("{key:?}")) };
        let sent = threads.send(CONTACT, &request, key).await.expect("nobody knows");
        assert_eq!(sent.message.status, Status::Unknown);
        threads.settle(soon()).await.expect("settled");
        assert_eq!(telnyx.offers().len(), before + 1);
    }
}

/// The database takes longer to store the row than the whole call may last: nothing is offered. On
/// SQLite the row is not stored; PostgreSQL may have begun to, then it is taken back.
async fn a_row_that_is_stored_too_late_is_not_offered(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Accept]).await;
    let policy = Policy { timeout: Duration::from_millis(400), ..policy() };
    let threads = threads(&db, &telnyx.base_url(), policy).await;
    let locked = crate::bench::Locked::new(&db).await;
    let sending = tokio::spawn({
        let threads = threads.clone();
        async move { send(&threads, "Hi", Some("own")).await }
    });
    // Time must pass by the clock here: it is the program's own limit that is tried.
    tokio::time::sleep(Duration::from_millis(500)).await;
    locked.unlock().await;
    let error = sending.await.expect("no panic").expect_err("too late");
    assert_eq!((error.code(), error.exit_code()), (Code::DatabaseUnavailable, 5));
    let stored = messages(&threads).await;
    assert!(stored.iter().all(|message| message.status == Status::Cancelled), "{stored:?}");
    threads.settle(soon()).await.expect("settled");
    assert!(telnyx.offers().is_empty());
}

/// The database is held when the answer comes, for longer than a call takes: the caller is told in
/// time that the outcome is not recorded, and it is once the database is free.
async fn a_database_that_is_held_does_not_hold_the_call(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Hold, Does::Accept]).await;
    let threads = threads(&db, &telnyx.base_url(), policy()).await;
    let sending = tokio::spawn({
        let threads = threads.clone();
        async move { send(&threads, "Hi", Some("own")).await }
    });
    telnyx.was_offered(1).await;
    let locked = Locked::new(&db).await;
    telnyx.let_go();
    let told = tokio::time::timeout(PATIENCE, sending).await.expect("it ends while it is held");
    let error = told.expect("no panic").expect_err("it is not recorded");
    assert_eq!((error.code(), error.exit_code()), (Code::OutcomeUnknown, 9));
    assert_eq!(error.extra().idempotency_key.as_deref(), Some("own"));
    locked.unlock().await;
    eventually(async || {
        threads.settle(soon()).await.expect("settled");
        only_message(&threads).await.status == Status::Queued
    })
    .await;
    telnyx.assert_one_key_per_text();
}

on_both_databases!(
    a_database_that_is_held_does_not_hold_the_call,
    what_is_surely_not_sent_has_failed_and_frees_its_key,
    after_a_lost_answer_nothing_but_an_acceptance_decides,
    a_repeat_that_is_taken_settles_a_lost_answer,
    a_connection_reset_at_once_is_repeated,
    an_answer_that_comes_too_late_is_made_up_for_by_the_report,
    without_repeats_it_is_offered_once,
    a_row_that_is_stored_too_late_is_not_offered,
);
