//! A load balancer: passes connections on to servers that say they are ready.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How often it asks each server.
const POLL: Duration = Duration::from_millis(20);

struct Backend {
    address: SocketAddr,
    ready: AtomicBool,
}

pub struct Balancer {
    pub address: SocketAddr,
    backends: Arc<Vec<Backend>>,
    _end: DropGuard,
}

impl Balancer {
    /// Balances over servers that take a token.
    pub async fn over(servers: &[SocketAddr], token: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let backend =
            |address: &SocketAddr| Backend { address: *address, ready: AtomicBool::new(false) };
        let backends: Arc<Vec<_>> = Arc::new(servers.iter().map(backend).collect());
        let end = CancellationToken::new();
        for place in 0..backends.len() {
            let backends = Arc::clone(&backends);
            tokio::spawn(end.clone().run_until_cancelled_owned(async move {
                let backend = &backends[place];
                loop {
                    let ready = is_ready(backend.address, token).await;
                    backend.ready.store(ready, Ordering::SeqCst);
                    tokio::time::sleep(POLL).await;
                }
            }));
        }
        let passing = pass(listener, Arc::clone(&backends));
        tokio::spawn(end.clone().run_until_cancelled_owned(passing));
        Self { address, backends, _end: end.drop_guard() }
    }

    /// Waits until it knows that a server is ready, or that it is not.
    pub async fn sees(&self, server: SocketAddr, ready: bool) {
        let backend = self.backends.iter().find(|b| b.address == server).expect("one of them");
        let seen = async {
            while backend.ready.load(Ordering::SeqCst) != ready {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(crate::harness::DEADLINE, seen).await.expect("it is noticed");
    }
}

async fn is_ready(server: SocketAddr, token: &str) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(server).await?;
        let head = "GET /health/ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
        stream.write_all(format!("{head}authorization: Bearer {token}\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer.starts_with("HTTP/1.1 200"))
    };
    ask.await.unwrap_or(false)
}

/// Each connection goes to the next server in turn that is ready. One that then does not take it
/// is the client's misfortune: a balancer cannot know whether a POST may be repeated.
async fn pass(listener: TcpListener, backends: Arc<Vec<Backend>>) {
    let turn = Arc::new(AtomicUsize::new(0));
    while let Ok((mut client, _)) = listener.accept().await {
        let (backends, turn) = (Arc::clone(&backends), Arc::clone(&turn));
        tokio::spawn(async move {
            let server = loop {
                let next = turn.fetch_add(1, Ordering::SeqCst) % backends.len();
                if backends[next].ready.load(Ordering::SeqCst) {
                    break backends[next].address;
                }
                tokio::task::yield_now().await;
            };
            if let Ok(mut server) = TcpStream::connect(server).await {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}
