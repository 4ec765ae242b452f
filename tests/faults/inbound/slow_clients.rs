//! A thousand clients of one address that hold their connections, twice as many as there are places,
//! and come again when they have lost one. Telnyx is served among them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::load::{assert_kept, home, post, signer};
use crate::support::{Server, Signer, TestDatabase, wait_until};

const CLIENTS: usize = 1_000;
/// Webhooks that are posted meanwhile, each on a connection of its own.
const WEBHOOKS: usize = 40;
/// How long most of them may take: less than Telnyx waits.
const SOON: Duration = Duration::from_millis(1_500);

/// What such a client sends, and then no more.
fn beginning_of_a_webhook() -> String {
    // Of another key, but the head alone does not show that.
    let lines = Signer::new(99).lines("another body");
    format!("POST /webhooks/sms HTTP/1.1\r\nhost: x\r\n{lines}content-length: 900\r\n\r\n{{")
}

/// Holds a connection, and in the next round a new one if it was lost.
async fn hold(address: SocketAddr, sent: String, mut rounds: watch::Receiver<usize>) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(address).await
            && stream.write_all(sent.as_bytes()).await.is_ok()
        {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        if rounds.changed().await.is_err() {
            return;
        }
    }
}

async fn webhooks_are_served_among(sent: String) {
    // Two ends of each connection are in two processes; the test's own limit may be too low.
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("the limit is raised");
    let db = TestDatabase::sqlite();
    let signer = signer(9).without_keep_alive();
    let server = Server::start(&home(&db.url, &signer));
    let (mut clients, next_round) = (JoinSet::new(), watch::Sender::new(0));
    for _ in 0..CLIENTS {
        clients.spawn(hold(server.address, sent.clone(), next_round.subscribe()));
    }
    // Those that have lost theirs meanwhile come again, so that a few places are always changing hands.
    wait_until("nearly all of the 512 places to be taken", || {
        next_round.send_modify(|round| *round += 1);
        server.open_files() > 450
    });
    let (mut acknowledged, mut times) = (Vec::new(), Vec::new());
    for n in 0..WEBHOOKS {
        next_round.send_replace(n);
        let since = Instant::now();
        assert_eq!(post(&signer, server.address, n).await, Some(200), "webhook {n}");
        times.push(since.elapsed());
        acknowledged.push(n);
    }
    // The test's own clients may keep a small machine busy for a while.
    times.sort_unstable();
    assert!(times[WEBHOOKS / 2] < SOON, "{times:?}");
    clients.shutdown().await;
    server.kill();
    assert_kept(&db.url, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_do_not_turn_webhooks_away() {
    webhooks_are_served_among(beginning_of_a_webhook()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_do_not_make_webhooks_slow() {
    webhooks_are_served_among(String::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_heads_do_not_make_webhooks_slow() {
    webhooks_are_served_among("POST /webhooks/sms HTTP/1.1\r\nhost: x\r\n".to_owned()).await;
}
