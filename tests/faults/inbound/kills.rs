//! The server is killed under load, again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::load::{assert_kept, home, post_until, repost, signer};
use crate::on_both_databases;
use crate::support::{Server, TestDatabase, eventually, times_longer};

/// SIGKILL under load, three times. What was acknowledged is there once; what was not is delivered
/// again, as Telnyx does, and is then there once, too.
async fn killed_servers_lose_and_duplicate_nothing(db: TestDatabase) {
    let signer = signer(3);
    let home = home(&db.url, &signer);
    let (mut acknowledged, mut open, mut first) = (Vec::new(), Vec::new(), 0);
    for _ in 0..3 * times_longer() {
        let server = Server::start(&home);
        let address = server.address;
        let so_far = Arc::new(AtomicUsize::new(0));
        let load = {
            let (signer, so_far) = (signer.clone(), Arc::clone(&so_far));
            tokio::spawn(async move {
                post_until(address, &signer, first, |tally| {
                    so_far.store(tally.acknowledged.len(), Ordering::SeqCst);
                    !tally.lost.is_empty()
                })
                .await
            })
        };
        // Then others are under way.
        eventually("the load", async || so_far.load(Ordering::SeqCst) >= 100).await;
        server.kill();
        let tally = load.await.expect("no panic");
        acknowledged.extend(&tally.acknowledged);
        open.extend(tally.lost.iter().chain(&tally.refused));
        first += 1_000_000;
    }
    assert_kept(&db.url, &acknowledged).await;
    let server = Server::start(&home);
    repost(server.address, &signer, &open).await;
    repost(server.address, &signer, &acknowledged[..20]).await;
    server.kill();
    acknowledged.extend(open);
    assert_kept(&db.url, &acknowledged).await;
}

on_both_databases!(killed_servers_lose_and_duplicate_nothing);
