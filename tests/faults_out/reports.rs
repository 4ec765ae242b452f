//! Reports and answers that name messages in the wrong order, or the wrong ones.

use convo::domain::{Direction, Status};
use convo::threading::{Settled, Threads};

use crate::bench::{
    CONTACT, detail, messages, only_message, policy, receive, report, say, send, soon, status,
    threads,
};
use crate::on_both_databases;
use crate::support::TestDatabase;
use crate::telnyx::{Does, Telnyx};

/// Begins a send that Telnyx holds.
async fn begin(
    threads: &Threads,
    telnyx: &Telnyx,
) -> tokio::task::JoinHandle<convo::domain::Message> {
    let before = telnyx.offers().len();
    let threads = threads.clone();
    let sending = async move { send(&threads, "Hi", None).await.expect("sent").message };
    let sending = tokio::spawn(sending);
    telnyx.was_offered(before + 1).await;
    sending
}

/// Reports without a tag come before the answer of the send they are about: they wait, and become
/// no message of another program.
async fn a_report_before_the_answer_waits_for_it(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Hold]).await;
    let threads = threads(&db, &telnyx.base_url(), policy()).await;
    let sending = begin(&threads, &telnyx).await;
    let telnyx_id = format!("telnyx-{}", telnyx.offers()[0].key);
    receive(&threads, &report("e2", &telnyx_id, "delivered", None)).await;
    receive(&threads, &report("e1", &telnyx_id, "sent", None)).await;
    assert!(threads.settle(convo::clock::now()).await.expect("settled").is_empty());
    assert_eq!(only_message(&threads).await.status, Status::Pending, "the reports wait");
    telnyx.let_go();
    let sent = sending.await.expect("no panic");
    assert_eq!(sent.status, Status::Delivered, "the answer finds what was reported");
    assert_eq!(detail(&threads, sent.id).await.history.expect("asked for").len(), 2);
    assert!(threads.settle(soon()).await.expect("settled").iter().all(|s| s.id == sent.id));
    assert_eq!(only_message(&threads).await.id, sent.id);
}

/// A report waits for a message that turns out to be another: it is threaded as what another
/// program sent, dated by when it came.
async fn a_report_that_waited_for_another_message_is_threaded(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Hold]).await;
    let threads = threads(&db, &telnyx.base_url(), policy()).await;
    let sending = begin(&threads, &telnyx).await;
    let before = convo::clock::now();
    receive(&threads, &report("e1", "of-another-program", "sent", None)).await;
    receive(&threads, &report("e2", "of-another-program", "delivered", None)).await;
    let after = convo::clock::now();
    assert_eq!(messages(&threads).await.len(), 1);
    telnyx.let_go();
    let ours = sending.await.expect("no panic");
    let settled = threads.settle(convo::clock::now()).await.expect("settled");
    let all = messages(&threads).await;
    let foreign = all.iter().find(|message| message.id != ours.id).expect("the other message");
    assert_eq!(settled, [Settled { id: foreign.id, status: Status::Delivered }]);
    assert_eq!((all.len(), foreign.direction), (2, Direction::Outbound));
    assert_eq!((foreign.body.as_str(), foreign.to.as_str()), ("Hi", CONTACT));
    assert!((before..=after).contains(&foreign.created_at));
    assert_eq!(detail(&threads, foreign.id).await.history.expect("asked for").len(), 2);
    assert!(threads.settle(soon()).await.expect("settled").is_empty(), "it waits no longer");
}

/// The answer is lost, but a report tells what it would have: nothing is offered again, and the
/// caller need not wait for more.
async fn a_report_settles_what_a_lost_answer_left_open(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::HoldAnswer(502, ""), Does::Accept]).await;
    let threads = threads(&db, &telnyx.base_url(), policy()).await;
    let sending = begin(&threads, &telnyx).await;
    let id = telnyx.offers()[0].key.parse().expect("an id");
    receive(&threads, &report("e1", "of-the-lost-answer", "delivered", Some(id))).await;
    telnyx.let_go();
    let sent = sending.await.expect("no panic");
    assert_eq!((sent.id, sent.status), (id, Status::Delivered));
    assert_eq!(sent.telnyx_message_id.as_deref(), Some("of-the-lost-answer"));
    assert_eq!(telnyx.offers().len(), 1);
}

