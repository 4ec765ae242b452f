//! The program is killed, interrupted or left at every point of a send.
//!
//! The points are reached without luck: Telnyx accepts no connection (stored, not called), holds
//! its answer (during the call), or has answered while the database is locked (answered, not
//! recorded).

use convo::domain::Status;
use convo::threading::Threads;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::bench::{
    CONTACT, Locked, age, messages, only_message, policy, receive, report, status, threads,
};
use crate::on_both_databases;
use crate::program::{Program, eventually};
use crate::support::TestDatabase;
use crate::telnyx::{Does, Telnyx, base_url, unreachable};

/// The threads as another process sees them.
async fn observe(db: &TestDatabase, telnyx: &str) -> Threads {
    threads(db, telnyx, policy()).await
}

/// Waits until the message of a send is stored.
async fn stored(threads: &Threads) -> Uuid {
    eventually(async || !messages(threads).await.is_empty()).await;
    only_message(threads).await.id
}

/// A send with a key whose process is killed while Telnyx says nothing, long enough ago to be
/// settled. Returns the message's id.
async fn dead_in_mid_call(db: &TestDatabase, telnyx: &Telnyx, observer: &Threads) -> Uuid {
    let sending = Program::send(db, &telnyx.base_url(), "Hi", Some("own"));
    telnyx.was_offered(1).await;
    let id = only_message(observer).await.id;
    sending.kill();
    age(db, 60).await;
    id
}

async fn settle(db: &TestDatabase, telnyx: &str) -> String {
    let ended = Program::run(db, telnyx, &["settle"]).await;
    assert_eq!(ended.exit, Some(0), "{ended:?}");
    ended.out
}

/// SIGKILL after the row is stored and before Telnyx is called. Without a key nothing is sent,
/// ever; with one, `convo settle` sends it, once, and only when the attempt's time is over.
async fn killed_between_storing_and_calling(db: TestDatabase) {
    let (address, sockets) = unreachable().await;
    let telnyx = base_url(address);
    let observer = observe(&db, &telnyx).await;
    let sending = Program::send(&db, &telnyx, "Hi", Some("own"));
    let id = stored(&observer).await;
    sending.kill();
    assert_eq!(status(&observer, id).await, Status::Pending);
    assert_eq!(settle(&db, &telnyx).await, "", "its time is not over");
    drop(sockets);
    let telnyx = Telnyx::in_place_of(address, &[Does::Accept]).await;
    age(&db, 60).await;
    assert_eq!(settle(&db, &telnyx.base_url()).await, format!("{id}\tqueued\n"));
    assert_eq!(settle(&db, &telnyx.base_url()).await, "");
    assert_eq!(telnyx.offers().len(), 1);
    assert_eq!(telnyx.keys().into_iter().collect::<Vec<_>>(), [id.to_string()]);
}

/// SIGKILL while Telnyx is asked, of a send without a key: nobody knows, nobody was told, nothing
/// is sent by itself. A person may.
async fn killed_during_the_call(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Silence, Does::Accept]).await;
    let observer = observe(&db, &telnyx.base_url()).await;
    let sending = Program::send(&db, &telnyx.base_url(), "Hi", None);
    telnyx.was_offered(1).await;
    let id = only_message(&observer).await.id;
    sending.kill();
    age(&db, 60).await;
    assert_eq!(settle(&db, &telnyx.base_url()).await, format!("{id}\tunknown\n"));
    assert_eq!(settle(&db, &telnyx.base_url()).await, "");
    assert_eq!(telnyx.offers().len(), 1);
    let retried = Program::run(&db, &telnyx.base_url(), &["retry", &id.to_string()]).await;
    assert_eq!((retried.exit, retried.out), (Some(0), format!("{id}\n")), "{}", retried.err);
    telnyx.assert_one_key_per_text();
    assert_eq!(telnyx.offers().len(), 2);
    let again = Program::run(&db, &telnyx.base_url(), &["retry", &id.to_string()]).await;
    assert_eq!((again.exit, again.out.as_str()), (Some(2), ""), "{}", again.err);
}

/// SIGKILL between Telnyx's answer and its record. The report settles it; where none comes, the
/// repeat under the same key gets Telnyx's first answer again.
async fn killed_between_the_answer_and_its_record(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Hold]).await;
    let observer = observe(&db, &telnyx.base_url()).await;
    let mut ids = Vec::new();
    for (round, key) in [None, Some("own")].into_iter().enumerate() {
        let sending = Program::send(&db, &telnyx.base_url(), &format!("text {round}"), key);
        telnyx.was_offered(round + 1).await;
        let locked = Locked::new(&db).await;
        telnyx.let_go();
        // It has closed the connection, so it has read the answer.
        telnyx.was_left(round + 1).await;
        sending.kill();
        locked.unlock().await;
        let id: Uuid = telnyx.offers()[round].key.parse().expect("an id");
        assert_eq!(status(&observer, id).await, Status::Pending);
        ids.push(id);
    }
    let telnyx_id = format!("telnyx-{}", ids[0]);
    receive(&observer, &report("e1", &telnyx_id, "delivered", Some(ids[0]))).await;
    telnyx.now(&[Does::Accept]);
    age(&db, 60).await;
    assert_eq!(settle(&db, &telnyx.base_url()).await, format!("{}\tqueued\n", ids[1]));
    assert_eq!(status(&observer, ids[0]).await, Status::Delivered);
    assert_eq!(telnyx.offers().len(), 3, "each once, and the second once more");
    telnyx.assert_one_key_per_text();
    assert_eq!(messages(&observer).await.len(), 2);
}

