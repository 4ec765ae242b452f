//! Servers restart one after the other under load, and nobody notices.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::balancer::Balancer;
use crate::client::Client;
use crate::harness::{Home, OWN, Server, Signer, StandIn};
use crate::support::TestDatabase;

const TOKEN: &str = "a-token";
const ACCEPTED: &str = r#"{"data":{"id":"telnyx-{n}","to":[{"status":"queued"}]}}"#;

/// Keeps posting over its own connection until told to stop; the ids of what was taken.
async fn load(to: SocketAddr, signer: Signer, name: usize, stop: Arc<AtomicBool>) -> Vec<String> {
    let (mut client, mut taken) = (Client::new(to), Vec::new());
    while !stop.load(Ordering::SeqCst) {
        let n = taken.len();
        if n % 10 == 9 {
            let lines = format!("authorization: Bearer {TOKEN}\r\n");
            let body = json!({ "message": format!("Text {n} of {name}") }).to_string();
            let contact = format!("+1213555{name:04}");
            let send = format!("/conversations/{contact}/send");
            let (status, told) = client.post(&send, &lines, &body).await;
            assert_eq!(status, 201, "{told}");
        }
        let id = format!("m-{name}-{n}");
        let (status, told) = client.webhook(&signer, &id).await;
        assert_eq!((status, told.as_str()), (200, r#"{"status":"stored"}"#));
        taken.push(id);
    }
    taken
}

/// Two servers on one PostgreSQL, behind a balancer that heeds readiness, are restarted in turn:
/// every POST of a constant load is answered as if nothing happened, and stored once.
#[tokio::test(flavor = "multi_thread")]
async fn no_post_fails_while_servers_restart_behind_a_balancer() {
    let (db, telnyx) =
        (TestDatabase::postgres().await, StandIn::with("200 OK", "", ACCEPTED).await);
    let signer = Signer::new(11);
    let home = Home::new()
        .set("DATABASE_URL", &db.url)
        .set("TELNYX_API_KEY", "KEY")
        .set("TELNYX_BASE_URL", &telnyx.base_url)
        .set("TELNYX_PHONE_NUMBER", OWN)
        .set("TELNYX_PUBLIC_KEY", signer.public_key())
        .set("CONVO_API_TOKEN", TOKEN)
        // Long beside the balancer's interval, also on a busy machine.
        .set("CONVO_DRAIN", "4")
        .set("CONVO_SHUTDOWN_TIMEOUT", "20");
    let mut servers = [Server::start(&home), Server::start(&home)];
    let addresses = servers.each_ref().map(|server| server.address);
    let balancer = Balancer::over(&addresses, TOKEN).await;
    for address in addresses {
        balancer.sees(address, true).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let loads: Vec<_> = (0..6)
        .map(|n| tokio::spawn(load(balancer.address, signer.clone(), n, Arc::clone(&stop))))
        .collect();
    for place in 0..2 {
        let address = addresses[place];
        servers[place].signal(rustix::process::Signal::TERM);
        balancer.sees(address, false).await;
        let code = servers[place].wait();
        assert_eq!(code, 0, "{}", servers[place].log());
        servers[place] = Server::with(&home, &["serve", "--listen", &address.to_string()]);
        balancer.sees(address, true).await;
    }
    stop.store(true, Ordering::SeqCst);
    let mut taken = 0;
    for load in loads {
        let ids = load.await.expect("every POST was answered");
        assert!(ids.len() > 10, "only {} in all that time", ids.len());
        taken += ids.len();
    }
    let thread = home.run(&["show", "+12125550001", "--json", "--all"]).silent().json();
    assert_eq!(thread["message_count"], taken, "each once");
    assert_eq!(thread["messages"].as_array().map(Vec::len), Some(taken));
}
