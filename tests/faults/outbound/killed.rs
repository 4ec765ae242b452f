//! The program is killed or interrupted at every point of a send, or its client disconnects.
//!
//! Each point is reached for certain: Telnyx accepts no connection (stored, not called), holds its
//! answer (during the call), or has answered while the database is locked (answered, not recorded).

use convo::domain::Status;
use convo::threading::Conversations;
use rustix::process::Signal;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use uuid::Uuid;

use super::fixture::{Locked, age, conversations, messages, only_message, policy, report, status};
use crate::on_both_databases;
use crate::support::{
    CONTACT, FakeServer, Home, Reply, Running, Server, TestDatabase, Unresponsive, base_url,
    eventually, open_sending, receive, request, wait_until,
};

/// The settings of commands that send to a fake Telnyx.
fn home(db: &TestDatabase, base_url: &str) -> Home {
    Home::new().with_database(db).sending_to(base_url)
}

/// Starts a send with a key of the caller.
fn start_send(home: &Home) -> Running {
    home.start(&["send", CONTACT, "Hi", "--idempotency-key", "own"])
}

/// A send with a key whose process is killed while Telnyx is silent, long enough ago to be settled.
/// Returns the message's id.
async fn kill_during_call(
    db: &TestDatabase,
    telnyx: &FakeServer,
    observer: &Conversations,
) -> Uuid {
    let home = home(db, &telnyx.base_url());
    let sending = start_send(&home);
    telnyx.wait_for_offers(1).await;
    let id = only_message(observer).await.id;
    sending.kill();
    age(db, 60).await;
    id
}

/// What `convo sync --no-fetch` settles: an id and a status on each line.
fn settle(home: &Home) -> String {
    let report = home.run(&["sync", "--no-fetch", "--json"]).exits(0).json();
    let settled = report["settled"].as_array().expect("a list").clone();
    let line = |one: serde_json::Value| {
        format!(
            "{}\t{}\n",
            one["id"].as_str().expect("id"),
            one["status"].as_str().expect("status")
        )
    };
    settled.into_iter().map(line).collect()
}

/// SIGKILL after the row is stored and before Telnyx is called. `convo sync` sends it under its key,
/// once, and only when the attempt's time is over.
async fn a_send_killed_before_the_call_is_offered_once(db: TestDatabase) {
    let unresponsive = Unresponsive::new().await;
    let address = unresponsive.address;
    let home = home(&db, &base_url(address));
    let observer = open_sending(&db.url, &base_url(address), policy()).await;
    let sending = start_send(&home);
    eventually("the row", async || !messages(&observer).await.is_empty()).await;
    let id = only_message(&observer).await.id;
    sending.kill();
    assert_eq!(status(&observer, id).await, Status::Pending);
    assert_eq!(settle(&home), "", "its time is not over");
    drop(unresponsive);
    let telnyx = FakeServer::in_place_of(address, &[Reply::Accept]).await;
    age(&db, 60).await;
    assert_eq!(settle(&home), format!("{id}\tqueued\n"));
    assert_eq!(settle(&home), "");
    assert_eq!(telnyx.offers().len(), 1);
    assert_eq!(telnyx.keys().into_iter().collect::<Vec<_>>(), [id.to_string()]);
}

/// SIGKILL during the call, of a send without a key: the outcome is unknown, and nothing is offered
/// again but by `convo retry`.
async fn a_send_killed_during_the_call_becomes_unknown(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Silence, Reply::Accept]).await;
    let observer = conversations(&db, &telnyx).await;
    let home = home(&db, &telnyx.base_url());
    let sending = home.start(&["send", CONTACT, "Hi"]);
    telnyx.wait_for_offers(1).await;
    let id = only_message(&observer).await.id;
    sending.kill();
    age(&db, 60).await;
    assert_eq!(settle(&home), format!("{id}\tunknown\n"));
    assert_eq!(settle(&home), "");
    assert_eq!(telnyx.offers().len(), 1);
    let retried = home.run(&["retry", &id.to_string()]).exits(0);
    assert_eq!(retried.out, format!("{id}\n"));
    telnyx.assert_one_key_per_text();
    assert_eq!(telnyx.offers().len(), 2);
    assert_eq!(home.run(&["retry", &id.to_string()]).exits(2).out, "");
}

