//! Idempotency keys of callers: what they bind, and when they are free.

use convo::domain::{Draft, SendRequest, Status};
use convo::error::Code;
use convo::threading::Conversations;
use sea_orm::ConnectionTrait;
use tokio::task::JoinHandle;

use super::fixture::{
    abandoned, age, conversations, impatient, messages, only_message, opt, send, send_to, settle,
    start_send, text,
};
use crate::on_both_databases;
use crate::support::{
    CONTACT, DEADLINE, FakeServer, REFUSED, Reply, TestDatabase, connect, eventually,
    eventually_some, query_one, receive,
};

/// Conversations whose sends would wait for longer than a test may take.
async fn patient(db: &TestDatabase, telnyx: &FakeServer) -> Conversations {
    impatient(db, telnyx, 10 * 60 * 1_000).await
}

/// While the first call is under way, a repeat waits for it and sends nothing. When its own time is
/// over first, it returns the message as it stands.
async fn a_key_binds_while_in_flight(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Hold]).await;
    let (one, two) = (patient(&db, &telnyx).await, impatient(&db, &telnyx, 800).await);
    let first = start_send(&one, "Hi", Some("own"));
    telnyx.wait_for_offers(1).await;
    let repeat = send(&two, "Hi", Some("own")).await.expect("a message");
    assert!(repeat.is_open());
    assert_eq!((repeat.message.status, repeat.idempotency_key.as_str()), (Status::Pending, "own"));
    let other = send(&two, "Something else", Some("own")).await.expect_err("another request");
    assert_eq!((other.code(), other.http_status().as_u16()), (Code::IdempotencyKeyReused, 422));
    let repeating = start_send(&one, "Hi", Some("own"));
    telnyx.release();
    let sent = first.await.expect("no panic").expect("sent");
    assert_eq!((sent.message.id, sent.message.status), (repeat.message.id, Status::Queued));
    assert_eq!(repeating.await.expect("no panic").expect("sent").message, sent.message);
    assert_eq!(telnyx.offers().len(), 1);
}

/// The process of the first call has died: a repeat does not wait for it, and one that waits already
/// stops when it must be over. Nor does a repeat wait that is interrupted.
async fn a_repeat_waits_for_no_dead_process(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Silence]).await;
    let one = patient(&db, &telnyx).await;
    let (two, three) = (one.clone(), patient(&db, &telnyx).await);
    let id = abandoned(&one, &telnyx, "Hi", Some("own")).await;
    let interrupted = start_send(&three, "Hi", Some("own"));
    three.interrupt().cancel();
    let interrupted = within_deadline(interrupted).await;
    let waiting = start_send(&two, "Hi", Some("own"));
    age(&db, 10 * 60 + 11).await;
    let late = start_send(&one, "Hi", Some("own"));
    for repeat in [interrupted, within_deadline(waiting).await, within_deadline(late).await] {
        let sent = repeat.expect("a message");
        assert_eq!((sent.message.id, sent.message.status), (id, Status::Pending));
    }
    assert_eq!(telnyx.offers().len(), 1);
}

async fn within_deadline<T>(task: JoinHandle<T>) -> T {
    let ended = tokio::time::timeout(DEADLINE, task).await;
    ended.expect("it ends long before its time is over").expect("no panic")
}

/// Another server's transaction holds the key for longer than PostgreSQL lets convo wait for a lock:
/// the send is stored as soon as the key is free.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_another_transaction_is_waited_for() {
    let db = TestDatabase::postgres().await;
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let conversations = patient(&db, &telnyx).await;
    let other = connect(&db.url).await;
    let take = "BEGIN; INSERT INTO idempotency_keys (key, request_hash, message_id, created_at) \
                VALUES ('own', '', '00000000-0000-7000-8000-000000000000', 0)";
    other.execute_unprepared(take).await.expect("taken");
    let sending = start_send(&conversations, "Hi", Some("own"));
    let watcher = connect(&db.url).await;
    let blocked = "SELECT coalesce(max(xact_start)::text, '') FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let first = eventually_some("it to wait for the lock", async || {
        Some(query_one::<String>(&watcher, blocked).await).filter(|begun| !begun.is_empty())
    });
    let first = first.await;
    eventually("it to wait in another transaction", async || {
        let begun: String = query_one(&watcher, blocked).await;
        !begun.is_empty() && begun != first
    })
    .await;
    other.execute_unprepared("ROLLBACK").await.expect("freed");
    let sent = within_deadline(sending).await.expect("sent");
    assert_eq!((sent.message.status, telnyx.offers().len()), (Status::Queued, 1));
}

