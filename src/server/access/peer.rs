//! Which user a local peer's socket belongs to, as `/proc/net/tcp` and `tcp6` tell.
//!
//! A proxy that rewrites `Host` and adds no header looks like a local program. Most run as a user of
//! their own, so without a token only sockets of the server's own user or of root are served.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::sync::{OnceCell, Semaphore};
use tokio::task::spawn_blocking;

/// The tables of IPv4 and IPv6 sockets.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// How often the tables are read: while others change, a row may be missing.
const ATTEMPTS: u32 = 3;
const ROOT: u32 = 0;

/// Look-ups that go on at once. The tables list every socket of the machine, also those that closed
/// within the last minute: 20,000 take 40 ms or more. Connections that begin together wait for each
/// other rather than take the processors from everybody.
static LOOK_UPS: Semaphore = Semaphore::const_new(1);

/// The two ends of a connection from this machine.
#[derive(Debug)]
pub(in crate::server) struct PeerSocket {
    /// The peer's end.
    pub(super) peer: SocketAddr,
    /// The server's end; `None` if it is unknown.
    local: Option<SocketAddr>,
    owner: OnceCell<Owner>,
}

/// To whom a socket belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A user, by id.
    User(u32),
    /// Nobody: the program has closed it already. It could have been anyone's.
    Nobody,
    /// This system does not tell.
    Unknown,
}

impl PeerSocket {
    pub(in crate::server) fn new(peer: SocketAddr, local: Option<SocketAddr>) -> Self {
        Self { peer, local, owner: OnceCell::new() }
    }

    /// Whether the peer's socket may belong to this server's user or to root. Looked up once.
    pub(super) async fn is_of_own_user(&self) -> bool {
        match *self.owner.get_or_init(|| self.look_up()).await {
            Owner::User(user) => user == ROOT || user == rustix::process::geteuid().as_raw(),
            Owner::Nobody => false,
            Owner::Unknown => true,
        }
    }

    /// Reads the tables where that delays no other request.
    async fn look_up(&self) -> Owner {
        let (Some(local), peer) = (self.local, self.peer) else { return Owner::Unknown };
        // The semaphore is never closed, and a look-up fails only if the server stops.
        let _permit = LOOK_UPS.acquire().await;
        spawn_blocking(move || find_in_tables(peer, local)).await.unwrap_or(Owner::Nobody)
    }
}

fn find_in_tables(peer: SocketAddr, local: SocketAddr) -> Owner {
    for _ in 0..ATTEMPTS {
        let tables = TABLES.map(|table| File::open(table).map(BufReader::new));
        match find(tables, peer, local) {
            Owner::Nobody => {}
            owner => return owner,
        }
    }
    Owner::Nobody
}

/// The owner of the socket whose own end is `peer` and whose other end is `local`.
fn find<T: BufRead>(tables: [io::Result<T>; 2], peer: SocketAddr, local: SocketAddr) -> Owner {
    if tables.iter().all(Result::is_err) {
        return Owner::Unknown;
    }
    // Line by line, because the tables may be large.
    let lines_of = |table: T| table.lines().skip(1).map_while(Result::ok);
    let lines = tables.into_iter().flatten().flat_map(lines_of);
    // Parsing takes most of the time, and few rows have the peer's port.
    let port = format!(":{:04X} ", peer.port());
    let rows = lines.filter(|line| line.contains(&port)).filter_map(|line| Row::parse(&line));
    let ends = (canonical(peer), canonical(local));
    // A socket without an inode is closed, and is shown as root's.
    let mut found = rows.filter(|row| row.ends == ends && row.inode != 0);
    found.next().map_or(Owner::Nobody, |row| Owner::User(row.user))
}

fn canonical(address: SocketAddr) -> (IpAddr, u16) {
    (address.ip().to_canonical(), address.port())
}

/// One socket of a table.
#[derive(Debug)]
struct Row {
    /// Its own end and the other one.
    ends: ((IpAddr, u16), (IpAddr, u16)),
    user: u32,
    inode: u64,
}