/// SIGKILL between Telnyx's answer and its record. A report settles it; without one, the retry under
/// the same key gets Telnyx's first answer again.
async fn a_send_killed_before_its_answer_is_recorded_is_settled(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Hold]).await;
    let observer = conversations(&db, &telnyx).await;
    let home = home(&db, &telnyx.base_url());
    let mut ids = Vec::new();
    for (round, key) in [&[][..], &["--idempotency-key", "own"]].into_iter().enumerate() {
        let sending = home.start(&[&["send", CONTACT, &format!("text {round}")], key].concat());
        telnyx.wait_for_offers(round + 1).await;
        let locked = Locked::new(&db).await;
        telnyx.release();
        // It has closed the connection, so it has read the answer.
        telnyx.wait_for_hang_ups(round + 1).await;
        sending.kill();
        locked.unlock().await;
        let id: Uuid = telnyx.offers()[round].key.parse().expect("an id");
        assert_eq!(status(&observer, id).await, Status::Pending);
        ids.push(id);
    }
    let telnyx_id = format!("telnyx-{}", ids[0]);
    receive(&observer, report("e1", &telnyx_id, "delivered", Some(ids[0]))).await;
    telnyx.now_replying(&[Reply::Accept]);
    age(&db, 60).await;
    assert_eq!(settle(&home), format!("{}\tqueued\n", ids[1]));
    assert_eq!(status(&observer, ids[0]).await, Status::Delivered);
    assert_eq!(telnyx.offers().len(), 3, "each once, and the second once more");
    telnyx.assert_one_key_per_text();
    assert_eq!(messages(&observer).await.len(), 2);
}

/// A server that starts settles by itself what a dead process left open.
async fn a_starting_server_settles_open_sends(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Silence, Reply::Accept]).await;
    let observer = conversations(&db, &telnyx).await;
    let id = kill_during_call(&db, &telnyx, &observer).await;
    let home = home(&db, &telnyx.base_url());
    let servers = [(); 2].map(|()| Server::start(&home));
    eventually("the send to be settled", async || status(&observer, id).await == Status::Queued)
        .await;
    for server in servers {
        assert_eq!(server.stop(), 0);
    }
    assert_eq!(telnyx.offers().len(), 2, "one of the two servers offered it");
    telnyx.assert_one_key_per_text();
}

/// A server is stopped while it offers again what a dead process left open: it accepts no more
/// connections, and ends when the answer is recorded.
async fn a_stopping_server_waits_for_what_it_settles(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Silence, Reply::Hold]).await;
    let observer = conversations(&db, &telnyx).await;
    let id = kill_during_call(&db, &telnyx, &observer).await;
    let mut server = Server::start(&home(&db, &telnyx.base_url()));
    telnyx.wait_for_offers(2).await;
    server.signal(Signal::INT);
    let address = server.address;
    eventually("a refusal", async || TcpStream::connect(address).await.is_err()).await;
    telnyx.release();
    assert_eq!(server.wait(), 0);
    assert_eq!(status(&observer, id).await, Status::Queued);
    assert_eq!(telnyx.offers().len(), 2);
}

/// Ctrl-C before the offer: cancelled, and Telnyx was never called. The key is free.
async fn an_interrupt_before_the_offer_cancels_the_send(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let observer = conversations(&db, &telnyx).await;
    let home = home(&db, &telnyx.base_url());
    let locked = Locked::new(&db).await;
    let sending = start_send(&home);
    // It waits for the lock where it stores the row.
    wait_until("a signal handler", || sending.handles(Signal::INT));
    sending.signal(Signal::INT);
    sending.wait_until_idle();
    locked.unlock().await;
    let ended = sending.wait().exits(6);
    let message = only_message(&observer).await;
    assert_eq!((message.status, ended.out), (Status::Cancelled, format!("{}\n", message.id)));
    assert!(telnyx.offers().is_empty());
    start_send(&home).wait().exits(0);
}

/// Ctrl-C in the pause before the next offer: Telnyx has accepted nothing, so the send is cancelled.
async fn an_interrupt_between_two_offers_cancels_the_send(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::RateLimit(20), Reply::Accept]).await;
    let observer = conversations(&db, &telnyx).await;
    let home = home(&db, &telnyx.base_url());
    let sending = start_send(&home);
    // It has closed the connection, so it has read that it is to wait.
    telnyx.wait_for_hang_ups(1).await;
    sending.signal(Signal::INT);
    let ended = sending.wait().exits(6);
    let message = only_message(&observer).await;
    assert_eq!((message.status, ended.out), (Status::Cancelled, format!("{}\n", message.id)));
    assert_eq!(telnyx.offers().len(), 1);
    start_send(&home).wait().exits(0);
}

/// Ctrl-C during the call: exit 9, the id on standard output, the key in the hint; the message is
/// unknown. Repeated under the key it is not sent twice.
async fn an_interrupt_during_the_call_leaves_the_send_unknown(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Silence]).await;
    let observer = conversations(&db, &telnyx).await;
    let home = home(&db, &telnyx.base_url());
    let sending = home.start(&["send", CONTACT, "Hi"]);
    telnyx.wait_for_offers(1).await;
    sending.signal(Signal::INT);
    let ended = sending.wait().exits(9);
    let message = only_message(&observer).await;
    assert_eq!(ended.out, format!("{}\n", message.id));
    assert!(ended.err.contains(&format!("--idempotency-key {}", message.id)), "{}", ended.err);
    assert_eq!(message.status, Status::Unknown);
    let key = message.id.to_string();
    let again = home.run(&["send", CONTACT, "Hi", "--idempotency-key", &key]).exits(9);
    assert_eq!(again.out, format!("{key}\n"));
    assert_eq!(telnyx.offers().len(), 1);
}

