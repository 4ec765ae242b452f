//! A way to a database that can be cut, redirected, or fall silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::TestDatabase;

/// What happens to the connections that exist.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Cut,
    /// Nothing passes any more, and no end is told.
    Silence,
}

/// A proxy on this machine.
pub struct Proxy {
    port: u16,
    target: Arc<AtomicU16>,
    fate: watch::Sender<Fate>,
    budget: Arc<Budget>,
}

/// How many bytes of a client each new connection passes on before it breaks.
struct Budget {
    least: AtomicU64,
    begun: AtomicU64,
    exhausted: AtomicU64,
}

impl Budget {
    /// Another number each time, up to twice the least.
    fn next(&self) -> u64 {
        let (least, n) =
            (self.least.load(Ordering::SeqCst), self.begun.fetch_add(1, Ordering::SeqCst));
        least.saturating_add(n * 997 % least)
    }
}

impl Proxy {
    /// Starts one before a database's server.
    pub async fn before(db: &TestDatabase) -> Self {
        let url = url::Url::parse(&db.url).expect("a URL");
        Self::to(url.port().expect("a port")).await
    }

    /// Starts one that leads to a port.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let target = Arc::new(AtomicU16::new(port));
        let (fate, fates) = watch::channel(Fate::Cut);
        let [begun, exhausted] = [0, 0].map(AtomicU64::new);
        let budget = Arc::new(Budget { least: AtomicU64::new(u64::MAX), begun, exhausted });
        let proxy = Self {
            port: listener.local_addr().expect("an address").port(),
            target: Arc::clone(&target),
            fate,
            budget: Arc::clone(&budget),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut fates = fates.clone();
                fates.mark_unchanged();
                let (port, budget) = (target.load(Ordering::SeqCst), Arc::clone(&budget));
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    let (mut client, mut server) = (client, server);
                    tokio::select! {
                        () = pass(&mut client, &mut server, &budget) => return,
                        changed = fates.changed() => if changed.is_err() { return },
                    }
                    if *fates.borrow() == Fate::Silence {
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        proxy
    }

    /// The URL of a database by way of the proxy.
    pub fn url(&self, direct: &str) -> String {
        let mut url = url::Url::parse(direct).expect("a URL");
        url.set_port(Some(self.port)).expect("a port");
        url.into()
    }

    /// Leads new connections to another port.
    pub fn redirect_to(&self, port: u16) {
        self.target.store(port, Ordering::SeqCst);
    }

    /// Cuts every connection, and every later one after at least so many bytes.
    pub fn cut_each_after(&self, bytes: u64) {
        self.budget.least.store(bytes, Ordering::SeqCst);
        self.fate.send_replace(Fate::Cut);
    }

    /// How many connections were cut after so many bytes.
    pub fn cut_so_far(&self) -> u64 {
        self.budget.exhausted.load(Ordering::SeqCst)
    }

    /// Lets every connection hang, as if the machine behind it were gone.
    pub fn silence(&self) {
        self.fate.send_replace(Fate::Silence);
    }
}

/// Passes on what both ends send until one of them closes or the budget is exhausted.
async fn pass(client: &mut TcpStream, server: &mut TcpStream, budget: &Budget) {
    let (from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let mut from_client = from_client.take(budget.next());
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {
            if from_client.limit() == 0 {
                budget.exhausted.fetch_add(1, Ordering::SeqCst);
            }
        }
        _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
    }
}
