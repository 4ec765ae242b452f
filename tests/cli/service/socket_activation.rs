//! Sockets that systemd opened and passes to one process after the other: no connection is refused.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;

use crate::support::{Connection, Home, OWN, Running, Server, Signer, TestDatabase};

/// `convo serve` with a socket as its file descriptor 3, as systemd passes it.
pub fn serve_on(home: &Home, socket: &TcpListener, args: &str) -> Command {
    let script =
        format!("exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec convo serve {args}");
    let mut command = home.shell(&script);
    let socket: OwnedFd = socket.try_clone().expect("another handle").into();
    command.stdin(Stdio::from(socket));
    command
}

fn home(signer: &Signer, db: &TestDatabase) -> Home {
    Home::new()
        .with_database(db)
        .set("TELNYX_API_KEY", "KEY")
        .set("TELNYX_PHONE_NUMBER", OWN)
        .accepting(signer)
        .set("CONVO_API_TOKEN", "a-token")
}

/// One process after the other serves on the same socket, under constant load over new and kept
/// connections: every client is served, one that connects between two of them a little later.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_an_inherited_socket_refuses_no_connection() {
    let (db, signer) = (TestDatabase::sqlite(), Signer::new(12));
    let home = home(&signer, &db);
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address");
    // The address on the command line is not listened on.
    let start = || Server::from_command(serve_on(&home, &socket, "--listen 127.0.0.1:1"));
    let mut server = start();
    assert_eq!(server.address, address);
    let stop = Arc::new(AtomicBool::new(false));
    let load = |name: usize| {
        let (signer, stop) = (signer.clone(), Arc::clone(&stop));
        let fresh = name < 2;
        tokio::spawn(async move {
            let (mut client, mut n) = (Connection::new(address), 0);
            while !stop.load(Ordering::SeqCst) {
                if fresh {
                    client = Connection::new(address);
                }
                let answer = client.webhook(&signer, &format!("p-{name}-{n}")).await;
                assert_eq!(answer.status, 200, "{}", answer.body);
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
        let answer = Connection::new(address).get("/health", "").await;
        assert_eq!(answer.status, 200);
    }
    stop.store(true, Ordering::SeqCst);
    let mut stored = 0;
    for load in loads {
        stored += load.await.expect("every client was served");
    }
    let thread = home.run(&["show", "+12125550001", "--json", "--all"]).silent().json();
    assert_eq!(thread["message_count"], stored);
}

#[test]
fn an_inherited_public_socket_requires_a_token() {
    let home = Home::new();
    for address in ["0.0.0.0:0", "[::]:0", "127.0.0.1:0"] {
        let socket = TcpListener::bind(address).expect("a port");
        let done = Running::start(serve_on(&home, &socket, ""), None).wait().exits(4);
        done.reports("CONVO_API_TOKEN");
        assert_eq!(home.files(), [""; 0]);
    }
    // A sandbox has no token; it may still be open to this machine.
    let public = TcpListener::bind("0.0.0.0:0").expect("a port");
    Running::start(serve_on(&home, &public, "--sandbox"), None).wait().exits(4);
    let here = TcpListener::bind("127.0.0.1:0").expect("a port");
    let server = Server::from_command(serve_on(&home, &here, "--sandbox"));
    assert_eq!(server.stop(), 0);
}

#[test]
fn exactly_one_listening_socket_must_be_inherited() {
    let home = Home::new().set("CONVO_API_TOKEN", "a-token");
    for (files, error) in [
        ("3</dev/null; export LISTEN_FDS=1", "is not a listening TCP socket"),
        ("3</dev/null 4</dev/null; export LISTEN_FDS=2", "2 sockets were inherited"),
    ] {
        let script = format!("exec {files} LISTEN_PID=$$; exec convo serve");
        home.script(&script).exits(4).reports(error);
    }
}
