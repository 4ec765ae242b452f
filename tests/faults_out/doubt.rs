//! The database breaks off while it commits: what it was told may be stored or not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use convo::domain::Status;
use convo::error::Code;
use convo::threading::{Policy, Threads};
use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use url::Url;

use crate::bench::{OWN, hand, messages, only_message, policy, receive, send, soon, text, threads};
use crate::program::eventually;
use crate::support::TestDatabase;
use crate::telnyx::{Does, Telnyx};

/// A way to PostgreSQL that, once armed, lets a commit through and loses the answer to it; or, when
/// it is to be late, lets it through only when somebody else asks for a key.
struct Way {
    url: String,
    armed: Arc<AtomicBool>,
    lost: Arc<AtomicUsize>,
    late: Late,
}

/// A commit that comes late.
#[derive(Clone)]
struct Late {
    armed: Arc<AtomicBool>,
    held: Arc<AtomicBool>,
    /// Opens when it may go on.
    gate: Arc<Semaphore>,
}

impl Way {
    async fn to(db: &TestDatabase) -> Self {
        let mut url = Url::parse(&db.url).expect("a URL");
        let (host, port) = (url.host_str().expect("a host"), url.port().expect("a port"));
        let server: SocketAddr = format!("{host}:{port}").parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        url.set_port(Some(listener.local_addr().expect("an address").port())).expect("a port");
        let (armed, lost) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let late =
            Late { armed: Arc::default(), held: Arc::default(), gate: Arc::new(Semaphore::new(0)) };
        let way = Self {
            url: url.into(),
            armed: Arc::clone(&armed),
            lost: Arc::clone(&lost),
            late: late.clone(),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (armed, lost) = (Arc::clone(&armed), Arc::clone(&lost));
                tokio::spawn(carry(client, server, armed, lost, late.clone()));
            }
        });
        way
    }
}

