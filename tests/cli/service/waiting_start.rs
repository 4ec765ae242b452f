//! A start while the database is unavailable.

use std::net::TcpListener;

use super::notices::Notices;
use super::socket_activation::serve_on;
use crate::support::{Cluster, Connection, Home, OWN, Server, Signer, bearer};

const TOKEN: &str = "a-token";

fn home(url: &str, signer: &Signer) -> Home {
    Home::new()
        .set("DATABASE_URL", url)
        .set("CONVO_API_TOKEN", TOKEN)
        .set("TELNYX_API_KEY", "KEY")
        .set("TELNYX_PHONE_NUMBER", OWN)
        .accepting(signer)
}

/// PostgreSQL starts later than convo: `/health` answers, webhooks get 503, systemd is told why, and
/// then the same process serves.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_waits_for_its_database_and_reports_it() {
    let (cluster, notices, signer) = (Cluster::start(), Notices::listen(), Signer::new(14));
    cluster.kill();
    let home = home(&cluster.url(), &signer).set("NOTIFY_SOCKET", notices.socket());
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address");
    let starting = std::thread::spawn({
        let command = serve_on(&home, &socket, "");
        move || Server::from_command(command)
    });
    notices.wait_for("STATUS=waiting for the database");
    notices.wait_for("EXTEND_TIMEOUT_USEC=");
    let mut client = Connection::new(address);
    assert_eq!(client.get("/health", "").await.status, 200);
    let answer = client.get("/health/ready", &bearer(TOKEN)).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.body.contains("is waiting for its database"), "{}", answer.body);
    let answer = client.webhook(&signer, "w-1").await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(notices.count("READY=1"), 0);
    cluster.restart();
    let server = tokio::task::spawn_blocking(move || starting.join()).await.expect("no panic");
    let server = server.expect("it came up");
    notices.wait_for("READY=1");
    assert_eq!(client.get("/health/ready", &bearer(TOKEN)).await.status, 200);
    assert_eq!(client.webhook(&signer, "w-1").await.status, 200);
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_start_gives_up_at_its_timeout_with_exit_5() {
    let signer = Signer::new(15);
    let nowhere = home("postgres://convo@127.0.0.1:9/convo", &signer);
    // Longer than one attempt takes.
    let home = nowhere.set("CONVO_START_TIMEOUT", "6");
    let args = ["serve", "--listen", "127.0.0.1:0"];
    let done = home.run(&args).exits(5);
    assert!(done.err.contains("waiting for the database"), "{}", done.err);
    assert!(done.err.contains("cannot open the database"), "{}", done.err);
}

#[test]
fn a_stop_ends_the_wait() {
    let home = home("postgres://convo@127.0.0.1:9/convo", &Signer::new(16));
    let notices = Notices::listen();
    let home = home.set("NOTIFY_SOCKET", notices.socket());
    let server = home.start(&["serve", "--listen", "127.0.0.1:0"]);
    notices.wait_for("STATUS=waiting for the database");
    server.signal(rustix::process::Signal::TERM);
    server.wait().exits(0);
}
