//! PostgreSQL restarts, falls over to another machine, or is silent all at once. The server is
//! never restarted.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use convo::sandbox::SigningKey;
use sea_orm::{ConnectionTrait, Database};

use crate::load::{PATIENCE, Server, Tally, assert_kept, client, post, post_until, repost, serve};
use crate::support::TestDatabase;
use crate::support::cluster::Cluster;
use crate::support::proxy::Proxy;

/// How soon the server is back, at the latest. It is usually far sooner, but the machine may be
/// busy with other tests.
const SOON: Duration = Duration::from_secs(15);

async fn get(address: SocketAddr, path: &str) -> Option<u16> {
    let asked = client().get(format!("http://{address}{path}")).timeout(PATIENCE).send().await;
    Some(asked.ok()?.status().as_u16())
}

/// Posts one webhook again and again until it is taken, and tells how long that took.
async fn is_back(what: &str, address: SocketAddr, key: &SigningKey, n: usize) -> Duration {
    let (client, since) = (client(), Instant::now());
    while post(&client, address, key, n).await != Some(200) {
        assert!(since.elapsed() < PATIENCE, "{what}: it does not come back");
    }
    let took = since.elapsed();
    eprintln!("{what}: back after {} ms", took.as_millis());
    assert!(took < SOON, "{what}: {took:?}");
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_postgresql_is_used_again_at_once() {
    let cluster = Cluster::start();
    let key = SigningKey::from_seed(&[11; 32]);
    let server = Server::start(serve(&cluster.url()), &key);
    let mut acknowledged = vec![1];
    repost(server.address, &key, &[1]).await;
    for (round, mode) in ["fast", "immediate"].into_iter().enumerate() {
        let n = 10 + round;
        tokio::task::block_in_place(|| cluster.stop(mode));
        assert_eq!(post(&client(), server.address, &key, n).await, Some(503));
        assert_eq!(get(server.address, "/health").await, Some(200));
        tokio::task::block_in_place(|| cluster.restart());
        is_back(mode, server.address, &key, n).await;
        // All four connections for reading are broken, and nobody is told.
        for _ in 0..8 {
            assert_eq!(get(server.address, "/conversations").await, Some(200));
        }
        acknowledged.push(n);
    }
    server.kill();
    assert_kept(&cluster.url(), &acknowledged).await;
}

/// The primary dies; its replica is at first read-only, then promoted. What was acknowledged is
/// there: PostgreSQL acknowledges only what the replica has.
#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_standby_takes_over_without_loss() {
    let primary = Cluster::start();
    let standby = tokio::task::block_in_place(|| primary.standby());
    let admin = Database::connect(primary.url()).await.expect("it answers");
    let set = "ALTER SYSTEM SET synchronous_standby_names = '*'";
    admin.execute_unprepared(set).await.expect("set");
    admin.close().await.expect("closed");
    tokio::task::block_in_place(|| primary.reload());
    let proxy = Proxy::to(primary.port()).await;
    let key = SigningKey::from_seed(&[12; 32]);
    let server = Server::start(serve(&proxy.url(&primary.url())), &key);
    let before = post_until(server.address, &key, 0, |t| t.acknowledged.len() > 300).await;
    proxy.turn_to(standby.port());
    primary.kill();
    let down = post_until(server.address, &key, 100_000, |t| t.refused.len() >= 32).await;
    assert!(down.lost.is_empty(), "the server always answers");
    assert_eq!(get(server.address, "/conversations").await, Some(200), "it can be read");
    tokio::task::block_in_place(|| standby.promote());
    is_back("promotion", server.address, &key, 200_000).await;
    let mut acknowledged = [before.acknowledged, down.acknowledged, vec![200_000]].concat();
    let open = [before.refused, before.lost, down.refused].concat();
    assert_kept(&standby.url(), &acknowledged).await;
    repost(server.address, &key, &open).await;
    server.kill();
    acknowledged.extend(open);
    assert_kept(&standby.url(), &acknowledged).await;
}

/// Every connection is cut in mid-transaction, within a statement or between two of them, again and
/// again.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_lose_and_double_nothing() {
    let db = TestDatabase::postgres().await;
    let port = url::Url::parse(&db.url).expect("a URL").port().expect("a port");
    let proxy = Proxy::to(port).await;
    let key = SigningKey::from_seed(&[13; 32]);
    let server = Server::start(serve(&proxy.url(&db.url)), &key);
    // The beginning of a session and some batches.
    proxy.wear_out_after(40_000);
    let enough = |tally: &Tally| proxy.worn_out() > 20 && tally.acknowledged.len() > 500;
    let tally = post_until(server.address, &key, 0, enough).await;
    assert!(tally.lost.is_empty(), "the server always answers");
    assert!(!tally.refused.is_empty(), "no cut hit a webhook");
    repost(server.address, &key, &tally.refused).await;
    server.kill();
    assert_kept(&db.url, &[tally.acknowledged, tally.refused].concat()).await;
}

/// The machine is gone without a word: no connection breaks, nothing is answered. New connections
/// are made by and by, to read and to write.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_postgresql_is_left_for_one_that_answers() {
    let db = TestDatabase::postgres().await;
    let port = url::Url::parse(&db.url).expect("a URL").port().expect("a port");
    let proxy = Proxy::to(port).await;
    let key = SigningKey::from_seed(&[14; 32]);
    let server = Server::start(serve(&proxy.url(&db.url)), &key);
    repost(server.address, &key, &[1]).await;
    let reads = (0..8).map(|_| get(server.address, "/conversations"));
    assert_eq!(futures_util::future::join_all(reads).await, [Some(200); 8]);
    proxy.silence();
    is_back("silence", server.address, &key, 2).await;
    let since = Instant::now();
    while get(server.address, "/conversations").await != Some(200) {
        assert!(since.elapsed() < PATIENCE, "it cannot be read again");
    }
    eprintln!("silence: read again after {} ms", since.elapsed().as_millis());
    server.kill();
    assert_kept(&db.url, &[1, 2]).await;
}
