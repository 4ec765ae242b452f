//! One send, while Telnyx answers badly or not at all.

use std::time::{Duration, Instant};

use convo::domain::{SendRequest, Status};
use convo::error::Code;
use convo::threading::Policy;

use super::fixture::{
    Locked, conversations, detail, impatient, messages, only_message, report, send, send_to,
    settle, start_send, status, text,
};
use crate::on_both_databases;
use crate::support::{
    CONTACT, DEADLINE, FakeServer, REFUSED, Reply, TestDatabase, base_url, closed_address,
    eventually, open_sending, receive,
};

/// Answers that prove nothing: the message may have been sent.
const AMBIGUOUS: [Reply; 7] = [
    Reply::Reset,
    Reply::BreakOff,
    Reply::Status(408, ""),
    Reply::Status(409, REFUSED),
    Reply::Status(500, REFUSED),
    Reply::Status(200, "<html>hello</html>"),
    Reply::Status(403, "<html>a proxy's</html>"),
];

/// Telnyx cannot be reached, limits the rate, or refuses: the send fails, certainly and for good. The
/// row says so before the caller knows, it is never offered again, and the key is free.
async fn a_send_that_certainly_failed_frees_its_key(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Status(422, REFUSED)]).await;
    let (at_telnyx, closed) = (telnyx.base_url(), base_url(closed_address()));
    for (round, (base_url, reply, code)) in [
        (&closed, Reply::Accept, Code::TelnyxUnreachable),
        (&at_telnyx, Reply::RateLimit(60), Code::RateLimited),
        (&at_telnyx, Reply::Status(422, REFUSED), Code::TelnyxRefused),
        (&at_telnyx, Reply::Status(401, REFUSED), Code::InvalidApiKey),
    ]
    .into_iter()
    .enumerate()
    {
        telnyx.now_replying(&[reply]);
        let key = format!("key-{round}");
        let policy = Policy { timeout: Duration::from_millis(1_500), ..Policy::default() };
        let conversations = open_sending(&db.url, base_url, policy).await;
        let error = send(&conversations, &key, Some(&key)).await.expect_err("not sent");
        assert_eq!(error.code(), code, "{error}");
        let first = error.extra().message_id.expect("a row exists");
        assert_eq!(status(&conversations, first).await, Status::SendingFailed);
        assert!(detail(&conversations, first).await.error.is_some());
        let before = telnyx.offers().len();
        assert!(settle(&conversations).await.is_empty());
        let retried = conversations.retry(first, true).await.expect_err("it has failed for good");
        assert_eq!(retried.code(), Code::NotRetryable);
        assert_eq!(telnyx.offers().len(), before, "it is never offered again");
        let again = send(&conversations, &key, Some(&key)).await.expect_err("not sent either");
        assert_ne!(again.extra().message_id, Some(first), "the key was free");
    }
    telnyx.keys();
}

/// The first answer is lost, and then Telnyx refuses, limits the rate, or is gone: the outcome is
/// unknown, and must not be reported as a failure. One key, the same bytes, and within the time limit.
async fn after_a_lost_answer_only_an_acceptance_settles_a_send(db: TestDatabase) {
    let then = [Reply::Status(422, REFUSED), Reply::Status(401, REFUSED), Reply::RateLimit(1)];
    let mut cases = Vec::new();
    for first in AMBIGUOUS {
        cases.extend(then.clone().map(|then| vec![first.clone(), then]));
        cases.push(vec![first]);
    }
    let mut running = tokio::task::JoinSet::new();
    for (n, script) in cases.into_iter().enumerate() {
        let telnyx = match script.len() {
            1 => FakeServer::replying_then_gone(&script).await,
            _ => FakeServer::replying(&script).await,
        };
        let conversations = conversations(&db, &telnyx).await;
        running.spawn(async move {
            let since = Instant::now();
            let sent =
                send(&conversations, &format!("case {n}"), None).await.expect("an unknown outcome");
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

/// The first answer is lost, the retry is accepted: the message was sent, once.
async fn an_accepted_retry_settles_a_lost_answer(db: TestDatabase) {
    for first in AMBIGUOUS {
        let telnyx = FakeServer::replying(&[first.clone(), Reply::Accept]).await;
        let conversations = conversations(&db, &telnyx).await;
        let sent = send(&conversations, &format!("{first:?}"), None).await.expect("sent");
        assert_eq!(sent.message.status, Status::Queued, "{first:?}");
        let id = format!("telnyx-{}", sent.message.id);
        assert_eq!(sent.message.telnyx_message_id, Some(id), "{first:?}");
        assert_eq!(telnyx.keys().into_iter().next(), Some(sent.message.id.to_string()));
        telnyx.assert_one_key_per_text();
    }
}

/// The connection is reset before Telnyx has read anything. Whether a byte was written by then is a
/// matter of timing, so a refused retry may leave it unknown or failed; an accepted one is sent.
async fn a_connection_reset_before_it_is_read_is_retried(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::ResetUnread, Reply::Accept]).await;
    let conversations = conversations(&db, &telnyx).await;
    let sent = send(&conversations, "one", None).await.expect("sent");
    assert_eq!(sent.message.status, Status::Queued);
    telnyx.now_replying(&[Reply::ResetUnread, Reply::Status(422, REFUSED)]);
    match send(&conversations, "two", None).await {
        Ok(sent) => assert_eq!(sent.message.status, Status::Unknown),
        Err(error) => assert_eq!(error.code(), Code::TelnyxRefused),
    }
    telnyx.assert_one_key_per_text();
}

/// Telnyx accepts the message, and its answer comes after the call is over: the report settles it.
async fn a_report_makes_up_for_an_answer_that_comes_too_late(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Hold]).await;
    let conversations = impatient(&db, &telnyx, 800).await;
    let sent = send(&conversations, "Hi", None).await.expect("an unknown outcome");
    assert!(sent.is_open());
    telnyx.wait_for_hang_ups(1).await;
    let id = sent.message.id;
    receive(&conversations, report("e1", "m1", "delivered", Some(id))).await;
    let settled = only_message(&conversations).await;
    assert_eq!((settled.id, settled.status), (id, Status::Delivered));
    assert_eq!(settled.telnyx_message_id.as_deref(), Some("m1"));
    settle(&conversations).await;
    assert_eq!(telnyx.offers().len(), 1, "a settled message is not offered again");
}