/// Ctrl-C between Telnyx's answer and its record: the answer is recorded, the send has succeeded.
async fn an_interrupt_after_the_answer_still_records_it(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Hold]).await;
    let observer = conversations(&db, &telnyx).await;
    let home = home(&db, &telnyx.base_url());
    let sending = home.start(&["send", CONTACT, "Hi"]);
    telnyx.wait_for_offers(1).await;
    let locked = Locked::new(&db).await;
    telnyx.release();
    telnyx.wait_for_hang_ups(1).await;
    sending.signal(Signal::INT);
    locked.unlock().await;
    sending.wait().exits(0);
    assert_eq!(only_message(&observer).await.status, Status::Queued);
}

/// A client of the server disconnects during a send: the send runs to its end. A server that is stopped
/// meanwhile waits for it.
async fn a_client_that_disconnects_does_not_stop_its_send(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Hold]).await;
    let observer = conversations(&db, &telnyx).await;
    let mut server = Server::start(&home(&db, &telnyx.base_url()));
    let mut client = TcpStream::connect(server.address).await.expect("a connection");
    let path = format!("/conversations/{CONTACT}/send");
    let send = request("POST", &path, "", r#"{"message":"Hi"}"#);
    client.write_all(send.as_bytes()).await.expect("written");
    telnyx.wait_for_offers(1).await;
    client.set_zero_linger().expect("a socket option");
    drop(client);
    server.signal(Signal::TERM);
    telnyx.release();
    // Without a second signal, which would end it at once.
    assert_eq!(server.wait(), 0);
    assert_eq!(only_message(&observer).await.status, Status::Queued);
    assert_eq!(telnyx.offers().len(), 1);
}

/// `POST /messages/{id}/retry` and `convo retry --server` do what the local command does.
async fn a_message_is_retried_through_a_server(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Silence, Reply::Status(500, "")]).await;
    let observer = conversations(&db, &telnyx).await;
    let home = home(&db, &telnyx.base_url());
    let sending = home.start(&["send", CONTACT, "Hi"]);
    telnyx.wait_for_offers(1).await;
    sending.signal(Signal::INT);
    sending.wait();
    let id = only_message(&observer).await.id;
    let server = Server::start(&home);
    telnyx.now_replying(&[Reply::Accept]);
    // What the client's own settings say about Telnyx does not matter.
    let client = Home::new().with_database(&db).sending_to("http://127.0.0.1:1/v2");
    let (url, id_text) = (server.url(), id.to_string());
    let remote = ["retry", id_text.as_str(), "--server", url.as_str(), "--json"];
    let retried = client.run(&remote).exits(0);
    let message: convo::domain::Message = serde_json::from_str(&retried.out).expect("a message");
    assert_eq!((message.id, message.status), (id, Status::Queued));
    assert_eq!(client.run(&remote).exits(2).error()["code"], "not_retryable");
    let answer = server.post(&format!("/messages/{id}/retry?force=true"), "", "").await;
    assert_eq!(answer.status, 409, "{}", answer.body);
    telnyx.assert_one_key_per_text();
}

on_both_databases!(
    a_send_killed_before_the_call_is_offered_once,
    a_send_killed_during_the_call_becomes_unknown,
    a_send_killed_before_its_answer_is_recorded_is_settled,
    a_starting_server_settles_open_sends,
    a_stopping_server_waits_for_what_it_settles,
    an_interrupt_before_the_offer_cancels_the_send,
    an_interrupt_between_two_offers_cancels_the_send,
    an_interrupt_during_the_call_leaves_the_send_unknown,
    an_interrupt_after_the_answer_still_records_it,
    a_client_that_disconnects_does_not_stop_its_send,
    a_message_is_retried_through_a_server,
);

/// Here, `convo sync` needs a database, and creates none.
#[test]
fn settling_needs_an_existing_database() {
    let db = TestDatabase::sqlite();
    let home = home(&db, "http://127.0.0.1:1/v2");
    assert_eq!(home.run(&["sync", "--no-fetch"]).exits(4).out, "");
    assert!(!db.file().exists());
    home.run(&["sync", "--no-fetch", "--server", "http://127.0.0.1:1"]).exits(5);
    home.run(&["retry", "not-an-id"]).exits(2);
}