impl Row {
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        Some(Self {
            ends: (parse_end(fields.get(1)?)?, parse_end(fields.get(2)?)?),
            user: fields.get(7)?.parse().ok()?,
            inode: fields.get(9)?.parse().ok()?,
        })
    }
}

/// An address, in hexadecimal words as they are in memory, and a port.
fn parse_end(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let mut bytes = [0; 16];
    let words = address.len() / 8;
    for (index, chunk) in bytes.chunks_exact_mut(4).take(words).enumerate() {
        let word = address.get(index * 8..index * 8 + 8)?;
        chunk.copy_from_slice(&u32::from_str_radix(word, 16).ok()?.to_ne_bytes());
    }
    let ip = match (words, bytes) {
        (1, [a, b, c, d, ..]) => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        (4, bytes) => IpAddr::V6(Ipv6Addr::from(bytes)),
        _ => return None,
    };
    Some((ip.to_canonical(), u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    /// A row as a little-endian kernel prints it.
    fn row(ends: &str, user: u32, inode: u32) -> String {
        format!(
            "   0: {ends} 01 00000000:00000000 00:00000000 00000000  {user}        0 {inode} 1\n"
        )
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_row_names_the_owner_of_its_own_end() {
        let v4 = row("0100007F:9C40 0100007F:1388", 1_000, 77);
        let mapped = "0000000000000000FFFF00000100007F:9C41 0000000000000000FFFF00000100007F:1388";
        let v6 = "00000000000000000000000001000000:9C42 00000000000000000000000001000000:1388";
        let tables = [
            format!("{HEAD}{v4}{}", row("0100007F:1388 0100007F:9C40", 5, 78)),
            format!("{HEAD}{}{}", row(mapped, 1_001, 79), row(v6, 1_002, 80)),
        ];
        let owner = |peer, local| {
            let tables = [Ok(tables[0].as_bytes()), Ok(tables[1].as_bytes())];
            find(tables, address(peer), address(local))
        };
        assert_eq!(owner("127.0.0.1:40000", "127.0.0.1:5000"), Owner::User(1_000));
        assert_eq!(owner("[::ffff:127.0.0.1]:40000", "127.0.0.1:5000"), Owner::User(1_000));
        assert_eq!(owner("127.0.0.1:40001", "127.0.0.1:5000"), Owner::User(1_001));
        assert_eq!(owner("[::1]:40002", "[::1]:5000"), Owner::User(1_002));
        for peer in ["127.0.0.1:40002", "127.0.0.2:40000", "[::1]:40000"] {
            assert_eq!(owner(peer, "127.0.0.1:5000"), Owner::Nobody, "{peer}");
        }
    }

    #[test]
    fn a_closed_socket_belongs_to_nobody_and_not_to_root() {
        let table = format!("{HEAD}{}", row("0100007F:9C40 0100007F:1388", 0, 0));
        let tables = [Ok(table.as_bytes()), Err(io::ErrorKind::NotFound.into())];
        let owner = find(tables, address("127.0.0.1:40000"), address("127.0.0.1:5000"));
        assert_eq!(owner, Owner::Nobody);
    }

    #[test]
    fn without_tables_the_system_does_not_tell() {
        let tables = [(); 2].map(|()| Err::<&[u8], _>(io::ErrorKind::NotFound.into()));
        let owner = find(tables, address("127.0.0.1:40000"), address("127.0.0.1:5000"));
        assert_eq!(owner, Owner::Unknown);
    }

    #[tokio::test]
    async fn a_real_connection_is_found() {
        for listen in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = std::net::TcpListener::bind(listen) else { continue };
            let local = listener.local_addr().expect("an address");
            let client = std::net::TcpStream::connect(local).expect("a connection");
            let peer = client.local_addr().expect("an address");
            let socket = PeerSocket::new(peer, Some(local));
            assert!(socket.is_of_own_user().await, "{listen}");
            if std::fs::exists(TABLES[0]).unwrap_or(false) {
                let own = rustix::process::geteuid().as_raw();
                assert_eq!(socket.owner.get(), Some(&Owner::User(own)));
                drop(client);
                let closed = PeerSocket::new(peer, Some(local));
                assert!(!closed.is_of_own_user().await, "it is closed");
            }
        }
    }
}
