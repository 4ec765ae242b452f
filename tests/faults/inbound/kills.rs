//! The server is killed under load, again and again.

use super::load::{assert_kept, home, kill_under_load, repost, signer};
use crate::on_both_databases;
use crate::support::{Server, TestDatabase, times_longer};

/// SIGKILL under load, three times. What was acknowledged is there once; what was not is delivered
/// again, as Telnyx does, and is then there once, too.
async fn killed_servers_lose_and_duplicate_nothing(db: TestDatabase) {
    let signer = signer(3);
    let home = home(&db.url, &signer);
    let (mut acknowledged, mut open, mut first) = (Vec::new(), Vec::new(), 0);
    for _ in 0..3 * times_longer() {
        let server = Server::start(&home);
        let tally = kill_under_load(server, &signer, first).await;
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
