//! Sockets that systemd opened: passed on from one process to the next, they refuse nobody.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;

use crate::client::Client;
use crate::harness::{Home, OWN, Running, Server, Signer};
use crate::support::TestDatabase;

/// Starts the program with a socket as its third file, as systemd does.
pub fn passed(home: &Home, socket: &TcpListener, args: &str) -> Command {
    let script =
        format!("exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec convo serve {args}");
    let mut command = home.shell(&script);
    let socket: OwnedFd = socket.try_clone().expect("another handle").into();
    command.stdin(Stdio::from(socket));
    command
}

fn home(signer: &Signer, db: &TestDatabase) -> Home {
    Home::new()
        .set("DATABASE_URL", &db.url)
        .set("TELNYX_API_KEY", "KEY")
        .set("TELNYX_PHONE_NUMBER", OWN)
        .set("TELNYX_PUBLIC_KEY", signer.public_key())
        .set("CONVO_API_TOKEN", "a-token")
}

/// One program after the other serves on the same socket, under constant load over new and kept
/// connections: everybody is served, whoever connects between two of them a little later.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_a_passed_socket_refuses_nobody() {
    let (db, signer) = (TestDatabase::sqlite(), Signer::new(12));
    let home = home(&signer, &db);
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address");
    // Another address than this is not listened on.
    let start = || Server::of(passed(&home, &socket, "--listen 127.0.0.1:1"));
    let mut server = start();
    assert_eq!(server.address, address);
    let stop = Arc::new(AtomicBool::new(false));
    let load = |name: usize| {
        let (signer, stop) = (signer.clone(), Arc::clone(&stop));
        let fresh = name < 2;
        tokio::spawn(async move {
            let (mut client, mut n) = (Client::new(address), 0);
            while !stop.load(Ordering::SeqCst) {
                if fresh {
                    client = Client::new(address);
                }
                let (status, told) = client.webhook(&signer, &format!("p-{name}-{n}")).await;
                assert_eq!(status, 200, "{told}");
                n += 1;
            }
            n
        })
    };
    let loads: Vec<_> = (0..4).map(load).collect();
    for _ in 0..3 {
        server.signal(Signal::TERM);
        assert_eq!(server.wait(), 0, "{}", server.log());
        server = start();
        let (status, _) = Client::new(address).get("/health", "").await;
        assert_eq!(status, 200);
    }
    stop.store(true, Ordering::SeqCst);
    let mut taken = 0;
    for load in loads {
        taken += load.await.expect("everybody was served");
    }
    let thread = home.run(&["show", "+12125550001", "--json", "--all"]).silent().json();
    assert_eq!(thread["message_count"], taken);
}

#[test]
fn a_passed_socket_is_no_way_around_the_token() {
    let home = Home::new();
    for address in ["0.0.0.0:0", "[::]:0", "127.0.0.1:0"] {
        let socket = TcpListener::bind(address).expect("a port");
        let done = Running::start(passed(&home, &socket, ""), None).wait().exits(4);
        done.tells("CONVO_API_TOKEN");
        assert_eq!(home.files(), [""; 0]);
    }
    // Play knows no token; to this machine it may be open all the same.
    let public = TcpListener::bind("0.0.0.0:0").expect("a port");
    Running::start(passed(&home, &public, "--sandbox"), None).wait().exits(4);
    let here = TcpListener::bind("127.0.0.1:0").expect("a port");
    let server = Server::of(passed(&home, &here, "--sandbox"));
    assert_eq!(server.stop(), 0);
}

#[test]
fn what_was_passed_must_be_one_socket_to_listen_on() {
    let home = Home::new().set("CONVO_API_TOKEN", "a-token");
    for (files, told) in [
        ("3</dev/null; export LISTEN_FDS=1", "none to listen on"),
        ("3</dev/null 4</dev/null; export LISTEN_FDS=2", "2 sockets were inherited"),
    ] {
        let script = format!("exec {files} LISTEN_PID=$$; exec convo serve");
        home.script(&script).exits(4).tells(told);
    }
}