/// A server that starts settles what a dead process left, by itself; SIGTERM ends it.
async fn a_server_settles_at_its_start(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Silence, Does::Accept]).await;
    let observer = observe(&db, &telnyx.base_url()).await;
    let id = dead_in_mid_call(&db, &telnyx, &observer).await;
    let words = ["serve", "--listen", "127.0.0.1:0"];
    let mut servers = [(); 2].map(|()| Program::start(&db, &telnyx.base_url(), &words));
    for server in &mut servers {
        server.address().await;
    }
    eventually(async || status(&observer, id).await == Status::Queued).await;
    for server in servers {
        server.signal(Signal::TERM);
        assert_eq!(server.ended().await.exit, Some(0));
    }
    assert_eq!(telnyx.offers().len(), 2, "one of the two servers offered it");
    telnyx.assert_one_key_per_text();
}

/// A server is stopped while it offers again what a dead process left: it lets nobody in any more,
/// and ends when the answer is recorded.
async fn a_stop_waits_for_what_is_being_settled(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Silence, Does::Hold]).await;
    let observer = observe(&db, &telnyx.base_url()).await;
    let id = dead_in_mid_call(&db, &telnyx, &observer).await;
    let words = ["serve", "--listen", "127.0.0.1:0"];
    let mut server = Program::start(&db, &telnyx.base_url(), &words);
    let address = server.address().await;
    telnyx.was_offered(2).await;
    server.signal(Signal::INT);
    eventually(async || TcpStream::connect(address).await.is_err()).await;
    telnyx.let_go();
    assert_eq!(server.ended().await.exit, Some(0));
    assert_eq!(status(&observer, id).await, Status::Queued);
    assert_eq!(telnyx.offers().len(), 2);
}

/// Ctrl-C before the offer: cancelled, and Telnyx was never asked. The key is free.
async fn interrupted_before_the_offer(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Accept]).await;
    let observer = observe(&db, &telnyx.base_url()).await;
    let locked = Locked::new(&db).await;
    let sending = Program::send(&db, &telnyx.base_url(), "Hi", Some("own"));
    // It is stuck where it stores the row, and gets a moment to notice.
    eventually(async || sending.heeds_interrupts()).await;
    sending.signal(Signal::INT);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    locked.unlock().await;
    let ended = sending.ended().await;
    assert_eq!(ended.exit, Some(6), "{ended:?}");
    let message = only_message(&observer).await;
    assert_eq!((message.status, ended.out), (Status::Cancelled, format!("{}\n", message.id)));
    assert!(telnyx.offers().is_empty());
    let again = Program::send(&db, &telnyx.base_url(), "Hi", Some("own")).ended().await;
    assert_eq!(again.exit, Some(0), "{again:?}");
}

/// Ctrl-C in the pause before the next offer: Telnyx has taken nothing, so it is cancelled.
async fn interrupted_between_two_offers(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::SlowDown(20), Does::Accept]).await;
    let observer = observe(&db, &telnyx.base_url()).await;
    let sending = Program::send(&db, &telnyx.base_url(), "Hi", Some("own"));
    // It has closed the connection, so it has read that it is to wait.
    telnyx.was_left(1).await;
    sending.signal(Signal::INT);
    let ended = sending.ended().await;
    assert_eq!(ended.exit, Some(6), "{ended:?}");
    let message = only_message(&observer).await;
    assert_eq!((message.status, ended.out), (Status::Cancelled, format!("{}\n", message.id)));
    assert_eq!(telnyx.offers().len(), 1);
    let again = Program::send(&db, &telnyx.base_url(), "Hi", Some("own")).ended().await;
    assert_eq!(again.exit, Some(0), "{again:?}");
}

/// Ctrl-C while Telnyx is asked: exit 9, the id on standard output, the key in the hint; the row
/// is unknown. Repeated under the key it is not sent twice.
async fn interrupted_during_the_call(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Silence]).await;
    let observer = observe(&db, &telnyx.base_url()).await;
    let sending = Program::send(&db, &telnyx.base_url(), "Hi", None);
    telnyx.was_offered(1).await;
    sending.signal(Signal::INT);
    let ended = sending.ended().await;
    let message = only_message(&observer).await;
    assert_eq!((ended.exit, ended.out), (Some(9), format!("{}\n", message.id)), "{}", ended.err);
    assert!(ended.err.contains(&format!("--idempotency-key {}", message.id)), "{}", ended.err);
    assert_eq!(message.status, Status::Unknown);
    let key = message.id.to_string();
    let again = Program::send(&db, &telnyx.base_url(), "Hi", Some(&key)).ended().await;
    assert_eq!((again.exit, again.out), (Some(9), format!("{key}\n")));
    assert_eq!(telnyx.offers().len(), 1);
}

