//! A way to a database that can be cut, turned elsewhere, or fall silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to the connections that exist.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Cut,
    /// Nothing passes any more, and nobody is told.
    Silence,
}

/// A proxy on this machine.
pub struct Proxy {
    port: u16,
    target: Arc<AtomicU16>,
    fate: watch::Sender<Fate>,
    wear: Arc<Wear>,
}

/// How connections break by themselves: each new one somewhere within what is sent on it.
struct Wear {
    /// How many bytes each one lasts, at least.
    least: AtomicU64,
    begun: AtomicU64,
    worn: AtomicU64,
}

impl Wear {
    /// How much a new connection lasts: another number each time, up to twice the least.
    fn of_next(&self) -> u64 {
        let (least, n) =
            (self.least.load(Ordering::SeqCst), self.begun.fetch_add(1, Ordering::SeqCst));
        least.saturating_add(n * 997 % least)
    }
}

impl Proxy {
    /// Starts one that leads to a port.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let target = Arc::new(AtomicU16::new(port));
        let (fate, fates) = watch::channel(Fate::Cut);
        let [begun, worn] = [0, 0].map(AtomicU64::new);
        let wear = Arc::new(Wear { least: AtomicU64::new(u64::MAX), begun, worn });
        let proxy = Self {
            port: listener.local_addr().expect("an address").port(),
            target: Arc::clone(&target),
            fate,
            wear: Arc::clone(&wear),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut fates = fates.clone();
                fates.mark_unchanged();
                let port = target.load(Ordering::SeqCst);
                let wear = Arc::clone(&wear);
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    let (mut client, mut server) = (client, server);
                    tokio::select! {
                        () = pass(&mut client, &mut server, &wear) => return,
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

    /// A URL of the database by way of the proxy.
    pub fn url(&self, direct: &str) -> String {
        let mut url = url::Url::parse(direct).expect("a URL");
        url.set_port(Some(self.port)).expect("a port");
        url.into()
    }

    /// Leads new connections to another port.
    pub fn turn_to(&self, port: u16) {
        self.target.store(port, Ordering::SeqCst);
    }

    /// Breaks every connection.
    pub fn cut(&self) {
        self.fate.send_replace(Fate::Cut);
    }

    /// Breaks every connection, and every later one after so many bytes and some more.
    pub fn wear_out_after(&self, bytes: u64) {
        self.wear.least.store(bytes, Ordering::SeqCst);
        self.cut();
    }

    /// How many connections have broken so.
    pub fn worn_out(&self) -> u64 {
        self.wear.worn.load(Ordering::SeqCst)
    }

    /// Lets every connection hang, as if the machine behind it were gone.
    pub fn silence(&self) {
        self.fate.send_replace(Fate::Silence);
    }
}

/// Passes on what both say until one of them ends or the connection is worn out.
async fn pass(client: &mut TcpStream, server: &mut TcpStream, wear: &Wear) {
    let (from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let mut from_client = from_client.take(wear.of_next());
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {
            if from_client.limit() == 0 {
                wear.worn.fetch_add(1, Ordering::SeqCst);
            }
        }
        _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
    }
}
