//! Addresses and sockets to listen on.

use std::io::{Error as IoError, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

use crate::error::{Code, Error};

/// The most connections that wait to be accepted. Of those beyond it the kernel drops the first packet, and
/// their clients try again only after a second, then after two, four and so on.
const BACKLOG: u32 = 1_024;
/// How often a free port is looked for that all addresses of a name have free.
const ATTEMPTS: usize = 10;

/// The URL of the server for programs on this machine.
pub(super) fn url(address: SocketAddr) -> String {
    let host = match address {
        address if !address.ip().is_unspecified() => address.ip(),
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    format!("http://{}", SocketAddr::new(host, address.port()))
}

/// Looks up the addresses of a host and port, at least one. `localhost` has one of each family,
/// whatever the system's tables say: a client may choose either.
///
/// # Errors
/// `not_configured` if it is not an address, `address_unavailable` if the name is unknown for now.
pub(super) async fn resolve(listen: &str) -> Result<Vec<SocketAddr>, Error> {
    let hint = "use HOST:PORT, for example 127.0.0.1:5000, with --listen or CONVO_LISTEN";
    if let Some((host, port)) = listen.rsplit_once(':')
        && host.eq_ignore_ascii_case("localhost")
        && let Ok(port) = port.parse()
    {
        return Ok(vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]);
    }
    match tokio::net::lookup_host(listen).await.map(Iterator::collect::<Vec<_>>) {
        Ok(mut found) if !found.is_empty() => {
            found.sort();
            found.dedup();
            Ok(found)
        }
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            let what = format!("'{listen}' is not an address to listen on");
            Err(Error::new(Code::NotConfigured, what).hint(hint))
        }
        // DNS may know the name in a moment.
        _ => {
            let what = format!("cannot resolve the host name in the listen address '{listen}'");
            Err(Error::new(Code::AddressUnavailable, what).hint(hint))
        }
    }
}

/// Listens on all addresses of a name. Those that this machine does not have, such as any of IPv6
/// where that is turned off, are left out if there are others.
///
/// # Errors
/// `address_unavailable` or `not_configured` if one of them cannot be listened on.
pub(super) fn bind_all(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, Error> {
    let mut attempt = 1;
    loop {
        match bind_once(addresses) {
            // The port that was free on the first address is in use on another.
            Err((address, error))
                if error.kind() == ErrorKind::AddrInUse
                    && address.port() == 0
                    && attempt < ATTEMPTS =>
            {
                attempt += 1;
            }
            bound => return bound.map_err(|(address, error)| cannot_listen(address, &error)),
        }
    }
}

fn bind_once(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, (SocketAddr, IoError)> {
    let mut bound: Vec<TcpListener> = Vec::new();
    let mut missing = None;
    for address in addresses {
        let mut wanted = *address;
        if let Some(first) = bound.first().and_then(|first| first.local_addr().ok())
            && wanted.port() == 0
        {
            wanted.set_port(first.port());
        }
        match listen(wanted) {
            Ok(listener) => bound.push(listener),
            Err(error) if is_not_ours(&error) => missing = Some((*address, error)),
            Err(error) => return Err((*address, error)),
        }
    }
    match missing {
        Some(missing) if bound.is_empty() => Err(missing),
        _ => Ok(bound),
    }
}

/// Whether this machine has no such address.
fn is_not_ours(error: &IoError) -> bool {
    let unsupported = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(unsupported)
}

pub(super) fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    listen(address).map_err(|error| cannot_listen(address, &error))
}

fn listen(address: SocketAddr) -> Result<TcpListener, IoError> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As the standard library does, so that a server can be restarted at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The socket that a supervisor has opened for this process, and its address.
///
/// # Errors
/// `not_configured` if it is not a listening TCP socket.
pub(super) fn inherit(socket: std::net::TcpListener) -> Result<(TcpListener, SocketAddr), Error> {
    let unusable = |error: IoError| {
        Error::new(Code::NotConfigured, format!("cannot use the inherited socket: {error}"))
    };
    let address = socket.local_addr().map_err(unusable)?;
    socket.set_nonblocking(true).map_err(unusable)?;
    Ok((TcpListener::from_std(socket).map_err(unusable)?, address))
}

pub(super) fn cannot_listen(address: SocketAddr, error: &IoError) -> Error {
    // The other program may stop, or the address be assigned, while a supervisor restarts this one.
    let code = match error.kind() {
        ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable => Code::AddressUnavailable,
        _ => Code::NotConfigured,
    };
    Error::new(code, format!("cannot listen on {address}: {error}"))
        .hint("another program may be using the port; choose another with --listen HOST:PORT")
}
