//! The database breaks off while it commits: what it was told may be stored or not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use convo::domain::Status;
use convo::error::Code;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::bench::{messages, policy, send, soon, text, threads};
use crate::support::TestDatabase;
use crate::telnyx::{Does, Telnyx};

/// A way to PostgreSQL that, once armed, lets a commit through and loses the answer to it.
struct Way {
    url: String,
    armed: Arc<AtomicBool>,
    lost: Arc<AtomicUsize>,
}

impl Way {
    async fn to(db: &TestDatabase) -> Self {
        let mut url = Url::parse(&db.url).expect("a URL");
        let (host, port) = (url.host_str().expect("a host"), url.port().expect("a port"));
        let server: SocketAddr = format!("{host}:{port}").parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        url.set_port(Some(listener.local_addr().expect("an address").port())).expect("a port");
        let (armed, lost) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let way = Self { url: url.into(), armed: Arc::clone(&armed), lost: Arc::clone(&lost) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server, Arc::clone(&armed), Arc::clone(&lost)));
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
) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let (mut asked, mut told) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            count = client.read(&mut asked) => {
                let Ok(count @ 1..) = count else { return };
                let commits = asked[..count].windows(6).any(|word| word == b"COMMIT");
                if server.write_all(&asked[..count]).await.is_err() {
                    return;
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
