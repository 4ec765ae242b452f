//! Callers' own idempotency keys: what they bind, and when they are free.

use convo::domain::{SendRequest, Status};
use convo::error::Code;

use crate::bench::{CONTACT, age, messages, only_message, policy, send, soon, text, threads};
use crate::on_both_databases;
use crate::program::eventually;
use crate::support::TestDatabase;
use crate::telnyx::{Does, REFUSED, Telnyx};

/// While the first call is under way, a repeat gets the message as it stands and sends nothing.
async fn a_key_binds_while_in_flight(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Hold]).await;
    let (one, two) = (
        threads(&db, &telnyx.base_url(), policy()).await,
        threads(&db, &telnyx.base_url(), policy()).await,
    );
    let first = tokio::spawn(async move { send(&one, "Hi", Some("own")).await });
    telnyx.was_offered(1).await;
    let repeat = send(&two, "Hi", Some("own")).await.expect("a message");
    assert!(repeat.is_open());
    assert_eq!((repeat.message.status, repeat.idempotency_key.as_str()), (Status::Pending, "own"));
    let other = send(&two, "Something else", Some("own")).await.expect_err("another request");
    assert_eq!((other.code(), other.http_status().as_u16()), (Code::IdempotencyKeyReused, 422));
    telnyx.let_go();
    let sent = first.await.expect("no panic").expect("sent");
    assert_eq!((sent.message.id, sent.message.status), (repeat.message.id, Status::Queued));
    assert_eq!(telnyx.offers().len(), 1);
}

/// Many callers on two servers use one key at once: one message, one offer, one answer for all.
async fn a_key_makes_one_message_across_servers(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Accept]).await;
    let mut servers = Vec::new();
    for _ in 0..2 {
        servers.push(threads(&db, &telnyx.base_url(), policy()).await);
    }
    for round in 0..4 {
        let key = format!("key-{round}");
        let calls: Vec<_> = (0..16)
            .map(|n| {
                let (server, key) = (servers[n % 2].clone(), key.clone());
                tokio::spawn(async move { send(&server, &key, Some(&key)).await })
            })
            .collect();
        let mut ids = std::collections::BTreeSet::new();
        for call in calls {
            ids.insert(call.await.expect("no panic").expect("an outcome").message.id);
        }
        assert_eq!(ids.len(), 1, "all got the same message");
        assert_eq!(telnyx.offers().len(), round + 1);
    }
    assert_eq!(messages(&servers[0]).await.len(), 4);
    telnyx.assert_one_key_per_text();
}

/// While many callers on two servers use one key, Telnyx refuses: whoever is first frees the key,
/// and whoever comes between is told the truth, never that the key belongs to another request.
async fn a_key_that_is_freed_in_mid_race_is_never_another_requests(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Answer(422, REFUSED)]).await;
    let mut servers = Vec::new();
    for _ in 0..2 {
        servers.push(threads(&db, &telnyx.base_url(), policy()).await);
    }
    let calls: Vec<_> = (0..48)
        .map(|n| {
            let server = servers[n % 2].clone();
            tokio::spawn(async move { send(&server, "Hi", Some("own")).await })
        })
        .collect();
    for call in calls {
        match call.await.expect("no panic") {
            Ok(sent) => assert!(sent.is_open(), "somebody else's attempt was under way"),
            Err(error) => assert_eq!(error.code(), Code::TelnyxRefused, "{error}"),
        }
    }
    let all = messages(&servers[0]).await;
    assert_eq!(all.len(), telnyx.offers().len(), "every offer is a row");
    assert!(all.iter().all(|message| message.status == Status::SendingFailed));
    telnyx.now(&[Does::Accept]);
    assert!(!send(&servers[1], "Hi", Some("own")).await.expect("the key is free").is_open());
}

/// After a restart the key still stands for its message.
async fn a_key_binds_after_a_restart(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Accept]).await;
    let sent = {
        let before = threads(&db, &telnyx.base_url(), policy()).await;
        send(&before, "Hi", Some("own")).await.expect("sent")
    };
    let after = threads(&db, &telnyx.base_url(), policy()).await;
    let repeat = send(&after, "Hi", Some("own")).await.expect("sent");
    assert_eq!(repeat.message, sent.message);
    let without = send(&after, "Hi", Some(&sent.message.id.to_string())).await.expect("sent");
    assert_ne!(without.message.id, sent.message.id, "its own id is not the key of this one");
    let unnamed = send(&after, "Hello", None).await.expect("sent");
    assert_eq!(unnamed.idempotency_key, unnamed.message.id.to_string());
    let key = unnamed.idempotency_key.as_str();
    let repeat = after.send("+1 (212) 555-1234", &text("Hello"), Some(key)).await.expect("sent");
    assert_eq!(repeat.message.id, unnamed.message.id, "a send without a key has its id as key");
    assert_eq!(telnyx.offers().len(), 3);
}