/// Many callers on two servers use one key at once: one message, one offer, one answer for all.
async fn a_key_makes_one_message_across_servers(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let mut servers = Vec::new();
    for _ in 0..2 {
        servers.push(conversations(&db, &telnyx).await);
    }
    for round in 0..4 {
        let key = format!("key-{round}");
        let calls: Vec<_> = (0..16)
            .map(|n| {
                let (server, key) = (servers[n % 2].clone(), key.clone());
                tokio::spawn(async move { send(&server, &key, Some(&key)).await })
            })
            .collect();
        let mut answers = std::collections::BTreeSet::new();
        for call in calls {
            let message = call.await.expect("no panic").expect("an outcome").message;
            answers.insert((message.id, message.status.as_str()));
        }
        assert!(
            answers.len() == 1 && answers.iter().all(|(_, word)| *word == "queued"),
            "{answers:?}"
        );
        assert_eq!(telnyx.offers().len(), round + 1);
    }
    assert_eq!(messages(&servers[0]).await.len(), 4);
    telnyx.assert_one_key_per_text();
}

/// While many callers on two servers use one key, Telnyx refuses: the first one frees the key, and the
/// others are told of that refusal or of one of their own, never that the key belongs to another
/// request.
async fn a_key_freed_during_a_race_is_never_reported_as_reused(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Status(422, REFUSED)]).await;
    let mut servers = Vec::new();
    for _ in 0..2 {
        servers.push(conversations(&db, &telnyx).await);
    }
    let calls: Vec<_> = (0..48)
        .map(|n| {
            let server = servers[n % 2].clone();
            tokio::spawn(async move { send(&server, "Hi", Some("own")).await })
        })
        .collect();
    for call in calls {
        let error = call.await.expect("no panic").expect_err("refused");
        assert_eq!(error.code(), Code::TelnyxRefused, "{error}");
    }
    let all = messages(&servers[0]).await;
    assert_eq!(all.len(), telnyx.offers().len(), "every offer is a row");
    assert!(all.iter().all(|message| message.status == Status::SendingFailed));
    telnyx.now_replying(&[Reply::Accept]);
    assert!(!send(&servers[1], "Hi", Some("own")).await.expect("the key is free").is_open());
}

/// After a restart the key still belongs to its message.
async fn a_key_binds_after_a_restart(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let sent = {
        let before = conversations(&db, &telnyx).await;
        send(&before, "Hi", Some("own")).await.expect("sent")
    };
    let after = conversations(&db, &telnyx).await;
    let repeat = send(&after, "Hi", Some("own")).await.expect("sent");
    assert_eq!(repeat.message, sent.message);
    let without = send(&after, "Hi", Some(&sent.message.id.to_string())).await.expect("sent");
    assert_ne!(without.message.id, sent.message.id, "its own id is not the key of this one");
    let unnamed = send(&after, "Hello", None).await.expect("sent");
    assert_eq!(unnamed.idempotency_key.as_str(), unnamed.message.id.to_string());
    let key = unnamed.idempotency_key.as_str();
    let repeat =
        send_to(&after, "+1 (212) 555-1234", text("Hello"), Some(key)).await.expect("sent");
    assert_eq!(repeat.message.id, unnamed.message.id, "a send without a key has its id as key");
    assert_eq!(telnyx.offers().len(), 3);
}

/// While the outcome is unknown, the key stays bound: a repeat says so, and offers nothing.
async fn a_key_binds_while_unknown(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Status(500, "")]).await;
    let conversations = conversations(&db, &telnyx).await;
    let first = send(&conversations, "Hi", Some("own")).await.expect("an unknown outcome");
    let before = telnyx.offers().len();
    let repeat = send(&conversations, "Hi", Some("own")).await.expect("an unknown outcome");
    assert_eq!((repeat.message.id, repeat.is_open()), (first.message.id, true));
    let other = send(&conversations, "Other", Some("own")).await.expect_err("another request");
    assert_eq!(other.code(), Code::IdempotencyKeyReused);
    assert_eq!(telnyx.offers().len(), before);
    telnyx.now_replying(&[Reply::Accept]);
    settle(&conversations).await;
    let repeat = send(&conversations, "Hi", Some("own")).await.expect("sent");
    assert_eq!((repeat.message.id, repeat.is_open()), (first.message.id, false));
}

