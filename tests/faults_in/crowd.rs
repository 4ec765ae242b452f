//! Far more callers than a server takes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use convo::sandbox::SigningKey;

use crate::load::{PATIENCE, Server, Tally, assert_kept, post, serve, times};
use crate::support::TestDatabase;

/// What the server takes on, and four times as many who want in.
const PLACES: usize = 16;
const CALLERS: usize = 4 * PLACES;
/// Each caller's webhooks, at least.
const EACH: usize = 20;
/// How much the server may grow under the load, in KiB: far less than the load brings.
const GROWTH: u64 = 48 * 1024;

/// Everybody is answered, 200 or 503; `/health` always 200; memory stays flat; what was
/// acknowledged is stored, once; and with the crowd gone, the first who comes is served.
async fn a_crowd_is_served_as_far_as_it_goes(db: TestDatabase) {
    let key = SigningKey::from_seed(&[8; 32]);
    let mut command = serve(&db.url);
    command.env("CONVO_MAX_CONNECTIONS", PLACES.to_string()).env("CONVO_QUEUE", "8");
    let server = Server::start(command, &key);
    let (address, next) = (server.address, Arc::new(AtomicUsize::new(0)));
    let mut tally = Tally::default();
    let mut memory = 0;
    for round in 0..1 + times(2) {
        let done = Arc::new(AtomicBool::new(false));
        let asking = tokio::spawn(ask_for_health(address, Arc::clone(&done)));
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| tokio::spawn(call(address, key.clone(), Arc::clone(&next))))
            .collect();
        for caller in callers {
            let told = caller.await.expect("no panic");
            tally.acknowledged.extend(told.acknowledged);
            tally.refused.extend(told.refused);
            assert!(told.lost.is_empty(), "everybody is answered");
        }
        done.store(true, Ordering::SeqCst);
        assert!(asking.await.expect("it answers") > 0);
        assert_eq!(post(&fresh_client(), address, &key, 900_000 + round).await, Some(200));
        tally.acknowledged.push(900_000 + round);
        // The first round fills caches and pools.
        match round {
            0 => memory = server.memory(),
            _ => assert!(server.memory() < memory + GROWTH, "{memory} {}", server.memory()),
        }
    }
    assert!(tally.acknowledged.len() > EACH, "some are served: {}", tally.acknowledged.len());
    assert!(tally.refused.len() > EACH, "some are not: {}", tally.refused.len());
    server.kill();
    assert_kept(&db.url, &tally.acknowledged).await;
}

/// One caller, who comes with a new connection each time.
async fn call(address: std::net::SocketAddr, key: SigningKey, next: Arc<AtomicUsize>) -> Tally {
    let (client, mut tally) = (fresh_client(), Tally::default());
    for _ in 0..EACH {
        let n = next.fetch_add(1, Ordering::SeqCst);
        match post(&client, address, &key, n).await {
            Some(200) => tally.acknowledged.push(n),
            Some(503) => tally.refused.push(n),
            Some(other) => panic!("a signed webhook was answered {other}"),
            None => tally.lost.push(n),
        }
    }
    tally
}

/// Asks for `/health` until told to stop; how often it was answered 200, which is every time.
async fn ask_for_health(address: std::net::SocketAddr, done: Arc<AtomicBool>) -> usize {
    let (client, mut answers) = (fresh_client(), 0);
    while !done.load(Ordering::SeqCst) {
        let since = Instant::now();
        let answer = client.get(format!("http://{address}/health")).send().await;
        assert!(answer.expect("an answer").status().is_success());
        assert!(since.elapsed() < PATIENCE / 10, "{:?}", since.elapsed());
        answers += 1;
    }
    answers
}

fn fresh_client() -> reqwest::Client {
    convo::tls::install();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]);
    client.pool_max_idle_per_host(0).build().expect("a client")
}

mod sqlite {
    #[tokio::test(flavor = "multi_thread")]
    async fn a_crowd_is_served_as_far_as_it_goes() {
        super::a_crowd_is_served_as_far_as_it_goes(super::TestDatabase::sqlite()).await;
    }
}

mod postgres {
    #[tokio::test(flavor = "multi_thread")]
    async fn a_crowd_is_served_as_far_as_it_goes() {
        let db = super::TestDatabase::postgres().await;
        super::a_crowd_is_served_as_far_as_it_goes(db).await;
    }
}
