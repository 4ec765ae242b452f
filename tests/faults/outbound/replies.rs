//! Automatic answers: each message is answered once, whoever answers it and however often, and no
//! contact gets more of them within an hour than are allowed.

use std::collections::BTreeSet;

use convo::domain::{Direction, IdempotencyKey, SendRequest, Sent, Status};
use convo::error::{Code, Error};
use convo::threading::{Conversations, Policy};
use futures_util::future::join_all;
use uuid::Uuid;

use super::fixture::{age, conversations, impatient, messages, policy, send_to, text};
use crate::on_both_databases;
use crate::support::{
    CONTACT, Event, FakeServer, REFUSED, Reply, TestDatabase, execute, open_sending, receive,
};

fn answer(answered: Uuid, words: &str) -> SendRequest {
    SendRequest { in_reply_to: Some(answered), ..text(words) }
}

async fn reply(conversations: &Conversations, answered: Uuid, words: &str) -> Result<Sent, Error> {
    send_to(conversations, CONTACT, answer(answered, words), None).await
}

/// The contact writes a text; returns convo's id of it.
async fn text_arrives(conversations: &Conversations, name: &str) -> Uuid {
    receive(conversations, Event::inbound(name, name, CONTACT, name)).await;
    let all = messages(conversations).await;
    let found = all.iter().find(|message| message.body == name);
    found.expect("the text is stored").id
}

async fn limited(db: &TestDatabase, telnyx: &FakeServer, limit: usize) -> Conversations {
    let policy = Policy { reply_limit: limit, ..policy() };
    open_sending(&db.url, &telnyx.base_url(), policy).await
}

/// Several servers answer one message at the same time, each with a text of its own: one goes out, and all
/// are told of it.
async fn servers_that_answer_at_once_send_one_text(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let mut servers = Vec::new();
    for _ in 0..4 {
        servers.push(conversations(&db, &telnyx).await);
    }
    for round in 0..5 {
        let answered = text_arrives(&servers[0], &format!("question {round}")).await;
        let answers = servers.iter().flat_map(|server| (0..3).map(move |n| (server, n)));
        let sends = answers.map(|(server, n)| async move {
            reply(server, answered, &format!("round {round}, answer {n}")).await.expect("sent")
        });
        let sent = join_all(sends).await;
        let ids: BTreeSet<_> = sent.iter().map(|sent| sent.message.id).collect();
        let bodies: BTreeSet<_> = sent.iter().map(|sent| &sent.message.body).collect();
        assert_eq!((ids.len(), bodies.len()), (1, 1), "{sent:?}");
        assert_eq!(sent[0].message.in_reply_to, Some(answered));
        assert_eq!(sent[0].idempotency_key, IdempotencyKey::for_reply(answered));
        assert_eq!(telnyx.offers().len(), round + 1);
    }
}

/// A process dies between storing the answer and learning what became of it. Whoever answers again, even
/// with other words, brings the first answer to its end: the same request under the same key.
async fn an_abandoned_answer_is_brought_to_its_end(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Silence, Reply::Accept]).await;
    let usual = impatient(&db, &telnyx, 1_500).await;
    let answered = text_arrives(&usual, "question").await;
    let dying = tokio::spawn({
        let usual = usual.clone();
        async move { reply(&usual, answered, "first").await }
    });
    telnyx.wait_for_offers(1).await;
    dying.abort();
    let waited = reply(&usual, answered, "second").await.expect("the first one may be in flight");
    assert_eq!(waited.message.status, Status::Pending);
    assert_eq!(telnyx.offers().len(), 1, "while it may be in flight, it is not offered again");
    age(&db, 60).await;
    let ended = reply(&usual, answered, "third").await.expect("sent");
    assert_eq!((ended.message.body.as_str(), ended.message.status), ("first", Status::Queued));
    assert_eq!(ended.message.id, waited.message.id);
    let offers = telnyx.offers();
    assert_eq!((offers.len(), &offers[0]), (2, &offers[1]), "the same key, the same bytes");
    reply(&usual, answered, "fourth").await.expect("the answer given");
    assert_eq!(telnyx.offers().len(), 2);
    telnyx.assert_one_key_per_text();
}

/// Telnyx fails for a while: repeated answers are the same request until it is taken, then none.
async fn an_answer_of_unknown_outcome_is_repeated_until_it_is_known(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Status(500, "")]).await;
    let usual = impatient(&db, &telnyx, 900).await;
    let answered = text_arrives(&usual, "question").await;
    let first = reply(&usual, answered, "first").await.expect("unknown");
    assert!(first.is_open());
    assert!(reply(&usual, answered, "second").await.expect("still unknown").is_open());
    let before = telnyx.offers().len();
    let once = SendRequest { no_retry: true, ..answer(answered, "third") };
    assert!(send_to(&usual, CONTACT, once, None).await.expect("unknown").is_open());
    assert_eq!(telnyx.offers().len(), before, "no_retry does not repeat it");
    telnyx.now_replying(&[Reply::Accept]);
    let taken = reply(&usual, answered, "fourth").await.expect("sent");
    assert_eq!((taken.message.id, taken.message.body.as_str()), (first.message.id, "first"));
    assert_eq!(taken.message.status, Status::Queued);
    telnyx.assert_one_key_per_text();
}