/// After a refusal the key is free, for another request, too.
async fn a_key_is_free_after_a_refusal(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Status(422, REFUSED), Reply::Accept]).await;
    let conversations = conversations(&db, &telnyx).await;
    let error = send(&conversations, "Hi", Some("own")).await.expect_err("refused");
    let sent = send(&conversations, "Another", Some("own")).await.expect("sent");
    assert_ne!(error.extra().message_id, Some(sent.message.id));
    assert_eq!(sent.message.status, Status::Queued);
}

/// A key binds for 30 days; two servers that find it expired at once make one new message.
async fn a_key_is_free_after_thirty_days(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let one = conversations(&db, &telnyx).await;
    let two = conversations(&db, &telnyx).await;
    let old = send(&one, "Hi", Some("own")).await.expect("sent").message.id;
    age(&db, 30 * 24 * 3_600 - 60).await;
    assert_eq!(send(&one, "Hi", Some("own")).await.expect("sent").message.id, old);
    age(&db, 120).await;
    let (a, b) = tokio::join!(send(&one, "Hi", Some("own")), send(&two, "Hi", Some("own")));
    let (a, b) = (a.expect("sent").message.id, b.expect("sent").message.id);
    assert_eq!(a, b, "one new message");
    assert_ne!(a, old);
    assert_eq!(telnyx.offers().len(), 2);
    let one = only_message_but(&messages(&one).await, old);
    assert_eq!(one, a);
}

fn only_message_but(all: &[convo::domain::Message], known: uuid::Uuid) -> uuid::Uuid {
    let mut others = all.iter().filter(|message| message.id != known);
    let other = others.next().expect("another message").id;
    assert!(others.next().is_none());
    other
}

/// A send that an opt-out refuses stores nothing and binds nothing.
async fn a_key_is_not_bound_by_an_opt_out(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let conversations = conversations(&db, &telnyx).await;
    receive(&conversations, opt("e1", "STOP")).await;
    let error = send(&conversations, "Hi", Some("own")).await.expect_err("opted out");
    assert_eq!((error.code(), telnyx.offers().len()), (Code::OptedOut, 0));
    only_message(&conversations).await;
    receive(&conversations, opt("e2", "START")).await;
    assert!(!send(&conversations, "Other", Some("own")).await.expect("sent").is_open());
}

/// A text that was scheduled in time is repeated under its key when that time is near: the repeat
/// returns the message. Without the key the same request is refused.
async fn a_scheduled_text_is_repeated_when_its_time_is_near(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let conversations = conversations(&db, &telnyx).await;
    let (request, first) = loop {
        // Telnyx schedules at least five minutes ahead. A machine that pauses here misses that.
        let send_at = Some(convo::clock::now().plus_seconds(301));
        let request = SendRequest { send_at, ..text("later") };
        if let Ok(sent) = send_to(&conversations, CONTACT, request.clone(), Some("own")).await {
            break (request, sent.message.id);
        }
    };
    let draft = Draft::new(CONTACT, request.clone()).expect("a good request");
    eventually("the time to be too near", async || conversations.plan(&draft).await.is_err()).await;
    let again = send_to(&conversations, CONTACT, request.clone(), Some("own"))
        .await
        .expect("the same message");
    assert_eq!(again.message.id, first);
    let error =
        send_to(&conversations, CONTACT, request.clone(), Some("new")).await.expect_err("too near");
    assert_eq!(error.code(), Code::InvalidRequest);
    let other = SendRequest { send_at: request.send_at, ..text("another") };
    let error =
        send_to(&conversations, CONTACT, other, Some("own")).await.expect_err("another request");
    assert_eq!(error.code(), Code::IdempotencyKeyReused);
}

on_both_databases!(
    a_scheduled_text_is_repeated_when_its_time_is_near,
    a_key_binds_while_in_flight,
    a_repeat_waits_for_no_dead_process,
    a_key_makes_one_message_across_servers,
    a_key_freed_during_a_race_is_never_reported_as_reused,
    a_key_binds_after_a_restart,
    a_key_binds_while_unknown,
    a_key_is_free_after_a_refusal,
    a_key_is_free_after_thirty_days,
    a_key_is_not_bound_by_an_opt_out,
);
