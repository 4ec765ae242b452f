//! The guard for scripts gone wild: no contact gets more texts within an hour than are allowed, whichever
//! server sends them.

use convo::domain::SendRequest;
use convo::error::Code;
use convo::threading::{Conversations, Policy};
use futures_util::future::join_all;

use super::fixture::{age, messages, policy, send, send_to, text};
use crate::on_both_databases;
use crate::support::{CONTACT, FakeServer, REFUSED, Reply, TestDatabase, execute, open_sending};

async fn limited(
    db: &TestDatabase,
    telnyx: &FakeServer,
    send_limit: Option<usize>,
) -> Conversations {
    open_sending(&db.url, &telnyx.base_url(), Policy { send_limit, ..policy() }).await
}

/// Two servers send to a contact without a conversation at the same time.
async fn the_limit_holds_across_servers_from_the_first_text_on(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let servers = [limited(&db, &telnyx, Some(3)).await, limited(&db, &telnyx, Some(3)).await];
    let sends = (0..12).map(|n| {
        let server = servers[n % 2].clone();
        async move { send(&server, &format!("text {n}"), None).await }
    });
    let ended = join_all(sends).await;
    let refused: Vec<_> = ended.iter().filter_map(|ended| ended.as_ref().err()).collect();
    assert_eq!((refused.len(), telnyx.offers().len()), (9, 3));
    for error in refused {
        assert_eq!((error.code(), error.exit_code()), (Code::SendLimit, 5));
        let wait = error.extra().retry_after.expect("a time");
        assert!((3_500..=3_601).contains(&wait), "{wait}");
    }
    assert_eq!(messages(&servers[0]).await.len(), 3, "the others leave no trace");
    send_to(&servers[1], "+12125559999", text("another contact"), None).await.expect("sent");
    let despite = SendRequest { despite_send_limit: true, ..text("by hand") };
    send_to(&servers[0], CONTACT, despite, None).await.expect("sent all the same");
    age(&db, 3_601).await;
    send(&servers[0], "an hour later", None).await.expect("sent");
}

/// The time to wait is that until the oldest that counts is an hour old.
async fn the_oldest_text_tells_when_the_next_is_allowed(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let strict = limited(&db, &telnyx, Some(2)).await;
    send(&strict, "first", None).await.expect("sent");
    age(&db, 1_000).await;
    send(&strict, "second", None).await.expect("sent");
    let refused = send(&strict, "third", None).await.expect_err("refused");
    let wait = refused.extra().retry_after.expect("a time");
    assert!((2_590..=2_601).contains(&wait), "{wait}");
}

/// A repeat under a key is answered with the first text, and a refused key stays free.
async fn a_repeat_does_not_count_and_is_not_refused(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let strict = limited(&db, &telnyx, Some(2)).await;
    let first = send(&strict, "first", Some("one")).await.expect("sent");
    for _ in 0..3 {
        let again = send(&strict, "first", Some("one")).await.expect("the first one");
        assert_eq!(again.message.id, first.message.id);
    }
    send(&strict, "second", Some("two")).await.expect("sent");
    send(&strict, "first", Some("one")).await.expect("the first one");
    let refused = send(&strict, "third", Some("three")).await.expect_err("refused");
    assert_eq!(refused.code(), Code::SendLimit);
    let despite = SendRequest { despite_send_limit: true, ..text("something else") };
    send_to(&strict, CONTACT, despite, Some("three")).await.expect("its key is free");
    assert_eq!(telnyx.offers().len(), 3);
}

/// What was certainly not sent reached nobody and cost nothing.
async fn what_was_certainly_not_sent_does_not_count(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Status(422, REFUSED)]).await;
    let strict = limited(&db, &telnyx, Some(1)).await;
    for _ in 0..3 {
        let refused = send(&strict, "no", None).await.expect_err("Telnyx refuses it");
        assert_eq!(refused.code(), Code::TelnyxRefused);
    }
    telnyx.now_replying(&[Reply::Accept]);
    send(&strict, "yes", None).await.expect("sent");
    assert_eq!(send(&strict, "no", None).await.expect_err("enough").code(), Code::SendLimit);
    // Nor does what another program sent.
    execute(&db.url, "UPDATE messages SET base_url = NULL").await;
    send(&strict, "yes", None).await.expect("sent");
}

async fn the_limit_can_be_switched_off_and_sending_with_it(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let none = limited(&db, &telnyx, Some(0)).await;
    let refused = send(&none, "no", None).await.expect_err("refused");
    assert_eq!(refused.code(), Code::SendLimit);
    assert!(refused.to_string().contains("CONVO_SEND_LIMIT is 0"), "{refused}");
    let any = limited(&db, &telnyx, None).await;
    for n in 0..70 {
        send(&any, &format!("text {n}"), None).await.expect("sent");
    }
    let usual = limited(&db, &telnyx, Policy::default().send_limit).await;
    assert_eq!(send(&usual, "no", None).await.expect_err("enough").code(), Code::SendLimit);
}

on_both_databases!(
    the_limit_holds_across_servers_from_the_first_text_on,
    the_oldest_text_tells_when_the_next_is_allowed,
    a_repeat_does_not_count_and_is_not_refused,
    what_was_certainly_not_sent_does_not_count,
    the_limit_can_be_switched_off_and_sending_with_it,
);