/// What was certainly not sent may be answered with another text, and does not count.
async fn a_refused_answer_frees_the_message(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Status(422, REFUSED), Reply::Accept]).await;
    let strict = limited(&db, &telnyx, 1).await;
    let answered = text_arrives(&strict, "question").await;
    let refused = reply(&strict, answered, "first").await.expect_err("Telnyx refuses it");
    assert_eq!(refused.code(), Code::TelnyxRefused);
    let sent = reply(&strict, answered, "second").await.expect("sent");
    assert_eq!((sent.message.body.as_str(), telnyx.offers().len()), ("second", 2));
}

/// Two servers answer many messages of one contact at the same time: no more go out than are allowed,
/// the others leave no trace, and after an hour there may be more.
async fn the_limit_holds_across_servers(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let servers = [limited(&db, &telnyx, 3).await, limited(&db, &telnyx, 3).await];
    let mut questions = Vec::new();
    for n in 0..12 {
        questions.push(text_arrives(&servers[0], &format!("question {n}")).await);
    }
    let sends = questions.iter().enumerate().map(|(n, question)| {
        let (server, question) = (servers[n % 2].clone(), *question);
        async move { reply(&server, question, "an answer").await }
    });
    let ended = join_all(sends).await;
    let withheld: Vec<_> = ended.iter().filter_map(|ended| ended.as_ref().err()).collect();
    assert_eq!((withheld.len(), telnyx.offers().len()), (9, 3));
    for error in withheld {
        assert_eq!((error.code(), error.exit_code()), (Code::ReplyLimit, 5));
        let wait = error.extra().retry_after.expect("a time");
        assert!((3_500..=3_601).contains(&wait), "{wait}");
    }
    let stored = messages(&servers[0]).await;
    assert_eq!(stored.iter().filter(|one| one.direction == Direction::Outbound).count(), 3);
    // The answers given can be repeated, and what is no answer is not limited.
    let given = ended.iter().position(Result::is_ok).expect("an answer was given");
    reply(&servers[1], questions[given], "again").await.expect("the answer given");
    send_to(&servers[0], CONTACT, text("by hand"), None).await.expect("sent");
    age(&db, 3_601).await;
    let open = ended.iter().position(Result::is_err).expect("one was withheld");
    reply(&servers[0], questions[open], "later").await.expect("sent");
    let none = limited(&db, &telnyx, 0).await;
    let question = text_arrives(&none, "question for none").await;
    let refused = reply(&none, question, "never").await.expect_err("switched off");
    assert_eq!(refused.code(), Code::ReplyLimit);
    assert!(refused.to_string().contains("CONVO_REPLY_LIMIT is 0"), "{refused}");
}

/// Other idempotency keys expire after 30 days; an answer stays the only one.
async fn an_answer_stays_the_only_one_for_ever(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let usual = conversations(&db, &telnyx).await;
    let answered = text_arrives(&usual, "question").await;
    let first = reply(&usual, answered, "first").await.expect("sent");
    let by = 40_i64 * 24 * 3_600 * 1_000_000;
    execute(&db.url, &format!("UPDATE idempotency_keys SET created_at = created_at - {by}")).await;
    let again = reply(&usual, answered, "second").await.expect("the answer given");
    assert_eq!((again.message.id, telnyx.offers().len()), (first.message.id, 1));
}

/// Only an inbound message of the recipient can be answered, and only under its own key.
async fn an_answer_needs_a_message_of_the_recipient(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let usual = conversations(&db, &telnyx).await;
    let answered = text_arrives(&usual, "question").await;
    let sent = reply(&usual, answered, "first").await.expect("sent").message.id;
    let key = format!("reply:{answered}");
    for (to, request, own, code, words) in [
        (CONTACT, answer(Uuid::nil(), "x"), None, Code::MessageNotFound, "not found"),
        (CONTACT, answer(sent, "x"), None, Code::InvalidRequest, "was sent from here"),
        ("+12125559999", answer(answered, "x"), None, Code::InvalidRequest, "not a message of"),
        (CONTACT, answer(answered, "x"), Some("mine"), Code::InvalidRequest, "key of its own"),
        (CONTACT, text("x"), Some(key.as_str()), Code::InvalidRequest, "belongs to an answer"),
    ] {
        let error = send_to(&usual, to, request, own).await.expect_err(words);
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(words) && error.hint_text().is_some(), "{error}");
    }
    let again = send_to(&usual, CONTACT, answer(answered, "x"), Some(&key)).await;
    assert_eq!(again.expect("the answer given").message.id, sent);
    assert_eq!(telnyx.offers().len(), 1);
}

on_both_databases!(
    servers_that_answer_at_once_send_one_text,
    an_abandoned_answer_is_brought_to_its_end,
    an_answer_of_unknown_outcome_is_repeated_until_it_is_known,
    a_refused_answer_frees_the_message,
    the_limit_holds_across_servers,
    an_answer_stays_the_only_one_for_ever,
    an_answer_needs_a_message_of_the_recipient,
);
