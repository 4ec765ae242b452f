//! Memory does not grow with what is asked for: pages end after so many bytes, and all answers share one
//! budget until they are read.

use std::io::Read;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::on_both_databases;
use crate::support::{
    CONTACT, DEADLINE, Home, Server, Signer, TestDatabase, connect, inbound, insert_numbered,
    request, status_field,
};

/// The length of each message.
const LENGTH: usize = 900_000;
/// The most memory of a server, in KiB: it may use 64 MiB for answers.
const MAX_SERVER: u64 = 200 * 1024;
/// The most memory of a command, in KiB: well above the 70 MiB that it takes on an idle
/// machine, and less than what it reads.
const MAX_COMMAND: u64 = 132 * 1024;

/// One conversation with some very long messages, and conversations that end with one.
async fn filled(db: &TestDatabase, signer: &Signer, messages: u32, conversations: u32) -> Home {
    let home = Home::new().with_database(db).accepting(signer);
    // However slow the machine is, a client that does not read keeps its connection.
    let home = home.set("CONVO_REQUEST_TIMEOUT", "300");
    home.run(&["migrate"]).exits(0);
    let direct = connect(&db.url).await;
    let conversation = [
        ("id", "{id:01a00000}"),
        ("contact_number", "'+1' || (2125551233 + i)"),
        ("message_count", "1"),
        ("last_message_at", "1781793000000000"),
        ("created_at", "1781793000000000"),
    ];
    insert_numbered(&direct, "conversations", conversations, &conversation).await;
    let is_sqlite = db.url.starts_with("sqlite:");
    let body = if is_sqlite { "printf('%.900000c', 'x')" } else { "repeat('x', 900000)" };
    let message = |conversation| {
        [
            ("id", "{id:01b00000}"),
            ("conversation_key", conversation),
            ("direction", "0"),
            ("from_number", "'+12125551234'"),
            ("to_number", "'+15551234567'"),
            ("body", body),
            ("status_rank", "130"),
            ("created_at", "1781793000000000"),
        ]
    };
    let first = message("1");
    insert_numbered(&direct, "messages", messages, &first).await;
    let mut others = message("i");
    others[0].1 = "{id:01c00000}";
    insert_numbered(&direct, "messages", conversations, &others).await;
    direct.close().await.expect("closed");
    home
}

/// The most memory that a process has had, in KiB.
fn peak(process: u32) -> Option<u64> {
    let peak = status_field(&process.to_string(), "VmHWM")?;
    peak.trim_end_matches(" kB").parse().ok()
}

/// A client that has read the beginning of an answer, and no more for now.
async fn slow_reader(to: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.expect("a connection");
    let request = request("GET", path, "", "");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut beginning = [0; 4_096];
    let read = tokio::time::timeout(DEADLINE, stream.read_exact(&mut beginning)).await;
    read.expect("in time").expect("a beginning");
    assert!(beginning.starts_with(b"HTTP/1.1 200"), "{path}");
    stream
}

/// Reads an answer to its end; how many bytes there were, and the last of them.
async fn rest(mut stream: TcpStream) -> (usize, Vec<u8>) {
    let (mut size, mut last, mut chunk) = (0, Vec::new(), vec![0; 256 * 1024]);
    loop {
        match stream.read(&mut chunk).await.expect("an answer") {
            0 => return (size, last),
            read => {
                size += read;
                last.extend_from_slice(&chunk[..read]);
                last.drain(..last.len().saturating_sub(16));
            }
        }
    }
}

async fn slow_readers_neither_fill_the_memory_nor_delay_webhooks(db: TestDatabase) {
    let signer = Signer::new(7);
    let conversations = 40;
    let home = filled(&db, &signer, 300, conversations).await;
    let server = Server::start(&home);
    let thread = format!("/conversations/{CONTACT}");
    let (page, all) = (format!("{thread}?limit=1000"), "/conversations".to_owned());
    let some = "/conversations?limit=1000".to_owned();
    let mut slow = Vec::new();
    for path in [&thread, &thread, &thread, &thread, &page, &page, &all, &all, &some, &some] {
        slow.push(slow_reader(server.address, path).await);
    }
    let fast = tokio::spawn(rest(slow_reader(server.address, &all).await));
    let mut longest = Duration::ZERO;
    for n in 0..40 {
        let since = Instant::now();
        let body = inbound(&format!("e{n}"), &format!("m{n}"), "+12125559999", "Hi");
        assert_eq!(signer.post(&server, body).await, "stored");
        assert_eq!(server.get("/health").await.status, 200);
        longest = longest.max(since.elapsed());
    }
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    let (size, end) = fast.await.expect("no panic");
    assert!(size > conversations as usize * LENGTH, "{size}");
    assert!(String::from_utf8_lossy(&end).contains(']'), "{end:?}");
    // What stood still goes on to its end.
    let (size, end) = rest(slow.swap_remove(6)).await;
    assert!(size > conversations as usize * LENGTH, "{size}");
    assert!(String::from_utf8_lossy(&end).contains(']'), "{end:?}");
    let peak = peak(server.id()).expect("a running process");
    assert!(peak < MAX_SERVER, "{peak} KiB");
}

/// Runs a command to its end; how much it wrote, and the most memory it had, in KiB.
fn run(home: &Home, args: &[&str]) -> (usize, u64) {
    let mut command = home.command(args);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let (mut size, mut most, mut chunk) = (0, 0, vec![0; 256 * 1024]);
    let mut out = child.stdout.take().expect("a pipe");
    loop {
        // It cannot end before it has written everything.
        most = most.max(peak(child.id()).unwrap_or_default());
        match out.read(&mut chunk).expect("an output") {
            0 => break,
            read => size += read,
        }
    }
    assert!(child.wait().expect("ended").success(), "{args:?}");
    (size, most)
}

async fn commands_need_little_memory(db: TestDatabase) {
    let home = filled(&db, &Signer::new(7), 160, 160).await;
    let server = Server::start(&home);
    let remote = ["--server", &server.url()];
    for args in [
        &["show", CONTACT, "--format", "csv", "--limit", "160"][..],
        &[&["show", CONTACT][..], &remote].concat(),
        &["list"],
        &[&["list"][..], &remote].concat(),
    ] {
        let (size, most) = run(&home, args);
        assert!(size > 160 * LENGTH, "{args:?}: {size}");
        assert!((1..MAX_COMMAND).contains(&most), "{args:?}: {most} KiB");
    }
}

on_both_databases!(
    slow_readers_neither_fill_the_memory_nor_delay_webhooks,
    commands_need_little_memory,
);