async fn carry(
    mut client: TcpStream,
    server: SocketAddr,
    armed: Arc<AtomicBool>,
    lost: Arc<AtomicUsize>,
    late: Late,
) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let (mut asked, mut told) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            count = client.read(&mut asked) => {
                let Ok(count @ 1..) = count else { return };
                let says = |word: &[u8]| asked[..count].windows(word.len()).any(|part| part == word);
                let commits = says(b"COMMIT");
                if commits && late.armed.swap(false, Ordering::SeqCst) {
                    late.held.store(true, Ordering::SeqCst);
                    late.gate.acquire().await.expect("a gate").forget();
                }
                if server.write_all(&asked[..count]).await.is_err() {
                    return;
                }
                if says(b"idempotency_keys") && late.held.swap(false, Ordering::SeqCst) {
                    late.gate.add_permits(1);
                }
                if commits && armed.swap(false, Ordering::SeqCst) {
                    // It is committed once the server says so; the client never learns.
                    let _ = server.read(&mut told).await;
                    lost.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            }
            count = server.read(&mut told) => {
                let Ok(count @ 1..) = count else { return };
                if client.write_all(&told[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// The answer to the commit of a new row is lost: the caller is told that nothing was sent, and
/// that stays true. The row is taken back, also where its key would let convo offer it later.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_whose_commit_is_in_doubt_is_never_offered() {
    let telnyx = Telnyx::that(&[Does::Accept]).await;
    let db = TestDatabase::postgres().await;
    let way = Way::to(&db).await;
    let through = TestDatabase { url: way.url.clone(), ..TestDatabase::sqlite() };
    let threads = threads(&through, &telnyx.base_url(), policy()).await;
    for (round, key) in [Some("own"), None].into_iter().enumerate() {
        way.armed.store(true, Ordering::SeqCst);
        let error = send(&threads, "Hi", key).await.expect_err("the database is away");
        assert_eq!((error.code(), error.exit_code()), (Code::DatabaseUnavailable, 5));
        assert_eq!(way.lost.load(Ordering::SeqCst), round + 1);
        let all = messages(&threads).await;
        assert_eq!(all.len(), round + 1, "the commit did take place");
        assert!(all.iter().all(|message| message.status == Status::Cancelled), "{all:?}");
        threads.settle(soon()).await.expect("settled");
        assert!(telnyx.offers().is_empty());
    }
    let sent = threads.send("+12125559999", &text("Hi"), Some("own")).await.expect("sent");
    assert_eq!(sent.message.status, Status::Queued, "the key is free");
}

/// The commit of a new row gets through only after its sender has given it up and takes the row
/// back: it is not offered later either, for who takes it back waits for that commit.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_whose_commit_comes_late_is_never_offered() {
    let telnyx = Telnyx::that(&[Does::Accept]).await;
    let db = TestDatabase::postgres().await;
    let way = Way::to(&db).await;
    let through = TestDatabase { url: way.url.clone(), ..TestDatabase::sqlite() };
    let threads = threads(&through, &telnyx.base_url(), policy()).await;
    way.late.armed.store(true, Ordering::SeqCst);
    let error = send(&threads, "Hi", Some("own")).await.expect_err("the database is silent");
    assert_eq!((error.code(), error.exit_code()), (Code::DatabaseUnavailable, 5));
    // If nobody has waited for it, it comes now.
    way.late.gate.add_permits(1);
    eventually(async || !messages(&threads).await.is_empty()).await;
    assert_eq!(only_message(&threads).await.status, Status::Cancelled);
    threads.settle(soon()).await.expect("settled");
    assert!(telnyx.offers().is_empty());
    let sent = threads.send("+12125559999", &text("Hi"), Some("own")).await.expect("sent");
    assert_eq!(sent.message.status, Status::Queued, "the key is free");
}

/// Two servers send to the same contacts and hear from them, in every order: PostgreSQL never finds
/// them waiting for each other, which would hold up everybody for a second each time.
#[tokio::test(flavor = "multi_thread")]
async fn two_servers_do_not_wait_for_each_other() {
    const CONTACTS: usize = 6;
    let contact = |n: usize| format!("+1212555{:04}", n % CONTACTS);
    let hear = async |server: &Threads, name: String, from: usize| {
        let event = serde_json::json!({"data": {"event_type": "message.received", "id": name,
            "payload": {"id": name, "direction": "inbound", "text": "Hi",
                "from": {"phone_number": contact(from)}, "to": [{"phone_number": OWN}]}}});
        receive(server, &event).await;
    };
    let telnyx = Telnyx::that(&[Does::Accept]).await;
    let db = TestDatabase::postgres().await;
    let first = threads(&db, &telnyx.base_url(), Policy::default()).await;
    let second = threads(&db, &telnyx.base_url(), Policy::default()).await;
    for n in 0..CONTACTS {
        hear(&first, format!("first-{n}"), n).await;
    }
    let work = (0..240_usize).map(|n| {
        // One server goes through the contacts upwards, the other downwards.
        let (server, turn) = if n % 2 == 0 { (&first, n / 2) } else { (&second, 239 - n / 2) };
        let hear = &hear;
        async move {
            if n % 4 < 2 {
                server.send(&contact(turn), &text("Hi"), None).await.expect("sent");
            } else {
                hear(server, format!("event-{n}"), turn).await;
            }
        }
    });
    futures_util::future::join_all(work).await;
    first.close().await;
    second.close().await;
    // The sessions have ended, so that what they have counted is there.
    let counted = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    let counted = Statement::from_string(DatabaseBackend::Postgres, counted);
    let row = hand(&db).await.query_one_raw(counted).await.expect("told").expect("a row");
    assert_eq!(row.try_get_by_index::<i64>(0).expect("a number"), 0);
}

/// The answer to the commit of an outcome is lost: it is recorded again, and nothing changes.
#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_whose_commit_is_in_doubt_is_recorded_again() {
    let telnyx = Telnyx::that(&[Does::Hold]).await;
    let db = TestDatabase::postgres().await;
    let way = Way::to(&db).await;
    let through = TestDatabase { url: way.url.clone(), ..TestDatabase::sqlite() };
    let threads = threads(&through, &telnyx.base_url(), policy()).await;
    let sending = tokio::spawn({
        let threads = threads.clone();
        async move { send(&threads, "Hi", Some("own")).await }
    });
    telnyx.was_offered(1).await;
    way.armed.store(true, Ordering::SeqCst);
    telnyx.let_go();
    let sent = sending.await.expect("no panic").expect("sent");
    assert_eq!((sent.message.status, way.lost.load(Ordering::SeqCst)), (Status::Queued, 1));
    assert_eq!((messages(&threads).await.len(), telnyx.offers().len()), (1, 1));
}
