//! Servers restart one after the other under load, and no client notices.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::balancer::Balancer;
use crate::support::{Connection, FakeServer, Home, Reply, Server, Signer, TestDatabase, bearer};

const TOKEN: &str = "a-token";

/// Keeps posting over its own connection until `stop`; the ids of what was stored.
async fn load(to: SocketAddr, signer: Signer, name: usize, stop: Arc<AtomicBool>) -> Vec<String> {
    let (mut client, mut stored) = (Connection::new(to), Vec::new());
    while !stop.load(Ordering::SeqCst) {
        let n = stored.len();
        if n % 10 == 9 {
            let lines = bearer(TOKEN);
            let body = json!({ "message": format!("Text {n} of {name}") }).to_string();
            let contact = format!("+1213555{name:04}");
            let send = format!("/conversations/{contact}/send");
            let answer = client.post(&send, &lines, &body).await;
            assert_eq!(answer.status, 201, "{}", answer.body);
        }
        let id = format!("m-{name}-{n}");
        let answer = client.webhook(&signer, &id).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"stored"}"#));
        stored.push(id);
    }
    stored
}

/// Two servers on one PostgreSQL, behind a balancer that checks readiness, are restarted in turn: every
/// POST of a constant load is answered as if nothing happened, and stored once.
#[tokio::test(flavor = "multi_thread")]
async fn no_post_fails_while_servers_restart_behind_a_balancer() {
    let (db, telnyx) =
        (TestDatabase::postgres().await, FakeServer::replying(&[Reply::Accept]).await);
    let signer = Signer::new(11);
    let home = Home::new()
        .with_database(&db)
        .sending_to(&telnyx.base_url())
        .accepting(&signer)
        .set("CONVO_API_TOKEN", TOKEN)
        // A fast machine sends more to a contact than a person would.
        .set("CONVO_SEND_LIMIT", "off")
        // Much longer than the balancer's interval, also on a busy machine.
        .set("CONVO_DRAIN", "4")
        .set("CONVO_SHUTDOWN_TIMEOUT", "20");
    let mut servers = [Server::start(&home), Server::start(&home)];
    let addresses = servers.each_ref().map(|server| server.address);
    let balancer = Balancer::over(&addresses, TOKEN).await;
    for address in addresses {
        balancer.wait_for_readiness(address, true).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let loads: Vec<_> = (0..6)
        .map(|n| tokio::spawn(load(balancer.address, signer.clone(), n, Arc::clone(&stop))))
        .collect();
    for place in 0..2 {
        let address = addresses[place];
        servers[place].signal(rustix::process::Signal::TERM);
        balancer.wait_for_readiness(address, false).await;
        let code = servers[place].wait();
        assert_eq!(code, 0, "{}", servers[place].log());
        servers[place] = Server::start_with(&home, &["serve", "--listen", &address.to_string()]);
        balancer.wait_for_readiness(address, true).await;
    }
    stop.store(true, Ordering::SeqCst);
    let mut stored = 0;
    for load in loads {
        let ids = load.await.expect("every POST was answered");
        assert!(ids.len() > 10, "only {} in all that time", ids.len());
        stored += ids.len();
    }
    let thread = home.run(&["show", "+12125550001", "--json", "--all"]).silent().json();
    assert_eq!(thread["message_count"], stored, "each once");
    assert_eq!(thread["messages"].as_array().map(Vec::len), Some(stored));
}
