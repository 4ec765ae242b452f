//! Nothing acknowledged is lost: the server is killed in mid-load, again and again.
//!
//! `CONVO_TEST_LONG=N` ends it N times as often.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::on_both_databases;
use crate::support::{
    FakeServer, Home, Reply, Running, Server, Signer, TestDatabase, inbound, times_longer,
    wait_until,
};

/// What was posted, and which of it was answered 200.
#[derive(Default)]
struct Posted {
    next: AtomicUsize,
    all: Mutex<HashMap<usize, bool>>,
}

impl Posted {
    fn acknowledged(&self) -> usize {
        self.all.lock().expect("no panic").values().filter(|taken| **taken).count()
    }
}

fn body(n: usize) -> String {
    // Every seventh is another event that tells the message of its neighbour again.
    let message = if n % 7 == 6 { n - 1 } else { n };
    inbound(&format!("e{n}"), &format!("m{message}"), &format!("+1212555{:04}", message % 40), "Hi")
}

async fn post(signer: Signer, server: std::net::SocketAddr, posted: Arc<Posted>) {
    loop {
        let n = posted.next.fetch_add(1, Ordering::Relaxed);
        posted.all.lock().expect("no panic").insert(n, false);
        match signer.try_post(server, body(n)).await {
            Some((200, _)) => drop(posted.all.lock().expect("no panic").insert(n, true)),
            Some((503, _)) => {}
            Some(other) => panic!("{other:?}"),
            None => return,
        }
    }
}

/// How often each message of Telnyx's is stored; the counters are checked on the way.
fn stored(home: &Home) -> HashMap<String, usize> {
    let mut found = HashMap::new();
    let list = home.run(&["list", "--json"]).silent().json();
    for thread in list.as_array().expect("an array") {
        let id = thread["id"].as_str().expect("an id");
        let shown = home.run(&["show", id, "--json"]).silent().json();
        let messages = shown["messages"].as_array().expect("messages");
        assert_eq!(thread["message_count"], messages.len(), "{thread}");
        assert_eq!(thread["last_message_at"], messages.last().expect("one")["created_at"]);
        let name = |m: &Value| m["telnyx_message_id"].as_str().expect("an id").to_owned();
        messages.iter().map(name).for_each(|name| *found.entry(name).or_default() += 1);
    }
    found
}

async fn acknowledged_webhooks_survive_a_kill(db: TestDatabase) {
    let signer = Signer::new(7);
    let home = Home::new().with_database(&db).accepting(&signer);
    let posted = Arc::new(Posted::default());
    for round in 0..3 * times_longer() {
        let server = Server::start(&home);
        let posting: Vec<_> = (0..32)
            .map(|_| tokio::spawn(post(signer.clone(), server.address, Arc::clone(&posted))))
            .collect();
        let enough = posted.acknowledged() + 300 + 37 * round;
        wait_until("acknowledgements", || posted.acknowledged() >= enough);
        match round % 3 {
            2 => assert_eq!(server.stop(), 0, "asked to stop, it ends what is begun"),
            _ => drop(server.kill()),
        }
        for task in posting {
            task.await.expect("no other answer than 200 and 503");
        }
    }
    let server = Server::start(&home);
    let found = stored(&home);
    assert!(found.values().all(|times| *times == 1), "nothing is there twice");
    let all = posted.all.lock().expect("no panic").clone();
    let message = |n: usize| format!("m{}", if n % 7 == 6 { n - 1 } else { n });
    for (n, taken) in &all {
        assert!(!taken || found.contains_key(&message(*n)), "{n} was acknowledged and is lost");
    }
    // Telnyx delivers again what was not acknowledged, and some of what was.
    for (n, taken) in &all {
        let word = signer.post(&server, body(*n)).await;
        assert!(!taken || word == "duplicate", "{n}: {word}");
    }
    let expected: std::collections::HashSet<_> = all.keys().map(|n| message(*n)).collect();
    let found = stored(&home);
    assert_eq!(found.len(), expected.len());
    assert!(found.values().all(|times| *times == 1) && server.stop() == 0);
}

/// A send is a stored row before the first byte goes to Telnyx.
async fn a_killed_send_has_stored_its_row(db: TestDatabase) {
    let telnyx = FakeServer::replying(&[Reply::Silence]).await;
    let home = Home::new().with_database(&db).sending_to(&telnyx.base_url());
    home.run(&["migrate"]).exits(0);
    let running = home.start(&["send", "+12125551234", "Hi", "--idempotency-key", "k"]);
    telnyx.wait_for_offers(1).await;
    running.signal(rustix::process::Signal::KILL);
    Running::wait(running).exits(-9);
    let thread = home.run(&["show", "+12125551234", "--json"]).silent().json();
    assert_eq!(
        (&thread["message_count"], &thread["messages"][0]["status"]),
        (&1.into(), &"pending".into())
    );
    // The key still binds: nobody knows whether it was sent.
    let again = home.run(&["send", "+12125551234", "Hi", "--idempotency-key", "k"]).exits(9);
    assert_eq!(thread["messages"][0]["id"], again.id());
    assert_eq!(telnyx.offers().len(), 1);
}

on_both_databases!(acknowledged_webhooks_survive_a_kill, a_killed_send_has_stored_its_row);
