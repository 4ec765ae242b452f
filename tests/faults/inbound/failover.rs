//! PostgreSQL restarts, fails over to another machine, or stops answering. The server is never
//! restarted.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::load::{Tally, assert_kept, home, post, post_until, repost, signer};
use crate::support::{
    Cluster, DEADLINE, Proxy, Server, Signer, TestDatabase, eventually, execute, local_client,
};

/// How soon the server is back, at the latest. It is usually far sooner, but the machine may be
/// busy with other tests.
const SOON: Duration = Duration::from_secs(15);

async fn get(address: SocketAddr, path: &str) -> Option<u16> {
    get_within(DEADLINE, address, path).await
}

async fn get_within(time: Duration, address: SocketAddr, path: &str) -> Option<u16> {
    let answer = local_client(time).get(format!("http://{address}{path}")).send().await;
    Some(answer.ok()?.status().as_u16())
}

/// Posts one webhook again and again until it is accepted, which must be soon.
async fn assert_back_soon(what: &str, address: SocketAddr, signer: &Signer, n: usize) {
    let start = Instant::now();
    repost(address, signer, &[n]).await;
    let took = start.elapsed();
    eprintln!("{what}: back after {} ms", took.as_millis());
    assert!(took < SOON, "{what}: {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_postgresql_is_used_again_at_once() {
    let cluster = Cluster::start();
    let signer = signer(11);
    let home = home(&cluster.url(), &signer);
    let server = Server::start(&home);
    let mut acknowledged = vec![1];
    repost(server.address, &signer, &[1]).await;
    for (round, mode) in ["fast", "immediate"].into_iter().enumerate() {
        let n = 10 + round;
        tokio::task::block_in_place(|| cluster.stop(mode));
        assert_eq!(post(&signer, server.address, n).await, Some(503));
        assert_eq!(get(server.address, "/health").await, Some(200));
        tokio::task::block_in_place(|| cluster.restart());
        assert_back_soon(mode, server.address, &signer, n).await;
        // All four connections for reading are broken, and no client notices.
        for _ in 0..8 {
            assert_eq!(get(server.address, "/conversations").await, Some(200));
        }
        acknowledged.push(n);
    }
    server.kill();
    assert_kept(&cluster.url(), &acknowledged).await;
}

/// The primary dies; its replica is read-only at first, then promoted. What was acknowledged is
/// there: PostgreSQL acknowledges only what the replica has.
#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_standby_takes_over_without_loss() {
    let primary = Cluster::start();
    let standby = tokio::task::block_in_place(|| primary.standby());
    execute(&primary.url(), "ALTER SYSTEM SET synchronous_standby_names = '*'").await;
    tokio::task::block_in_place(|| primary.reload());
    let proxy = Proxy::to(primary.port()).await;
    let signer = signer(12);
    let home = home(&proxy.url(&primary.url()), &signer);
    let server = Server::start(&home);
    let before = post_until(server.address, &signer, 0, |t| t.acknowledged.len() > 300).await;
    proxy.redirect_to(standby.port());
    primary.kill();
    let down = post_until(server.address, &signer, 100_000, |t| t.refused.len() >= 32).await;
    assert!(down.lost.is_empty(), "the server always answers");
    assert_eq!(get(server.address, "/conversations").await, Some(200), "it can be read");
    tokio::task::block_in_place(|| standby.promote());
    assert_back_soon("promotion", server.address, &signer, 200_000).await;
    let mut acknowledged = [before.acknowledged, down.acknowledged, vec![200_000]].concat();
    let open = [before.refused, before.lost, down.refused].concat();
    assert_kept(&standby.url(), &acknowledged).await;
    repost(server.address, &signer, &open).await;
    server.kill();
    acknowledged.extend(open);
    assert_kept(&standby.url(), &acknowledged).await;
}

/// Every connection is cut in the middle of a transaction, within a statement or between two of
/// them, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_lose_and_duplicate_nothing() {
    let db = TestDatabase::postgres().await;
    let proxy = Proxy::before(&db).await;
    let signer = signer(13);
    let home = home(&proxy.url(&db.url), &signer);
    let server = Server::start(&home);
    // The beginning of a session and some batches.
    proxy.cut_each_after(40_000);
    let enough = |tally: &Tally| proxy.cut_so_far() > 20 && tally.acknowledged.len() > 500;
    let tally = post_until(server.address, &signer, 0, enough).await;
    assert!(tally.lost.is_empty(), "the server always answers");
    assert!(!tally.refused.is_empty(), "no cut hit a webhook");
    repost(server.address, &signer, &tally.refused).await;
    server.kill();
    assert_kept(&db.url, &[tally.acknowledged, tally.refused].concat()).await;
}

/// The machine is gone without a word: no connection breaks, nothing is answered. In time new
/// connections are made, for reading and for writing.
#[tokio::test(flavor = "multi_thread")]
async fn an_unresponsive_postgresql_is_abandoned_for_new_connections() {
    let db = TestDatabase::postgres().await;
    let proxy = Proxy::before(&db).await;
    let signer = signer(14);
    let home = home(&proxy.url(&db.url), &signer);
    let server = Server::start(&home);
    repost(server.address, &signer, &[1]).await;
    let reads = (0..8).map(|_| get(server.address, "/conversations"));
    assert_eq!(futures_util::future::join_all(reads).await, [Some(200); 8]);
    proxy.silence();
    assert_back_soon("silence", server.address, &signer, 2).await;
    eventually("the conversations to be readable", async || {
        get(server.address, "/conversations").await == Some(200)
    })
    .await;
    server.kill();
    assert_kept(&db.url, &[1, 2]).await;
}

/// The same, when the callers of the queries under way have left: the driver then tests their connections
/// without a time limit, and none becomes free.
#[tokio::test(flavor = "multi_thread")]
async fn connections_of_callers_who_left_are_abandoned_with_an_unresponsive_postgresql() {
    let db = TestDatabase::postgres().await;
    let proxy = Proxy::before(&db).await;
    let signer = signer(15);
    let home = home(&proxy.url(&db.url), &signer);
    let server = Server::start(&home);
    repost(server.address, &signer, &[1]).await;
    proxy.silence();
    // More than there are connections, and less time than a query has.
    let impatient =
        (0..8).map(|_| get_within(Duration::from_millis(300), server.address, "/conversations"));
    assert_eq!(futures_util::future::join_all(impatient).await, [None; 8]);
    assert_back_soon("silence", server.address, &signer, 2).await;
    assert_eq!(get(server.address, "/conversations").await, Some(200));
    server.kill();
    assert_kept(&db.url, &[1, 2]).await;
}
