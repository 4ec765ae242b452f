//! A start while the database is away.

use std::net::TcpListener;

use crate::client::Client;
use crate::harness::{Home, OWN, Running, Server, Signer, until};
use crate::notices::Notices;
use crate::passing::passed;
use crate::support::cluster::Cluster;

const TOKEN: &str = "authorization: Bearer a-token\r\n";

fn home(url: &str, signer: &Signer) -> Home {
    Home::new()
        .set("DATABASE_URL", url)
        .set("CONVO_API_TOKEN", "a-token")
        .set("TELNYX_API_KEY", "KEY")
        .set("TELNYX_PHONE_NUMBER", OWN)
        .set("TELNYX_PUBLIC_KEY", signer.public_key())
}

/// PostgreSQL comes later than convo: `/health` answers, webhooks are told to come again, systemd
/// knows why, and then the same process serves.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_waits_for_its_database_and_says_so() {
    let (cluster, notices, signer) = (Cluster::start(), Notices::listen(), Signer::new(14));
    cluster.kill();
    let home = home(&cluster.url(), &signer).set("NOTIFY_SOCKET", notices.socket());
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address");
    let starting = std::thread::spawn({
        let command = passed(&home, &socket, "");
        move || Server::of(command)
    });
    notices.wait_for("STATUS=waiting for the database");
    notices.wait_for("EXTEND_TIMEOUT_USEC=");
    let mut client = Client::new(address);
    assert_eq!(client.get("/health", "").await.0, 200);
    let (status, told) = client.get("/health/ready", TOKEN).await;
    assert_eq!(status, 503, "{told}");
    assert!(told.contains("waits for its database"), "{told}");
    let (status, told) = client.webhook(&signer, "w-1").await;
    assert_eq!(status, 503, "{told}");
    assert_eq!(notices.count("READY=1"), 0);
    cluster.restart();
    let server = tokio::task::spawn_blocking(move || starting.join()).await.expect("no panic");
    let server = server.expect("it came up");
    notices.wait_for("READY=1");
    assert_eq!(client.get("/health/ready", TOKEN).await.0, 200);
    assert_eq!(client.webhook(&signer, "w-1").await.0, 200);
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_start_gives_up_after_a_while_with_exit_5() {
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
fn a_stop_ends_the_waiting() {
    let home = home("postgres://convo@127.0.0.1:9/convo", &Signer::new(16));
    let notices = Notices::listen();
    let home = home.set("NOTIFY_SOCKET", notices.socket());
    let server = home.start(&["serve", "--listen", "127.0.0.1:0"]);
    notices.wait_for("STATUS=waiting for the database");
    server.signal(rustix::process::Signal::TERM);
    server.wait().exits(0);
}