/// Ctrl-C between Telnyx's answer and its record: the answer is recorded, the send has succeeded.
async fn interrupted_between_the_answer_and_its_record(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Hold]).await;
    let observer = observe(&db, &telnyx.base_url()).await;
    let sending = Program::send(&db, &telnyx.base_url(), "Hi", None);
    telnyx.was_offered(1).await;
    let locked = Locked::new(&db).await;
    telnyx.let_go();
    telnyx.was_left(1).await;
    sending.signal(Signal::INT);
    locked.unlock().await;
    let ended = sending.ended().await;
    assert_eq!(ended.exit, Some(0), "{ended:?}");
    assert_eq!(only_message(&observer).await.status, Status::Queued);
}

/// A client of the server hangs up in mid-send: the send runs to its end. A server that is stopped
/// meanwhile waits for it.
async fn a_client_that_hangs_up_changes_nothing(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Hold]).await;
    let observer = observe(&db, &telnyx.base_url()).await;
    let words = ["serve", "--listen", "127.0.0.1:0"];
    let mut server = Program::start(&db, &telnyx.base_url(), &words);
    let address = server.address().await;
    let mut client = TcpStream::connect(address).await.expect("a connection");
    let body = r#"{"message":"Hi"}"#;
    let head = format!("POST /conversations/{CONTACT}/send HTTP/1.1\r\nhost: localhost\r\n");
    let lines = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    client.write_all(format!("{head}{lines}\r\n{body}").as_bytes()).await.expect("asked");
    telnyx.was_offered(1).await;
    client.set_zero_linger().expect("a socket option");
    drop(client);
    server.signal(Signal::TERM);
    telnyx.let_go();
    assert_eq!(server.ended().await.exit, Some(0));
    assert_eq!(only_message(&observer).await.status, Status::Queued);
    assert_eq!(telnyx.offers().len(), 1);
}

/// `POST /messages/{id}/retry` and `convo retry --server` do as the local command does.
async fn a_message_is_retried_through_a_server(db: TestDatabase) {
    let telnyx = Telnyx::that(&[Does::Silence, Does::Answer(500, "")]).await;
    let observer = observe(&db, &telnyx.base_url()).await;
    let sending = Program::send(&db, &telnyx.base_url(), "Hi", None);
    telnyx.was_offered(1).await;
    sending.signal(Signal::INT);
    sending.ended().await;
    let id = only_message(&observer).await.id;
    let mut server = Program::start(&db, &telnyx.base_url(), &["serve", "--listen", "127.0.0.1:0"]);
    let address = server.address().await;
    telnyx.now(&[Does::Accept]);
    let at = format!("http://{address}");
    let id_text = id.to_string();
    let remote = ["retry", id_text.as_str(), "--server", at.as_str(), "--json"];
    let retried = Program::run(&db, "http://127.0.0.1:1/v2", &remote).await;
    assert_eq!(retried.exit, Some(0), "{retried:?}");
    let message: convo::domain::Message = serde_json::from_str(&retried.out).expect("a message");
    assert_eq!((message.id, message.status), (id, Status::Queued));
    let again = Program::run(&db, "http://127.0.0.1:1/v2", &remote).await;
    assert_eq!(again.exit, Some(2), "{again:?}");
    assert!(again.err.contains("\"code\":\"not_retryable\""), "{}", again.err);
    let mut raw = TcpStream::connect(address).await.expect("a connection");
    let head = format!("POST /messages/{id}/retry?force=true HTTP/1.1\r\nhost: localhost\r\n");
    let lines = "content-type: application/json\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    raw.write_all(format!("{head}{lines}").as_bytes()).await.expect("asked");
    let mut answer = String::new();
    raw.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
    telnyx.assert_one_key_per_text();
}

on_both_databases!(
    killed_between_storing_and_calling,
    killed_during_the_call,
    killed_between_the_answer_and_its_record,
    a_server_settles_at_its_start,
    a_stop_waits_for_what_is_being_settled,
    interrupted_before_the_offer,
    interrupted_between_two_offers,
    interrupted_during_the_call,
    interrupted_between_the_answer_and_its_record,
    a_client_that_hangs_up_changes_nothing,
    a_message_is_retried_through_a_server,
);

/// `convo settle` works on this machine only, and makes no database where there is none.
#[tokio::test]
async fn settling_needs_a_database_of_its_own() {
    let db = TestDatabase::sqlite();
    let ended = Program::run(&db, "http://127.0.0.1:1/v2", &["settle"]).await;
    assert_eq!((ended.exit, ended.out.as_str()), (Some(4), ""), "{}", ended.err);
    assert!(!db.file().exists());
    let remote = ["settle", "--server", "http://127.0.0.1:1"];
    let ended = Program::run(&db, "http://127.0.0.1:1/v2", &remote).await;
    assert_eq!(ended.exit, Some(2), "{ended:?}");
    let ended = Program::run(&db, "http://127.0.0.1:1/v2", &["retry", "not-an-id"]).await;
    assert_eq!(ended.exit, Some(2), "{ended:?}");
}
