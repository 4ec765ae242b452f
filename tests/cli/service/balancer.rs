//! A load balancer: forwards connections to servers that report themselves ready.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{bearer, eventually, request, try_exchange};

/// How often it checks each server.
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
    /// Balances over servers that accept a token.
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
                let mut polls = tokio::time::interval(POLL);
                loop {
                    polls.tick().await;
                    let ready = is_ready(backend.address, token).await;
                    backend.ready.store(ready, Ordering::SeqCst);
                }
            }));
        }
        let forwarding = forward(listener, Arc::clone(&backends));
        tokio::spawn(end.clone().run_until_cancelled_owned(forwarding));
        Self { address, backends, _end: end.drop_guard() }
    }

    /// Waits until it has noticed that a server is ready, or that it is not.
    pub async fn wait_for_readiness(&self, server: SocketAddr, ready: bool) {
        let backend = self.backends.iter().find(|b| b.address == server).expect("one of them");
        let what = format!("readiness of {server} to be {ready}");
        eventually(&what, async || backend.ready.load(Ordering::SeqCst) == ready).await;
    }
}

async fn is_ready(server: SocketAddr, token: &str) -> bool {
    let ask = async {
        let stream = TcpStream::connect(server).await.ok()?;
        let request = request("GET", "/health/ready", &bearer(token), "");
        try_exchange(stream, request).await.map(|answer| answer.status == 200)
    };
    ask.await.unwrap_or(false)
}

/// Each connection goes to the next ready server in turn. If that server then refuses it, the client
/// gets no answer: a balancer cannot know whether a POST may be repeated.
async fn forward(listener: TcpListener, backends: Arc<Vec<Backend>>) {
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
