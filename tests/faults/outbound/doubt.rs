//! The database connection breaks during a commit: what was written may be stored or not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use convo::domain::Status;
use convo::error::Code;
use convo::threading::{Conversations, Policy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use url::Url;

use super::fixture::{
    conversations, messages, only_message, send, send_to, settle, start_send, text,
};
use crate::support::{
    Event, FakeServer, Reply, TestDatabase, connect, eventually, open_sending, query_one, receive,
};

/// A proxy before PostgreSQL that spoils one commit.
struct CommitProxy {
    url: String,
    lose: Lose,
    delay: Delay,
}

/// Lets a commit through and loses the answer to it.
#[derive(Clone, Default)]
struct Lose {
    armed: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
}

/// Holds a commit back until another connection looks for a key.
#[derive(Clone)]
struct Delay {
    armed: Arc<AtomicBool>,
    holding: Arc<AtomicBool>,
    /// Opens when the commit may go on.
    gate: Arc<Semaphore>,
}

impl CommitProxy {
    async fn before(db: &TestDatabase) -> Self {
        let mut url = Url::parse(&db.url).expect("a URL");
        let (host, port) = (url.host_str().expect("a host"), url.port().expect("a port"));
        let server: SocketAddr = format!("{host}:{port}").parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        url.set_port(Some(listener.local_addr().expect("an address").port())).expect("a port");
        let gate = Arc::new(Semaphore::new(0));
        let delay = Delay { armed: Arc::default(), holding: Arc::default(), gate };
        let lose = Lose::default();
        let proxy = Self { url: url.into(), lose: lose.clone(), delay: delay.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server, lose.clone(), delay.clone()));
            }
        });
        proxy
    }
}

async fn pass(mut client: TcpStream, server: SocketAddr, lose: Lose, delay: Delay) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let (mut query, mut answer) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            count = client.read(&mut query) => {
                let Ok(count @ 1..) = count else { return };
                let has = |word: &[u8]| query[..count].windows(word.len()).any(|part| part == word);
                let commits = has(b"COMMIT");
                if commits && delay.armed.swap(false, Ordering::SeqCst) {
                    delay.holding.store(true, Ordering::SeqCst);
                    delay.gate.acquire().await.expect("a gate").forget();
                }
                if server.write_all(&query[..count]).await.is_err() {
                    return;
                }
                if has(b"idempotency_keys") && delay.holding.swap(false, Ordering::SeqCst) {
                    delay.gate.add_permits(1);
                }
                if commits && lose.armed.swap(false, Ordering::SeqCst) {
                    // It is committed once the server says so; the client never learns.
                    let _ = server.read(&mut answer).await;
                    lose.count.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            }
            count = server.read(&mut answer) => {
                let Ok(count @ 1..) = count else { return };
                if client.write_all(&answer[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// The answer to the commit of a new row is lost: the caller learns that nothing was sent, and that
/// stays true. The row is cancelled, also where its key would let convo offer it later.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_whose_commit_is_in_doubt_is_never_offered() {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let db = TestDatabase::postgres().await;
    let proxy = CommitProxy::before(&db).await;
    let through = db.at(proxy.url.clone());
    let conversations = conversations(&through, &telnyx).await;
    for (round, key) in [Some("own"), None].into_iter().enumerate() {
        proxy.lose.armed.store(true, Ordering::SeqCst);
        let error = send(&conversations, "Hi", key).await.expect_err("the database is away");
        assert_eq!((error.code(), error.exit_code()), (Code::DatabaseUnavailable, 5));
        assert_eq!(proxy.lose.count.load(Ordering::SeqCst), round + 1);
        let all = messages(&conversations).await;
        assert_eq!(all.len(), round + 1, "the commit did take place");
        assert!(all.iter().all(|message| message.status == Status::Cancelled), "{all:?}");
        settle(&conversations).await;
        assert!(telnyx.offers().is_empty());
    }
    let sent =
        send_to(&conversations, "+12125559999", text("Hi"), Some("own")).await.expect("sent");
    assert_eq!(sent.message.status, Status::Queued, "the key is free");
}

/// The commit of a new row gets through only after its sender has given up and cancels the row: it is
/// not offered later either, for the cancellation waits for that commit.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_whose_commit_comes_late_is_never_offered() {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let db = TestDatabase::postgres().await;
    let proxy = CommitProxy::before(&db).await;
    let through = db.at(proxy.url.clone());
    let conversations = conversations(&through, &telnyx).await;
    proxy.delay.armed.store(true, Ordering::SeqCst);
    let error = send(&conversations, "Hi", Some("own")).await.expect_err("the database is silent");
    assert_eq!((error.code(), error.exit_code()), (Code::DatabaseUnavailable, 5));
    // If nothing has waited for it, it comes now.
    proxy.delay.gate.add_permits(1);
    eventually("the row", async || !messages(&conversations).await.is_empty()).await;
    assert_eq!(only_message(&conversations).await.status, Status::Cancelled);
    settle(&conversations).await;
    assert!(telnyx.offers().is_empty());
    let sent =
        send_to(&conversations, "+12125559999", text("Hi"), Some("own")).await.expect("sent");
    assert_eq!(sent.message.status, Status::Queued, "the key is free");
}

/// Two servers send to the same contacts and receive from them, in every order: PostgreSQL never
/// finds a deadlock, which would delay every writer for a second each time.
#[tokio::test(flavor = "multi_thread")]
async fn two_servers_do_not_deadlock() {
    const CONTACTS: usize = 6;
    let contact = |n: usize| format!("+1212555{:04}", n % CONTACTS);
    let receive_from = async |server: &Conversations, name: String, from: usize| {
        receive(server, Event::inbound(&name, &name, &contact(from), "Hi")).await;
    };
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let db = TestDatabase::postgres().await;
    let first = open_sending(&db.url, &telnyx.base_url(), Policy::default()).await;
    let second = open_sending(&db.url, &telnyx.base_url(), Policy::default()).await;
    for n in 0..CONTACTS {
        receive_from(&first, format!("first-{n}"), n).await;
    }
    let work = (0..240_usize).map(|n| {
        // One server goes through the contacts upwards, the other downwards.
        let (server, turn) = if n % 2 == 0 { (&first, n / 2) } else { (&second, 239 - n / 2) };
        let receive_from = &receive_from;
        async move {
            if n % 4 < 2 {
                send_to(server, &contact(turn), text("Hi"), None).await.expect("sent");
            } else {
                receive_from(server, format!("event-{n}"), turn).await;
            }
        }
    });
    futures_util::future::join_all(work).await;
    first.close().await;
    second.close().await;
    // The sessions have ended, so that their statistics are there.
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(query_one::<i64>(&connect(&db.url).await, deadlocks).await, 0);
}

/// The answer to the commit of an outcome is lost: it is recorded again, and nothing changes.
#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_whose_commit_is_in_doubt_is_recorded_again() {
    let telnyx = FakeServer::replying(&[Reply::Hold]).await;
    let db = TestDatabase::postgres().await;
    let proxy = CommitProxy::before(&db).await;
    let through = db.at(proxy.url.clone());
    let conversations = conversations(&through, &telnyx).await;
    let sending = start_send(&conversations, "Hi", Some("own"));
    telnyx.wait_for_offers(1).await;
    proxy.lose.armed.store(true, Ordering::SeqCst);
    telnyx.release();
    let sent = sending.await.expect("no panic").expect("sent");
    assert_eq!((sent.message.status, proxy.lose.count.load(Ordering::SeqCst)), (Status::Queued, 1));
    assert_eq!((messages(&conversations).await.len(), telnyx.offers().len()), (1, 1));
}