/// Retries are switched off: the message is offered exactly once, whatever happens, also later.
async fn without_retries_a_message_is_offered_once(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Status(500, "")]).await;
    let conversations = conversations(&db, &telnyx).await;
    for key in [None, Some("own")] {
        let before = telnyx.offers().len();
        let request = SendRequest { no_retry: true, ..text(&format!("{key:?}")) };
        let sent =
            send_to(&conversations, CONTACT, request, key).await.expect("an unknown outcome");
        assert_eq!(sent.message.status, Status::Unknown);
        settle(&conversations).await;
        assert_eq!(telnyx.offers().len(), before + 1);
    }
}

/// The database takes longer to store the row than the whole call may last: nothing is offered. On
/// SQLite the row is not stored; PostgreSQL may have begun to, and then it is cancelled.
///
/// The database is free again as soon as three quarters of the time are over, which is when the call
/// gives up storing: what remains is for cancelling the row.
async fn a_row_that_is_stored_too_late_is_not_offered(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let conversations = impatient(&db, &telnyx, 1500).await;
    let locked = Locked::new(&db).await;
    let start = Instant::now();
    let sending = start_send(&conversations, "Hi", Some("own"));
    eventually("the time to store to be over", async || start.elapsed().as_millis() > 1130).await;
    locked.unlock().await;
    let error = sending.await.expect("no panic").expect_err("too late");
    assert_eq!((error.code(), error.exit_code()), (Code::DatabaseUnavailable, 5));
    let stored = messages(&conversations).await;
    assert!(stored.iter().all(|message| message.status == Status::Cancelled), "{stored:?}");
    settle(&conversations).await;
    assert!(telnyx.offers().is_empty());
}

/// The database is locked when the answer comes, for longer than a call may take: the caller learns in
/// time that the outcome is not recorded, and it is recorded once the database is free.
async fn a_locked_database_does_not_block_the_caller(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Hold, Reply::Accept]).await;
    let conversations = conversations(&db, &telnyx).await;
    let sending = start_send(&conversations, "Hi", Some("own"));
    telnyx.wait_for_offers(1).await;
    let locked = Locked::new(&db).await;
    telnyx.release();
    let ended = tokio::time::timeout(DEADLINE, sending).await.expect("it ends during the lock");
    let error = ended.expect("no panic").expect_err("it is not recorded");
    assert_eq!((error.code(), error.exit_code()), (Code::OutcomeUnknown, 9));
    assert_eq!(error.extra().idempotency_key.as_deref(), Some("own"));
    locked.unlock().await;
    eventually("the outcome to be recorded", async || {
        settle(&conversations).await;
        only_message(&conversations).await.status == Status::Queued
    })
    .await;
    telnyx.assert_one_key_per_text();
}

on_both_databases!(
    a_locked_database_does_not_block_the_caller,
    a_send_that_certainly_failed_frees_its_key,
    after_a_lost_answer_only_an_acceptance_settles_a_send,
    an_accepted_retry_settles_a_lost_answer,
    a_connection_reset_before_it_is_read_is_retried,
    a_report_makes_up_for_an_answer_that_comes_too_late,
    without_retries_a_message_is_offered_once,
    a_row_that_is_stored_too_late_is_not_offered,
);
