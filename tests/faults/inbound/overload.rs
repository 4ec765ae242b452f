//! Far more clients than a server has connections for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::load::{Tally, assert_kept, home, post, signer};
use crate::on_both_databases;
use crate::support::{DEADLINE, Server, Signer, TestDatabase, local_client, times_longer};

/// The server's connections, and four times as many clients.
const CONNECTIONS: usize = 16;
const CLIENTS: usize = 4 * CONNECTIONS;
/// Webhooks of each client.
const EACH: usize = 20;
/// How much the server may grow under the load, in KiB: far less than the load brings.
const GROWTH: u64 = 48 * 1024;

/// Every client is answered, 200 or 503; `/health` always 200; memory stays flat; what was
/// acknowledged is stored once; and after the flood the next client is served.
async fn an_overloaded_server_answers_everyone_and_loses_nothing(db: TestDatabase) {
    let signer = signer(8).without_keep_alive();
    let home = home(&db.url, &signer)
        .set("CONVO_MAX_CONNECTIONS", CONNECTIONS.to_string())
        .set("CONVO_QUEUE", "8");
    let server = Server::start(&home);
    let (address, next) = (server.address, Arc::new(AtomicUsize::new(0)));
    let mut tally = Tally::default();
    let mut memory = 0;
    for round in 0..1 + 2 * times_longer() {
        let done = Arc::new(AtomicBool::new(false));
        let checking = tokio::spawn(check_health(address, Arc::clone(&done)));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| tokio::spawn(run_client(address, signer.clone(), Arc::clone(&next))))
            .collect();
        for client in clients {
            let own = client.await.expect("no panic");
            tally.acknowledged.extend(own.acknowledged);
            tally.refused.extend(own.refused);
            assert!(own.lost.is_empty(), "every client is answered");
        }
        done.store(true, Ordering::SeqCst);
        assert!(checking.await.expect("it answers") > 0);
        assert_eq!(post(&signer, address, 900_000 + round).await, Some(200));
        tally.acknowledged.push(900_000 + round);
        // The first round fills caches and pools.
        match round {
            0 => memory = server.resident_memory(),
            _ => {
                let grown = server.resident_memory();
                assert!(grown < memory + GROWTH, "{memory} {grown}");
            }
        }
    }
    assert!(tally.acknowledged.len() > EACH, "some are served: {}", tally.acknowledged.len());
    assert!(tally.refused.len() > EACH, "some are refused: {}", tally.refused.len());
    server.kill();
    assert_kept(&db.url, &tally.acknowledged).await;
}

/// One client, with a new connection for each webhook.
async fn run_client(address: SocketAddr, signer: Signer, next: Arc<AtomicUsize>) -> Tally {
    let mut tally = Tally::default();
    for _ in 0..EACH {
        let n = next.fetch_add(1, Ordering::SeqCst);
        tally.count(n, post(&signer, address, n).await);
    }
    tally
}

/// Requests `/health` until `done`; how often. Every answer is 200, and soon.
async fn check_health(address: SocketAddr, done: Arc<AtomicBool>) -> usize {
    let mut answers = 0;
    while !done.load(Ordering::SeqCst) {
        let start = Instant::now();
        // A new connection each time, as the flood's.
        let answer = local_client(DEADLINE).get(format!("http://{address}/health")).send().await;
        assert!(answer.expect("an answer").status().is_success());
        assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
        answers += 1;
    }
    answers
}

on_both_databases!(an_overloaded_server_answers_everyone_and_loses_nothing);
