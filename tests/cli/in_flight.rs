//! Repeats under a key whose first send is still in flight: they wait for it and answer the same.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use rustix::process::Signal;

use crate::on_both_databases;
use crate::support::{
    Answer, CONTACT, Done, FakeServer, Home, REFUSED, Reply, Running, Server, TestDatabase,
    Unresponsive, base_url, eventually, wait_until,
};

/// What is logged of a repeat that waits.
const WAITING: &str = "waiting for the first send under its key";
const STOPPED: &str = r#"{"errors":[{"code":"40300","title":"Blocked due to STOP message"}]}"#;

/// What Telnyx answers to the first send once all others wait for it, and what all of them are told:
/// the status and code of the API, the exit code.
type Case = (Reply, u16, &'static str, i32);

fn cases() -> [Case; 5] {
    [
        (Reply::Hold, 201, "", 0),
        (Reply::HoldStatus(403, STOPPED), 403, "opted_out", 7),
        (Reply::HoldRateLimit(60), 429, "rate_limited", 5),
        (Reply::HoldStatus(401, REFUSED), 401, "invalid_api_key", 4),
        (Reply::HoldStatus(422, REFUSED), 422, "telnyx_refused", 6),
    ]
}

/// One contact a case: a refusal may be an opt-out.
fn contact(case: usize) -> String {
    format!("+1212555020{case}")
}

fn key(contact: &str) -> String {
    contact.replace('+', "key-")
}

fn home(db: &TestDatabase, base_url: &str) -> Home {
    let log = "off,convo::server=info,convo::threading::replay=debug";
    Home::new().with_database(db).sending_to(base_url).set("CONVO_LOG", log)
}

fn count_waiting(servers: &[Server], commands: &[Running]) -> usize {
    let logs = servers.iter().map(Server::log);
    let outputs = commands.iter().map(Running::err_so_far);
    logs.chain(outputs).map(|log| log.matches(WAITING).count()).sum()
}

/// Posts one message sixteen times at once under one key, spread over some servers. As soon as all but
/// the first wait, `release` lets Telnyx answer.
async fn post_sixteen(servers: &[Server], contact: &str, release: impl FnOnce()) -> Vec<Answer> {
    let path = format!("/conversations/{contact}/send");
    let line = format!("idempotency-key: {}\r\n", key(contact));
    let before = count_waiting(servers, &[]);
    let servers_in_turn = servers.iter().cycle().take(16);
    let posts = servers_in_turn.map(|server| server.post(&path, &line, r#"{"message":"Hi"}"#));
    let release_in_time = async {
        let all_wait = async || count_waiting(servers, &[]) == before + 15;
        eventually("fifteen to wait", all_wait).await;
        release();
    };
    tokio::join!(join_all(posts), release_in_time).0
}

/// Runs one `convo send` sixteen times at once under one key, half of them through a server.
fn run_sixteen(
    home: &Home,
    server: &[Server; 1],
    contact: &str,
    release: impl FnOnce(),
) -> Vec<Done> {
    let (key, url) = (key(contact), server[0].url());
    let before = count_waiting(server, &[]);
    let local = ["send", contact, "Hi", "--json", "--idempotency-key", &key];
    let remote = [&local[..], &["--server", &url]].concat();
    let start = |n: usize| home.start(if n.is_multiple_of(2) { &local } else { &remote[..] });
    let running: Vec<_> = (0..16).map(start).collect();
    wait_until("fifteen to wait", || count_waiting(server, &running) == before + 15);
    release();
    running.into_iter().map(Running::wait).collect()
}

/// What a command says on standard error beside the log.
fn said(done: &Done) -> String {
    done.err.lines().filter(|line| !line.contains(WAITING)).collect()
}

#[track_caller]
fn assert_one_answer(answers: &[Answer], (status, code): (u16, &str)) {
    let first = &answers[0];
    assert_eq!(first.status, status, "{first:?}");
    for answer in answers {
        assert_eq!((answer.status, answer.json()), (status, first.json()));
        for name in ["retry-after", "idempotency-key"] {
            assert_eq!(answer.header(name), first.header(name));
        }
    }
    if status == 201 {
        assert_eq!(first.json()["status"], "queued");
    } else {
        assert_eq!(first.json()["code"], code);
    }
    let retry_after = (status == 429).then_some("60");
    assert_eq!(first.header("retry-after"), retry_after);
}

async fn sixteen_posts_have_one_answer(db: &TestDatabase, count: usize) {
    let telnyx = FakeServer::replying(&[Reply::Hold]).await;
    let home = home(db, &telnyx.base_url());
    let servers: Vec<_> = (0..count).map(|_| Server::start(&home)).collect();
    for (n, (reply, status, code, _)) in cases().into_iter().enumerate() {
        telnyx.now_replying(&[reply]);
        let answers = post_sixteen(&servers, &contact(n), || telnyx.release()).await;
        assert_one_answer(&answers, (status, code));
        assert_eq!(telnyx.offers().len(), n + 1, "{code}: one offer");
    }
    assert_eq!(telnyx.keys().len(), 5);
    let away = Unresponsive::new().await;
    let home = home.without("TELNYX_BASE_URL").set("TELNYX_BASE_URL", base_url(away.address));
    let servers: Vec<_> = (0..count).map(|_| Server::start(&home)).collect();
    let answers = post_sixteen(&servers, CONTACT, || drop(away)).await;
    assert_one_answer(&answers, (503, "telnyx_unreachable"));
}

async fn sixteen_posts_to_one_server_have_one_answer(db: TestDatabase) {
    sixteen_posts_have_one_answer(&db, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_posts_to_three_servers_have_one_answer() {
    sixteen_posts_have_one_answer(&TestDatabase::postgres().await, 3).await;
}

async fn sixteen_commands_end_the_same(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Hold]).await;
    let home = home(&db, &telnyx.base_url());
    let server = [Server::start(&home)];
    for (n, (reply, _, code, exit)) in cases().into_iter().enumerate() {
        telnyx.now_replying(&[reply]);
        let done = run_sixteen(&home, &server, &contact(n), || telnyx.release());
        let ends: BTreeSet<_> = done.iter().map(|one| (one.code, &one.out, said(one))).collect();
        assert_eq!(ends.len(), 1, "{ends:#?}");
        assert_eq!(done[0].code, exit, "{ends:?}");
        assert_eq!(exit == 0, !said(&done[0]).contains(&format!(r#""code":"{code}""#)));
        assert_eq!(telnyx.offers().len(), n + 1, "{code}: one offer");
    }
    let away = Unresponsive::new().await;
    let home = home.without("TELNYX_BASE_URL").set("TELNYX_BASE_URL", base_url(away.address));
    let server = [Server::start(&home)];
    let done = run_sixteen(&home, &server, CONTACT, || drop(away));
    let ends: BTreeSet<_> = done.iter().map(|one| (one.code, &one.out, said(one))).collect();
    assert_eq!((ends.len(), done[0].code), (1, 5), "{ends:#?}");
}

/// Whoever waited does not take the freed key; whoever comes later does.
async fn a_key_is_free_for_who_comes_after_the_refusal(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::HoldStatus(422, REFUSED)]).await;
    let home = home(&db, &telnyx.base_url());
    let server = [Server::start(&home)];
    post_sixteen(&server, CONTACT, || telnyx.release()).await;
    telnyx.now_replying(&[Reply::Accept]);
    home.run(&["send", CONTACT, "Another", "--idempotency-key", &key(CONTACT)]).exits(0);
    assert_eq!(telnyx.offers().len(), 2);
}

/// Ctrl-C ends a repeat that waits, and leaves the first send alone.
async fn an_interrupt_ends_the_wait(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Hold]).await;
    let home = home(&db, &telnyx.base_url());
    home.run(&["migrate"]).exits(0);
    let send = ["send", CONTACT, "Hi", "--idempotency-key", "own"];
    let first = home.start(&send);
    telnyx.wait_for_offers(1).await;
    let repeat = home.start(&send);
    wait_until("the repeat to wait", || repeat.err_so_far().contains(WAITING));
    repeat.signal(Signal::INT);
    let repeat = repeat.wait().exits(9);
    assert!(repeat.err.contains("still in progress"), "{}", repeat.err);
    telnyx.release();
    assert_eq!(first.wait().exits(0).id(), repeat.id());
    assert_eq!(telnyx.offers().len(), 1);
}

on_both_databases!(
    sixteen_posts_to_one_server_have_one_answer,
    sixteen_commands_end_the_same,
    a_key_is_free_for_who_comes_after_the_refusal,
    an_interrupt_ends_the_wait,
);
