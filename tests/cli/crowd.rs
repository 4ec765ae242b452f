//! One SQLite file, many processes: nobody is ever told that it is locked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::{
    CONTACT, FakeServer, Home, Reply, Running, Server, TestDatabase, World, inbound, is_id,
};

/// Webhooks without a pause, until told to stop.
fn load(world: &World, stop: &Arc<AtomicBool>) -> Vec<tokio::task::JoinHandle<()>> {
    let next = Arc::new(AtomicUsize::new(0));
    let post = |_| {
        let (signer, to) = (world.signer.clone(), world.server.address);
        let (next, stop) = (Arc::clone(&next), Arc::clone(stop));
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let from = format!("+1213{:07}", n % 50);
                let body = inbound(&format!("l{n}"), &format!("l{n}"), &from, "Load");
                signer.post_to(to, body.as_bytes()).await;
            }
        })
    };
    (0..8).map(post).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_and_a_server_under_load_share_one_file() {
    let world = World::start(TestDatabase::sqlite()).await;
    world.home.run(&["send", CONTACT, "First"]).exits(0);
    let stop = Arc::new(AtomicBool::new(false));
    let posting = load(&world, &stop);
    let commands: [&[&str]; 4] = [
        &["send", CONTACT, "Hi"],
        &["list", "--json"],
        &["show", CONTACT],
        &["send", "+12125550007", "Hi", "--json"],
    ];
    for _ in 0..2 {
        let running: Vec<_> = (0..24).map(|n| world.home.start(commands[n % 4])).collect();
        for done in running.into_iter().map(Running::wait) {
            let done = done.exits(0);
            assert!(!done.err.contains("locked"), "{}", done.err);
        }
    }
    stop.store(true, Ordering::Relaxed);
    for task in posting {
        task.await.expect("every webhook was taken in");
    }
    assert!(!world.server.log().contains("locked"), "{}", world.server.log());
    world.wait_for_thread("+12125550007", |thread| thread["message_count"] == 24);
    world.wait_for_thread(CONTACT, |thread| thread["message_count"] == 26);
    assert_eq!(world.wait_until_counted(), 52);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_commands_share_a_new_file() {
    for round in 0..3 {
        let telnyx = FakeServer::replying(&[Reply::Accept]).await;
        let home = Home::new().sending_to(&telnyx.base_url());
        let sends: Vec<_> = (0..12).map(|_| home.start(&["send", CONTACT, "Hi"])).collect();
        let sends: Vec<_> = sends.into_iter().map(|send| send.wait().exits(0)).collect();
        assert!(sends.iter().all(|send| is_id(send.line())), "{round}");
        // The last one to close the file folds its log away while the next one opens it.
        let more: Vec<_> = (0..24)
            .map(|n| match n % 3 {
                0 => home.start(&["send", CONTACT, "Hi"]),
                1 => home.start(&["list"]),
                _ => home.start(&["show", CONTACT]),
            })
            .collect();
        for done in more.into_iter().map(Running::wait) {
            done.exits(0);
        }
        let thread = home.run(&["show", CONTACT, "--json"]).silent().json();
        assert_eq!((&thread["message_count"], telnyx.requests().len()), (&20.into(), 20));
        assert_eq!(home.files(), ["conversations.db"], "all of it is in one file");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_start_and_stop_among_commands() {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let home = Home::new().sending_to(&telnyx.base_url());
    for _ in 0..3 {
        let sends: Vec<_> = (0..6).map(|_| home.start(&["send", CONTACT, "Hi"])).collect();
        let server = Server::start(&home);
        for send in sends {
            send.wait().exits(0);
        }
        let sends: Vec<_> = (0..6).map(|_| home.start(&["send", CONTACT, "Hi"])).collect();
        assert_eq!(server.stop(), 0);
        for send in sends {
            send.wait().exits(0);
        }
    }
    let thread = home.run(&["show", CONTACT, "--json"]).silent().json();
    assert_eq!(thread["message_count"], 36);
}
