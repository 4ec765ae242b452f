//! The whole way of a message by way of PgBouncer in transaction mode.

use crate::support::{CONTACT, Pooler, Server, TestDatabase, World};

#[tokio::test(flavor = "multi_thread")]
async fn every_command_works_through_pgbouncer() {
    let direct = TestDatabase::postgres().await;
    let pooler = Pooler::before(&direct.url, "");
    let db = TestDatabase { url: pooler.url(&direct.url), dir: direct.dir };
    let world = World::start(db).await;
    let second = Server::start(&world.home);
    let sends: Vec<_> =
        (0..8).map(|n| world.home.start(&["send", CONTACT, &format!("Number {n}")])).collect();
    let ids: Vec<_> = sends.into_iter().map(|send| send.wait().exits(0).id().to_owned()).collect();
    for id in &ids {
        world.wait_for_message(CONTACT, id, "delivered");
    }
    world.wait_until_counted();
    let shown = world.home.run(&["show", CONTACT, "--history", "--json"]).silent().json();
    for server in [&world.server, &second] {
        let number = CONTACT.replace('+', "%2B");
        let path = format!("/conversations/{number}?history=true");
        assert_eq!(server.get(&path).await.json(), shown);
        let schema = server.get("/health/ready").await;
        assert_eq!(schema.status, 200, "{}", schema.body);
    }
    world.home.run(&["sync", "--no-fetch"]).exits(0);
    world.home.run(&["migrate"]).exits(0);
    let to = TestDatabase::sqlite();
    world.home.copy(&[&world.db.url, &to.url]).exits(0);
}