/// While nobody knows, the key stays bound: a repeat is told so, and offers nothing.
async fn a_key_binds_while_unknown(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Answer(500, "")]).await;
    let threads = threads(&db, &telnyx.base_url(), policy()).await;
    let first = send(&threads, "Hi", Some("own")).await.expect("nobody knows");
    let before = telnyx.offers().len();
    let repeat = send(&threads, "Hi", Some("own")).await.expect("nobody knows");
    assert_eq!((repeat.message.id, repeat.is_open()), (first.message.id, true));
    let other = send(&threads, "Other", Some("own")).await.expect_err("another request");
    assert_eq!(other.code(), Code::IdempotencyKeyReused);
    assert_eq!(telnyx.offers().len(), before);
    telnyx.now(&[Does::Accept]);
    threads.settle(soon()).await.expect("settled");
    let repeat = send(&threads, "Hi", Some("own")).await.expect("sent");
    assert_eq!((repeat.message.id, repeat.is_open()), (first.message.id, false));
}

/// After an answer that nothing was sent the key is free, for another request, too.
async fn a_key_is_free_after_a_refusal(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Answer(422, REFUSED), Does::Accept]).await;
    let threads = threads(&db, &telnyx.base_url(), policy()).await;
    let error = send(&threads, "Hi", Some("own")).await.expect_err("refused");
    let sent = send(&threads, "Another", Some("own")).await.expect("sent");
    assert_ne!(error.extra().message_id, Some(sent.message.id));
    assert_eq!(sent.message.status, Status::Queued);
}

/// A key binds for 30 days and not for ever; also when two servers find it expired at once.
async fn a_key_is_free_after_thirty_days(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Accept]).await;
    let one = threads(&db, &telnyx.base_url(), policy()).await;
    let two = threads(&db, &telnyx.base_url(), policy()).await;
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
    let telnyx = Telnyx::that(&[Does::Accept]).await;
    let threads = threads(&db, &telnyx.base_url(), policy()).await;
    crate::bench::say(&threads, "e1", "STOP").await;
    let error = send(&threads, "Hi", Some("own")).await.expect_err("opted out");
    assert_eq!((error.code(), telnyx.offers().len()), (Code::OptedOut, 0));
    only_message(&threads).await;
    crate::bench::say(&threads, "e2", "START").await;
    assert!(!send(&threads, "Other", Some("own")).await.expect("sent").is_open());
}

/// A text that was scheduled in time is repeated under its key when that time is near: the repeat
/// gets the message. Without a key the same request is refused.
async fn a_scheduled_text_is_repeated_when_its_time_is_near(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Accept]).await;
    let threads = threads(&db, &telnyx.base_url(), policy()).await;
    let (request, first) = loop {
        // Telnyx schedules from five minutes ahead. A machine that stands still is late for that.
        let send_at = Some(convo::clock::now().plus_seconds(301));
        let request = SendRequest { send_at, ..text("later") };
        if let Ok(sent) = threads.send(CONTACT, &request, Some("own")).await {
            break (request, sent.message.id);
        }
    };
    eventually(async || threads.plan(CONTACT, &request).await.is_err()).await;
    let again = threads.send(CONTACT, &request, Some("own")).await.expect("the same message");
    assert_eq!(again.message.id, first);
    let error = threads.send(CONTACT, &request, Some("new")).await.expect_err("too near");
    assert_eq!(error.code(), Code::InvalidRequest);
    let other = SendRequest { send_at: request.send_at, ..text("another") };
    let error = threads.send(CONTACT, &other, Some("own")).await.expect_err("another request");
    assert_eq!(error.code(), Code::IdempotencyKeyReused);
}

on_both_databases!(
    a_scheduled_text_is_repeated_when_its_time_is_near,
    a_key_binds_while_in_flight,
    a_key_makes_one_message_across_servers,
    a_key_that_is_freed_in_mid_race_is_never_another_requests,
    a_key_binds_after_a_restart,
    a_key_binds_while_unknown,
    a_key_is_free_after_a_refusal,
    a_key_is_free_after_thirty_days,
    a_key_is_not_bound_by_an_opt_out,
);
