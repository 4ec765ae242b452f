//! The sockets that a server accepts connections on.

use std::future::poll_fn;
use std::io::Result;
use std::net::SocketAddr;
use std::task::Poll;

use tokio::net::{TcpListener, TcpStream};

/// One socket, or several: `localhost` has an address of each family.
#[derive(Debug)]
pub struct Listeners(Vec<TcpListener>);

impl Listeners {
    /// Several sockets.
    #[must_use]
    pub fn new(listeners: Vec<TcpListener>) -> Self {
        Self(listeners)
    }

    /// The next connection on any of them.
    pub(super) async fn accept(&mut self) -> Result<(TcpStream, SocketAddr)> {
        // None of them is favoured over the others.
        let count = self.0.len();
        self.0.rotate_left(count.min(1));
        poll_fn(|context| {
            let ready = self.0.iter().find_map(|listener| match listener.poll_accept(context) {
                Poll::Ready(accepted) => Some(accepted),
                Poll::Pending => None,
            });
            ready.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Each of them, without tokio and not blocking.
    pub(super) fn into_std(self) -> impl Iterator<Item = std::net::TcpListener> {
        self.0.into_iter().filter_map(|listener| listener.into_std().ok())
    }
}

impl From<TcpListener> for Listeners {
    fn from(listener: TcpListener) -> Self {
        Self(vec![listener])
    }
}
