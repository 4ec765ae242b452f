//! The server is killed under load, again and again.

use convo::sandbox::SigningKey;

use crate::load::{Server, assert_kept, post_until, repost, serve, times};
use crate::support::TestDatabase;

/// SIGKILL in mid-load, three times. What was acknowledged is there once; what was not comes
/// again, as Telnyx would bring it, and is then there once, too.
async fn killed_servers_lose_and_double_nothing(db: TestDatabase) {
    let key = SigningKey::from_seed(&[3; 32]);
    let (mut acknowledged, mut open, mut first) = (Vec::new(), Vec::new(), 0);
    for _ in 0..times(3) {
        let server = Server::start(serve(&db.url), &key);
        let address = server.address;
        let load = {
            let key = key.clone();
            tokio::spawn(async move {
                post_until(address, &key, first, |tally| !tally.lost.is_empty()).await
            })
        };
        // Once some are acknowledged, it dies while others are under way.
        repost(address, &key, &[first + 100_000]).await;
        tokio::task::spawn_blocking(move || {
            std::thread::sleep(std::time::Duration::from_millis(150));
            server.kill();
        })
        .await
        .expect("killed");
        let tally = load.await.expect("no panic");
        acknowledged.push(first + 100_000);
        acknowledged.extend(&tally.acknowledged);
        open.extend(tally.lost.iter().chain(&tally.refused));
        assert!(!tally.acknowledged.is_empty(), "the kill came before anything was stored");
        first += 1_000_000;
    }
    assert_kept(&db.url, &acknowledged).await;
    let server = Server::start(serve(&db.url), &key);
    repost(server.address, &key, &open).await;
    repost(server.address, &key, &acknowledged[..20.min(acknowledged.len())]).await;
    server.kill();
    acknowledged.extend(open);
    assert_kept(&db.url, &acknowledged).await;
}

mod sqlite {
    #[tokio::test(flavor = "multi_thread")]
    async fn killed_servers_lose_and_double_nothing() {
        super::killed_servers_lose_and_double_nothing(super::TestDatabase::sqlite()).await;
    }
}

mod postgres {
    #[tokio::test(flavor = "multi_thread")]
    async fn killed_servers_lose_and_double_nothing() {
        let db = super::TestDatabase::postgres().await;
        super::killed_servers_lose_and_double_nothing(db).await;
    }
}
