//! Addresses where something is wrong.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// A port where nothing listens.
pub fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    free.local_addr().expect("an address").port()
}

/// An address that refuses connections.
pub fn closed_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}

/// An address that never completes a connection, as long as this lives: a client hangs before it
/// can write a byte.
pub struct Unresponsive {
    pub address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Unresponsive {
    pub async fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let listener = socket.listen(1).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let (mut queue, moment) = (Vec::new(), Duration::from_millis(200));
        // The kernel completes what fits into the queue and drops the rest.
        while let Ok(Ok(stream)) = tokio::time::timeout(moment, TcpStream::connect(address)).await {
            queue.push(stream);
        }
        Self { address, _listener: listener, _queue: queue }
    }
}