/// A report waits for ten minutes and not for ever. If then the answer names its message after
/// all, the two rows become one: ours. Counters and opt-out stay right.
async fn an_answer_that_names_an_adopted_message_merges_the_two(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Silence]).await;
    let threads = threads(&db, &telnyx.base_url(), policy()).await;
    let sending = begin(&threads, &telnyx).await;
    sending.abort();
    let id = telnyx.offers()[0].key.parse().expect("an id");
    let telnyx_id = format!("telnyx-{id}");
    receive(&threads, &report("e1", &telnyx_id, "sent", None)).await;
    say(&threads, "e2", "START").await;
    let nearly = convo::clock::now().plus_seconds(590);
    assert_eq!(
        threads.settle(nearly).await.expect("settled"),
        [Settled { id, status: Status::Unknown }]
    );
    assert_eq!(messages(&threads).await.len(), 2, "ours, and what the contact said");
    let over = convo::clock::now().plus_seconds(601);
    let adopted = threads.settle(over).await.expect("settled");
    assert_eq!((adopted.len(), adopted[0].status), (1, Status::Sent));
    assert_ne!(adopted[0].id, id);
    assert_eq!(messages(&threads).await.len(), 3);
    crate::bench::age(&db, 700).await;
    telnyx.now(&[Does::Accept]);
    let sent = threads.retry(id, false).await.expect("an outcome");
    assert_eq!((sent.id, sent.status), (id, Status::Sent), "ours survives, with what was reported");
    let all = messages(&threads).await;
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(threads.message(adopted[0].id).await.is_err());
    receive(&threads, &report("e3", &telnyx_id, "delivered", None)).await;
    assert_eq!(status(&threads, id).await, Status::Delivered);
    let thread = threads.conversations(None, 1).await.expect("a list").remove(0);
    assert_eq!(thread.opted_out_at, None);
}

/// Telnyx's answer names an id that another message of ours, or one of the contact's, has already:
/// nothing is taken away. Both were accepted.
async fn an_answer_that_names_a_message_of_ours_takes_nothing_away(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::AcceptAs("same")]).await;
    let threads = threads(&db, &telnyx.base_url(), policy()).await;
    say(&threads, "inbound", "HELP").await;
    let first = send(&threads, "one", None).await.expect("sent").message;
    let second = send(&threads, "two", None).await.expect("sent").message;
    assert_eq!(first.telnyx_message_id.as_deref(), Some("same"));
    assert_eq!((second.status, second.telnyx_message_id), (Status::Queued, None));
    telnyx.now(&[Does::AcceptAs("inbound")]);
    let third = send(&threads, "three", None).await.expect("sent").message;
    assert_eq!((third.status, third.telnyx_message_id), (Status::Queued, None));
    assert_eq!(messages(&threads).await.len(), 4);
    receive(&threads, &report("e1", "same", "delivered", None)).await;
    assert_eq!(status(&threads, first.id).await, Status::Delivered);
    assert_eq!(status(&threads, second.id).await, Status::Queued);
}

/// A report by its tag gives a message one id and the answer another: Telnyx has sent two texts,
/// and the thread shows both.
async fn two_texts_under_one_key_are_both_shown(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Hold]).await;
    let threads = threads(&db, &telnyx.base_url(), policy()).await;
    let sending = begin(&threads, &telnyx).await;
    let id = telnyx.offers()[0].key.parse().expect("an id");
    receive(&threads, &report("e1", "the-first", "sent", Some(id))).await;
    telnyx.let_go();
    let sent = sending.await.expect("no panic");
    assert_eq!(sent.telnyx_message_id.as_deref(), Some("the-first"));
    assert_eq!(sent.status, Status::Sent);
    receive(&threads, &report("e2", &format!("telnyx-{id}"), "delivered", Some(id))).await;
    assert_eq!(messages(&threads).await.len(), 2);
    assert_eq!(status(&threads, id).await, Status::Sent);
}

on_both_databases!(
    a_report_before_the_answer_waits_for_it,
    a_report_settles_what_a_lost_answer_left_open,
    a_report_that_waited_for_another_message_is_threaded,
    an_answer_that_names_an_adopted_message_merges_the_two,
    an_answer_that_names_a_message_of_ours_takes_nothing_away,
    two_texts_under_one_key_are_both_shown,
);
