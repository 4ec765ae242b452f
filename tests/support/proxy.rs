//! A way to a database that can be cut, turned elsewhere, or fall silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

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
}

impl Proxy {
    /// Starts one that leads to a port.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let target = Arc::new(AtomicU16::new(port));
        let (fate, fates) = watch::channel(Fate::Cut);
        let proxy = Self {
            port: listener.local_addr().expect("an address").port(),
            target: Arc::clone(&target),
            fate,
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut fates = fates.clone();
                fates.mark_unchanged();
                let port = target.load(Ordering::SeqCst);
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    let (mut client, mut server) = (client, server);
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => return,
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

    /// Lets every connection hang, as if the machine behind it were gone.
    pub fn silence(&self) {
        self.fate.send_replace(Fate::Silence);
    }
}
